package openvidu

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/openvidu/auth"
)

// room gives a session S with A (publishing), B and moderator M, log emptied.
func room(t *testing.T) (w *world, a, b, m *user, stream string) {
	w = newWorld(t)
	w.session("S")
	a = w.join("S", "A", auth.Publisher)
	b = w.join("S", "B", auth.Publisher)
	m = w.join("S", "M", auth.Moderator)
	stream = a.publish().ID
	w.took()
	return w, a, b, m, stream
}

// The subtests bear the names of the rows of the signalling contract's §10.
func TestOrder(t *testing.T) {
	t.Run("join", func(t *testing.T) {
		w := newWorld(t)
		w.session("S")
		w.join("S", "A", auth.Publisher)
		w.join("S", "B", auth.Subscriber)
		w.join("S", "C", auth.Publisher)
		w.expect("others hear before the joiner's response",
			"A<joined",
			"A<participantJoined con_B", "B<joined",
			"A<participantJoined con_C", "B<participantJoined con_C", "C<joined")
	})
	t.Run("publish", func(t *testing.T) {
		w := newWorld(t)
		w.session("S")
		a := w.join("S", "A", auth.Publisher)
		w.join("S", "B", auth.Publisher)
		w.took()
		a.publish()
		w.expect("response, then the others", "A<reply", "B<participantPublished con_A")
	})
	t.Run("unpublish", func(t *testing.T) {
		w, a, _, _, _ := room(t)
		w.must(a.c.Unpublish(t.Context(), a.reply))
		w.expect("iteration order", "A<reply", "B<participantUnpublished con_A unpublish", "M<participantUnpublished con_A unpublish")
		b := w.join("S", "Z", auth.Publisher)
		b.publish()
		w.took()
		w.must(b.c.Unpublish(t.Context(), b.reply))
		w.expect("iteration order", "A<participantUnpublished con_Z unpublish", "B<participantUnpublished con_Z unpublish",
			"M<participantUnpublished con_Z unpublish", "Z<reply")
	})
	t.Run("leave", func(t *testing.T) {
		w, a, _, _, _ := room(t)
		w.must(a.c.Leave(t.Context(), a.reply))
		w.expect("the remaining, then the response", "B<participantLeft con_A disconnect", "M<participantLeft con_A disconnect", "A<reply")
		if !a.peer.finished {
			t.Error("the socket was not told to close")
		}
	})
	t.Run("forceUnpublish", func(t *testing.T) {
		w, _, _, m, stream := room(t)
		w.must(m.c.ForceUnpublish(t.Context(), stream, m.reply))
		w.expect("response, then all, publisher and moderator included", "M<reply",
			"A<participantUnpublished con_A forceUnpublishByUser", "B<participantUnpublished con_A forceUnpublishByUser", "M<participantUnpublished con_A forceUnpublishByUser")
	})
	t.Run("forceUnpublish by REST", func(t *testing.T) {
		w, _, _, _, stream := room(t)
		w.must(w.m.Unpublish(t.Context(), "S", stream, ReasonForceUnpublishServer))
		w.expect("all", "A<participantUnpublished con_A forceUnpublishByServer", "B<participantUnpublished con_A forceUnpublishByServer",
			"M<participantUnpublished con_A forceUnpublishByServer")
	})
	t.Run("forceDisconnect by WS", func(t *testing.T) {
		w, a, _, m, _ := room(t)
		w.must(m.c.ForceDisconnect(t.Context(), "con_A", m.reply))
		w.expect("left to the remaining, response, evicted to everybody of before",
			"B<participantLeft con_A forceDisconnectByUser", "M<participantLeft con_A forceDisconnectByUser", "M<reply",
			"A<participantEvicted con_A forceDisconnectByUser", "B<participantEvicted con_A forceDisconnectByUser", "M<participantEvicted con_A forceDisconnectByUser")
		if !a.peer.finished {
			t.Error("the evicted socket was not told to close")
		}
	})
	t.Run("forceDisconnect by REST", func(t *testing.T) {
		w, _, _, _, _ := room(t)
		w.must(w.m.DeleteConnection(t.Context(), "S", "con_A", ReasonForceDisconnectServer))
		w.expect("left to the remaining, evicted to everybody of before",
			"B<participantLeft con_A forceDisconnectByServer", "M<participantLeft con_A forceDisconnectByServer",
			"A<participantEvicted con_A forceDisconnectByServer", "B<participantEvicted con_A forceDisconnectByServer", "M<participantEvicted con_A forceDisconnectByServer")
	})
	t.Run("session DELETE", func(t *testing.T) {
		w := newWorld(t)
		w.session("S")
		w.join("S", "A", auth.Publisher)
		w.join("S", "B", auth.Publisher)
		w.took()
		w.must(w.m.CloseSession(t.Context(), "S", ReasonSessionClosed))
		w.expect("the same per participant",
			"B<participantLeft con_A sessionClosedByServer",
			"A<participantEvicted con_A sessionClosedByServer", "B<participantEvicted con_A sessionClosedByServer",
			"B<participantEvicted con_B sessionClosedByServer")
	})
	t.Run("network loss", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, a, _, _, _ := room(t)
			a.c.Detach(a.peer, func() [][]byte { return nil })
			time.Sleep(9999 * time.Millisecond)
			synctest.Wait()
			w.expect("nothing within the window")
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			w.expect("left after the window", "B<participantLeft con_A networkDisconnect", "M<participantLeft con_A networkDisconnect")
			_ = w.m.Close()
		})
	})
	t.Run("signal", func(t *testing.T) {
		w, a, _, _, _ := room(t)
		w.must(a.c.SendMessage(t.Context(), `{"to":[],"data":"hi","type":"signal:chat"}`, a.reply))
		w.expect("recipients, the sender too, then the response",
			"A<sendMessage con_A hi", "B<sendMessage con_A hi", "M<sendMessage con_A hi", "A<reply")
		w.must(a.c.SendMessage(t.Context(), `{"to":["con_B"],"data":"psst"}`, a.reply))
		w.expect("named recipients only", "B<sendMessage con_A psst", "A<reply")
		hi := "hi"
		w.must(w.m.Signal(t.Context(), SignalRequest{SessionID: "S", Data: &hi}))
		w.expect("from the API: no sender", "A<sendMessage hi", "B<sendMessage hi", "M<sendMessage hi")
	})
	t.Run("streamPropertyChanged", func(t *testing.T) {
		w, a, _, _, stream := room(t)
		w.must(a.c.PropertyChanged(t.Context(), PropertyChange{stream, "audioActive", "publishAudio", json.RawMessage("false")}, a.reply))
		w.expect("others' notification and caller's response", "A<reply",
			"B<streamPropertyChanged con_A audioActive false publishAudio", "M<streamPropertyChanged con_A audioActive false publishAudio")
	})
}

