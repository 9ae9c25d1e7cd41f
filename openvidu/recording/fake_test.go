package recording

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/events"
)

// fakeNode is a media node whose recorders write small real files and sidecars,
// the way recorder does.
type fakeNode struct {
	mu        sync.Mutex
	objects   map[client.ID]*fakeRecorder
	made      []*fakeRecorder
	calls     []string
	lost      chan struct{}
	refuse    map[string]error                    // by "Create" or operation
	silent    bool                                // recorders never report Recording
	medialess bool                                // recorders never write a byte
	dead      bool                                // the process is killed: nothing changes any more
	tracks    []track                             // of composed files; nil: VP8 of every file
	others    map[client.ID]string                // objects that are no recorders: their types
	heard     map[client.ID]func(json.RawMessage) // who listens to them
	creates   []string                            // "Type params" of them
	wg        sync.WaitGroup
}

func newNode() *fakeNode {
	return &fakeNode{objects: map[client.ID]*fakeRecorder{}, lost: make(chan struct{}), refuse: map[string]error{}, others: map[client.ID]string{}, heard: map[client.ID]func(json.RawMessage){}}
}

type fakeRecorder struct {
	id      client.ID
	path    string
	profile string
	links   []string
	subs    map[string]func(json.RawMessage)
	start   int64
	tracks  []track
	running bool
	done    bool
}

// media is what every take holds.
var media = []byte(strings.Repeat("one coded frame ", 64))

func (n *fakeNode) Create(_ context.Context, typ string, params any) (client.ID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := cmp.Or(n.refuse["Create"], n.refuse["Create "+typ]); err != nil {
		return "", err
	}
	b, _ := json.Marshal(params)
	switch typ {
	case "RecorderEndpoint":
	case "MediaPipeline", "Director", "HubPort", "View", "Snapshot":
		id := client.ID(fmt.Sprintf("%s%d", typ, len(n.creates)))
		n.others[id] = typ
		n.creates = append(n.creates, typ+" "+string(b))
		return id, nil
	default:
		return "", kerr.MediaObjectTypeNotFound
	}
	var p struct{ MediaPipeline, URI, MediaProfile string }
	if err := json.Unmarshal(b, &p); err != nil || p.MediaPipeline == "" {
		return "", kerr.MarshallError
	}
	u, err := url.Parse(p.URI)
	if err != nil || u.Scheme != "file" {
		return "", kerr.MediaObjectIllegalParam
	}
	r := &fakeRecorder{id: client.ID(fmt.Sprintf("rec%d", len(n.made))), path: u.Path, profile: p.MediaProfile, subs: map[string]func(json.RawMessage){}}
	n.objects[r.id] = r
	n.made = append(n.made, r)
	return r.id, nil
}

func (n *fakeNode) Invoke(_ context.Context, obj client.ID, op string, params, result any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, op)
	if err := n.refuse[op]; err != nil {
		return err
	}
	if op == "connect" {
		b, _ := json.Marshal(params)
		var p struct{ Sink, MediaType string }
		if err := json.Unmarshal(b, &p); err == nil && n.others[client.ID(p.Sink)] == "HubPort" {
			return nil
		} else if err != nil || n.objects[client.ID(p.Sink)] == nil {
			return kerr.MediaObjectNotFound
		}
		r := n.objects[client.ID(p.Sink)]
		r.links = append(r.links, string(obj)+"/"+p.MediaType)
		return nil
	}
	if typ := n.others[obj]; typ != "" {
		return n.other(typ, op, result)
	}
	r := n.objects[obj]
	if r == nil {
		return kerr.MediaObjectNotFound
	}
	switch op {
	case "pause":
		r.running = false
	case "record":
		n.record(r)
	case "stopAndWait":
		n.finish(r)
	default:
		return kerr.MethodNotFound
	}
	return nil
}

// other answers an operation of an object that composes.
func (n *fakeNode) other(typ, op string, result any) error {
	switch typ + " " + op {
	case "Director describePort", "View setLayout":
	case "View getTiles":
		return json.Unmarshal([]byte(`[{"streamId":"s","width":640,"height":360}]`), result)
	case "Snapshot take":
		last := n.creates[len(n.creates)-1]
		var p struct{ Target string }
		must(json.Unmarshal([]byte(strings.TrimPrefix(last, "Snapshot ")), &p))
		must(os.WriteFile(strings.TrimPrefix(p.Target, "file://"), []byte("jpeg"), 0o600))
	default:
		return kerr.MediaObjectMethodNotFound
	}
	return nil
}

// left are the types of what composes and was not released.
func (n *fakeNode) left() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Values(n.others))
}

