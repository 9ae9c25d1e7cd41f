package openvidu

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/openvidu/auth"
)

// page joins as a recorded web page does: the token holds a pass in place of the
// server's secret.
func pageRequest(session, pass string) JoinRequest {
	return JoinRequest{
		Token:   "wss://example.org?sessionId=" + session + "&secret=" + pass + "&recorder=true",
		Session: session, Secret: auth.NewSecret(pass), Recorder: true, SDKVersion: "2.32.2",
	}
}

// TestRecorderPass: who shows a pass is in the session, and nobody sees, counts or
// hears of it; it may look and not speak; the pass is good once.
func TestRecorderPass(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Participants = 1; o.Secret = auth.NewSecret("the-servers-secret") })
	w.session("room")
	ann := w.join("room", "ann", auth.Publisher)
	stream := ann.publish()
	w.took()
	events := len(w.events.Events())
	pass, end, err := w.m.RecorderPass(t.Context(), "room")
	w.must(err)
	if len(pass) < 20 || strings.ContainsAny(pass, "=&") {
		t.Fatalf("pass %q", pass)
	}
	rec := w.joinWith(pageRequest("room", pass), "rec") // although the session is full
	if rec.c.ID() != "RECORDER" || rec.result.Role != auth.Subscriber || len(rec.result.Value) != 1 {
		t.Fatalf("joined as %+v", rec.result)
	}
	rec.subscribe(stream.ID)
	w.expect("nobody hears of a recorder", "rec<joined", "rec<reply")
	if n := len(w.events.Events()); n != events {
		t.Errorf("events of a recorder: %v", w.events.Events()[events:])
	}
	info, err := w.m.Session(t.Context(), "room", ViewOptions{})
	w.must(err)
	if info.Connections.NumberOfElements != 1 {
		t.Errorf("connections: %+v", info.Connections)
	}
	if err := rec.c.Publish(t.Context(), publication("rec"), rec.reply); err == nil {
		t.Error("a recorder publishes")
	}
	if err := rec.c.ForceDisconnect(t.Context(), ann.c.ID(), rec.reply); err == nil {
		t.Error("a page disconnects others")
	}
	if _, err := w.m.Join(t.Context(), pageRequest("room", pass), &peer{w: w, name: "again"}, func(JoinResult) {}); err == nil {
		t.Error("a pass is good twice")
	}
	// Another page at the same time is hidden too.
	second, endSecond, err := w.m.RecorderPass(t.Context(), "room")
	w.must(err)
	other := w.joinWith(pageRequest("room", second), "other")
	if info, _ := w.m.Session(t.Context(), "room", ViewOptions{}); info.Connections.NumberOfElements != 1 || other.c.ID() == "RECORDER" {
		t.Errorf("with two pages: %+v, the second is %s", info.Connections, other.c.ID())
	}
	w.took()
	endSecond(t.Context())
	end(t.Context())
	if got := w.took(); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "ann<") }) {
		t.Errorf("others heard of the end of a page: %v", got)
	}
	if info, _ := w.m.Session(t.Context(), "room", ViewOptions{}); info.Connections.NumberOfElements != 1 {
		t.Errorf("after the end: %+v", info.Connections)
	}
	end(t.Context()) // harmless
}

func TestRecorderPassRefusals(t *testing.T) {
	w := newWorld(t)
	w.session("room")
	w.session("other")
	if _, _, err := w.m.RecorderPass(t.Context(), "absent"); !errors.Is(err, ErrSessionNotFound) {
		t.Errorf("pass of no session: %v", err)
	}
	pass, end, err := w.m.RecorderPass(t.Context(), "room")
	w.must(err)
	for what, req := range map[string]JoinRequest{
		"another session": pageRequest("other", pass),
		"no session":      pageRequest("absent", pass),
		"another pass":    pageRequest("room", pass+"x"),
		"no pass":         pageRequest("room", ""),
	} {
		if _, err := w.m.Join(t.Context(), req, &peer{w: w, name: "x"}, func(JoinResult) {}); err == nil {
			t.Errorf("%s: joined", what)
		}
	}
	end(t.Context())
	if _, err := w.m.Join(t.Context(), pageRequest("room", pass), &peer{w: w, name: "x"}, func(JoinResult) {}); err == nil {
		t.Error("a void pass is good")
	}
	if len(w.m.passes) != 0 {
		t.Errorf("passes left: %v", w.m.passes)
	}
}
