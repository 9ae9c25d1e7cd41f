package webrtc

import (
	"context"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/speaker"
	"github.com/govidu/govidu/pipeline"
)

// TestMeter: what packets between two reports come to, and what an endpoint that
// declares no level does.
func TestMeter(t *testing.T) {
	packet := func(level ...byte) *pipeline.Packet {
		p := &pipeline.Packet{Format: &pipeline.Format{Kind: pipeline.Audio, Codec: "opus", Framing: pipeline.RTP, ClockRate: 48000}}
		if len(level) > 0 {
			p.Header.Extension, p.Header.ExtensionProfile = true, rtp.ExtensionProfileOneByte
			if err := p.Header.SetExtension(levelExtension, level); err != nil {
				t.Fatal(err)
			}
		}
		return p
	}
	var m meter
	for _, c := range []struct {
		push []*pipeline.Packet
		want int
	}{
		{nil, speaker.Silence},
		{[]*pipeline.Packet{packet(), packet()}, speaker.Silence},
		{[]*pipeline.Packet{packet(20), packet(20)}, 20},
		{[]*pipeline.Packet{packet(0x80 | 30)}, 30}, // the first bit tells of a voice
		{[]*pipeline.Packet{packet(20), packet(127)}, 23},
		{[]*pipeline.Packet{packet(0)}, 0},
		{[]*pipeline.Packet{packet(127)}, speaker.Silence},
		{nil, speaker.Silence},
	} {
		for _, p := range c.push {
			m.Push(p)
		}
		if level, gone := m.take(); level != c.want || gone {
			t.Errorf("%d packets: level %d, gone %v; want %d", len(c.push), level, gone, c.want)
		}
	}
}

// TestActiveSpeakers: two peers talk in turn; one leaves while it talks.
func TestActiveSpeakers(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	a, b := w.Element("WebRtcEndpoint", nil), w.Element("WebRtcEndpoint", nil)
	s := w.Create("ActiveSpeakers", nil)
	for range 2 { // twice is once
		w.Call(s, "add", map[string]any{"endpoint": a})
	}
	w.Call(s, "add", map[string]any{"endpoint": b})
	out, err := a.Output(pipeline.Audio, elements.DefaultDescription)
	if err != nil || out.Links() != 1 {
		t.Fatalf("%v, %d links", err, out.Links())
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	talk := func(e elements.Element, level byte) {
		out, err := e.Output(pipeline.Audio, elements.DefaultDescription)
		if err != nil {
			t.Error(err)
			return
		}
		f := &pipeline.Format{Kind: pipeline.Audio, Codec: "opus", Framing: pipeline.RTP, ClockRate: 48000}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			p := &pipeline.Packet{Format: f}
			p.Header.Extension, p.Header.ExtensionProfile = true, rtp.ExtensionProfileOneByte
			_ = p.Header.SetExtension(levelExtension, []byte{level})
			out.Push(p)
			<-tick.C
		}
	}
	ended := make(chan struct{})
	go func() { defer close(ended); talk(a, 20) }()
	defer func() { stop(); <-ended }()
	is := func(what string, want ...string) {
		t.Helper()
		webrtctest.Eventually(t, what, func() bool {
			list := w.Call(s, "getSpeakers", nil).([]any)
			if len(list) != len(want) {
				return false
			}
			for i, x := range list {
				if x.(map[string]any)["endpoint"] != want[i] {
					return false
				}
			}
			return true
		})
	}
	is("a talks", a.ID())
	w.WaitEvents(s, "ActiveSpeakersChanged", 1)
	first := w.Events(s, "ActiveSpeakersChanged")[0].Data["speakers"].([]any)[0].(map[string]any)
	if first["endpoint"] != a.ID() || first["level"] != int64(20) {
		t.Errorf("told %v", first)
	}
	both := make(chan struct{})
	go func() { defer close(both); talk(b, 25) }()
	defer func() { stop(); <-both }()
	is("both talk", a.ID(), b.ID())
	w.Release(a)
	is("b alone", b.ID())
	w.Call(s, "remove", map[string]any{"endpoint": b})
	is("nobody")
	w.Release(s)
	if _, err := w.Invoke(s, "add", map[string]any{"endpoint": b}); err == nil {
		t.Error("a released object listens")
	}
}