func (n *fakeNode) record(r *fakeRecorder) {
	r.running = true
	if r.start != 0 { // goes on after a pause
		return
	}
	r.start = time.Now().UnixMilli()
	if !n.medialess && !n.dead {
		r.sidecar("recording", 0)
		must(os.WriteFile(r.path+partSuffix, media, 0o600))
	}
	if f := r.subs["Recording"]; f != nil && !n.silent {
		n.wg.Go(func() { f(json.RawMessage(`{}`)) })
	}
}

func (n *fakeNode) finish(r *fakeRecorder) {
	if r.start == 0 || r.done || n.dead {
		return
	}
	r.done = true
	if n.medialess {
		return
	}
	must(os.Rename(r.path+partSuffix, r.path))
	r.tracks = n.tracks
	r.sidecar("final", time.Now().UnixMilli()-r.start)
}

func (r *fakeRecorder) sidecar(status string, durationMs int64) {
	c := sidecar{Schema: 1, Clock: &proof.Clock{ZeroUs: r.start * 1000}, File: filepath.Base(r.path), Status: status, StartTime: r.start, EndTime: r.start + durationMs, DurationMs: durationMs,
		Tracks: []track{{Kind: "VIDEO", Codec: "VP8", Units: 30}}, Gaps: []gap{{Kind: "VIDEO", FromMs: 10, ToMs: 20}}}
	if r.tracks != nil {
		c.Tracks = r.tracks
	}
	if status == "final" {
		sum := sha256.Sum256(media)
		c.SHA256, c.Size = hex.EncodeToString(sum[:]), int64(len(media))
	}
	b, err := json.Marshal(c)
	must(err)
	must(os.WriteFile(sidecarOf(r.path), b, 0o600))
}

func sidecarOf(file string) string {
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".manifest.json")
}

func (n *fakeNode) Subscribe(_ context.Context, obj client.ID, event string, fn func(json.RawMessage)) (func(), error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.objects[obj]
	if r == nil && n.others[obj] != "" {
		n.heard[obj] = fn
		return func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			delete(n.heard, obj)
		}, nil
	}
	if r == nil {
		return nil, kerr.MediaObjectNotFound
	}
	r.subs[event] = fn
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(r.subs, event)
	}, nil
}

func (n *fakeNode) Release(_ context.Context, obj client.ID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.objects[obj]; r != nil {
		n.finish(r)
		delete(n.objects, obj)
	}
	gone := n.others[obj]
	delete(n.others, obj)
	maps.DeleteFunc(n.others, func(_ client.ID, typ string) bool { // children
		return gone == "MediaPipeline" || gone == "Director" && (typ == "HubPort" || typ == "View")
	})
	return nil
}

func (n *fakeNode) Lost() <-chan struct{} { return n.lost }

// raise sends an event of the i-th recorder made.
func (n *fakeNode) raise(i int, event, data string) {
	n.mu.Lock()
	f := n.made[i].subs[event]
	n.mu.Unlock()
	f(json.RawMessage(data))
}

func (n *fakeNode) recorders() []*fakeRecorder {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.made)
}

// recoverMedia is what recorder.Recover does at the next start.
func recoverMedia(t *testing.T, dir string) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, "*", "*"+partSuffix))
	must(err)
	for _, p := range parts {
		if strings.HasSuffix(p, ".zip"+partSuffix) {
			continue
		}
		final := strings.TrimSuffix(p, partSuffix)
		must(os.Rename(p, final))
		var c sidecar
		b, err := os.ReadFile(sidecarOf(final))
		must(err)
		must(json.Unmarshal(b, &c))
		c.Status, c.DurationMs, c.EndTime = "recovered", 1000, c.StartTime+1000
		b, _ = json.Marshal(c)
		must(os.WriteFile(sidecarOf(final), b, 0o600))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fakeRooms holds sessions as a Manager would.
type fakeRooms struct {
	mu       sync.Mutex
	sessions map[string]*openvidu.RecordingTarget
	marks    []openvidu.RecordingMark
	events   []statusChanged
	refuse   error // of SetRecording
	explode  bool  // SetRecording panics
	node     *fakeNode
}

func newRooms(ids ...string) *fakeRooms {
	r := &fakeRooms{sessions: map[string]*openvidu.RecordingTarget{}}
	for _, id := range ids {
		d := openvidu.DefaultRecordingProperties()
		d.OutputMode = openvidu.OutputIndividual
		r.sessions[id] = &openvidu.RecordingTarget{SessionID: id, UniqueID: id + "_1", MediaMode: openvidu.MediaRouted, RecordingMode: openvidu.RecordingManual, Active: true, Defaults: d}
	}
	return r
}

func (r *fakeRooms) RecordingTarget(_ context.Context, id string) (openvidu.RecordingTarget, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.sessions[id]
	if t == nil {
		return openvidu.RecordingTarget{}, openvidu.ErrSessionNotFound
	}
	c := *t
	c.Streams = slices.Clone(t.Streams)
	return c, nil
}

func (r *fakeRooms) EnsureMedia(context.Context, string) (client.Client, client.ID, error) {
	return r.node, "pipe", nil
}

func (r *fakeRooms) SetRecording(_ context.Context, id string, m openvidu.RecordingMark) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.explode {
		panic("boom")
	}
	t := r.sessions[id]
	switch {
	case t == nil:
		return openvidu.ErrSessionNotFound
	case r.refuse != nil:
		return r.refuse
	case m.On && t.RecordingID != "", !m.On && t.RecordingID != m.ID:
		return errors.Join(openvidu.ErrInvalid)
	}
	t.RecordingID = ""
	if m.On {
		t.RecordingID = m.ID
	}
	r.marks = append(r.marks, m)
	return nil
}

