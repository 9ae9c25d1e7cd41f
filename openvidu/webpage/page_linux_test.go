package webpage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/mediatest"
	"github.com/govidu/govidu/openvidu/recording"
	"github.com/govidu/govidu/openvidu/studio"
)

// next waits for the next note of a page.
func (s *stand) next() string {
	s.t.Helper()
	select {
	case n := <-s.notes:
		return n
	case <-time.After(20 * time.Second):
		s.t.Fatal("nothing is noted")
		return ""
	}
}

func TestPage(t *testing.T) {
	s := newStand(t, nil)
	p, err := s.Open(t.Context(), s.spec("fine"))
	if err != nil {
		t.Fatal(err)
	}
	views := s.node.Alive("View")
	if len(views) != 1 || p.ID() != views[0] {
		t.Errorf("the page is %s of %v", p.ID(), views)
	}
	var linked []string
	for _, c := range s.node.Calls("invoke") {
		if c.Name == "connect" {
			linked = append(linked, c.Params["mediaType"].(string))
		}
	}
	if strings.Join(linked, " ") != "AUDIO VIDEO" {
		t.Errorf("connected %v", linked)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.clean()
	_ = p.Close(t.Context()) // harmless
}

// TestPageLost: whatever becomes of a browser, another one shows the page, in the
// same view, and it is noted.
func TestPageLost(t *testing.T) {
	for fault, why := range map[string]string{
		"crash": "the browser ended", "killed": "the browser ended", "garbage": "the browser ended", "tab": "the page crashed",
		"reload": "reloaded", "closes": "closed itself", "failed": "failed", "ended": "picture of the page ended", "hangs": "hangs",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, func(o *Options) { o.AliveTimeout = time.Second })
			p, err := s.Open(t.Context(), s.spec("once-"+fault))
			if err != nil { // it went before its first picture was seen
				if !strings.Contains(err.Error(), "browser ended") && !strings.Contains(err.Error(), why) {
					t.Fatal(err)
				}
				return
			}
			if n := s.next(); !strings.HasPrefix(n, "page lost: ") || !strings.Contains(n, why) {
				t.Errorf("noted %q, want %q", n, why)
			}
			if n := s.next(); n != "page shown again: " {
				t.Errorf("noted %q", n)
			}
			if views := s.node.Alive("View"); len(views) != 1 || views[0] != p.ID() {
				t.Errorf("views %v, want %s alone", views, p.ID())
			}
			if ends := s.node.Alive("WebRtcEndpoint"); len(ends) != 1 {
				t.Errorf("endpoints %v", ends)
			}
			_ = p.Close(t.Context())
			s.clean()
		})
	}
}

// A browser that grows is replaced.
func TestPageMemory(t *testing.T) {
	s := newStand(t, func(o *Options) { o.MaxMemory = 1 })
	p, err := s.Open(t.Context(), s.spec("fine"))
	if err != nil {
		t.Fatal(err)
	}
	if n := s.next(); !strings.Contains(n, "MiB") {
		t.Errorf("noted %q", n)
	}
	_ = p.Close(t.Context()) // while it is being replaced
}

