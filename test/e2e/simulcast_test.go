package e2e

import (
	"testing"
)

// negotiation is how a peer connection of a page came about.
type negotiation struct {
	Remote string   // "offer" when the server offered
	RIDs   []string // layers of the page's own description
}

func (p *page) negotiation(streamID any) negotiation {
	p.t.Helper()
	var n negotiation
	p.call("negotiation", streamID, &n)
	return n
}

// TestMediasoupClients: with OPENVIDU_WEBRTC_SIMULCAST the unmodified library is
// offered to when it subscribes, and when it does so again; an old client in the
// same session offers itself, as ever.
func TestMediasoupClients(t *testing.T) {
	s := startServer(t, "--webrtc-simulcast")
	cable := startProxy(t, s.ports.HTTPS)
	id := s.session(nil)
	aliceToken, _ := s.connection(id, "PUBLISHER", nil)
	bobToken, _ := s.connection(id, "PUBLISHER", nil)
	oldToken, _ := s.connection(id, "SUBSCRIBER", nil)

	alice, bob := openPage(t, "alice"), openPage(t, "bob")
	alice.join(aliceToken, "")
	bob.join(at(t, bobToken, cable.port), "")
	aliceCam := alice.publish(small())
	bobCam := bob.publish(small())
	alice.hears(bobCam.StreamID)
	bob.hears(aliceCam.StreamID)
	if n := alice.negotiation(nil); n.Remote != "answer" {
		t.Errorf("the publisher's remote description is of type %s", n.Remote)
	}
	if n := bob.negotiation(aliceCam.StreamID); n.Remote != "offer" {
		t.Errorf("the subscriber's remote description is of type %s", n.Remote)
	}

	old := dialWire(t, s)
	params := joinParams(id, oldToken)
	delete(params, "sdkVersion") // 2.20 and before
	if r := old.ok("joinRoom", params); r["mediaServer"] != "kurento" || r["videoSimulcast"] != false {
		t.Errorf("an old client is told %v and %v", r["mediaServer"], r["videoSimulcast"])
	}
	old.fails(301, "prepareReceiveVideoFrom", map[string]any{"sender": aliceCam.StreamID})

	// Both the socket and the media are lost: the library prepares anew.
	bob.call("breakMedia", aliceCam.StreamID, nil)
	cable.setCut(true)
	bob.sees(eventDeadline, "that it reconnects", func(e event) bool { return e.Type == "reconnecting" })
	cable.setCut(false)
	bob.sees(eventDeadline, "that it reconnected", func(e event) bool { return e.Type == "reconnected" })
	bob.hears(aliceCam.StreamID)
	if n := bob.negotiation(aliceCam.StreamID); n.Remote != "offer" {
		t.Errorf("after the reconnection the remote description is of type %s", n.Remote)
	}
	alice.hears(bobCam.StreamID)

	bob.call("unsubscribe", aliceCam.StreamID, nil)
	alice.call("leave", nil, nil)
	bob.sees(eventDeadline, "that alice left", func(e event) bool { return e.Type == "connectionDestroyed" })
	var config map[string]any
	s.rest(200, "GET", "/config", nil, &config)
	if config["OPENVIDU_WEBRTC_SIMULCAST"] != true {
		t.Errorf("the configuration shows %v", config["OPENVIDU_WEBRTC_SIMULCAST"])
	}
	s.healthy()
}

// layerState is GET …/layer/{streamId}.
type layerState struct {
	Current struct{ SpatialLayer, TemporalLayer int }
	Layers  []struct {
		SpatialLayer, TemporalLayer, Width, Height, Bps int
		RID                                             string
		Active                                          bool
	}
}

// pictures are the heights of the layers that come, from the smallest up.
func (l layerState) pictures() []int {
	var out []int
	for _, x := range l.Layers {
		if x.Active && x.TemporalLayer == 0 && x.RID != "" {
			out = append(out, x.Height)
		}
	}
	return out
}

// TestLayers: Chromium publishes three sizes, and a subscriber gets the one that is
// wished for it. A build that does not forward by layers asks nobody for them and
// says so to who wishes.
func TestLayers(t *testing.T) {
	s := startServer(t, "--webrtc-simulcast")
	id := s.session(nil)
	free := map[string]any{"kurentoOptions": map[string]any{"videoMaxRecvBandwidth": 0, "videoMaxSendBandwidth": 0}}
	aliceToken, _ := s.connection(id, "PUBLISHER", free)
	bobToken, bobID := s.connection(id, "SUBSCRIBER", free)
	earToken, _ := s.connection(id, "SUBSCRIBER", nil)
	layered := dialWire(t, s).join(id, earToken)["videoSimulcast"] == true

	alice, bob := openPage(t, "alice"), openPage(t, "bob")
	alice.join(aliceToken, "")
	bob.join(bobToken, "")
	cam := alice.publish(map[string]any{"resolution": "960x540", "frameRate": 15})
	path := "/sessions/" + id + "/connection/" + bobID + "/layer/" + cam.StreamID
	eventually(t, eventDeadline, "bob receives", func() error {
		return want(bob.inbound()[cam.StreamID].FramesDecoded > 0, "no frame yet")
	})
	s.rest(404, "GET", "/sessions/"+id+"/connection/"+bobID+"/layer/str_CAM_None_con_X", nil, nil)
	s.rest(400, "PUT", path, map[string]any{"spatialLayer": 9}, nil)
	if !layered {
		if n := alice.negotiation(nil); len(n.RIDs) != 0 {
			t.Errorf("the publisher sends layers %v that nobody asked for", n.RIDs)
		}
		s.rest(501, "PUT", path, map[string]any{"spatialLayer": 0}, nil)
		return
	}
	if n := alice.negotiation(nil); len(n.RIDs) != 3 {
		t.Fatalf("the publisher sends layers %v", n.RIDs)
	}
	var state layerState
	eventually(t, 4*eventDeadline, "three layers come", func() error {
		s.rest(200, "GET", path, nil, &state)
		return want(len(state.pictures()) == 3, "there are %+v", state)
	})
	t.Logf("layers %+v", state.Layers)
	// gets wishes and waits until the picture has that height.
	gets := func(what string, wish map[string]any, height float64) {
		t.Helper()
		s.rest(200, "PUT", path, wish, nil)
		frames := bob.inbound()[cam.StreamID].FramesDecoded
		eventually(t, 4*eventDeadline, what, func() error {
			m := bob.inbound()[cam.StreamID]
			return want(m.FrameHeight == height && m.FramesDecoded >= frames+10, "%v frames of height %v", m.FramesDecoded-frames, m.FrameHeight)
		})
	}
	gets("the smallest picture", map[string]any{"spatialLayer": 0}, 135)
	before := bob.inbound()[cam.StreamID]
	eventually(t, 2*eventDeadline, "the smallest layer is under 250 kbit/s", func() error {
		now := bob.inbound()[cam.StreamID]
		seconds := (now.At - before.At) / 1000
		if seconds < 2 {
			return want(false, "only %.1f s have passed", seconds)
		}
		rate := (now.VideoBytes - before.VideoBytes) * 8 / seconds
		before = now
		return want(rate < 250_000, "%.0f bit/s", rate)
	})
	gets("the picture that fills a tile", map[string]any{"width": 300, "height": 150}, 270)
	gets("the best picture", map[string]any{}, 540)
	gets("the smallest again", map[string]any{"spatialLayer": 0, "temporalLayer": 0}, 135)
	s.rest(200, "GET", path, nil, &state)
	if state.Current.SpatialLayer != 0 {
		t.Errorf("current layer %+v", state.Current)
	}
	s.healthy()
}
