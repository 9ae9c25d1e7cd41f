package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/govidu/govidu/test/actor"
	"github.com/govidu/govidu/test/netem"
)

// during lets things run for a length that is itself what is tested, and waits for
// nothing.
func during(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

// layered has a player join that publishes the same pictures in three sizes.
func layered(t testing.TB, s *server, session string) *player {
	t.Helper()
	clips := actor.Layers(t, 1) // first: a socket that does not join in time is closed
	p := &player{wire: dialWire(t, s), begin: time.Now()}
	p.token, p.connection = s.connection(session, "PUBLISHER", nil)
	p.ok("joinRoom", joinParams(session, p.token))
	p.Sender = actor.NewSimulcast(t, clips, p.begin)
	answer := p.ok("publishVideo", map[string]any{
		"sdpOffer": p.Offer(), "doLoopback": false, "hasAudio": true, "hasVideo": true, "audioActive": true, "videoActive": true,
		"typeOfVideo": "CAMERA", "frameRate": 25, "videoDimensions": `{"width":640,"height":360}`,
	})
	p.streamID, _ = answer["id"].(string)
	p.connect(answer)
	return p
}

// TestRateDrop (scoreboard N3): the way to a spectator in Chromium takes 2 Mbit/s,
// then 300 kbit/s, then 2 Mbit/s again. The picture gets smaller and larger with it,
// what waits on the way becomes little, and sound goes on.
func TestRateDrop(t *testing.T) {
	if os.Getenv("GOVIDU_NETWORK") == "" {
		t.Skip("takes minutes, needs a namespace and judges times: GOVIDU_NETWORK=1")
	}
	s, link := farServer(t, "--webrtc-simulcast")
	far := farBrowser(t, link)
	wide := netem.Profile{Delay: 40 * time.Millisecond, Rate: 2_000_000, Queue: time.Second}
	narrow := wide
	narrow.Rate = 300_000
	link.Set(netem.Profile{Delay: wide.Delay})
	id := s.session(map[string]any{"forcedVideoCodec": "NONE"})
	stream := layered(t, s, id).streamID
	page := openPageOn(t, far, "spectator")
	token, _ := s.connection(id, "SUBSCRIBER", nil)
	page.join(through(t, token, s, link), "")
	page.hears(stream)
	link.Set(wide)

	begin := time.Now()
	// until watches until the picture has a height, and tells how long that took, how
	// long sound paused meanwhile and how much was concealed.
	until := func(what string, limit time.Duration, ok func(height float64) bool) {
		t.Helper()
		since := time.Now()
		heard, gap := time.Now(), time.Duration(0)
		first := page.inbound()[stream]
		last := first
		height := 0.
		for time.Since(since) < limit+10*time.Second {
			now := page.inbound()[stream]
			if now.AudioPackets > last.AudioPackets {
				heard = time.Now()
			}
			gap = max(gap, time.Since(heard))
			if now.FrameHeight != height {
				out, _ := link.Waiting()
				t.Logf("%5.1f s: %s: %.0f high; %v waits on the way", time.Since(begin).Seconds(), what, now.FrameHeight, out.Round(time.Millisecond))
				height = now.FrameHeight
			}
			last = now
			if ok(height) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		took := time.Since(since)
		concealed := (last.AudioConcealed - first.AudioConcealed) / max(last.AudioSamples-first.AudioSamples, 1)
		t.Logf("%s after %.1f s; no sound came for %v at most, %.1f %% of it concealed", what, took.Seconds(), gap.Round(time.Millisecond), 100*concealed)
		if took > limit {
			t.Errorf("%s: after %v, want at most %v", what, took, limit)
		}
		if gap > time.Second {
			t.Errorf("%s: no packet of sound for %v", what, gap)
		}
	}
	until("the largest picture", 20*time.Second, func(h float64) bool { return h >= 360 })
	during(3 * time.Second)

	link.Set(narrow)
	dropped := time.Now()
	until("a smaller picture", 3*time.Second, func(h float64) bool { return h > 0 && h < 360 })
	for time.Since(dropped) < 5*time.Second {
		time.Sleep(50 * time.Millisecond)
	}
	first, worst := page.inbound()[stream], time.Duration(0)
	for time.Since(dropped) < 15*time.Second {
		out, _ := link.Waiting()
		worst = max(worst, out)
		time.Sleep(20 * time.Millisecond)
	}
	last := page.inbound()[stream]
	concealed := (last.AudioConcealed - first.AudioConcealed) / (last.AudioSamples - first.AudioSamples)
	fps := (last.FramesDecoded - first.FramesDecoded) / ((last.At - first.At) / 1000)
	t.Logf("from 5 s on %v waits on the way at most, %.1f %% of the sound concealed, %.1f pictures/s", worst, 100*concealed, fps)
	if worst > 400*time.Millisecond {
		t.Errorf("%v waits on the way, want at most 400ms", worst)
	}
	if concealed > 0.05 || fps < 5 {
		t.Errorf("%.1f %% of the sound is concealed, %.1f pictures/s", 100*concealed, fps)
	}

	link.Set(wide)
	until("the largest picture again", 20*time.Second, func(h float64) bool { return h >= 360 })
}

// prefers asks for a spatial layer, -1 for any.
func (p *page) prefers(streamID string, spatial int) (state layerState) {
	p.t.Helper()
	p.call("request", map[string]any{"method": "setPreferredLayer", "params": map[string]any{"streamId": streamID, "spatialLayer": spatial}}, &state)
	return state
}

// TestLayerSwitches: the unmodified library in Chromium publishes in three layers. A
// subscriber who asks for the lowest gets little, soon; who changes a hundred times
// sees no broken picture and no pause.
func TestLayerSwitches(t *testing.T) {
	if os.Getenv("GOVIDU_NETWORK") == "" {
		t.Skip("takes minutes and judges times: GOVIDU_NETWORK=1")
	}
	s := startServer(t, "--webrtc-simulcast", "--video-max-recv-bandwidth=0", "--video-max-send-bandwidth=0")
	id := s.session(nil)
	alice, bob := openPage(t, "alice"), openPage(t, "bob")
	for _, p := range []*page{alice, bob} {
		token, _ := s.connection(id, "PUBLISHER", nil)
		p.join(token, "")
	}
	cam := alice.publish(map[string]any{"resolution": "960x540", "frameRate": 15})
	if n := alice.negotiation(nil); len(n.RIDs) != 3 {
		t.Fatalf("the page offers the layers %v", n.RIDs)
	}
	stream := cam.StreamID
	bob.hears(stream)
	var state layerState
	eventually(t, 60*time.Second, "three layers come", func() error {
		state = bob.prefers(stream, -1)
		return want(len(state.pictures()) == 3, "%+v", state.Layers)
	})
	t.Logf("layers %+v", state.Layers)
	eventually(t, 40*time.Second, "the highest is shown", func() error {
		return want(bob.inbound()[stream].FrameHeight == 540, "%v high", bob.inbound()[stream].FrameHeight)
	})

	bob.prefers(stream, 0)
	during(2 * time.Second)
	first := bob.inbound()[stream]
	during(2 * time.Second)
	last := bob.inbound()[stream]
	kbps := (last.VideoBytes - first.VideoBytes) * 8 / (last.At - first.At)
	t.Logf("the lowest layer: %.0f kbit/s, %.0f high", kbps, last.FrameHeight)
	if kbps >= 250 || last.FrameHeight != 135 {
		t.Errorf("2 s after the lowest was asked for: %.0f kbit/s, %.0f high", kbps, last.FrameHeight)
	}

	bob.call("watchGaps", stream, nil)
	before, begin := bob.inbound()[stream], time.Now()
	const switches = 100
	slowest := time.Duration(0)
	for n := range switches {
		spatial := 2 * ((n + 1) % 2)
		asked := time.Now()
		bob.prefers(stream, spatial)
		eventually(t, 20*time.Second, "the other layer is shown", func() error {
			height := bob.inbound()[stream].FrameHeight
			return want((height == 540) == (spatial == 2) && (height == 135) == (spatial == 0), "%.0f high, layer %d is wanted", height, spatial)
		})
		slowest = max(slowest, time.Since(asked))
	}
	after := bob.inbound()[stream]
	var gaps struct {
		Worst, Frames float64
		At            [][2]float64
	}
	bob.call("gaps", stream, &gaps)
	t.Logf("%d switches in %.0f s, the slowest %v: %.0f frames decoded, %.0f dropped, %.0f PLIs, %.0f NACKs, %.0f freezes of %.2f s in all, longest pause %.0f ms",
		switches, time.Since(begin).Seconds(), slowest.Round(time.Millisecond), after.FramesDecoded-before.FramesDecoded, after.FramesDropped-before.FramesDropped,
		after.PLIs-before.PLIs, after.NACKs-before.NACKs, after.FreezeCount-before.FreezeCount, after.Freezes-before.Freezes, gaps.Worst)
	if n := after.PLIs - before.PLIs; n > 2 {
		t.Errorf("the decoder asked for %.0f keyframes", n)
	}
	if n := after.FramesDropped - before.FramesDropped; n > (after.FramesDecoded-before.FramesDecoded)/100 {
		t.Errorf("%.0f frames dropped of %.0f", n, after.FramesDecoded-before.FramesDecoded)
	}
	if gaps.Worst > 500 {
		t.Errorf("a pause of %.0f ms: %v", gaps.Worst, gaps.At)
	}
	s.healthy()
}
