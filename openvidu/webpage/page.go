package webpage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/recording"
	"github.com/govidu/govidu/openvidu/studio"
)

const (
	// streamID names the page to its Director.
	streamID = "page"
	// watchEvery is how often a browser is looked at.
	watchEvery = 2 * time.Second
	// Between a browser's end and the next one's start; it doubles while none of them
	// brings a picture.
	firstPause, longestPause = 200 * time.Millisecond, 10 * time.Second
	// maxCandidates of the media node are told to the browser.
	maxCandidates = 32
)

// page is one web page that is shown for a recording or a broadcast.
type page struct {
	service *Service
	spec    recording.PageSpec
	log     *slog.Logger

	// begin sets these; Close reads them when ended is closed.
	director, port, view client.ID
	current              *screening // of watch; Close's when that has ended

	once  sync.Once
	stop  context.CancelFunc
	ctx   context.Context // ends with the page
	ended chan struct{}   // closed when nothing is left
	run   sync.WaitGroup  // the goroutine of watch
}

func newPage(s *Service, spec recording.PageSpec) *page {
	p := &page{service: s, spec: spec, log: s.opts.Log.With(obs.AttrSession, spec.SessionID), ended: make(chan struct{})}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// ID implements recording.Page.
func (p *page) ID() client.ID { return p.view }

// begin makes the view and shows the page in it. What it made Close releases.
func (p *page) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.service.opts.OpenTimeout)
	defer cancel()
	if err := p.compose(ctx); err != nil {
		return p.mediaError(err)
	}
	shown, err := p.show(ctx)
	if err != nil {
		return p.refusal(err)
	}
	p.current = shown
	p.run.Go(func() {
		defer obs.Guard(p.log, "webpage.watch", nil)
		p.watch()
	})
	return nil
}

// compose makes a Director with one port and one view of the page's size, which
// lives as long as the page: browsers come and go before it.
func (p *page) compose(ctx context.Context) (err error) {
	media := p.spec.Media
	if p.director, err = media.Create(ctx, "Director", map[string]any{"mediaPipeline": p.spec.Pipeline}); err != nil {
		return err
	}
	if p.port, err = media.Create(ctx, "HubPort", map[string]any{"hub": p.director}); err != nil {
		return err
	}
	source := map[string]any{"streamId": streamID, "typeOfVideo": "CUSTOM", "videoActive": true, "audioActive": true}
	if err := media.Invoke(ctx, p.director, "describePort", map[string]any{"port": p.port, "source": source}, nil); err != nil {
		return err
	}
	whole := layout.Spec{Layout: layout.Custom, Names: new(bool), Tiles: []layout.TileSpec{{Width: 1, Height: 1}}}
	p.view, err = media.Create(ctx, "View", map[string]any{
		"director": p.director, "width": p.spec.Width &^ 1, "height": p.spec.Height &^ 1, "framerate": p.spec.FrameRate,
		"hasAudio": p.spec.HasAudio, "hasVideo": true, "layout": whole,
	})
	return err
}

// screening is a page in a browser, and its way to the node.
type screening struct {
	*tab
	endpoint client.ID
	cancels  []func()
	leave    func(context.Context) // ends its connection to the session
}

