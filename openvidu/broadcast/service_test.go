package broadcast

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/mediatest"
	"github.com/govidu/govidu/openvidu/studio"
)

func TestRTMPFromStartToStop(t *testing.T) {
	h := newHouse(t)
	b := h.mustStart("live", rtmp(""))
	if b.Status != Connected || b.Name != DefaultName || b.SessionID != "live" || b.Output != RTMP || b.URL != nil || b.Retries != 0 ||
		*b.BroadcastURL != "rtmp://target.example/app/***" || *b.Resolution != "1280x720" || *b.FrameRate != 25 || *b.RecordingLayout != "BEST_FIT" {
		t.Errorf("started: %+v", b)
	}
	if s, _ := json.Marshal(b); strings.Contains(string(s), key) {
		t.Errorf("the API shows the key: %s", s)
	}
	if p := h.node.made("RtmpEndpoint"); len(p) != 1 || p[0]["uri"] != "rtmp://target.example/app/"+key || p[0]["mediaPipeline"] != "pipe" {
		t.Errorf("endpoint made with %v", p)
	}
	if s := h.studios.specs[0]; s.Width != 1280 || s.Height != 720 || s.FrameRate != 25 || !s.HasAudio || !s.HasVideo || s.Layout.Layout != layout.BestFit {
		t.Errorf("view made with %+v", s)
	}
	out, view := h.node.outputs()[0], h.node.Alive("View")[0]
	var links []string
	started := false
	for _, c := range h.node.Calls("invoke") {
		switch c.Name {
		case "connect":
			if c.Object != view || c.Params["sink"] != string(out) || started {
				t.Errorf("connect %+v, started before: %v", c, started)
			}
			links = append(links, c.Params["mediaType"].(string))
		case "start":
			started = c.Object == out
		}
	}
	if slices.Sort(links); !slices.Equal(links, []string{"AUDIO", "VIDEO"}) || !started {
		t.Errorf("links %v, started %v", links, started)
	}
	if got := h.rooms.took(); got != "mark true,broadcastStarted" {
		t.Errorf("told at the start: %s", got)
	}
	// The target goes and comes back.
	h.node.Emit(out, "Disconnected", map[string]any{"reason": "connection of app/" + key + " reset", "retryInMs": 500})
	if l := h.List(); l[0].Status != Reconnecting || l[0].Retries != 1 {
		t.Errorf("after the loss: %+v", l)
	}
	h.node.Emit(out, "Disconnected", map[string]any{"reason": "refused", "retryInMs": 1000})
	h.node.Emit(out, "Connected", map[string]any{})
	if l := h.List(); l[0].Status != Connected || l[0].Retries != 2 || l[0].Since < l[0].CreatedAt {
		t.Errorf("after the return: %+v", l)
	}
	if err := h.Stop(t.Context(), "live", "", openvidu.ReasonBroadcastStopped); err != nil {
		t.Fatal(err)
	}
	if got := h.rooms.took(); got != "mark false,broadcastStopped" {
		t.Errorf("told at the stop: %s", got)
	}
	if e := h.rooms.stopped(); e.Reason != "broadcastStoppedByServer" || e.BroadcastURL != "rtmp://target.example/app/"+key || e.StartTime < b.CreatedAt || e.UniqueSessionID != "live_1" {
		t.Errorf("broadcastStopped %+v", e)
	}
	h.nothingLeft()
	if err := h.Stop(t.Context(), "live", "", openvidu.ReasonBroadcastStopped); !errors.Is(err, ErrNotBroadcasting) {
		t.Errorf("second stop: %v", err)
	}
}

