package studio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/mediatest"
)

// house is a service over a fake media node and one session's streams.
type house struct {
	*Service
	t    *testing.T
	node *mediatest.Client

	mu       sync.Mutex
	pipeline client.ID
	streams  []openvidu.StreamInfo
	ensured  int
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, node: mediatest.New()}
	id, err := h.node.Create(t.Context(), "MediaPipeline", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.pipeline = id
	h.Service = New(Options{Rooms: h, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), LayoutsDir: t.TempDir()})
	t.Cleanup(func() { _ = h.Service.Close() })
	return h
}

func (h *house) RecordingTarget(context.Context, string) (openvidu.RecordingTarget, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return openvidu.RecordingTarget{SessionID: "room", UniqueID: "room_1", Streams: slices.Clone(h.streams)}, nil
}

func (h *house) EnsureMedia(context.Context, string) (client.Client, client.ID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ensured++
	return h.node, h.pipeline, nil
}

// stream makes a published stream with an endpoint of its own.
func (h *house) stream(name string, at int64) openvidu.StreamInfo {
	h.t.Helper()
	ep, err := h.node.Create(h.t.Context(), "WebRtcEndpoint", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return openvidu.StreamInfo{
		SessionID: "room", UniqueID: "room_1", StreamID: "str_" + name, ConnectionID: "con_" + name, CreatedAt: at,
		HasAudio: true, HasVideo: true, AudioActive: true, VideoActive: true, TypeOfVideo: "CAMERA",
		ClientData: fmt.Sprintf(`{"clientData":%q}`, name), Endpoint: ep, Media: h.node, Pipeline: h.pipeline,
	}
}

func (h *house) open() *Studio {
	h.t.Helper()
	t, _ := h.RecordingTarget(h.t.Context(), "room")
	s, err := h.Open(h.t.Context(), t)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// said are the calls of one operation, as "object key=value…" of what matters.
func (h *house) said(op string) (out []string) {
	for _, c := range h.node.Calls("invoke") {
		if c.Name != op {
			continue
		}
		switch op {
		case "connect":
			out = append(out, fmt.Sprintf("%s→%s %s", c.Object, c.Params["sink"], c.Params["mediaType"]))
		case "describePort":
			s := c.Params["source"].(map[string]any)
			out = append(out, fmt.Sprintf("%s %s %s audio=%v video=%v", c.Params["port"], s["streamId"], s["name"], s["audioActive"], s["videoActive"]))
		default:
			out = append(out, string(c.Object))
		}
	}
	return out
}

func TestStreamsComeAndGo(t *testing.T) {
	h := newHouse(t)
	ann, bob := h.stream("ann", 2), h.stream("bob", 1)
	h.streams = []openvidu.StreamInfo{ann, bob}
	s := h.open()
	ports := h.node.Alive("HubPort")
	if len(ports) != 2 {
		t.Fatalf("%d ports for 2 streams", len(ports))
	}
	want := []string{
		fmt.Sprintf("%s str_bob bob audio=true video=true", ports[0]), // published first
		fmt.Sprintf("%s str_ann ann audio=true video=true", ports[1]),
	}
	if got := h.said("describePort"); !slices.Equal(got, want) {
		t.Fatalf("described %v, want %v", got, want)
	}
	if got := h.said("connect"); !slices.Equal(got[:2], []string{fmt.Sprintf("%s→%s AUDIO", bob.Endpoint, ports[0]), fmt.Sprintf("%s→%s VIDEO", bob.Endpoint, ports[0])}) {
		t.Fatalf("connected %v", got)
	}

	// The same stream told again, by the hook, is no other.
	h.StreamPublished(t.Context(), ann, false)
	if got := h.node.Alive("HubPort"); len(got) != 2 || len(h.said("connect")) != 4 {
		t.Fatalf("a stream that was in already: ports %v, connected %v", got, h.said("connect"))
	}

	ann.VideoActive = false
	h.StreamChanged(t.Context(), ann)
	if got := h.said("describePort"); got[len(got)-1] != fmt.Sprintf("%s str_ann ann audio=true video=false", ports[1]) {
		t.Errorf("mute is told as %s", got[len(got)-1])
	}

	// A reconnection keeps the port.
	old, next := ann, h.stream("ann", 2)
	old.Replaced = true
	h.StreamUnpublished(t.Context(), old, openvidu.ReasonNetworkDisconnect)
	h.StreamPublished(t.Context(), next, false)
	if got := h.node.Alive("HubPort"); !slices.Equal(got, ports) {
		t.Errorf("after a reconnection the ports are %v, want %v", got, ports)
	}
	if got := h.said("connect"); got[len(got)-1] != fmt.Sprintf("%s→%s VIDEO", next.Endpoint, ports[1]) {
		t.Errorf("reconnected stream: %s", got[len(got)-1])
	}
	// What is told late of the old endpoint does not end the new one.
	late := old
	late.Replaced = false
	h.StreamUnpublished(t.Context(), late, openvidu.ReasonUnpublish)
	if got := h.node.Alive("HubPort"); len(got) != 2 {
		t.Errorf("a late word of the old endpoint took the port away")
	}

	h.StreamUnpublished(t.Context(), bob, openvidu.ReasonUnpublish)
	if got := h.node.Alive("HubPort"); !slices.Equal(got, ports[1:]) {
		t.Errorf("after the end of a stream the ports are %v", got)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.node.Alive("Director"); len(got) != 0 {
		t.Errorf("directors left: %v", got)
	}
}

func TestStudiosAreShared(t *testing.T) {
	h := newHouse(t)
	a, b := h.open(), h.open()
	if n := len(h.node.Alive("Director")); n != 1 || h.ensured != 1 {
		t.Fatalf("%d directors, pipeline asked for %d times", n, h.ensured)
	}
	if a.Pipeline() != h.pipeline {
		t.Errorf("pipeline is %s", a.Pipeline())
	}
	for range 2 { // a second close of the same share is none of the other's
		_ = a.Close(t.Context())
	}
	if len(h.node.Alive("Director")) != 1 {
		t.Fatal("the director went with the first holder")
	}
	_ = b.Close(t.Context())
	if len(h.node.Alive("Director")) != 0 {
		t.Fatal("the director outlives its holders")
	}
	c := h.open()
	defer func() { _ = c.Close(t.Context()) }()
	if len(h.node.Alive("Director")) != 1 {
		t.Fatal("no director for a studio that is opened again")
	}
}

func TestViews(t *testing.T) {
	h := newHouse(t)
	s := h.open()
	defer func() { _ = s.Close(t.Context()) }()
	v, err := s.NewView(t.Context(), ViewSpec{Width: 641, Height: 360, FrameRate: 25, HasAudio: true, HasVideo: true})
	if err != nil {
		t.Fatal(err)
	}
	calls := h.node.Calls("create")
	if p := calls[len(calls)-1].Params; p["width"] != 640.0 || p["height"] != 360.0 || p["framerate"] != 25.0 || p["hasAudio"] != true {
		t.Errorf("view is made of %v", p)
	}
	if err := v.SetLayout(t.Context(), layout.Spec{Layout: layout.VerticalPresentation}); err != nil || v.Layout().Layout != layout.VerticalPresentation {
		t.Errorf("layout is %+v, %v", v.Layout(), err)
	}
	if err := v.SetLayout(t.Context(), layout.Spec{Layout: "ROUND"}); !errors.Is(err, ErrLayout) || v.Layout().Layout != layout.VerticalPresentation {
		t.Errorf("a layout that is none: %v, now %+v", err, v.Layout())
	}
	if _, err := s.NewView(t.Context(), ViewSpec{Width: 640, Height: 360, FrameRate: 121, HasVideo: true}); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "120") {
		t.Errorf("121 pictures per second: %v", err)
	}
	if err := v.Close(t.Context()); err != nil || len(h.node.Alive("View")) != 0 {
		t.Errorf("closed view: %v, left %v", err, h.node.Alive("View"))
	}
}

func TestRefusals(t *testing.T) {
	for code, kind := range map[kerr.Code]error{
		kerr.NotEnoughResources: ErrNoCapacity, kerr.MediaObjectNotAvailable: ErrUnavailable, kerr.UnexpectedError: ErrMedia,
	} {
		for _, class := range []string{"Director", "View"} {
			t.Run(fmt.Sprintf("%d of %s", code, class), func(t *testing.T) {
				h := newHouse(t)
				h.node.SetBefore(func(_ context.Context, c mediatest.Call) error {
					if c.Kind == "create" && c.Name == class {
						return fmt.Errorf("secret /path: %w", code)
					}
					return nil
				})
				target, _ := h.RecordingTarget(t.Context(), "room")
				s, err := h.Open(t.Context(), target)
				if class == "View" {
					if err != nil {
						t.Fatal(err)
					}
					_, err = s.NewView(t.Context(), ViewSpec{HasAudio: true})
					_ = s.Close(t.Context())
				}
				if !errors.Is(err, kind) || !errors.Is(err, code) || strings.Contains(err.Error(), "secret") {
					t.Fatalf("refusal is %v", err)
				}
				h.node.SetBefore(nil)
				again := h.open() // the failure is not remembered
				_ = again.Close(t.Context())
			})
		}
	}
}

// A stream that the node does not take is missing, and the others are there.
func TestMissingStream(t *testing.T) {
	h := newHouse(t)
	ann, bob := h.stream("ann", 1), h.stream("bob", 2)
	h.streams = []openvidu.StreamInfo{ann, bob}
	h.node.SetBefore(func(_ context.Context, c mediatest.Call) error {
		if c.Name == "connect" && c.Object == ann.Endpoint {
			return kerr.NotEnoughResources
		}
		return nil
	})
	s := h.open()
	defer func() { _ = s.Close(t.Context()) }()
	if m := s.Missing(); len(m) != 1 || m[ann.StreamID] == "" {
		t.Errorf("missing are %v", m)
	}
	if got := h.node.Alive("HubPort"); len(got) != 1 {
		t.Errorf("ports are %v", got)
	}
	h.node.SetBefore(nil)
	h.StreamPublished(t.Context(), ann, false)
	if m := s.Missing(); len(m) != 0 || len(h.node.Alive("HubPort")) != 2 {
		t.Errorf("after another try missing are %v", m)
	}
}

func TestLostNode(t *testing.T) {
	h := newHouse(t)
	h.streams = []openvidu.StreamInfo{h.stream("ann", 1)}
	s := h.open()
	v, err := s.NewView(t.Context(), ViewSpec{HasAudio: true})
	if err != nil {
		t.Fatal(err)
	}
	h.node.Lose()
	if !s.Lost() {
		t.Error("studio does not know that its node is gone")
	}
	if _, err := s.NewView(t.Context(), ViewSpec{HasAudio: true}); !errors.Is(err, ErrLost) {
		t.Errorf("view on a lost node: %v", err)
	}
	if err := v.SetLayout(t.Context(), layout.Spec{}); !errors.Is(err, ErrLost) {
		t.Errorf("layout on a lost node: %v", err)
	}
	h.StreamPublished(t.Context(), h.streams[0], false)
	if err := errors.Join(v.Close(t.Context()), s.Close(t.Context())); err != nil {
		t.Errorf("closing on a lost node: %v", err)
	}
}

func TestClosedService(t *testing.T) {
	h := newHouse(t)
	s := h.open()
	if err := h.Service.Close(); err != nil {
		t.Fatal(err)
	}
	target, _ := h.RecordingTarget(t.Context(), "room")
	if _, err := h.Open(t.Context(), target); !errors.Is(err, ErrClosed) {
		t.Errorf("open after close: %v", err)
	}
	if len(h.node.Alive("Director")) != 0 {
		t.Error("director outlives the service")
	}
	_ = s.Close(t.Context())
}