// show starts a browser, opens the page and returns when its picture is in the view.
func (p *page) show(ctx context.Context) (_ *screening, err error) {
	s := &screening{tab: newTab(p.log)}
	defer func() {
		if err != nil {
			p.end(s)
		}
	}()
	pass, leave, err := p.service.opts.Rooms.RecorderPass(ctx, p.spec.SessionID)
	if err != nil {
		return nil, err
	}
	s.leave = leave
	address, err := p.service.address(p.spec, pass)
	if err != nil {
		return nil, &loadError{"the customLayout is no address"}
	}
	if err := p.browse(s, address); err != nil {
		return nil, err
	}
	if err := s.open(ctx, address, p.spec.Width, p.spec.Height); err != nil {
		return nil, err
	}
	if err := p.connect(ctx, s); err != nil {
		return nil, err
	}
	s.look()
	s.resize(ctx, p.spec.Width, p.spec.Height) // the browser says in the window that it is captured
	if err := p.await(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// browse starts the browser.
func (p *page) browse(s *screening, address string) error {
	o := &p.service.opts
	path, err := find(o.Chromium)
	if err != nil {
		return err
	}
	profile, err := newProfile(o.TempDir)
	if err != nil {
		return err
	}
	args := flags(profile, p.service.proxy.addr(), o.TrustedKey, p.spec.Width, p.spec.Height, maySandbox())
	if u, err := url.Parse(address); err == nil && u.Scheme == "http" {
		// Only secure pages may capture themselves.
		args = append([]string{"--unsafely-treat-insecure-origin-as-secure=http://" + u.Host}, args...)
	}
	s.layouts, s.authorization = p.service.layouts(), p.service.authorization()
	begun := make(chan struct{})
	s.chromium, err = start(path, profile, args, p.log, func(session, method string, params json.RawMessage) {
		<-begun
		s.heard(session, method, params)
	})
	close(begun)
	if err != nil {
		s.chromium = nil
		(&chromium{log: p.log, profile: profile}).clean()
		return errors.Join(errNoBrowser, err)
	}
	return nil
}

// connect brings the tab's picture and sound into the Director.
func (p *page) connect(ctx context.Context, s *screening) (err error) {
	media := p.spec.Media
	bitrate := wanted(p.spec)
	var offer string
	if err := s.do(ctx, "start", map[string]any{"frameRate": p.spec.FrameRate, "audio": p.spec.HasAudio, "bitrate": bitrate}, &offer); err != nil {
		return err
	}
	if s.endpoint, err = media.Create(ctx, "WebRtcEndpoint", map[string]any{"mediaPipeline": p.spec.Pipeline, "certificateKeyType": "ECDSA"}); err != nil {
		return err
	}
	found := make(chan json.RawMessage, maxCandidates)
	cancel, err := media.Subscribe(ctx, s.endpoint, "IceCandidateFound", func(data json.RawMessage) {
		select {
		case found <- append(json.RawMessage{}, data...):
		default:
		}
	})
	if err != nil {
		return err
	}
	s.cancels = append(s.cancels, cancel)
	for setter, property := range map[string]string{"setMaxVideoRecvBandwidth": "maxVideoRecvBandwidth", "setMinVideoRecvBandwidth": "minVideoRecvBandwidth"} {
		if err := media.Invoke(ctx, s.endpoint, setter, map[string]any{property: bitrate / 1000}, nil); err != nil {
			return err
		}
	}
	var answer string
	if err := media.Invoke(ctx, s.endpoint, "processOffer", map[string]any{"offer": offer}, &answer); err != nil {
		return err
	}
	for _, kind := range p.kinds() {
		if err := media.Invoke(ctx, s.endpoint, "connect", map[string]any{"sink": p.port, "mediaType": kind}, nil); err != nil {
			return err
		}
	}
	if err := s.do(ctx, "answer", steady(answer, bitrate), nil); err != nil {
		return err
	}
	if err := media.Invoke(ctx, s.endpoint, "gatherCandidates", nil, nil); err != nil {
		return err
	}
	p.run.Go(func() { // ends with the browser, or the page
		defer obs.Guard(p.log, "webpage.candidates", nil)
		for {
			select {
			case data := <-found:
				var e struct{ Candidate json.RawMessage }
				if json.Unmarshal(data, &e) == nil {
					_ = s.do(p.ctx, "candidate", e.Candidate, nil)
				}
			case <-s.tools.done:
				return
			case <-p.ctx.Done():
				return
			}
		}
	})
	return nil
}

func (p *page) kinds() []string {
	if p.spec.HasAudio {
		return []string{"AUDIO", "VIDEO"}
	}
	return []string{"VIDEO"}
}

// wanted is what the tab's picture is sent with, in bit/s: it is encoded once more,
// and shall not be seen to have been encoded before.
func wanted(p recording.PageSpec) int {
	return min(max(p.Width*p.Height*p.FrameRate/5, 1_000_000), 20_000_000)
}

// steady changes an answer so that Chromium begins with the bitrate and never goes
// far below it, for there is no network between, and sends sound in stereo.
func steady(answer string, bps int) string {
	const stereo = "stereo=1;maxaveragebitrate=128000"
	rate := fmt.Sprintf("x-google-min-bitrate=%d;x-google-start-bitrate=%d;x-google-max-bitrate=%d", bps/2000, bps/1000, bps/1000)
	lines := slices.Collect(strings.Lines(answer))
	has := map[string]bool{} // payload types with parameters of their own
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "a=fmtp:"); ok {
			number, _, _ := strings.Cut(rest, " ")
			has[number] = true
		}
	}
	more := map[string]string{}
	var out strings.Builder
	kind := ""
	for _, line := range lines {
		if m, ok := strings.CutPrefix(line, "m="); ok {
			kind, _, _ = strings.Cut(m, " ")
		}
		number, codec, _ := strings.Cut(strings.TrimPrefix(line, "a=rtpmap:"), " ")
		if strings.HasPrefix(line, "a=rtpmap:") {
			codec, _, _ = strings.Cut(strings.ToLower(codec), "/")
			switch {
			case codec == "opus":
				more[number] = stereo
			case kind == "video" && codec != "rtx" && codec != "red" && codec != "ulpfec":
				more[number] = rate
			}
			out.WriteString(line)
			if more[number] != "" && !has[number] {
				fmt.Fprintf(&out, "a=fmtp:%s %s\r\n", number, more[number])
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "a=fmtp:"); ok {
			number, _, _ := strings.Cut(rest, " ")
			if more[number] != "" {
				line = strings.TrimRight(line, "\r\n") + ";" + more[number] + "\r\n"
			}
		}
		out.WriteString(line)
	}
	return out.String()
}

// await waits until the view shows the page.
func (p *page) await(ctx context.Context, s *screening) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var tiles []studio.Tile
		if err := p.spec.Media.Invoke(ctx, p.view, "getTiles", nil, &tiles); err != nil {
			return err
		}
		if len(tiles) == 1 && !tiles[0].Avatar {
			return nil
		}
		select {
		case <-tick.C:
		case err := <-s.lost:
			return err
		case <-s.tools.done:
			return errGone
		case <-ctx.Done():
			return &loadError{"the page brings no picture in time"}
		}
	}
}

