package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestFieldCounts compares with the numbers of webhook fields in the contract.
func TestFieldCounts(t *testing.T) {
	s, n := "x", 30
	for _, c := range []struct {
		name   string
		fields any
		want   int
	}{
		{NameSessionCreated, SessionCreated{}, 4},
		{NameSessionDestroyed, SessionDestroyed{}, 7},
		{NameParticipantJoined, ParticipantJoined{}, 11},
		{NameParticipantLeft, ParticipantLeft{}, 14},
		{NameConnectionCreated, ConnectionCreated{Media: Media{VideoSource: &s, VideoFramerate: &n, VideoDimensions: &s}}, 13},
		{NameConnectionCreated, ConnectionCreated{}, 10},
		{NameSignalSent, SignalSent{}, 8},
	} {
		b, err := json.Marshal(Event{Name: c.name, Fields: c.fields})
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		if len(m) != c.want || m["event"] != c.name {
			t.Errorf("%s has %d fields, want %d: %s", c.name, len(m), c.want, b)
		}
	}
}

func TestEmptyFields(t *testing.T) {
	b, err := json.Marshal(Event{Name: "n", Fields: struct{}{}})
	if err != nil || string(b) != `{"event":"n"}` {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := json.Marshal(Event{Fields: func() {}}); err == nil {
		t.Error("a function was marshalled")
	}
}

type failing struct{}

func (failing) Emit(context.Context, Event) error { return errors.New("sink is broken") }

func TestSinks(t *testing.T) {
	var out bytes.Buffer
	mem := &Memory{Limit: 2}
	fan := Fan{failing{}, mem, Log{slog.New(slog.NewTextHandler(&out, nil))}}
	for _, name := range []string{"a", "b", "c"} {
		if err := fan.Emit(t.Context(), Event{Name: name, SessionID: "ses_A", Fields: SessionCreated{}}); err == nil {
			t.Error("the broken sink's error was lost")
		}
	}
	if e := mem.Events(); len(e) != 2 || e[0].Name != "b" || e[1].Name != "c" {
		t.Errorf("kept %v, want b and c", e)
	}
	if got := out.String(); strings.Count(got, "sessionId=ses_A") != 3 || !strings.Contains(got, "msg=c") {
		t.Errorf("log: %s", got)
	}
}