// TestEventOrder is REST contract §11.4.
func TestEventOrder(t *testing.T) {
	two := func(t *testing.T) (*world, *user, *user) {
		w := newWorld(t)
		w.session("S")
		a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Publisher)
		sa, sb := a.publish().ID, b.publish().ID
		b.subscribe(sa)
		a.subscribe(sb)
		return w, a, b
	}
	start := []string{
		"sessionCreated", "participantJoined con_A", "participantJoined con_B",
		"webrtcConnectionCreated OUTBOUND con_A", "webrtcConnectionCreated OUTBOUND con_B",
		"webrtcConnectionCreated INBOUND con_B", "webrtcConnectionCreated INBOUND con_A",
	}
	t.Run("one of two leaves", func(t *testing.T) {
		w, a, _ := two(t)
		w.must(a.c.Leave(t.Context(), a.reply))
		want := append(slices.Clone(start),
			"webrtcConnectionDestroyed OUTBOUND con_A disconnect", "webrtcConnectionDestroyed INBOUND con_A disconnect",
			"webrtcConnectionDestroyed INBOUND con_B disconnect", "participantLeft con_A disconnect")
		if got := w.eventNames(); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
	t.Run("session DELETE", func(t *testing.T) {
		w, _, _ := two(t)
		w.must(w.m.CloseSession(t.Context(), "S", ReasonSessionClosed))
		want := append(slices.Clone(start),
			"webrtcConnectionDestroyed OUTBOUND con_A sessionClosedByServer", "webrtcConnectionDestroyed INBOUND con_A sessionClosedByServer",
			"webrtcConnectionDestroyed INBOUND con_B sessionClosedByServer", "participantLeft con_A sessionClosedByServer",
			"webrtcConnectionDestroyed OUTBOUND con_B sessionClosedByServer", "participantLeft con_B sessionClosedByServer",
			"sessionDestroyed sessionClosedByServer")
		if got := w.eventNames(); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
	t.Run("the last leaves", func(t *testing.T) {
		w := newWorld(t)
		w.session("S")
		a := w.join("S", "A", auth.Publisher)
		w.must(a.c.Leave(t.Context(), a.reply))
		w.eventually("the session is gone", func() bool { return w.m.find("S") == nil })
		if got := w.eventNames(); !slices.Equal(got, []string{"sessionCreated", "participantJoined con_A", "participantLeft con_A disconnect", "sessionDestroyed lastParticipantLeft"}) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("unsubscribe and unpublish", func(t *testing.T) {
		w, a, b := two(t)
		w.must(b.c.Unsubscribe(t.Context(), "con_A", b.reply))
		w.must(a.c.Unpublish(t.Context(), a.reply))
		got := w.eventNames()[len(start):]
		if !slices.Equal(got, []string{"webrtcConnectionDestroyed INBOUND con_B unsubscribe", "webrtcConnectionDestroyed OUTBOUND con_A unpublish"}) {
			t.Errorf("got %v", got)
		}
	})
}
