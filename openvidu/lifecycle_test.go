package openvidu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

func TestJoinResult(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.DefaultICEServers = func() []ICEServer { return []ICEServer{{URL: "stun:other"}} }
		o.TURNCredentials = func(id string) (string, string) { return "u" + id, "c" }
	})
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	stream := a.publish()
	info := w.token("S", "B", auth.Moderator, func(p *ConnectionProperties) { p.Data = "server" })
	b := w.joinWith(JoinRequest{Token: *info.Token, Session: "S", Metadata: "client", SDKVersion: "2.31.0", FinalUserID: "0123456789ABCDEF"}, "B")
	r := b.result
	if r.Metadata != "client%/%server" || r.Version != "2.31.0" || r.MediaServer != "kurento" || r.Role != auth.Moderator || !r.Record ||
		r.FinalUserID != "0123456789ABCDEF" || r.Session != "S" || r.CoturnPort != 3478 || r.CoturnIP != "example.org" || r.TURNUsername != "u"+r.ID {
		t.Errorf("%+v", r)
	}
	if len(r.CustomICEServers) != 2 || r.CustomICEServers[0].URL != "stun:example.org:40000" || r.CustomICEServers[1].URL != "stun:other" {
		t.Errorf("ice servers %v: our own address must come first", r.CustomICEServers)
	}
	if len(r.Value) != 1 || r.Value[0].ID != "con_A" || len(r.Value[0].Streams) != 1 || r.Value[0].Streams[0].ID != stream.ID ||
		*r.Value[0].Streams[0].VideoDimensions != `{"width":640,"height":480}` {
		t.Errorf("existing %+v", r.Value)
	}
	if old := w.joinWith(JoinRequest{Token: *w.token("S", "C", auth.Publisher).Token, Session: "S"}, "C"); old.result.Version != "2.32.2" {
		t.Errorf("a client that does not say its version is told %s", old.result.Version)
	}
}

func TestSecretJoin(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Secret = auth.NewSecret("MY_SECRET"); o.AllowSecretJoin = true })
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	w.took()
	rec := w.joinWith(JoinRequest{Token: "wss://h?sessionId=S&secret=MY_SECRET&recorder=true", Session: "S", SDKVersion: "2.32.2"}, "R")
	if rec.c.ID() != "RECORDER" || rec.result.Role != auth.Subscriber {
		t.Errorf("recorder is %s, %s", rec.c.ID(), rec.result.Role)
	}
	a.publish()
	w.expect("the recorder is hidden, and sees", "R<joined", "A<reply", "R<participantPublished con_A")
	if list, err := w.m.Connections(t.Context(), "S", ViewOptions{PendingConnections: true}); err != nil || len(list) != 1 {
		t.Errorf("listed %v, %v", list, err)
	}
	ghost := w.joinWith(JoinRequest{Token: "wss://h?sessionId=S&secret=MY_SECRET", Session: "S", Secret: auth.NewSecret("MY_SECRET")}, "G")
	w.took()
	ghost.publish() // role checks are skipped
	_, err := w.m.Join(t.Context(), JoinRequest{Token: "wss://h?sessionId=S&secret=WRONG", Session: "S", Secret: auth.NewSecret("WRONG")}, &peer{w: w}, nil)
	wantCode(t, "wrong secret", err, CodeUnauthorized)
	w.must(ghost.c.Leave(t.Context(), ghost.reply))
	w.must(a.c.Leave(t.Context(), a.reply))
	w.eventually("a session whose last real participant left ends, recorder or not", func() bool { return w.m.find("S") == nil })
}

