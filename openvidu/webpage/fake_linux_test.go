package webpage

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/mediatest"
	"github.com/govidu/govidu/openvidu/recording"
	"github.com/govidu/govidu/openvidu/studio"
)

// TestMain also is the browser: the tests start their own binary as Chromium.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--remote-debugging-pipe") {
		browse()
		return
	}
	goleak.VerifyTestMain(m)
}

// browse answers what a browser is asked. The last part of the page's path says
// what goes wrong; "once-" goes wrong with the first pass only.
func browse() {
	in, out := os.NewFile(3, "in"), os.NewFile(4, "out")
	write := func(v any) {
		b, _ := json.Marshal(v)
		_, _ = out.Write(append(b, 0))
	}
	event := func(method string, params any) {
		write(map[string]any{"method": method, "sessionId": "s", "params": params})
	}
	// A child with a group of its own, as Chromium has some.
	child := exec.Command("sleep", "1000")
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if child.Start() != nil {
		os.Exit(3)
	}
	fault, width, hangs := "", 600, false
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, maxMessage)
	sc.Split(func(data []byte, _ bool) (int, []byte, error) {
		if i := slices.Index(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	for sc.Scan() {
		var m struct {
			ID     int
			Method string
			Params struct {
				URL, Expression string
				Bounds          struct{ Width int }
			}
		}
		if json.Unmarshal(sc.Bytes(), &m) != nil || hangs {
			continue
		}
		var result any = map[string]any{}
		value := func(v any) any { return map[string]any{"result": map[string]any{"value": v}} }
		switch e := m.Params.Expression; {
		case m.Method == "Target.createTarget":
			result = map[string]any{"targetId": "t"}
		case m.Method == "Target.attachToTarget":
			result = map[string]any{"sessionId": "s"}
		case m.Method == "Browser.getWindowForTarget":
			result = map[string]any{"windowId": 1, "bounds": map[string]int{"width": width + 40, "height": 360}}
		case m.Method == "Browser.setWindowBounds":
			width = m.Params.Bounds.Width - 40
		case m.Method == "Browser.close":
			_ = child.Process.Kill()
			os.Exit(0)
		case m.Method == "Page.navigate":
			u, _ := url.Parse(m.Params.URL)
			fault = filepath.Base(u.Path)
			if once, ok := strings.CutPrefix(fault, "once-"); ok {
				if fault = ""; u.Query().Get("secret") == "pass1" {
					fault = once
				}
			}
			r := map[string]any{"frameId": "f", "loaderId": "l"}
			if fault == "refused" {
				r["errorText"] = "net::ERR_CONNECTION_REFUSED"
			}
			result = r
		case strings.Contains(e, "readyState"):
			result = value("complete")
		case strings.Contains(e, "responseStatus"):
			status := 200
			if fault == "absent" {
				status = 404
			}
			result = value(status)
		case strings.HasPrefix(e, "[innerWidth"):
			result = value([]int{width, 360})
		case strings.HasPrefix(e, "govidu.start"):
			result = value(mediatest.Offer("u", "VP8"))
			if fault == "insecure" {
				result = map[string]any{"exceptionDetails": map[string]any{"exception": map[string]any{"description": "Error: no\n at x"}}}
			}
		case strings.HasPrefix(e, "govidu.state"):
			if hangs = fault == "hangs"; hangs {
				continue
			}
			state := "connected"
			if fault == "failed" {
				state = "failed"
			}
			result = value(map[string]any{"connection": state, "ended": fault == "ended"})
		}
		write(map[string]any{"id": m.ID, "result": result})
		if !strings.HasPrefix(m.Params.Expression, "govidu.answer") {
			continue
		}
		switch fault {
		case "crash":
			os.Exit(1)
		case "killed":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "tab":
			event("Inspector.targetCrashed", map[string]any{})
		case "reload":
			event("Page.frameNavigated", map[string]any{"frame": map[string]any{"loaderId": "other"}})
		case "closes":
			event("Target.detachedFromTarget", map[string]any{})
		case "garbage":
			_, _ = out.WriteString("no message\x00")
		}
	}
}

// fakeRooms gives passes.
type fakeRooms struct {
	mu     sync.Mutex
	passes int
	ended  int
	refuse error
}

func (r *fakeRooms) RecorderPass(context.Context, string) (string, func(context.Context), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return "", nil, r.refuse
	}
	r.passes++
	return fmt.Sprintf("pass%d", r.passes), func(context.Context) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended++
	}, nil
}

func (r *fakeRooms) counts() (passes, ended int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passes, r.ended
}

// node is a media node on which a page is seen as soon as it is connected, unless
// dark.
type node struct {
	*mediatest.Client
	dark bool
}

func (n *node) Invoke(ctx context.Context, obj client.ID, op string, params, result any) error {
	if err := n.Client.Invoke(ctx, obj, op, params, result); err != nil {
		return err
	}
	if tiles, ok := result.(*[]studio.Tile); ok && len(n.Alive("WebRtcEndpoint")) > 0 {
		*tiles = []studio.Tile{{StreamID: streamID, Avatar: n.dark}}
	}
	return nil
}

// stand is a service with the fake browser.
type stand struct {
	*Service
	t     *testing.T
	dir   string
	rooms *fakeRooms
	node  *node
	notes chan string
}

func newStand(t *testing.T, change func(*Options)) *stand {
	t.Helper()
	dir, err := os.MkdirTemp("", "wp") // a short name: see maxTempDir
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{t: t, dir: dir, rooms: &fakeRooms{}, node: &node{Client: mediatest.New()}, notes: make(chan string, 100)}
	o := Options{
		Rooms: s.rooms, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Chromium: self, BaseURL: "https://host:4443", TempDir: dir,
		MaxPages: 2, OpenTimeout: 20 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	if s.Service, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Service.Close()
		s.clean()
		_ = os.RemoveAll(dir)
	})
	return s
}

func (s *stand) spec(fault string) recording.PageSpec {
	return recording.PageSpec{
		SessionID: "room", URL: "https://elsewhere/" + fault + "?x=1", Media: s.node, Pipeline: "pipe", Width: 640, Height: 360, FrameRate: 25,
		HasAudio: true, HasVideo: true, Note: func(what, why string) { s.notes <- what + ": " + why },
	}
}

// clean fails when anything is left of pages that have ended.
func (s *stand) clean() {
	s.t.Helper()
	left, _ := os.ReadDir(s.dir)
	if len(left) != 0 {
		s.t.Errorf("folders left: %v", left)
	}
	for _, typ := range []string{"Director", "WebRtcEndpoint"} {
		if ids := s.node.Alive(typ); len(ids) != 0 {
			s.t.Errorf("left on the node: %v", ids)
		}
	}
	if passes, ended := s.rooms.counts(); passes != ended {
		s.t.Errorf("%d passes, %d ended", passes, ended)
	}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if strings.Contains(string(env), "HOME="+s.dir) {
			line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
			s.t.Errorf("process %s is left: %.80q", e.Name(), line)
		}
	}
}
