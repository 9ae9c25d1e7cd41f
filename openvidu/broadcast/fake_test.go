package broadcast

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/mediatest"
	"github.com/govidu/govidu/openvidu/studio"
)

const key = "secret-stream-key"

const playlist = "/hls/0123456789abcdefghijklmnopqrstuv/index.m3u8"

// fakeNode is a media node whose outputs say, when started, what the test wants.
type fakeNode struct {
	*mediatest.Client
	mu     sync.Mutex
	answer string // event of a started RtmpEndpoint; "" is silence
	path   string
}

func (n *fakeNode) set(answer string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = answer
}

func (n *fakeNode) Invoke(ctx context.Context, obj client.ID, op string, params, result any) error {
	if err := n.Client.Invoke(ctx, obj, op, params, result); err != nil {
		return err
	}
	n.mu.Lock()
	answer, path := n.answer, n.path
	n.mu.Unlock()
	switch op {
	case "start":
		switch answer {
		case "Connected":
			n.Emit(obj, "Connected", map[string]any{})
		case "Disconnected":
			n.Emit(obj, "Disconnected", map[string]any{"reason": "server says no to app/" + key, "retryInMs": 500})
		case "Error":
			n.Emit(obj, "Error", map[string]any{"description": "no " + key, "errorCode": 40000, "type": "X"})
		}
	case "getPath":
		*result.(*string) = path
	}
	return nil
}

// outputs are the living endpoints.
func (n *fakeNode) outputs() []client.ID {
	return append(n.Alive("RtmpEndpoint"), n.Alive("HlsEndpoint")...)
}

// made are the parameters of everything created of a type.
func (n *fakeNode) made(typ string) (out []map[string]any) {
	for _, c := range n.Calls("create") {
		if c.Name == typ {
			out = append(out, c.Params)
		}
	}
	return out
}

// fakeStudios opens studios that make views of the fake node.
type fakeStudios struct {
	node *fakeNode

	mu    sync.Mutex
	open  int
	fail  error // of Open
	view  error // of NewView
	specs []studio.ViewSpec
	views []*fakeView
}

func (s *fakeStudios) Resolve(name, custom string) (layout.Spec, error) {
	if custom == "page" {
		return layout.Spec{}, &studio.Error{Kind: studio.ErrPage, Text: "needs Chromium"}
	}
	return layout.Spec{Layout: name}, nil
}

func (s *fakeStudios) Open(context.Context, openvidu.RecordingTarget) (Studio, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	s.open++
	return &fakeStudio{s}, nil
}

func (s *fakeStudios) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

type fakeStudio struct{ s *fakeStudios }

func (f *fakeStudio) Media() client.Client { return f.s.node }
func (f *fakeStudio) Pipeline() client.ID  { return "pipe" }
func (f *fakeStudio) Close(context.Context) error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.open--
	return nil
}

func (f *fakeStudio) NewView(ctx context.Context, spec studio.ViewSpec) (View, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.s.view != nil {
		return nil, f.s.view
	}
	id, err := f.s.node.Create(ctx, "View", nil)
	if err != nil {
		return nil, err
	}
	f.s.specs = append(f.s.specs, spec)
	v := &fakeView{s: f.s, id: id, layout: spec.Layout}
	f.s.views = append(f.s.views, v)
	return v, nil
}

type fakeView struct {
	s      *fakeStudios
	id     client.ID
	mu     sync.Mutex
	layout layout.Spec
	fail   error
}

func (v *fakeView) ID() client.ID { return v.id }
func (v *fakeView) SetLayout(_ context.Context, l layout.Spec) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		return v.fail
	}
	v.layout = l
	return nil
}
func (v *fakeView) Layout() layout.Spec {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.layout
}
func (v *fakeView) Tiles(context.Context) ([]studio.Tile, error) {
	return []studio.Tile{{StreamID: "str_A"}}, nil
}
func (v *fakeView) Close(ctx context.Context) error { return v.s.node.Release(ctx, v.id) }

// fakeRooms holds sessions as a Manager would.
type fakeRooms struct {
	mu       sync.Mutex
	sessions map[string]openvidu.RecordingTarget
	marks    map[string]bool // by broadcast
	log      []string
	events   []events.Event
	refuse   error
	explode  bool
}