func TestPageRefused(t *testing.T) {
	for name, c := range map[string]struct {
		fault  string
		change func(*stand, *Options)
		kind   error
		text   string
	}{
		"no browser":   {"fine", func(_ *stand, o *Options) { o.Chromium = "/nonexistent/chromium" }, studio.ErrPage, "not installed"},
		"no Chromium":  {"fine", func(_ *stand, o *Options) { o.Chromium = "/bin/true" }, studio.ErrPage, "browser ended"},
		"unreachable":  {"refused", nil, studio.ErrPage, "CONNECTION_REFUSED"},
		"absent":       {"absent", nil, studio.ErrPage, "404"},
		"insecure":     {"insecure", nil, studio.ErrMedia, "customLayout"},
		"not in time":  {"fine", func(s *stand, o *Options) { o.OpenTimeout = 2 * time.Second }, studio.ErrPage, "in time"},
		"no worker":    {"fine", nil, studio.ErrUnavailable, "media workers"},
		"no CPU":       {"fine", nil, studio.ErrNoCapacity, "CPU"},
		"no session":   {"fine", nil, studio.ErrMedia, "customLayout"},
		"lost node":    {"fine", nil, studio.ErrLost, "gone"},
		"no SDP":       {"fine", nil, studio.ErrMedia, "customLayout"},
		"at the limit": {"fine", func(_ *stand, o *Options) { o.MaxPages = -1 }, studio.ErrNoCapacity, "as many"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *stand
			s = newStand(t, func(o *Options) {
				if c.change != nil {
					c.change(s, o)
				}
			})
			refuse := func(what string, err error) {
				s.node.SetBefore(func(_ context.Context, call mediatest.Call) error {
					if call.Name == what {
						return err
					}
					return nil
				})
			}
			switch name {
			case "not in time":
				s.node.dark = true
			case "no worker":
				refuse("Director", kerr.MediaObjectNotAvailable)
			case "no CPU":
				refuse("View", kerr.NotEnoughResources)
			case "no SDP":
				refuse("processOffer", kerr.SDPParseError)
			case "no session":
				s.rooms.refuse = openvidu.ErrSessionNotFound
			case "lost node":
				s.node.SetBefore(func(_ context.Context, call mediatest.Call) error {
					if call.Name == "WebRtcEndpoint" {
						s.node.Lose()
						return errors.New("gone")
					}
					return nil
				})
			}
			p, err := s.Open(t.Context(), s.spec(c.fault))
			if e, ok := errors.AsType[*studio.Error](err); !ok || !errors.Is(err, c.kind) || !strings.Contains(e.Text, c.text) {
				t.Fatalf("refusal is %v (%v), page %v", err, errors.Unwrap(err), p)
			}
			if name == "lost node" { // it freed all it had
				s.node.Client = mediatest.New()
			}
			s.node.SetBefore(nil)
			s.clean()
		})
	}
}

func TestPagesAreBounded(t *testing.T) {
	s := newStand(t, nil)
	for range 2 {
		if _, err := s.Open(t.Context(), s.spec("fine")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Open(t.Context(), s.spec("fine")); !errors.Is(err, studio.ErrNoCapacity) || s.Count() != 2 {
		t.Errorf("a third page: %v, %d are shown", err, s.Count())
	}
	if err := s.Service.Close(); err != nil { // ends the two
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), s.spec("fine")); !errors.Is(err, studio.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAddress(t *testing.T) {
	s := newStand(t, nil)
	for _, c := range []struct{ folder, url, want string }{
		{"wall", "", "https://host:4443/openvidu/layouts/wall/index.html?secret=p%26q&sessionId=room"},
		{"", "", "https://host:4443/openvidu/layouts/index.html?secret=p%26q&sessionId=room"},
		{"a b/ü", "", "https://host:4443/openvidu/layouts/a%20b/%C3%BC/index.html?secret=p%26q&sessionId=room"},
		{"", "http://x/y", "http://x/y"},
		{"", "http://x/y?z=1", "http://x/y?z=1&secret=p%26q&sessionId=room"},
	} {
		got, err := s.address(recording.PageSpec{SessionID: "room", Folder: c.folder, URL: c.url}, "p&q")
		if err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
	for text, want := range map[string]string{"https://h/": "h:443", "http://h": "h:80", "https://[::1]:4443/": "[::1]:4443"} {
		if got := hostPort(text); got != want {
			t.Errorf("%s is dialled as %s", text, got)
		}
	}
}

func TestSteady(t *testing.T) {
	answer := "v=0\r\nm=audio 9 X 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\nm=video 9 X 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
	want := "v=0\r\nm=audio 9 X 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1;stereo=1;maxaveragebitrate=128000\r\nm=video 9 X 96 97\r\na=rtpmap:96 VP8/90000\r\na=fmtp:96 x-google-min-bitrate=1000;x-google-start-bitrate=2000;x-google-max-bitrate=2000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
	if got := steady(answer, 2_000_000); got != want {
		t.Errorf("the answer is\n%s", got)
	}
}

// TestSweep: profiles of dead processes go, those of others stay.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	mine := profilePrefix + strconv.Itoa(os.Getpid()) + "-1"
	for _, name := range []string{profilePrefix + "999999999-1", mine, profilePrefix + "x-1", "other"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sweepProfiles(dir)
	entries, _ := os.ReadDir(dir)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if len(left) != 3 || strings.Contains(strings.Join(left, " "), "999999999") {
		t.Errorf("left are %v", left)
	}
}
