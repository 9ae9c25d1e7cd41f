package medianode

import (
	"bufio"
	"log/slog"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/pipeline"
)

// scrape reads /metrics as Prometheus does: values by name with labels.
func scrape(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	obs.MetricsHandler(reg, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	values := map[string]float64{}
	for lines := bufio.NewScanner(w.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			values[name] = v
		}
	}
	return values
}

// caller is a browser that is connected to the node.
type caller struct {
	*webrtctest.Browser
	peer *transport.Peer
}

func call(t *testing.T, n *Node, publishes bool) *caller {
	t.Helper()
	// Without helpers nobody sends what the test does not.
	c := &caller{Browser: webrtctest.New(t, webrtctest.Options{NoNACK: true})}
	candidates := make(chan transport.Candidate, 64)
	var err error
	c.peer, err = n.Engine.NewPeer(transport.PeerConfig{Epoch: time.Now(), Handler: transport.Handler{
		Candidate: func(x transport.Candidate) { candidates <- x }, GatheringDone: func() { close(candidates) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	if publishes {
		c.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
	} else {
		c.Receive()
	}
	answer, err := c.peer.Answer(c.Offer())
	if err != nil {
		t.Fatal(err)
	}
	c.SetAnswer(answer)
	if err := c.peer.Gather(); err != nil {
		t.Fatal(err)
	}
	for x := range candidates {
		c.AddCandidate(x.Candidate, x.SDPMid, x.SDPMLineIndex)
	}
	webrtctest.Eventually(t, "connected", func() bool { return c.peer.Connected() && c.Connected() })
	return c
}

// TestMetricsOfTraffic sends what is known, and finds it in /metrics.
func TestMetricsOfTraffic(t *testing.T) {
	reg := obs.NewRegistry("v0")
	n, err := New(Config{Loopback: true, FileRoots: []string{t.TempDir()}, Log: slog.New(slog.DiscardHandler), Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	pub, sub := call(t, n, true), call(t, n, false)
	for _, k := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		r := pub.peer.Receiver(k)
		out := pipeline.NewOutput(k, "default", r, nil)
		r.SetOutput(out)
		if _, err := out.Connect(sub.peer.Sender(k)); err != nil {
			t.Fatal(err)
		}
	}
	before := scrape(t, reg)
	const frames = 300
	for i := range frames {
		pub.Frame(i%50 == 0)
		webrtctest.Eventually(t, "a frame arrives", func() bool { return len(sub.Packets(webrtc.RTPCodecTypeVideo)) > i })
	}
	webrtctest.Eventually(t, "everything arrives", func() bool {
		return len(sub.Packets(webrtc.RTPCodecTypeVideo)) == frames && len(sub.Packets(webrtc.RTPCodecTypeAudio)) == frames
	})
	t.Run("feedback", func(t *testing.T) { askAgain(t, reg, sub) })
	conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.Engine.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const strange = 7
	for range strange {
		if _, err := conn.Write(append([]byte{0x80, 96}, make([]byte, 30)...)); err != nil {
			t.Fatal(err)
		}
	}
	webrtctest.Eventually(t, "what comes from nowhere is counted", func() bool {
		return scrape(t, reg)[`webrtc_refused_total{reason="unknown_source"}`]-before[`webrtc_refused_total{reason="unknown_source"}`] == strange
	})
	after := scrape(t, reg)
	grown := func(name string) float64 {
		v, ok := after[name]
		if !ok {
			t.Errorf("%s is not there", name)
		}
		return v - before[name]
	}
	// Each frame is one packet of sound and one of video; the rest is control.
	for name, most := range map[string]float64{"webrtc_received_packets_total": 400, "webrtc_sent_packets_total": 400} {
		if got := grown(name); got < 2*frames || got > 2*frames+most {
			t.Errorf("%s grew by %v for %d packets", name, got, 2*frames)
		}
	}
	// 12 bytes of header, 19 or 5 of payload, 16 of tag; extensions and control besides.
	least := float64(frames * (2*(12+16) + 19 + 5))
	for _, name := range []string{"webrtc_received_bytes_total", "webrtc_sent_bytes_total"} {
		if got := grown(name); got < least || got > 3*least {
			t.Errorf("%s grew by %v, want at least %v", name, got, least)
		}
	}
	if got, want := grown("webrtc_read_batch_packets_sum"), grown("webrtc_received_packets_total"); got != want {
		t.Errorf("%v in batches, %v in all", got, want)
	}
	if got, want := grown("webrtc_send_batch_packets_sum"), grown("webrtc_sent_packets_total"); got != want {
		t.Errorf("%v in batches, %v in all", got, want)
	}
	if m, c := grown("webrtc_sent_messages_total"), grown("webrtc_send_calls_total"); m == 0 || c == 0 || c > m {
		t.Errorf("%v messages in %v calls", m, c)
	}
	if got := grown(`webrtc_keyframe_requests_total{direction="sent",kind="pli"}`); got == 0 {
		t.Error("no keyframe was asked for")
	}
	for name, want := range map[string]float64{
		"webrtc_peers": 2, "webrtc_shed_step": 0, `webrtc_shard_inbox_length{shard="0"}`: 0,
		`webrtc_overrun_total{where="socket"}`: 0, `webrtc_send_dropped_total{reason="socket_full"}`: 0,
		`webrtc_refused_total{reason="authentication"}`: 0,
	} {
		if got, ok := after[name]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
		}
	}
	peers := 0.0
	for name, v := range after {
		if strings.HasPrefix(name, "webrtc_shard_peers{") {
			peers += v
		}
	}
	if peers != 2 {
		t.Errorf("%v peers on shards", peers)
	}
	problems, err := testutil.GatherAndLint(reg)
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "webrtc_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// askAgain asks for two packets again that were sent, and for one that was not.
func askAgain(t *testing.T, reg *prometheus.Registry, sub *caller) {
	before := scrape(t, reg)
	got := sub.Packets(webrtc.RTPCodecTypeVideo)
	last := got[len(got)-1]
	ask := &rtcp.TransportLayerNack{MediaSSRC: last.SSRC, Nacks: []rtcp.NackPair{
		{PacketID: last.SequenceNumber - 5, LostPackets: 1 << 1}, {PacketID: last.SequenceNumber + 1000},
	}}
	if err := sub.PC.WriteRTCP([]rtcp.Packet{ask, &rtcp.PictureLossIndication{MediaSSRC: last.SSRC}}); err != nil {
		t.Fatal(err)
	}
	var after map[string]float64
	webrtctest.Eventually(t, "feedback is counted", func() bool {
		after = scrape(t, reg)
		return after[`webrtc_keyframe_requests_total{direction="received",kind="pli"}`] > before[`webrtc_keyframe_requests_total{direction="received",kind="pli"}`]
	})
	for name, want := range map[string]float64{
		"webrtc_nacked_packets_total": 3, `webrtc_resends_total{result="sent"}`: 2, `webrtc_resends_total{result="missing"}`: 1,
		`webrtc_resends_total{result="budget"}`: 0,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s grew by %v, want %v", name, got, want)
		}
	}
	// 2 bytes of the original number besides header, payload and tag.
	if size := after["webrtc_resent_bytes_total"] - before["webrtc_resent_bytes_total"]; size < 2*(12+2+19+16) {
		t.Errorf("%v bytes sent again", size)
	}
}
