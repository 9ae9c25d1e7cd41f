package transport

import (
	"net/netip"
	"os"
	"testing"
	"time"

	pionice "github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/test/netem"
)

// farOptions put a Browser at the far end of a cable.
func farOptions(t *testing.T, link *netem.Link) webrtctest.Options {
	mux := pionice.NewUDPMuxDefault(pionice.UDPMuxParams{UDPConn: link.Listen(t)})
	t.Cleanup(func() { _ = mux.Close() })
	return webrtctest.Options{Setting: func(s *webrtc.SettingEngine) {
		s.SetICEUDPMux(mux)
		s.SetInterfaceFilter(func(string) bool { return true })
	}}
}

// narrow opens a cable with an Engine at its near end.
func narrow(t *testing.T) (*netem.Link, *Engine) {
	t.Helper()
	if os.Getenv("GOVIDU_NETWORK") == "" {
		t.Skip("takes long, needs a namespace and judges times: GOVIDU_NETWORK=1")
	}
	link := netem.Open(t)
	return link, newEngine(t, func(c *Config) {
		c.ListenIPs = []netip.Addr{netip.MustParseAddr("127.0.0.1"), link.Here}
		c.Shards = 1
	})
}

// film sends 30 frames per second of one packet of 900 bytes, each three seconds a
// keyframe of so many packets, until a time; it gives the number of packets.
func film(t *testing.T, pub *client, key int, until time.Time) (sent int) {
	t.Helper()
	tick := time.NewTicker(time.Second / 30)
	defer tick.Stop()
	seq := uint16(0)
	for n := 0; time.Now().Before(until); n++ {
		<-tick.C
		count := 1
		if n%90 == 0 {
			count = key
		}
		for i := range count {
			payload := make([]byte, 900)
			payload[0], payload[1] = 0x10, 1
			if i > 0 {
				payload[0] = 0
			}
			if count > 1 {
				payload[1] = 0
				copy(payload[4:], []byte{0x9d, 1, 0x2a, 0x40, 1, 0xf0, 0})
			}
			seq++
			sent++
			if err := pub.Video.WriteRTP(&rtp.Packet{
				Header:  rtp.Header{Version: 2, Marker: i == count-1, SequenceNumber: seq, Timestamp: uint32(n) * 3000},
				Payload: payload,
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return sent
}

// TestREMBOfTheWay wants a publisher that counts on REMB told of a way that becomes
// narrow within three seconds, kept there, and let up again.
func TestREMBOfTheWay(t *testing.T) {
	cable, e := narrow(t)
	o := rembOptions()
	o.Setting = farOptions(t, cable).Setting
	pub := newPublisher(t, e, o, webrtc.MimeTypeVP8)
	begin := time.Now()
	send := func(seconds int) (most, least float32) {
		from := len(pub.REMBs())
		pub.obey(time.Now().Add(time.Duration(seconds)*time.Second), 1_500_000)
		out, _ := cable.Waiting()
		_, in := cable.Waiting()
		for _, bps := range pub.REMBs()[from:] {
			if most = max(most, bps); least == 0 || bps < least {
				least = bps
			}
		}
		t.Logf("%v: REMB from %.0f to %.0f, waiting %v and %v", time.Since(begin).Round(time.Second), least, most, out, in)
		return most, least
	}
	cable.Set(netem.Profile{Rate: 2_000_000, Queue: 500 * time.Millisecond, Delay: 20 * time.Millisecond})
	if most, _ := send(8); most < 1_200_000 {
		t.Errorf("at most %v where there is room", most)
	}
	cable.Set(netem.Profile{Rate: 400_000, Queue: 500 * time.Millisecond, Delay: 20 * time.Millisecond})
	send(3)
	if most, least := send(15); most > 500_000 || least < 120_000 {
		t.Errorf("%v to %v on a way of 400 kbit/s", least, most)
	}
	cable.Set(netem.Profile{Rate: 2_000_000, Queue: 500 * time.Millisecond, Delay: 20 * time.Millisecond})
	if most, _ := send(30); most < 1_000_000 {
		t.Errorf("at most %v when the way is wide again", most)
	}
}

// TestPacing wants fewer packets lost in front of a narrow way than without pacing,
// and all the more of them to arrive.
func TestPacing(t *testing.T) {
	lost := func(bursts bool) int64 {
		cable, e := narrow(t)
		e.cfg.bursts = bursts
		pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
		sub := newSubscriber(t, e, farOptions(t, cable))
		link(t, graph(pub.peer), sub.peer, true)
		cable.Set(netem.Profile{Rate: 600_000, Queue: 300 * time.Millisecond, Delay: 20 * time.Millisecond})
		sent := film(t, pub, 40, time.Now().Add(25*time.Second))
		out, _ := cable.Counters()
		c := e.Capacity()
		t.Logf("bursts %v: %d sent, %d dropped in front of the way, %d paced, resends %v", bursts, sent, out.Overflowed, c.PacedPackets, c.Resends)
		return out.Overflowed
	}
	if burst, paced := lost(true), lost(false); paced > burst/2 {
		t.Errorf("%d dropped with pacing, %d without", paced, burst)
	}
}