func TestSessionsExistOnce(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	if _, err := w.m.CreateSession(t.Context(), SessionProperties{CustomSessionID: "S"}); !errors.Is(err, ErrSessionExists) {
		t.Errorf("second: %v", err)
	}
	for what, p := range map[string]SessionProperties{
		"id": {CustomSessionID: "a b"}, "mode": {MediaMode: "X"}, "recording": {RecordingMode: "X"}, "codec": {ForcedVideoCodec: "AV1"},
	} {
		if _, err := w.m.CreateSession(t.Context(), p); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	var wg sync.WaitGroup
	won := make(chan string, 20)
	for range 20 {
		wg.Go(func() {
			if i, err := w.m.CreateSession(t.Context(), SessionProperties{CustomSessionID: "R"}); err == nil {
				won <- i.ID
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d of 20 creations of one id succeeded", len(won))
	}
}

func TestCreateWaitsForAClosingSession(t *testing.T) {
	w := newWorld(t)
	rec := &fakeRecorder{w: w, closing: make(chan struct{})}
	w.m.SetRecorder(rec)
	w.session("S")
	w.join("S", "A", auth.Publisher)
	closed := make(chan error, 1)
	go func() { closed <- w.m.CloseSession(context.Background(), "S", ReasonSessionClosed) }()
	w.eventually("closing", func() bool { return slices.Contains(rec.took(), "closing S sessionClosedByServer") })
	if _, err := w.m.CreateConnection(t.Context(), "S", ConnectionProperties{}); !errors.Is(err, ErrSessionClosing) {
		t.Errorf("connection to a closing session: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	if _, err := w.m.CreateSession(ctx, SessionProperties{CustomSessionID: "S"}); !errors.Is(err, ErrSessionExists) {
		t.Errorf("impatient caller: %v", err)
	}
	cancel()
	created := make(chan error, 1)
	go func() {
		_, err := w.m.CreateSession(context.Background(), SessionProperties{CustomSessionID: "S"})
		created <- err
	}()
	close(rec.closing)
	w.must(<-closed)
	w.must(<-created)
}

func TestCollectorRemovesOnlyTheAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.GarbageInterval = 0 }) // the default, 900 s
		w.session("never")
		w.session("used")
		w.join("used", "A", auth.Publisher)
		time.Sleep(3599 * time.Second)
		w.session("young")
		for _, id := range []string{"never", "used"} {
			if w.m.find(id) == nil {
				t.Errorf("%s is gone before the threshold", id)
			}
		}
		time.Sleep(902 * time.Second)
		synctest.Wait()
		if w.m.find("never") != nil {
			t.Error("the abandoned session is still there")
		}
		if w.m.find("used") == nil || w.m.find("young") == nil {
			t.Error("a session in use or young was removed")
		}
		if n := w.eventNames(); slices.ContainsFunc(n, func(s string) bool { return s != "sessionCreated" && s != "participantJoined con_A" }) {
			t.Errorf("events %v", n)
		}
		_ = w.m.Close()
	})
}

func TestReconnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, m, stream := room(t)
		a.c.Detach(a.peer, func() [][]byte { return [][]byte{[]byte(`{"method":"first","params":{},"jsonrpc":"2.0"}`)} })
		synctest.Wait()
		sb := b.publish()
		w.must(m.c.SendMessage(t.Context(), `{"data":"hello"}`, m.reply))
		w.must(b.c.Unpublish(t.Context(), b.reply))
		w.took()
		time.Sleep(9 * time.Second)
		second := &peer{w: w, name: "A2"}
		c, err := w.m.Reconnect(t.Context(), a.c.PrivateID(), second, func() { w.note("A2<reconnected") })
		w.must(err)
		if c != a.c {
			t.Error("reconnected to another connection")
		}
		w.expect("reply, then what was missed, in order", "A2<reconnected", "A2<first",
			"A2<participantPublished con_B", "A2<sendMessage con_M hello", "A2<participantUnpublished con_B unpublish")
		time.Sleep(time.Minute)
		if i, err := w.m.Connection(t.Context(), "S", "con_A", ViewOptions{}); err != nil || len(i.Publishers) != 1 || i.Publishers[0].StreamID != stream {
			t.Errorf("after a minute: %+v, %v; its media must have stayed", i, err)
		}
		_ = sb
		// The old socket's end no longer matters, a second reconnection is legal and ends the first socket.
		a.c.Detach(a.peer, func() [][]byte { t.Error("asked the replaced socket"); return nil })
		third := &peer{w: w, name: "A3"}
		second.undelivered = [][]byte{[]byte(`{"method":"undelivered","params":{},"jsonrpc":"2.0"}`)}
		w.took()
		_, err = w.m.Reconnect(t.Context(), a.c.PrivateID(), third, func() { w.note("A3<reconnected") })
		w.must(err)
		w.expect("what the old socket did not deliver", "A3<reconnected", "A3<undelivered")
		if !second.replaced {
			t.Error("the replaced socket was not told")
		}
		time.Sleep(time.Minute)
		// A loss that is not made good ends the connection and its secret.
		a.c.Detach(third, func() [][]byte { return nil })
		time.Sleep(11 * time.Second)
		_, err = w.m.Reconnect(t.Context(), a.c.PrivateID(), third, func() { t.Error("reconnected too late") })
		wantCode(t, "after the window", err, CodeReconnection)
		_, err = w.m.Reconnect(t.Context(), "nobody", third, func() {})
		wantCode(t, "unknown", err, CodeReconnection)
		_ = w.m.Close()
	})
}

func TestReconnectionMissesNothingOrEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, _, _ := room(t)
		synctest.Wait() // the candidates of A's publication
		a.c.Detach(a.peer, func() [][]byte { return nil })
		synctest.Wait()
		for i := range 512 {
			w.must(b.c.SendMessage(t.Context(), fmt.Sprintf(`{"to":["con_A"],"data":"%d"}`, i), b.reply))
		}
		synctest.Wait()
		if _, err := w.m.Connection(t.Context(), "S", "con_A", ViewOptions{}); err != nil {
			t.Errorf("512 missed: %v, want the connection alive", err)
		}
		w.took()
		w.must(b.c.SendMessage(t.Context(), `{"to":["con_A"],"data":"one too many"}`, b.reply))
		synctest.Wait()
		w.expect("what cannot be told in order is not told at all", "B<reply", "B<participantLeft con_A networkDisconnect", "M<participantLeft con_A networkDisconnect")
		_ = w.m.Close()
	})
}

func TestMediaNodeLost(t *testing.T) {
	w, _, _, _, _ := room(t)
	w.media.Lose()
	w.eventually("the session has ended", func() bool { return w.m.find("S") == nil })
	got := w.took()
	if !slices.Contains(got, "B<participantEvicted con_B mediaServerDisconnect") || !slices.Contains(w.eventNames(), "sessionDestroyed mediaServerDisconnect") {
		t.Errorf("told %v, events %v", got, w.eventNames())
	}
}

func TestManagerCloseTellsEverybody(t *testing.T) {
	w, _, _, _, _ := room(t)
	w.must(w.m.Close())
	w.must(w.m.Close())
	if got := w.took(); !slices.Contains(got, "A<participantEvicted con_A openviduServerStopped") {
		t.Errorf("told %v", got)
	}
	if _, err := w.m.CreateSession(t.Context(), SessionProperties{}); !errors.Is(err, ErrStopped) {
		t.Errorf("create after Close: %v", err)
	}
	if n := len(w.media.Alive("MediaPipeline")) + len(w.media.Alive("WebRtcEndpoint")); n != 0 {
		t.Errorf("%d media objects left behind", n)
	}
}

func TestPanicEndsTheRoomCleanly(t *testing.T) {
	w, _, _, _, _ := room(t)
	s := w.m.find("S")
	if err := s.do(t.Context(), func() error { panic("a bug") }); err == nil {
		t.Error("the caller was not told")
	}
	w.eventually("the room has ended", func() bool { return w.m.find("S") == nil })
	if got := w.took(); !slices.Contains(got, "M<participantEvicted con_M nodeCrashed") {
		t.Errorf("told %v", got)
	}
	if n := w.eventNames(); n[len(n)-1] != "sessionDestroyed nodeCrashed" {
		t.Errorf("events %v", n)
	}
}

// fakeRecorder notes the hooks.
type fakeRecorder struct {
	w       *world
	closing chan struct{} // SessionClosing waits for it, if set
	mu      sync.Mutex
	log     []string
	streams []StreamInfo
}

func (r *fakeRecorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *fakeRecorder) took() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *fakeRecorder) StreamPublished(_ context.Context, s StreamInfo, first bool) {
	r.note("published %s first=%v", s.ConnectionID, first)
	r.mu.Lock()
	r.streams = append(r.streams, s)
	r.mu.Unlock()
}

func (r *fakeRecorder) StreamUnpublished(_ context.Context, s StreamInfo, reason Reason) {
	alive := slices.Contains(r.w.media.Alive("WebRtcEndpoint"), s.Endpoint)
	r.note("unpublished %s %s alive=%v", s.ConnectionID, reason, alive)
}
func (r *fakeRecorder) ParticipantJoined(id string)           { r.note("joined %s", id) }
func (r *fakeRecorder) SessionEmpty(id string, reason Reason) { r.note("empty %s %s", id, reason) }
func (r *fakeRecorder) SessionClosing(ctx context.Context, id string, reason Reason) {
	r.note("closing %s %s", id, reason)
	if r.closing != nil {
		select {
		case <-r.closing:
		case <-ctx.Done():
		}
	}
	r.w.m.Emit(ctx, id, events.Event{Name: events.NameRecordingStatusChanged, Fields: struct{}{}})
}

