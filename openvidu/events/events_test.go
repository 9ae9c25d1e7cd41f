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
		{NameBroadcastStarted, BroadcastStarted{}, 5},
		{NameBroadcastStopped, BroadcastStopped{}, 8},
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

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"rtmp://live.example:1935/app/key":                           "rtmp://live.example:1935/app/***",
		"rtmps://u:p@live.example/app/inst/key?token=1#x":            "rtmps://live.example/app/***",
		"rtmp://live.example/key":                                    "rtmp://live.example/***",
		"rtmp://live.example":                                        "rtmp://live.example/***",
		"https://host:4443/openvidu/hls/0123456789abcdef/index.m3u8": "https://host:4443/openvidu/hls/***",
		"no url at all":                                              "***", "": "***", "rtmp://%zz/key": "***",
	} {
		if got := RedactURL(in); got != want {
			t.Errorf("RedactURL(%q) = %q, want %q", in, got, want)
		}
	}
}

// The log must not hold the stream key that webhooks and the CDR get.
func TestLogHidesStreamKeys(t *testing.T) {
	var out bytes.Buffer
	b := Broadcast{BroadcastURL: "rtmp://live.example/app/the-key"}
	for _, fields := range []any{BroadcastStarted{Broadcast: b}, BroadcastStopped{Broadcast: b}} {
		e := Event{Name: NameBroadcastStarted, SessionID: "s", Fields: fields}
		if err := (Log{slog.New(slog.NewJSONHandler(&out, nil))}).Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if whole, _ := json.Marshal(e); !strings.Contains(string(whole), "app/the-key") {
			t.Errorf("the webhook body %s has no broadcastUrl", whole)
		}
	}
	if s := out.String(); strings.Contains(s, "the-key") || strings.Count(s, "app/***") != 2 {
		t.Errorf("log: %s", s)
	}
}