func TestHLS(t *testing.T) {
	h := newHouse(t)
	plain, kept := hls(""), hls("kept")
	kept.Record, kept.HasVideo = true, false
	b, r := h.mustStart("live", plain), h.mustStart("live", kept)
	if b.BroadcastURL != nil || *b.URL != "https://host:4443/openvidu"+playlist || b.Folder != nil {
		t.Errorf("started: %+v", b)
	}
	p := h.node.made("HlsEndpoint")
	if p[0]["directory"] != nil || p[1]["directory"] != "file:///rec%20ordings/"+*r.Folder || !strings.HasPrefix(*r.Folder, "broadcasts/live-brd_") {
		t.Errorf("endpoints made with %v; folder %v", p, *r.Folder)
	}
	if r.Resolution != nil || r.FrameRate != nil {
		t.Errorf("without video: %+v", r)
	}
	_ = h.Stop(t.Context(), "live", "", openvidu.ReasonBroadcastStopped)
	if e := h.rooms.stopped(); e.BroadcastURL != "https://host:4443/openvidu"+playlist {
		t.Errorf("stopped %+v", e)
	}
	// A node that answers nonsense must not put it into our URLs.
	for _, bad := range []string{"", "/hls//index.m3u8", "/hls/a/../b/index.m3u8", "https://evil/hls/a/index.m3u8"} {
		h.node.mu.Lock()
		h.node.path = bad
		h.node.mu.Unlock()
		if _, err := h.Start(t.Context(), "live", plain); err == nil {
			t.Errorf("path %q was taken", bad)
		}
		h.nothingLeft()
	}
	off := newHouse(t, func(o *Options) { o.Dir = "" })
	if _, err := off.Start(t.Context(), "live", kept); !isStartError(err, "recording is switched off") {
		t.Errorf("recording without a folder: %v", err)
	}
}

func TestSeveralAtOnce(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.MaxPerSession = 4 })
	h.mustStart("live", rtmp(""))
	h.mustStart("live", rtmp("a"))
	h.mustStart("live", hls("b"))
	h.mustStart("other", rtmp("a"))
	for _, name := range []string{"", "a", DefaultName} {
		if _, err := h.Start(t.Context(), "live", rtmp(name)); !errors.Is(err, ErrConflict) {
			t.Errorf("second start of %q: %v", name, err)
		}
	}
	h.mustStart("live", rtmp("c"))
	if _, err := h.Start(t.Context(), "live", rtmp("d")); !errors.Is(err, openvidu.ErrLimit) {
		t.Errorf("fifth: %v", err)
	}
	if err := h.Stop(t.Context(), "live", "nobody", openvidu.ReasonBroadcastStopped); !errors.Is(err, ErrNotBroadcasting) {
		t.Errorf("stop of an unknown name: %v", err)
	}
	if err := h.Stop(t.Context(), "live", "a", openvidu.ReasonBroadcastStopped); err != nil {
		t.Error(err)
	}
	if got, want := names(h.List()), []string{"live/b", "live/c", "live/default", "other/a"}; !slices.Equal(got, want) {
		t.Errorf("after one stop: %v, want %v", got, want)
	}
	_ = h.Stop(t.Context(), "live", "", openvidu.ReasonBroadcastStopped)
	if got, want := names(h.List()), []string{"other/a"}; !slices.Equal(got, want) {
		t.Errorf("after the stop of all: %v, want %v", got, want)
	}
}

func isStartError(err error, text string) bool {
	e, ok := errors.AsType[*StartError](err)
	return ok && strings.HasPrefix(e.Error(), "Error starting broadcast: ") && strings.Contains(e.Error(), text)
}

