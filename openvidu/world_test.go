package openvidu

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/mediatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a Manager with a fake media node; everything browsers get is written
// into one log, "A<participantJoined con_B", in the order it was sent.
type world struct {
	t      *testing.T
	m      *Manager
	media  *mediatest.Client
	events *events.Memory

	mu  sync.Mutex
	log []string
}

func newWorld(t *testing.T, tweaks ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, media: mediatest.New(), events: &events.Memory{Limit: 10000}}
	opts := Options{
		Media: w.media, Events: w.events, Bandwidth: DefaultBandwidth(), PublicHost: "example.org", GarbageInterval: -1,
		OwnICEServers: []ICEServer{{URL: "stun:example.org:40000"}},
	}
	for _, f := range tweaks {
		f(&opts)
	}
	m, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	w.m = m
	t.Cleanup(func() { _ = m.Close() })
	return w
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// took gives the log and empties it. Entries of iceCandidate are left out unless
// asked for: they come when the node likes.
func (w *world) took() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(w.log), func(s string) bool { return strings.Contains(s, "<iceCandidate") })
	w.log = nil
	return out
}

func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	if got := w.took(); !slices.Equal(got, want) {
		w.t.Errorf("%s\n got  %s\n want %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

// eventually polls a condition.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// session makes a session of that id.
func (w *world) session(id string, tweaks ...func(*SessionProperties)) {
	w.t.Helper()
	p := SessionProperties{CustomSessionID: id}
	for _, f := range tweaks {
		f(&p)
	}
	if _, err := w.m.CreateSession(w.t.Context(), p); err != nil {
		w.t.Fatal(err)
	}
}

// token makes a pending connection con_<name>.
func (w *world) token(session, name string, role auth.Role, tweaks ...func(*ConnectionProperties)) ConnectionInfo {
	w.t.Helper()
	p := ConnectionProperties{Role: role, Data: fmt.Sprintf(`{"openviduCustomConnectionId":%q}`, name)}
	for _, f := range tweaks {
		f(&p)
	}
	info, err := w.m.CreateConnection(w.t.Context(), session, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

type user struct {
	w      *world
	name   string
	c      *Connection
	peer   *peer
	result JoinResult
}

// peer is a socket that writes into the world's log.
type peer struct {
	w        *world
	name     string
	mu       sync.Mutex
	finished bool
	replaced bool
	got      []*Notification
	// undelivered is what Replace gives.
	undelivered [][]byte
}

func (p *peer) Notify(n *Notification) {
	p.mu.Lock()
	p.got = append(p.got, n)
	p.mu.Unlock()
	p.w.note("%s<%s", p.name, describe(n))
}

func (p *peer) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = true
}

func (p *peer) Replace() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replaced = true
	return p.undelivered
}

func (p *peer) last(method string) *Notification {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range slices.Backward(p.got) {
		if n.Method == method {
			return n
		}
	}
	return nil
}

// describe gives a notification's method, connection and reason, read from the
// frame that goes on the wire.
func describe(n *Notification) string {
	var f struct {
		Method  string         `json:"method"`
		Version string         `json:"jsonrpc"`
		ID      any            `json:"id"`
		Params  map[string]any `json:"params"`
	}
	if err := json.Unmarshal(n.Frame(), &f); err != nil || f.Version != "2.0" || f.ID != nil {
		return "BAD FRAME " + string(n.Frame())
	}
	out := f.Method
	for _, k := range []string{"connectionId", "id", "from", "property", "newValue", "data", "reason"} {
		if v, ok := f.Params[k]; ok {
			out += fmt.Sprint(" ", v)
		}
	}
	return out
}

func (w *world) join(session, name string, role auth.Role, tweaks ...func(*ConnectionProperties)) *user {
	w.t.Helper()
	info := w.token(session, name, role, tweaks...)
	return w.joinWith(JoinRequest{Token: *info.Token, Session: session, Metadata: "client-" + name, SDKVersion: "2.32.2", Platform: "Test 1", IP: "192.0.2.1"}, name)
}

func (w *world) joinWith(req JoinRequest, name string) *user {
	w.t.Helper()
	u := &user{w: w, name: name, peer: &peer{w: w, name: name}}
	c, err := w.m.Join(w.t.Context(), req, u.peer, func(r JoinResult) {
		u.result = r
		w.note("%s<joined", name)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	u.c = c
	return u
}

// reply notes that the user had its answer.
func (u *user) reply(any) { u.w.note("%s<reply", u.name) }

func (u *user) publish() PublishResult {
	u.w.t.Helper()
	var out PublishResult
	err := u.c.Publish(u.w.t.Context(), publication(u.name), func(r any) {
		out = r.(PublishResult)
		u.reply(r)
	})
	if err != nil {
		u.w.t.Fatalf("%s publishes: %v", u.name, err)
	}
	return out
}

func publication(ufrag string) PublishRequest {
	return PublishRequest{
		SDPOffer: mediatest.Offer(ufrag, "VP8", "H264", "VP9"), HasAudio: true, HasVideo: true, AudioActive: true, VideoActive: true,
		TypeOfVideo: "CAMERA", FrameRate: 30, VideoDimensions: `{"width":640,"height":480}`,
	}
}

func (u *user) subscribe(stream string) {
	u.w.t.Helper()
	if err := u.c.Subscribe(u.w.t.Context(), SubscribeRequest{Sender: stream, SDPOffer: mediatest.Offer(u.name, "VP8", "VP9")}, u.reply); err != nil {
		u.w.t.Fatalf("%s subscribes: %v", u.name, err)
	}
}

// must fails the test on an error.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// digest is everything observable of the manager's state, for "nothing changed";
// statistics are left out, they move by themselves.
func (w *world) digest() string {
	w.t.Helper()
	list, err := w.m.Sessions(context.Background(), ViewOptions{PendingConnections: true})
	w.must(err)
	b, err := json.Marshal(list)
	w.must(err)
	return string(b)
}

// eventNames gives the domain events so far, each with what tells it apart.
func (w *world) eventNames() []string {
	var out []string
	for _, e := range w.events.Events() {
		name := e.Name
		switch f := e.Fields.(type) {
		case events.ParticipantJoined:
			name += " " + f.ConnectionID
		case events.ParticipantLeft:
			name += " " + f.ConnectionID + " " + f.Reason
		case events.ConnectionCreated:
			name += " " + f.Connection + " " + f.ConnectionID
		case events.ConnectionDestroyed:
			name += " " + f.Connection + " " + f.ConnectionID + " " + f.Reason
		case events.SessionDestroyed:
			name += " " + f.Reason
		}
		out = append(out, name)
	}
	return out
}

func wantCode(t *testing.T, what string, err error, code Code) {
	t.Helper()
	if e, ok := err.(*Error); !ok || e.Code != code {
		t.Errorf("%s: error %v, want code %d", what, err, code)
	}
}