func (r *fakeRooms) Emit(_ context.Context, _ string, e events.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e.Fields.(statusChanged))
}

// statuses are the events' statuses of one recording, in order.
func (r *fakeRooms) statuses(id string) (out []Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.ID == id {
			out = append(out, e.Status)
		}
	}
	return out
}

// told are all events so far.
func (r *fakeRooms) told() []statusChanged {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *fakeRooms) with(id string, f func(*openvidu.RecordingTarget)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.sessions[id])
}

// stream is a camera's published stream; ids follow the contract.
func stream(n *fakeNode, session, connection string) openvidu.StreamInfo {
	return openvidu.StreamInfo{
		SessionID: session, UniqueID: session + "_1", StreamID: "str_CAM_Ab12_" + connection, ConnectionID: connection,
		HasAudio: true, HasVideo: true, TypeOfVideo: "CAMERA", ClientData: `{"name":"ann"}`, ServerData: "server", Record: true,
		Endpoint: client.ID("ep_" + connection), Media: n, Pipeline: "pipe", VideoCodec: "VP8", AudioCodec: "opus",
	}
}

// house is a service over a temporary folder with its fakes.
type house struct {
	keys *proof.Keys
	*Service
	t     *testing.T
	dir   string
	rooms *fakeRooms
	node  *fakeNode
	free  atomic.Uint64 // bytes
}

func individual() openvidu.RecordingProperties {
	p := openvidu.DefaultRecordingProperties()
	p.OutputMode = openvidu.OutputIndividual
	return p
}

func newHouse(t *testing.T, change func(*Options), sessions ...string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), rooms: newRooms(sessions...), node: newNode()}
	h.rooms.node = h.node
	h.open(change)
	t.Cleanup(h.node.wg.Wait)
	return h
}

// open starts the service on the folder, as a new process would.
func (h *house) open(change func(*Options)) {
	h.t.Helper()
	h.free.CompareAndSwap(0, 1<<40)
	o := Options{FreeBytes: func(string) (uint64, error) { return h.free.Load(), nil }, Dir: h.dir, Rooms: h.rooms, Log: testLog(h.t), NodeID: "node1", PublicURL: "https://host:4443/", AutostopTimeout: 120 * time.Second}
	if h.keys == nil {
		keys, err := proof.OpenKeys(filepath.Join(h.t.TempDir(), "keys"))
		if err != nil {
			h.t.Fatal(err)
		}
		h.keys = keys
	}
	o.Keys = h.keys
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Service = s
	h.t.Cleanup(func() { _ = s.Close() })
}

func (h *house) publish(streams ...openvidu.StreamInfo) {
	for _, s := range streams {
		h.rooms.with(s.SessionID, func(t *openvidu.RecordingTarget) { t.Streams = append(t.Streams, s) })
		h.StreamPublished(h.t.Context(), s, false)
	}
}

func (h *house) mustStart(session string, p openvidu.RecordingProperties) Recording {
	h.t.Helper()
	r, err := h.Start(h.t.Context(), session, p)
	if err != nil {
		h.t.Fatalf("start: %v", err)
	}
	return r
}

func (h *house) mustStop(id string) Recording {
	h.t.Helper()
	r, err := h.Stop(h.t.Context(), id, openvidu.ReasonRecordingStopped)
	if err != nil {
		h.t.Fatalf("stop: %v", err)
	}
	return r
}

// files are the names in a recording's folder.
func (h *house) files(id string) []string {
	entries, err := os.ReadDir(filepath.Join(h.dir, id))
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func keys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// Place implements openvidu.MediaNodes.
func (n *fakeNode) Place(context.Context) (client.Client, error) { return n, nil }