// Every way a start fails leaves nothing, tells no event and shows no key.
func TestStartRefusals(t *testing.T) {
	refusedBy := func(kind error, text string) error { return &studio.Error{Kind: kind, Text: text} }
	failing := func(name string, err error) func(*house) {
		return func(h *house) {
			h.node.SetBefore(func(_ context.Context, c mediatest.Call) error {
				if c.Name == name {
					return err
				}
				return nil
			})
		}
	}
	start := func(text string) func(error) bool { return func(err error) bool { return isStartError(err, text) } }
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for name, c := range map[string]struct {
		session string
		spec    Spec
		prepare func(*house)
		want    func(error) bool
	}{
		"unknown session":        {session: "none", want: is(openvidu.ErrSessionNotFound)},
		"nobody there":           {session: "idle", want: is(openvidu.ErrSessionNotActive)},
		"relayed before nobody":  {session: "relayed", want: is(ErrConflict)},
		"refused by the target":  {prepare: func(h *house) { h.node.set("Disconnected") }, want: start("the target does not take the stream: server says no to app/***")},
		"output fails":           {prepare: func(h *house) { h.node.set("Error") }, want: start("the output failed: no ***")},
		"target never answers":   {prepare: func(h *house) { h.node.set(""); h.opts.StartTimeout = time.Millisecond }, want: start("the target does not answer")},
		"no CPU":                 {prepare: func(h *house) { h.studios.view = refusedBy(studio.ErrNoCapacity, "not enough CPU") }, want: is(ErrNoCapacity)},
		"no CPU for the studio":  {prepare: func(h *house) { h.studios.fail = refusedBy(studio.ErrNoCapacity, "not enough CPU") }, want: is(ErrNoCapacity)},
		"layout refused":         {prepare: func(h *house) { h.studios.view = refusedBy(studio.ErrLayout, "bad layout") }, want: is(ErrLayout)},
		"layout is a page":       {prepare: func(h *house) { h.studios.view = refusedBy(studio.ErrPage, "needs a browser") }, want: is(ErrLayout)},
		"no workers":             {prepare: func(h *house) { h.studios.fail = refusedBy(studio.ErrUnavailable, "without media workers") }, want: start("without media workers")},
		"node without the class": {prepare: failing("RtmpEndpoint", kerr.MediaObjectTypeNotFound), want: start("knows no output RTMP")},
		"target refused by node": {prepare: failing("RtmpEndpoint", fmt.Errorf("no dial to app/%s: %w", key, kerr.MediaObjectIllegalParam)), want: start("refuses the target: no dial to app/***")},
		"node fails":             {prepare: failing("RtmpEndpoint", errors.New("lower layer at /path")), want: start("the session could not be broadcast")},
		"node fails to connect":  {prepare: failing("connect", kerr.UnexpectedError), want: start("the session could not be broadcast")},
		"node fails to start":    {prepare: failing("start", kerr.UnexpectedError), want: start("the session could not be broadcast")},
		"events fail":            {prepare: failing("Connected", kerr.UnexpectedError), want: start("the session could not be broadcast")},
		"session closes":         {prepare: func(h *house) { h.rooms.refuse = openvidu.ErrSessionClosing }, want: is(openvidu.ErrSessionNotFound)},
		"path fails":             {spec: hls(""), prepare: failing("getPath", kerr.UnexpectedError), want: start("the session could not be broadcast")},
		"service closed":         {prepare: func(h *house) { _ = h.Close() }, want: is(ErrClosed)},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if c.session == "" {
				c.session = "live"
			}
			if c.spec.Output == "" {
				c.spec = rtmp("")
			}
			if c.prepare != nil {
				c.prepare(h)
			}
			_, err := h.Start(t.Context(), c.session, c.spec)
			if err == nil || !c.want(err) {
				t.Errorf("got %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "/path")) {
				t.Errorf("the error tells too much: %v", err)
			}
			h.nothingLeft()
			if got := h.rooms.took(); got != "" {
				t.Errorf("told: %s", got)
			}
		})
	}
}

func TestAPanicLeavesNothing(t *testing.T) {
	h := newHouse(t)
	h.rooms.explode = true
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		_, _ = h.Start(t.Context(), "live", rtmp(""))
	}()
	h.nothingLeft()
}

