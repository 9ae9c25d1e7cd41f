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
