package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestOpusREDAndDTX: a page sends its sound as RED and nothing while it is silent, as
// applications that change their offers have it. Who listens hears the sound come
// back as it went.
func TestOpusREDAndDTX(t *testing.T) {
	s := startServer(t)
	id := s.session(map[string]any{"forcedVideoCodec": "NONE"})
	talker, ear := openPage(t, "talker"), openPage(t, "ear")
	token, _ := s.connection(id, "PUBLISHER", nil)
	talker.join(token, "")
	token, _ = s.connection(id, "SUBSCRIBER", nil)
	ear.join(token, "")
	talker.call("munge", nil, nil)
	options := small()
	options["tone"] = true
	pub := talker.publish(options)
	var sdp struct{ Local, Remote string }
	talker.call("descriptions", nil, &sdp)
	if !strings.Contains(sdp.Remote, ";usedtx=1") || !strings.Contains(sdp.Remote, "useinbandfec=1") {
		t.Fatalf("the answer\n%s", sdp.Remote)
	}
	if m := sdp.Remote[strings.Index(sdp.Remote, "m=audio"):]; !strings.HasPrefix(m[strings.Index(m, "SAVPF"):], "SAVPF 63 111 ") {
		t.Fatalf("the answer\n%s", m)
	}
	talker.call("talk", 0.5, nil)
	ear.hears(pub.StreamID)
	type sending struct {
		Audio struct {
			At, Packets float64
			Codec       string
		}
	}
	// measure gives the packets per second that leave, and what the other end made of it.
	measure := func(span time.Duration) (rate float64, before, after media) {
		t.Helper()
		var a, b sending
		talker.call("outbound", nil, &a)
		before = ear.inbound()[pub.StreamID]
		during(span)
		talker.call("outbound", nil, &b)
		after = ear.inbound()[pub.StreamID]
		t.Logf("%.1f packets of %s a second leave, %.0f came, %.0f of %.0f samples concealed, energy %.4f more", (b.Audio.Packets-a.Audio.Packets)*1000/(b.Audio.At-a.Audio.At), b.Audio.Codec,
			after.AudioPackets-before.AudioPackets, after.AudioConcealed-before.AudioConcealed, after.AudioSamples-before.AudioSamples, after.AudioEnergy-before.AudioEnergy)
		return (b.Audio.Packets - a.Audio.Packets) * 1000 / (b.Audio.At - a.Audio.At), before, after
	}
	during(2 * time.Second)
	if rate, _, _ := measure(3 * time.Second); rate < 40 {
		t.Errorf("%.1f packets a second while there is a tone", rate)
	}
	talker.call("talk", 0, nil)
	during(time.Second) // the encoder takes a moment to believe it
	rate, before, silent := measure(3 * time.Second)
	if rate > 20 {
		t.Errorf("%.1f packets a second while it is silent", rate)
	}
	if n := silent.AudioPackets - before.AudioPackets; n > 60 {
		t.Errorf("%.0f packets came in three seconds of silence", n)
	}
	talker.call("talk", 0.5, nil)
	rate, before, loud := measure(3 * time.Second)
	if rate < 30 || loud.AudioEnergy-before.AudioEnergy < 0.01 {
		t.Errorf("%.1f packets a second, energy %.4f after the silence", rate, loud.AudioEnergy-before.AudioEnergy)
	}
	// A tenth of a second: what a jump of the clock, or numbers that are missing, would
	// have concealed at once.
	if n := loud.AudioConcealed - silent.AudioConcealed; n > 4800 {
		t.Errorf("%.0f samples concealed when the sound came back", n)
	}
	s.healthy()
}