// A start that waits for its target is ended by a stop, by the end of the session
// and by that of the server.
func TestStopOfAStart(t *testing.T) {
	for name, stop := range map[string]func(*house){
		"stop":    func(h *house) { _ = h.Stop(t.Context(), "live", "", openvidu.ReasonBroadcastStopped) },
		"session": func(h *house) { h.SessionClosing(t.Context(), "live", openvidu.ReasonSessionClosed) },
		"server":  func(h *house) { _ = h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.node.set("")
			failed := make(chan error)
			go func() {
				_, err := h.Start(context.Background(), "live", rtmp(""))
				failed <- err
			}()
			h.eventually("it waits for the target", func() bool {
				return slices.ContainsFunc(h.node.Calls("invoke"), func(c mediatest.Call) bool { return c.Name == "start" })
			})
			if l := h.List(); len(l) != 1 || l[0].Status != Starting {
				t.Errorf("list while it starts: %+v", l)
			}
			if _, err := h.Start(t.Context(), "live", rtmp("")); !errors.Is(err, ErrConflict) {
				t.Errorf("second start meanwhile: %v", err)
			}
			stop(h)
			if err := <-failed; !isStartError(err, "stopped while it started") {
				t.Errorf("the start gives %v", err)
			}
			h.nothingLeft()
			if got := h.rooms.took(); got != "" {
				t.Errorf("told: %s", got)
			}
		})
	}
}

func TestEndsWithItsSession(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*house)
		want string
	}{
		"closed":   {func(h *house) { h.SessionClosing(t.Context(), "live", openvidu.ReasonSessionClosed) }, "sessionClosedByServer"},
		"all left": {func(h *house) { h.SessionClosing(t.Context(), "live", openvidu.ReasonLastParticipantLeft) }, "lastParticipantLeft"},
		"empty":    {func(h *house) { h.SessionEmpty("live", openvidu.ReasonLastParticipantLeft) }, "lastParticipantLeft"},
		"server":   {func(h *house) { _ = h.Close() }, "openviduServerStopped"},
		"media node": {func(h *house) {
			h.node.Lose()
			h.SessionClosing(t.Context(), "live", openvidu.ReasonMediaServerDisconnect)
		}, "mediaServerDisconnect"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.mustStart("live", rtmp(""))
			h.mustStart("live", hls("b"))
			h.mustStart("other", rtmp(""))
			c.end(h)
			h.eventually("it ends", func() bool {
				return !slices.ContainsFunc(h.List(), func(b Broadcast) bool { return b.SessionID == "live" })
			})
			if e := h.rooms.stopped(); e.Reason != c.want {
				t.Errorf("reason %q, want %q", e.Reason, c.want)
			}
			if left := len(h.List()); name != "server" && left != 1 {
				t.Errorf("%d broadcasts left, want the other session's", left)
			}
			if name == "media node" { // the fake keeps objects of a lost node
				for _, o := range append(h.node.outputs(), h.node.Alive("View")...) {
					_ = h.node.Release(t.Context(), o)
				}
			}
			h.SessionClosing(t.Context(), "live", openvidu.ReasonSessionClosed) // again
		})
	}
}

// Whoever stops at once stops once.
func TestStopsAtOnce(t *testing.T) {
	h := newHouse(t)
	h.mustStart("live", rtmp(""))
	h.rooms.took()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _ = h.Stop(context.Background(), "live", "", openvidu.ReasonBroadcastStopped) })
		wg.Go(func() { h.SessionClosing(context.Background(), "live", openvidu.ReasonSessionClosed) })
	}
	wg.Wait()
	if got := h.rooms.took(); got != "mark false,broadcastStopped" {
		t.Errorf("told: %s", got)
	}
}

