package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

//go:embed composed.html
var composedPage string

// publisher sends a grid's inputs to the page over WebRTC, as a room would. It runs
// in this process and is not measured.
type publisher struct {
	pc     *webrtc.PeerConnection
	tracks []*webrtc.TrackLocalStaticRTP

	mu     sync.Mutex
	frames []int // pictures that each video has shown, as the page says
	at     time.Time
	failed string
}

func newPublisher(tiles int) (*publisher, error) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	p := &publisher{pc: pc}
	for i := range tiles {
		t, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, fmt.Sprint("v", i), fmt.Sprint("s", i))
		if err != nil {
			return nil, err
		}
		sender, err := pc.AddTrack(t)
		if err != nil {
			return nil, err
		}
		go func() { // until the connection is closed
			buf := make([]byte, 1500)
			for {
				if _, _, err := sender.Read(buf); err != nil {
					return
				}
			}
		}()
		p.tracks = append(p.tracks, t)
	}
	return p, nil
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.ReplaceAll(composedPage, "TILES", fmt.Sprint(len(p.tracks))))
	case "/offer":
		answer, err := p.answer(string(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, answer)
	case "/frames":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.at = time.Now()
		_ = json.Unmarshal(body, &p.frames)
	case "/error":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.failed = string(body)
	}
}

func (p *publisher) answer(offer string) (string, error) {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return p.pc.LocalDescription().SDP, nil
}

// shown gives what the page said last.
func (p *publisher) shown() (frames []int, at time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != "" {
		err = errors.New(p.failed)
	}
	return append([]int(nil), p.frames...), p.at, err
}

// playing waits until every video has shown pictures.
func (p *publisher) playing(ctx context.Context, tiles int) error {
	for begin := time.Now(); time.Since(begin) < 2*patience; {
		frames, _, err := p.shown()
		if err != nil {
			return fmt.Errorf("the page: %w", err)
		}
		all := len(frames) == tiles
		for _, n := range frames {
			all = all && n > composedFPS
		}
		if all {
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	frames, _, _ := p.shown()
	return fmt.Errorf("the page does not play: %v pictures", frames)
}

// composeByBrowser is how browsers make composites: a page with a video each in
// Chromium on a screen of Xvfb, which ffmpeg grabs.
func composeByBrowser(ctx context.Context, _ options, dir string, g *grid) (_ composer, err error) {
	p := &program{path: filepath.Join(dir, "chromium.mp4")}
	_ = os.Remove(p.path)
	defer func() {
		if err != nil {
			_ = p.close()
		}
	}()
	pub, err := newPublisher(g.tiles)
	if err != nil {
		return nil, err
	}
	p.after = append(p.after, func() { _ = pub.pc.Close() })
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: pub, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(listener) }()
	p.after = append(p.after, func() { _ = server.Close() })
	feed := feedRows(g.sources.rows(g.tiles, func(i int) func([]byte) {
		return func(b []byte) { _, _ = pub.tracks[i].Write(b) }
	}))
	p.after = append(p.after, feed.stop)

	screen, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer screen.Close()
	err = p.run(dir, "xvfb", func(c *exec.Cmd) { c.ExtraFiles = []*os.File{theirs} },
		"Xvfb", "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", composedWidth, composedHeight), "-nolisten", "tcp", "-noreset")
	theirs.Close()
	if err != nil {
		return nil, err
	}
	number, err := bufio.NewReader(screen).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the screen does not start: %w", err)
	}
	display := ":" + strings.TrimSpace(number)
	profile, err := os.MkdirTemp(dir, "profile-")
	if err != nil {
		return nil, err
	}
	p.after = append(p.after, func() { _ = os.RemoveAll(profile) })
	err = p.run(dir, "chromium", func(c *exec.Cmd) { c.Env = append(os.Environ(), "DISPLAY="+display) }, chromiumPath(),
		"--no-sandbox", "--no-first-run", "--kiosk", "--disable-infobars", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--autoplay-policy=no-user-gesture-required", "--window-position=0,0", fmt.Sprintf("--window-size=%d,%d", composedWidth, composedHeight), "--user-data-dir="+profile,
		"--app=http://"+listener.Addr().String()+"/")
	if err != nil {
		return nil, err
	}
	if err := pub.playing(ctx, g.tiles); err != nil {
		return nil, err
	}
	before, since, _ := pub.shown()
	p.works = func(context.Context) error {
		now, at, err := pub.shown()
		if err != nil {
			return err
		}
		for i, n := range now {
			if rate := float64(n-before[i]) / at.Sub(since).Seconds(); rate < enough*composedFPS {
				return fmt.Errorf("video %d of the page shows %.1f pictures a second", i+1, rate)
			}
		}
		return nil
	}
	grab := []string{"ffmpeg", "-nostdin", "-v", "error", "-f", "x11grab", "-draw_mouse", "0", "-framerate", fmt.Sprint(composedFPS),
		"-video_size", fmt.Sprintf("%dx%d", composedWidth, composedHeight), "-i", display}
	return p, p.run(dir, "grab", nil, append(grab, encode(p.path)...)...)
}

func chromiumPath() string {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	return "chromium"
}