func (r *fakeRooms) RecordingTarget(_ context.Context, id string) (openvidu.RecordingTarget, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.sessions[id]
	if !ok {
		return t, openvidu.ErrSessionNotFound
	}
	return t, nil
}

func (r *fakeRooms) SetBroadcasting(_ context.Context, id string, b openvidu.BroadcastMark) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.sessions[id]; !ok {
		return openvidu.ErrSessionNotFound
	}
	if b.On && r.explode {
		panic("boom")
	}
	if b.On && r.refuse != nil {
		return r.refuse
	}
	if b.On {
		r.marks[b.ID] = true
	} else {
		delete(r.marks, b.ID)
	}
	r.log = append(r.log, fmt.Sprint("mark ", b.On))
	return nil
}

func (r *fakeRooms) Emit(_ context.Context, id string, e events.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.SessionID != id {
		panic("event of another session")
	}
	r.log = append(r.log, e.Name)
	r.events = append(r.events, e)
}

func (r *fakeRooms) took() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := strings.Join(r.log, ",")
	r.log = nil
	return out
}

// stopped are the fields of the last broadcastStopped.
func (r *fakeRooms) stopped() (out events.BroadcastStopped) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if f, ok := e.Fields.(events.BroadcastStopped); ok {
			out = f
		}
	}
	return out
}

func (r *fakeRooms) marked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.marks)
}

// house is a service over fakes: "live" is a session with a participant, "idle" one
// without, "relayed" one that is not routed.
type house struct {
	*Service
	t       *testing.T
	rooms   *fakeRooms
	node    *fakeNode
	studios *fakeStudios
	out     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHouse(t *testing.T, change ...func(*Options)) *house {
	t.Helper()
	node := &fakeNode{Client: mediatest.New(), answer: "Connected", path: playlist}
	target := func(id, mode string, active bool) openvidu.RecordingTarget {
		return openvidu.RecordingTarget{SessionID: id, UniqueID: id + "_1", MediaMode: mode, Active: active}
	}
	h := &house{
		t: t, node: node, studios: &fakeStudios{node: node}, out: &lockedBuffer{},
		rooms: &fakeRooms{marks: map[string]bool{}, sessions: map[string]openvidu.RecordingTarget{
			"live": target("live", openvidu.MediaRouted, true), "other": target("other", openvidu.MediaRouted, true),
			"idle": target("idle", openvidu.MediaRouted, false), "relayed": target("relayed", openvidu.MediaRelayed, false),
		}},
	}
	o := Options{
		Rooms: h.rooms, Studios: h.studios, PublicURL: "https://host:4443/", Dir: "/rec ordings",
		Log: slog.New(slog.NewTextHandler(h.out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&o)
	}
	h.Service = New(o)
	t.Cleanup(func() {
		_ = h.Close()
		h.nothingLeft()
		if s := h.out.String(); strings.Contains(s, key) {
			t.Errorf("the log holds the stream key:\n%s", s)
		}
	})
	return h
}

// nothingLeft demands that no object, share of a studio, mark or entry goes on.
func (h *house) nothingLeft() {
	h.t.Helper()
	if o, v := h.node.outputs(), h.node.Alive("View"); len(o)+len(v) != 0 {
		h.t.Errorf("left on the media node: %v %v", o, v)
	}
	if n, m, l := h.studios.left(), h.rooms.marked(), h.List(); n != 0 || m != 0 || len(l) != 0 {
		h.t.Errorf("left: %d studios, %d marks, list %v", n, m, l)
	}
}

func rtmp(name string) Spec {
	return Spec{
		Name: name, Output: RTMP, Target: secret.New("rtmp://target.example/app/" + key), HasAudio: true, HasVideo: true,
		Width: 1280, Height: 720, FrameRate: 25, RecordingLayout: "BEST_FIT", Layout: layout.Spec{Layout: layout.BestFit},
	}
}

func hls(name string) Spec {
	s := rtmp(name)
	s.Output, s.Target = HLS, secret.Secret{}
	return s
}

func (h *house) mustStart(session string, s Spec) Broadcast {
	h.t.Helper()
	b, err := h.Start(h.t.Context(), session, s)
	if err != nil {
		h.t.Fatalf("start: %v", err)
	}
	return b
}

func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("never: %s", what)
		}
	}
}

func names(list []Broadcast) (out []string) {
	for _, b := range list {
		out = append(out, b.SessionID+"/"+b.Name)
	}
	slices.Sort(out)
	return out
}