func TestClosingReturnsInTime(t *testing.T) {
	h := newHouse(t)
	h.mustStart("live", rtmp(""))
	hold := make(chan struct{})
	h.node.SetBefore(func(_ context.Context, c mediatest.Call) error {
		if c.Name == "stop" {
			<-hold
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	h.SessionClosing(ctx, "live", openvidu.ReasonSessionClosed)
	if len(h.List()) != 1 {
		t.Error("the broadcast is forgotten before it ended")
	}
	close(hold)
	h.eventually("it ends all the same", func() bool { return len(h.List()) == 0 })
}

func TestLayout(t *testing.T) {
	h := newHouse(t)
	h.mustStart("live", rtmp("a"))
	l := layout.Spec{Layout: layout.Speaker}
	if err := h.SetLayout(t.Context(), "live", "a", l); err != nil {
		t.Fatal(err)
	}
	got, tiles, err := h.Layout(t.Context(), "live", "a")
	if err != nil || got.Layout != layout.Speaker || len(tiles) != 1 {
		t.Errorf("layout %+v, tiles %v, %v", got, tiles, err)
	}
	for _, who := range [][2]string{{"live", "b"}, {"other", "a"}, {"none", "a"}} {
		if err := h.SetLayout(t.Context(), who[0], who[1], l); !errors.Is(err, ErrNotFound) {
			t.Errorf("layout of %v: %v", who, err)
		}
	}
	if l, err := h.Resolve(layout.BestFit, ""); err != nil || l.Layout != layout.BestFit {
		t.Errorf("resolved %+v, %v", l, err)
	}
	if _, err := h.Resolve("CUSTOM", "page"); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "not broadcast") {
		t.Errorf("a page: %v", err)
	}
	h.studios.views[0].fail = &studio.Error{Kind: studio.ErrLayout, Text: "no such place"}
	if err := h.SetLayout(t.Context(), "live", "a", l); !errors.Is(err, ErrLayout) || err.Error() != "no such place" {
		t.Errorf("bad layout: %v", err)
	}
}

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]string{
		"rtmp://h/app/key":               "rtmp://h/app/key",
		"rtmps://h:443/app/inst/key?a=b": "rtmps://h:443/app/inst/key?a=b",
		"rtmp://[::1]:1935/app/k%20y":    "rtmp://[::1]:1935/app/k%20y",
	} {
		if s, err := ParseTarget(in); err != nil || s.Reveal() != want {
			t.Errorf("ParseTarget(%q) = %q, %v", in, s.Reveal(), err)
		}
	}
	for _, in := range []string{
		"", "x", "http://h/app/key", "rtmp:app", "rtmp:///app/key", "rtmp://h", "rtmp://h/", "rtmp://h/app", "rtmp://h/app/", "rtmp://u:p@h/app/key", "rtmp://h/app/key live=1",
		"rtmp://h/app/\"key", "rtmp://h/app/key\n", "rtmp://h/app/k#f", "rtmp://h/app/%zz", "RTMP://h/a\\b", "file:///etc/passwd",
		"rtmp://h/app/" + strings.Repeat("k", maxTarget), "rtmp://h/äpp",
	} {
		if s, err := ParseTarget(in); err == nil {
			t.Errorf("ParseTarget(%q) = %q, want an error", in, s.Reveal())
		} else if len(in) > 10 && strings.Contains(err.Error(), in) {
			t.Errorf("the error quotes the URL: %v", err)
		}
	}
}

func TestRedactText(t *testing.T) {
	target, err := ParseTarget("rtmp://h/app/inst/the-key?token=tok1")
	if err != nil {
		t.Fatal(err)
	}
	in := "dial rtmp://h/app/inst/the-key?token=tok1: NetStream.Publish.BadName inst/the-key?token=tok1, the-key\r\n\x1b"
	got := redactText(in, target)
	for _, s := range []string{"the-key", "tok1", "\n", "\x1b"} {
		if strings.Contains(got, s) {
			t.Errorf("%q still holds %q", got, s)
		}
	}
	if got := redactText(strings.Repeat("é", 200), target); len(got) > 200 {
		t.Errorf("%d bytes", len(got))
	}
}
