package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/govidu/govidu/test/netem"
)

// flexFECTrials have Chromium offer FlexFEC to send it, too; to receive it, it
// always does.
const flexFECTrials = "--force-fieldtrials=WebRTC-FlexFEC-03-Advertised/Enabled/WebRTC-FlexFEC-03/Enabled/"

// farAndLossy is a way on which a resent packet comes late.
var farAndLossy = netem.Profile{Loss: 0.05, Delay: 80 * time.Millisecond}

// TestFlexFECSubscriber: Chromium at the end of a long way that loses packets is sent
// repair packets, for as long as it loses them.
func TestFlexFECSubscriber(t *testing.T) {
	if os.Getenv("GOVIDU_NETWORK") == "" {
		t.Skip("takes a minute and needs a namespace: GOVIDU_NETWORK=1")
	}
	s, link := farServer(t)
	far := farBrowser(t, link)
	s.session(map[string]any{"customSessionId": "fec", "forcedVideoCodec": "NONE"})
	link.Set(netem.Profile{Delay: farAndLossy.Delay})
	players := newCast(t, s, "fec")
	players.until(1)
	page := openPageOn(t, far, "spectator")
	token, _ := s.connection("fec", "SUBSCRIBER", nil)
	page.join(through(t, token, s, link), "")
	stream := players.players[0].streamID
	page.hears(stream)
	if n := page.inbound()[stream].FECPackets; n > 0 {
		t.Errorf("%v repair packets while nothing is lost", n)
	}
	link.Set(farAndLossy)
	eventually(t, 30*time.Second, "repair packets", func() error {
		m := page.inbound()[stream]
		return want(m.FECPackets > 10, "%v repair packets, %v NACKs", m.FECPackets, m.NACKs)
	})
	first := page.inbound()[stream]
	during(15 * time.Second)
	last := page.inbound()[stream]
	packets, fec := last.VideoPackets-first.VideoPackets, last.FECPackets-first.FECPackets
	span := (last.At - first.At) / 1000
	t.Logf("%.0f s: %.0f packets, %.0f of repair, %.0f sent again, %.0f NACKs, %.0f PLIs; %.1f pictures a second, %.2f s frozen; waited %.0f ms",
		span, packets, fec, last.Repaired-first.Repaired, last.NACKs-first.NACKs, last.PLIs-first.PLIs, (last.FramesDecoded-first.FramesDecoded)/span,
		last.Freezes-first.Freezes, 1000*(last.Waited-first.Waited)/(last.Emitted-first.Emitted))
	if fec < packets/40 || fec > packets/2 {
		t.Errorf("%v repair packets for %v", fec, packets)
	}
}

// TestFlexFECPublisher: what a Chromium at the end of such a way sends is made
// whole by its repair packets.
func TestFlexFECPublisher(t *testing.T) {
	if os.Getenv("GOVIDU_NETWORK") == "" {
		t.Skip("takes a minute and needs a namespace: GOVIDU_NETWORK=1")
	}
	s, link := farServer(t)
	far := farBrowser(t, link, flexFECTrials)
	s.session(map[string]any{"customSessionId": "fec", "forcedVideoCodec": "NONE"})
	link.Set(netem.Profile{Delay: farAndLossy.Delay})
	page, near := openPageOn(t, far, "publisher"), openPage(t, "spectator")
	token, _ := s.connection("fec", "PUBLISHER", nil)
	page.join(through(t, token, s, link), "")
	token, _ = s.connection("fec", "SUBSCRIBER", nil)
	near.join(token, "")
	cam := page.publish(map[string]any{"resolution": "640x480"})
	near.hears(cam.StreamID)
	link.Set(farAndLossy)
	const metric = "webrtc_fec_recovered_total"
	before := s.metric(metric)
	eventually(t, 60*time.Second, "packets are recovered", func() error {
		n := s.metric(metric) - before
		return want(n >= 20, "%v recovered", n)
	})
	first := near.inbound()[cam.StreamID]
	during(10 * time.Second)
	last := near.inbound()[cam.StreamID]
	span := (last.At - first.At) / 1000
	t.Logf("%v recovered; the spectator: %.1f pictures a second, %.2f s frozen, %.0f PLIs", s.metric(metric)-before, (last.FramesDecoded-first.FramesDecoded)/span, last.Freezes-first.Freezes, last.PLIs-first.PLIs)
	if last.FramesDecoded <= first.FramesDecoded {
		t.Error("the picture stands still")
	}
}
