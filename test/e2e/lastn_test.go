package e2e

import (
	"fmt"
	"testing"
	"time"
)

// speakers is the latest activeSpeakersChanged that a participant heard, as
// connection ids.
func (w *wire) speakers() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []string{}
	for _, n := range w.notes {
		if n.Method != "activeSpeakersChanged" {
			continue
		}
		out = out[:0]
		list, _ := n.Params["speakers"].([]any)
		for _, x := range list {
			s, _ := x.(map[string]any)
			level, _ := s["level"].(float64)
			if level < 0 || level > 127 || s["streamId"] == "" {
				w.t.Errorf("speaker %v", s)
			}
			out = append(out, s["connectionId"].(string))
		}
	}
	return out
}

// speak waits until these talk, the main speaker first.
func (w *wire) speak(what string, ids ...string) {
	w.t.Helper()
	eventually(w.t, 2*eventDeadline, what, func() error {
		got := w.speakers()
		return want(fmt.Sprint(got) == fmt.Sprint(ids), "they are %v, want %v", got, ids)
	})
}

// TestLastN: two talk in turn, heard by their browsers' own audio levels; a viewer
// of a room with lastN 1 gets the picture of the one who spoke last and the sound of
// both.
func TestLastN(t *testing.T) {
	s := startServer(t)
	id := s.session(map[string]any{"lastN": 1})
	var shown struct{ LastN int }
	s.rest(200, "GET", "/sessions/"+id, nil, &shown)
	if shown.LastN != 1 {
		t.Errorf("the session shows lastN %d", shown.LastN)
	}
	s.rest(400, "POST", "/sessions", map[string]any{"lastN": -1}, nil)

	tone := small()
	tone["tone"] = true
	aliceToken, aliceID := s.connection(id, "PUBLISHER", nil)
	bobToken, bobID := s.connection(id, "PUBLISHER", nil)
	viewerToken, _ := s.connection(id, "SUBSCRIBER", nil)
	earToken, _ := s.connection(id, "SUBSCRIBER", nil)
	alice, bob, viewer, ear := openPage(t, "alice"), openPage(t, "bob"), openPage(t, "viewer"), dialWire(t, s)
	alice.join(aliceToken, "")
	bob.join(bobToken, "")
	viewer.join(viewerToken, "")
	ear.join(id, earToken)
	aliceCam, bobCam := alice.publish(tone), bob.publish(tone)
	if list, _ := ear.ok("subscribeToActiveSpeakers", map[string]any{})["speakers"].([]any); len(list) != 0 {
		t.Errorf("before a word %v talk", list)
	}

	// only says that the viewer gets the picture of one and not of the other, and the
	// sound of both.
	only := func(what, on, off string) {
		t.Helper()
		before, since := viewer.inbound(), time.Now()
		eventually(t, 4*eventDeadline, what, func() error {
			now := viewer.inbound()
			shown := now[on].FramesDecoded - before[on].FramesDecoded
			hidden := now[off].VideoBytes - before[off].VideoBytes
			heard := min(now[on].AudioSamples-before[on].AudioSamples, now[off].AudioSamples-before[off].AudioSamples)
			err := want(shown >= aliveFrames && hidden == 0 && heard > 0, "%v frames of one, %v bytes of the other, %v samples of sound", shown, hidden, heard)
			if err != nil && time.Since(since) >= aliveWindow {
				before, since = now, time.Now()
			}
			return err
		})
	}
	only("before a word the first publisher is shown", aliceCam.StreamID, bobCam.StreamID)
	bob.call("talk", 0.3, nil)
	ear.speak("bob talks", bobID)
	only("bob is shown", bobCam.StreamID, aliceCam.StreamID)
	alice.call("talk", 0.3, nil)
	bob.call("talk", 0, nil)
	ear.speak("alice talks", aliceID)
	only("alice is shown", aliceCam.StreamID, bobCam.StreamID)
	alice.call("talk", 0, nil)
	ear.speak("nobody talks")

	// The stream that is not shown is whole when it is again.
	bob.call("talk", 0.3, nil)
	ear.speak("bob talks again", bobID)
	only("bob is shown again", bobCam.StreamID, aliceCam.StreamID)
	ear.ok("unsubscribeFromActiveSpeakers", map[string]any{})
	s.healthy()
}