// watch keeps a browser on the page until the page ends.
func (p *page) watch() {
	pause := firstPause
	for {
		why := p.guard(p.current)
		if p.ctx.Err() != nil {
			return
		}
		p.note("page lost", why)
		p.end(p.current)
		for p.current = nil; p.current == nil; {
			select {
			case <-time.After(pause):
			case <-p.ctx.Done():
				return
			case <-p.spec.Media.Lost():
				return
			}
			ctx, cancel := context.WithTimeout(p.ctx, p.service.opts.OpenTimeout)
			shown, err := p.show(ctx)
			cancel()
			if p.current = shown; err != nil {
				pause = min(2*pause, longestPause)
				p.log.Warn("a page could not be shown again", obs.AttrErr, err)
			}
		}
		pause = firstPause
		p.note("page shown again", nil)
	}
}

// guard returns when the browser shows the page no more, or the page ends.
func (p *page) guard(s *screening) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return p.ctx.Err()
		case err := <-s.lost:
			return err
		case <-s.tools.done:
			return &loadError{"the browser ended"}
		case <-tick.C:
		}
		if used := s.look(); used > p.service.opts.MaxMemory {
			return &loadError{fmt.Sprintf("the browser holds %d MiB", used>>20)}
		}
		ctx, cancel := context.WithTimeout(p.ctx, p.service.opts.AliveTimeout)
		err := s.alive(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
}

func (p *page) note(what string, why error) {
	text := ""
	if why != nil {
		text = why.Error()
	}
	p.log.Warn("web page: "+what, "why", text)
	if p.spec.Note != nil {
		p.spec.Note(what, text)
	}
}

// end closes a browser and what belonged to it.
func (p *page) end(s *screening) {
	if s.leave != nil {
		ctx, cancel := context.WithTimeout(context.Background(), p.service.opts.CallTimeout)
		s.leave(ctx)
		cancel()
	}
	for _, cancel := range s.cancels {
		cancel()
	}
	if s.chromium != nil {
		select {
		case <-s.tools.done:
			p.log.Warn("browser ended by itself", "said", obs.Quote(s.said.String()))
		default:
		}
		s.chromium.close()
	}
	if s.endpoint != "" {
		p.release(s.endpoint)
	}
}

func (p *page) release(id client.ID) {
	select {
	case <-p.spec.Media.Lost():
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.service.opts.CallTimeout)
	defer cancel()
	if err := p.spec.Media.Release(ctx, id); err != nil && !errors.Is(err, kerr.MediaObjectNotFound) {
		p.log.Info("object of a page could not be released", obs.AttrErr, err)
	}
}

// Close ends the page; it returns when no process and no file of it is left, or
// when ctx ends.
func (p *page) Close(ctx context.Context) error {
	p.once.Do(func() {
		p.stop()
		go func() {
			defer p.service.forget(p)
			defer close(p.ended)
			p.run.Wait()
			if p.current != nil {
				p.end(p.current)
			}
			if p.director != "" { // port and view go with it
				p.release(p.director)
			}
		}()
	})
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refusal puts into words that may be told why a page is not shown.
func (p *page) refusal(err error) error {
	if e, ok := errors.AsType[*loadError](err); ok {
		return &studio.Error{Kind: studio.ErrPage, Text: "the customLayout: " + e.text, Err: err}
	}
	switch {
	case errors.Is(err, errNoBrowser):
		return &studio.Error{Kind: studio.ErrPage, Text: "the customLayout is a web page, and Chromium could not be started", Err: err}
	case errors.Is(err, errGone):
		return &studio.Error{Kind: studio.ErrPage, Text: "the customLayout: the browser ended while the page was opened", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &studio.Error{Kind: studio.ErrPage, Text: "the customLayout: the page is not shown in time", Err: err}
	}
	return p.mediaError(err)
}

func (p *page) mediaError(err error) error {
	kind, text := studio.ErrMedia, studio.ErrMedia.Error()
	select {
	case <-p.spec.Media.Lost():
		kind, text = studio.ErrLost, studio.ErrLost.Error()
	default:
	}
	switch {
	case errors.Is(err, kerr.NotEnoughResources):
		kind, text = studio.ErrNoCapacity, "the server has not enough CPU left for it, try again later or ask for a smaller picture or a lower frame rate"
	case errors.Is(err, kerr.MediaObjectNotAvailable), errors.Is(err, kerr.MediaObjectTypeNotFound):
		kind, text = studio.ErrUnavailable, "this server runs without media workers, which compose pictures"
	}
	return &studio.Error{Kind: kind, Text: "show the customLayout: " + text, Err: err}
}