func TestRecorderHooks(t *testing.T) {
	w := newWorld(t)
	rec := &fakeRecorder{w: w}
	w.m.SetRecorder(rec)
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	b := w.join("S", "B", auth.Publisher, func(p *ConnectionProperties) { no := false; p.Record = &no })
	a.publish()
	w.eventually("A is told", func() bool { return len(rec.took()) == 3 })
	b.publish()
	w.eventually("B is told", func() bool { return len(rec.took()) == 4 })
	target, err := w.m.RecordingTarget(t.Context(), "S")
	w.must(err)
	if len(target.Streams) != 2 || !target.Active || target.Media == nil || target.Streams[0].VideoCodec != "VP8" || target.Streams[0].AudioCodec != "opus" ||
		!target.Streams[0].Record || target.Streams[1].Record || target.Streams[0].ClientData != "client-A" {
		t.Errorf("target %+v", target)
	}
	w.took()
	w.must(w.m.SetRecording(t.Context(), "S", RecordingMark{ID: "S", Name: "film", On: true}))
	if err := w.m.SetRecording(t.Context(), "S", RecordingMark{ID: "S~1", On: true}); !errors.Is(err, ErrInvalid) {
		t.Errorf("second recording: %v", err)
	}
	c := w.join("S", "C", auth.Subscriber)
	d := w.join("S", "D", auth.Publisher)
	if c.result.RecordingID != "" || d.result.RecordingID != "S" || d.result.RecordingName != "film" {
		t.Errorf("late joiners: subscriber %q, publisher %q %q", c.result.RecordingID, d.result.RecordingID, d.result.RecordingName)
	}
	w.took()
	w.must(a.c.Unpublish(t.Context(), a.reply))
	w.took()
	for _, u := range []*user{c, d, a, b} {
		w.must(u.c.Leave(t.Context(), u.reply))
	}
	w.eventually("the recorder hears of all", func() bool { return len(rec.took()) == 9 })
	if w.m.find("S") == nil {
		t.Fatal("a recorded session was closed by its last participant")
	}
	z := w.join("S", "Z", auth.Publisher) // somebody comes back
	w.must(z.c.Leave(t.Context(), z.reply))
	w.must(w.m.SetRecording(t.Context(), "S", RecordingMark{ID: "S", Reason: ReasonAutomaticStop}))
	w.eventually("the session is closed with its recording", func() bool { return w.m.find("S") == nil })
	want := []string{"joined S", "joined S", "published con_A first=true", "published con_B first=false", "joined S", "joined S"}
	got := rec.took()
	if !slices.Equal(got[:len(want)], want) {
		t.Errorf("got %v", got)
	}
	for _, s := range []string{"unpublished con_A unpublish alive=true", "unpublished con_B disconnect alive=true", "empty S lastParticipantLeft", "closing S automaticStop"} {
		if !slices.Contains(got, s) {
			t.Errorf("missing %q in %v", s, got)
		}
	}
	n := w.eventNames()
	if !slices.Equal(n[len(n)-2:], []string{"recordingStatusChanged", "sessionDestroyed automaticStop"}) {
		t.Errorf("events end with %v", n[len(n)-2:])
	}
}

func TestRecordingNotifications(t *testing.T) {
	for mode, want := range map[string][]string{
		NotifyNone: {}, NotifyModerator: {"M"}, NotifyPublisherModerator: {"P", "M"}, NotifyAll: {"S", "P", "M"},
	} {
		w := newWorld(t, func(o *Options) { o.RecordingNotification = mode })
		w.session("S")
		w.join("S", "S", auth.Subscriber)
		w.join("S", "P", auth.Publisher)
		w.join("S", "M", auth.Moderator)
		w.took()
		w.must(w.m.SetRecording(t.Context(), "S", RecordingMark{ID: "R", Name: "n", On: true}))
		w.must(w.m.SetRecording(t.Context(), "S", RecordingMark{ID: "R", Reason: ReasonRecordingStopped}))
		var lines []string
		for _, u := range want {
			lines = append(lines, u+"<recordingStarted R")
		}
		for _, u := range want {
			lines = append(lines, u+"<recordingStopped R recordingStoppedByServer")
		}
		w.expect(mode, lines...)
	}
}
