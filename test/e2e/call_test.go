package e2e

import (
	"fmt"
	"testing"
	"time"
)

// eventDeadline is for what happens at once when the machine is idle: ten
// times two seconds.
const eventDeadline = 20 * time.Second

// small is a publication that two cores can encode and decode many times over.
func small() map[string]any {
	return map[string]any{"resolution": "320x240", "frameRate": 20}
}

// TestThreePages is the first call: three pages on unmodified openvidu-browser
// 2.32.2, and everything that the contract promises them. The parts build on
// each other, as in a call.
func TestThreePages(t *testing.T) {
	s := startServer(t)
	cable := startProxy(t, s.ports.HTTPS)
	id := s.session(nil)

	aliceToken, aliceID := s.connection(id, "MODERATOR", map[string]any{"data": "server says alice"})
	bobToken, bobID := s.connection(id, "PUBLISHER", nil)
	carolToken, carolID := s.connection(id, "PUBLISHER", nil)

	alice, bob, carol := openPage(t, "alice"), openPage(t, "bob"), openPage(t, "carol")
	a := alice.join(aliceToken, "client says alice")
	b := bob.join(bobToken, "")
	c := carol.join(at(t, carolToken, cable.port), "")
	for _, j := range []struct{ got, want string }{
		{a.ConnectionID, aliceID}, {b.ConnectionID, bobID}, {c.ConnectionID, carolID},
		{a.SessionID, id}, {a.Role, "MODERATOR"}, {b.Role, "PUBLISHER"},
		{a.Data, "client says alice%/%server says alice"},
	} {
		if j.got != j.want {
			t.Errorf("after the join the client reads %q, want %q", j.got, j.want)
		}
	}
	if !a.Capabilities["forceDisconnect"] || b.Capabilities["forceDisconnect"] {
		t.Errorf("capabilities: moderator %v, publisher %v", a.Capabilities, b.Capabilities)
	}
	bob.sees(eventDeadline, "alice", func(e event) bool {
		return e.Type == "connectionCreated" && e.ConnectionID == aliceID
	})

	aliceCam := alice.publish(small())
	bobCam := bob.publish(small())
	carolCam := carol.publish(small())
	if t.Failed() {
		return
	}

	use := func(t *testing.T) { // failures belong to the part that runs
		s.t = t
		for _, p := range []*page{alice, bob, carol} {
			p.t = t
		}
	}
	part := func(name string, f func(t *testing.T)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			use(t)
			f(t)
		})
		use(t)
	}

	part("each hears and sees the others", func(t *testing.T) {
		alice.hears(bobCam.StreamID, carolCam.StreamID)
		bob.hears(aliceCam.StreamID, carolCam.StreamID)
		carol.hears(aliceCam.StreamID, bobCam.StreamID)
		for streamID, m := range alice.inbound() {
			if m.VideoCodec != "video/VP8" || m.AudioCodec != "audio/opus" {
				t.Errorf("stream %s comes as %s and %s, want VP8 and Opus", streamID, m.VideoCodec, m.AudioCodec)
			}
		}
	})

	part("a signal reaches all, the sender too", func(t *testing.T) {
		bob.call("signal", map[string]any{"data": "hello all", "type": "chat"}, nil)
		for _, p := range []*page{alice, bob, carol} {
			p.sees(eventDeadline, "bob's signal", func(e event) bool {
				return e.Type == "signal" && e.Data == "hello all" && e.SignalType == "signal:chat" && e.From == bobID
			})
		}
		bob.call("signal", map[string]any{"data": "only alice", "type": "chat", "to": []string{aliceID}}, nil)
		alice.sees(eventDeadline, "a signal for her", func(e event) bool { return e.Type == "signal" && e.Data == "only alice" })
		s.rest(200, "POST", "/signal", map[string]any{"session": id, "data": "from the server", "type": "signal:note"}, nil)
		for _, p := range []*page{alice, bob, carol} {
			p.sees(eventDeadline, "the server's signal", func(e event) bool { return e.Type == "signal" && e.Data == "from the server" })
		}
		// Signals keep their order, so what carol has not got by now she will not get.
		for _, e := range carol.events() {
			if e.Data == "only alice" {
				t.Error("carol got a signal that was addressed to alice alone")
			}
		}
	})

	part("a mute is seen", func(t *testing.T) {
		for _, m := range []struct{ kind, property string }{{"audio", "audioActive"}, {"video", "videoActive"}} {
			for _, active := range []bool{false, true} {
				bob.call("mute", map[string]any{"kind": m.kind, "active": active}, nil)
				for _, p := range []*page{alice, carol} {
					p.sees(eventDeadline, fmt.Sprintf("bob's %s %v", m.property, active), func(e event) bool {
						return e.Type == "streamPropertyChanged" && e.StreamID == bobCam.StreamID &&
							e.Property == m.property && e.Value == active
					})
				}
			}
		}
		alice.hears(bobCam.StreamID)
	})

	part("unpublish and publish again", func(t *testing.T) {
		bob.call("unpublish", nil, nil)
		for _, p := range []*page{alice, carol} {
			e := p.sees(eventDeadline, "bob's stream go", func(e event) bool {
				return e.Type == "streamDestroyed" && e.StreamID == bobCam.StreamID
			})
			if e.Reason != "unpublish" {
				t.Errorf("%s: reason %q, want unpublish", p.name, e.Reason)
			}
		}
		again := bob.publish(small())
		if again.StreamID == bobCam.StreamID {
			t.Errorf("the new publication has the old stream id %s", again.StreamID)
		}
		bobCam = again
		alice.hears(bobCam.StreamID)
		carol.hears(bobCam.StreamID)
	})

	part("a socket cut for 5 s comes back", func(t *testing.T) {
		cable.setCut(true)
		joined := time.Now().Add(5 * time.Second) // half of the time that she has
		carol.sees(eventDeadline, "reconnecting", func(e event) bool { return e.Type == "reconnecting" })
		runFor(t, time.Until(joined), "carol stays in the session", func() error {
			r, err := s.try("GET", "/openvidu/api/sessions/"+id+"/connection/"+carolID, nil)
			if err != nil {
				return err
			}
			return want(r.Status == 200, "GET connection: %v", r)
		})
		cable.setCut(false)
		carol.sees(10*5*time.Second, "reconnected", func(e event) bool { return e.Type == "reconnected" })
		var now string
		if carol.call("connectionId", nil, &now); now != carolID {
			t.Errorf("carol came back as %s, was %s", now, carolID)
		}
		carol.call("signal", map[string]any{"data": "back again", "type": "chat"}, nil)
		for _, p := range []*page{alice, bob, carol} {
			p.sees(eventDeadline, "carol's signal", func(e event) bool { return e.Data == "back again" && e.From == carolID })
		}
		alice.hears(carolCam.StreamID)
		carol.hears(aliceCam.StreamID, bobCam.StreamID)
		for _, p := range []*page{alice, bob} {
			for _, e := range p.events() {
				if e.Type == "connectionDestroyed" && e.ConnectionID == carolID || e.Type == "streamDestroyed" && e.StreamID == carolCam.StreamID {
					t.Errorf("%s saw %+v although carol came back in time", p.name, e)
				}
			}
		}
	})

	part("a socket that falls silent is replaced", func(t *testing.T) {
		back := func() (n int) {
			for _, e := range carol.events() {
				if e.Type == "reconnected" {
					n++
				}
			}
			return n
		}
		before := back()
		cable.silence()
		// The client pings every 5 s and gives a pong 5 s.
		eventually(t, 100*time.Second, "carol comes back on a new socket", func() error { return want(back() > before, "not yet") })
		var now string
		if carol.call("connectionId", nil, &now); now != carolID {
			t.Errorf("carol came back as %s, was %s", now, carolID)
		}
		carol.call("signal", map[string]any{"data": "on a new socket", "type": "chat"}, nil)
		for _, p := range []*page{alice, bob, carol} {
			p.sees(eventDeadline, "carol's signal", func(e event) bool { return e.Data == "on a new socket" && e.From == carolID })
		}
		alice.hears(carolCam.StreamID)
	})

	part("a moderator ends a publication", func(t *testing.T) {
		alice.call("forceUnpublish", bobCam.StreamID, nil)
		e := bob.sees(eventDeadline, "his stream go", func(e event) bool {
			return e.Type == "publisher.streamDestroyed" && e.StreamID == bobCam.StreamID
		})
		if e.Reason != "forceUnpublishByUser" {
			t.Errorf("bob: reason %q, want forceUnpublishByUser", e.Reason)
		}
		carol.sees(eventDeadline, "bob's stream go", func(e event) bool {
			return e.Type == "streamDestroyed" && e.StreamID == bobCam.StreamID && e.Reason == "forceUnpublishByUser"
		})
	})

	part("a subscriber watches, cannot publish, and is sent away", func(t *testing.T) {
		token, danID := s.connection(id, "SUBSCRIBER", nil)
		dan := openPage(t, "dan")
		if j := dan.join(token, ""); j.Role != "SUBSCRIBER" {
			t.Errorf("dan's role is %q", j.Role)
		}
		dan.hears(aliceCam.StreamID, carolCam.StreamID)
		if e := dan.refused("publish", small()); e.Name != "OPENVIDU_PERMISSION_DENIED" {
			t.Errorf("publishing as a subscriber: %v, want OPENVIDU_PERMISSION_DENIED", e)
		}
		if e := bob.refused("forceDisconnect", danID); e.Name != "OPENVIDU_PERMISSION_DENIED" {
			t.Errorf("force-disconnecting as a publisher: %v, want OPENVIDU_PERMISSION_DENIED", e)
		}
		alice.sees(eventDeadline, "dan", func(e event) bool { return e.Type == "connectionCreated" && e.ConnectionID == danID })
		alice.call("forceDisconnect", danID, nil)
		if e := dan.sees(eventDeadline, "his end", func(e event) bool { return e.Type == "sessionDisconnected" }); e.Reason != "forceDisconnectByUser" {
			t.Errorf("dan: reason %q, want forceDisconnectByUser", e.Reason)
		}
		bob.sees(eventDeadline, "dan go", func(e event) bool {
			return e.Type == "connectionDestroyed" && e.ConnectionID == danID && e.Reason == "forceDisconnectByUser"
		})
		s.rest(404, "GET", "/sessions/"+id+"/connection/"+danID, nil, nil)

		thief := openPage(t, "thief")
		thief.refused("join", map[string]any{"token": token, "data": ""})
		thief.refused("join", map[string]any{"token": aliceToken, "data": ""})
	})

	part("a page that dies is evicted after the window", func(t *testing.T) {
		died := time.Now()
		carol.crash()
		e := alice.sees(100*time.Second, "carol go", func(e event) bool {
			return e.Type == "connectionDestroyed" && e.ConnectionID == carolID
		})
		waited := time.Since(died)
		t.Logf("evicted %.1f s after the crash", waited.Seconds())
		if e.Reason != "networkDisconnect" {
			t.Errorf("reason %q, want networkDisconnect", e.Reason)
		}
		if waited < 9*time.Second {
			t.Errorf("evicted %v after the crash: the reconnection window is 10 s", waited)
		}
		if strictTimes() && waited > 26*time.Second {
			t.Errorf("evicted %v after the crash, want at most 26 s", waited)
		}
		s.rest(404, "GET", "/sessions/"+id+"/connection/"+carolID, nil, nil)
		alice.sees(eventDeadline, "carol's stream go", func(e event) bool {
			return e.Type == "streamDestroyed" && e.StreamID == carolCam.StreamID
		})
	})

	s.healthy()
}

// TestLoopback: a publisher that subscribes to its own stream gets it back on
// the same peer connection.
func TestLoopback(t *testing.T) {
	s := startServer(t)
	id := s.session(nil)
	token, _ := s.connection(id, "PUBLISHER", nil)
	p := openPage(t, "loop")
	p.join(token, "")
	options := small()
	options["loopback"] = true
	pub := p.publish(options)
	p.hears(pub.StreamID)
	if m := p.inbound()[pub.StreamID]; m.VideoCodec != "video/VP8" || m.AudioCodec != "audio/opus" {
		t.Errorf("the stream comes back as %s and %s", m.VideoCodec, m.AudioCodec)
	}
	s.healthy()
}

// TestBandwidth publishes noise, which takes all the bitrate it may have. The
// default limit of 1000 kbit/s holds it down from the first second; a connection
// without a limit goes beyond, which shows that the first one wanted to.
func TestBandwidth(t *testing.T) {
	s := startServer(t)
	id := s.session(nil)
	noise := map[string]any{"noise": true, "publishAudio": false, "audioSource": false}
	type sending struct {
		Video struct {
			At, Bytes, Target float64
			Codec             string
		}
	}
	const limit = 1000_000 // bit/s
	rate := func(p *page, before *sending) float64 {
		var now sending
		p.call("outbound", nil, &now)
		bits := (now.Video.Bytes - before.Video.Bytes) * 8000 / (now.Video.At - before.Video.At)
		*before = now
		return bits
	}

	token, _ := s.connection(id, "PUBLISHER", nil)
	held := openPage(t, "held")
	held.join(token, "")
	held.publish(noise)
	var last sending
	held.call("outbound", nil, &last)
	if last.Video.Codec != "video/VP8" {
		t.Errorf("the page sends %s, want VP8", last.Video.Codec)
	}
	var highest float64
	watch := func() error {
		highest = max(highest, last.Video.Target)
		return want(last.Video.Target <= 1.01*limit, "target %.0f bit/s", last.Video.Target)
	}
	eventually(t, 100*time.Second, "the bitrate nears the limit", func() error {
		rate(held, &last)
		if err := watch(); err != nil {
			t.Fatal(err)
		}
		return want(last.Video.Target >= 0.7*limit, "target %.0f bit/s", last.Video.Target)
	})
	first := last
	runFor(t, 4*time.Second, "the target stays below the limit", func() error {
		rate(held, &last)
		return watch()
	})
	sent := (last.Video.Bytes - first.Video.Bytes) * 8000 / (last.Video.At - first.Video.At)
	t.Logf("limited: highest target %.0f bit/s, sent %.0f bit/s", highest, sent)
	if sent > 1.1*limit {
		t.Errorf("the page sent %.0f bit/s, limit %d", sent, limit)
	}
	held.close()

	token, _ = s.connection(id, "PUBLISHER", map[string]any{"kurentoOptions": map[string]any{"videoMaxRecvBandwidth": 0}})
	free := openPage(t, "free")
	free.join(token, "")
	free.publish(noise)
	eventually(t, 100*time.Second, "a connection without a limit goes beyond 1.2 Mbit/s", func() error {
		rate(free, &last)
		return want(last.Video.Target > 1.2*limit, "target %.0f bit/s", last.Video.Target)
	})
	t.Logf("unlimited: target %.0f bit/s", last.Video.Target)
	s.healthy()
}

// TestSignallingRefusals asks the server itself for what the client library
// would not even send.
func TestSignallingRefusals(t *testing.T) {
	s := startServer(t)
	id := s.session(nil)
	modToken, _ := s.connection(id, "MODERATOR", nil)
	pubToken, _ := s.connection(id, "PUBLISHER", nil)
	subToken, _ := s.connection(id, "SUBSCRIBER", nil)
	mod, pub, sub := dialWire(t, s), dialWire(t, s), dialWire(t, s)

	sub.fails(803, "sendMessage", map[string]any{"message": "{}"}) // before joinRoom
	joined := mod.join(id, modToken)
	for _, key := range []string{"id", "createdAt", "metadata", "value", "session", "version", "mediaServer", "role", "sessionId", "customIceServers", "finalUserId"} {
		if joined[key] == nil {
			t.Errorf("joinRoom's result lacks %s: %v", key, joined)
		}
	}
	if servers, _ := joined["customIceServers"].([]any); len(servers) == 0 {
		t.Error("customIceServers is empty: the client would ask public servers")
	}
	pub.join(id, pubToken)
	sub.join(id, subToken)

	offer := map[string]any{
		"sdpOffer": "v=0\r\n", "doLoopback": false, "hasAudio": true, "hasVideo": false,
		"audioActive": true, "videoActive": false, "typeOfVideo": "CAMERA", "frameRate": 30, "videoDimensions": "{}",
	}
	sub.fails(401, "publishVideo", offer)
	pub.fails(302, "publishVideo", offer) // allowed to, but that is no SDP
	for _, w := range []*wire{pub, sub} {
		w.fails(401, "forceDisconnect", map[string]any{"connectionId": mod.id})
		w.fails(401, "forceUnpublish", map[string]any{"streamId": "str_CAM_Aaaa_" + mod.id})
	}
	mod.fails(102, "forceDisconnect", map[string]any{"connectionId": "con_Nobody"})
	pub.fails(105, "unpublishVideo", map[string]any{})
	pub.fails(600, "sendMessage", map[string]any{"message": "no object"})
	pub.fails(601, "sendMessage", map[string]any{"message": `{"to":["con_Nobody"],"data":"x","type":"signal:x"}`})
	sub.fails(102, "receiveVideoFrom", map[string]any{"sender": "str_CAM_Aaaa_con_Nobody", "sdpOffer": "v=0\r\n"})

	again := dialWire(t, s)
	again.fails(401, "joinRoom", joinParams(id, subToken)) // used
	again.fails(401, "joinRoom", joinParams(id, "tok_Aaaaaaaaaaaaaaaaaaaaaaa"))
	again.fails(202, "joinRoom", joinParams("ses_Nowhere000", subToken))
	again.fails(40007, "connect", map[string]any{"sessionId": "nobody's private id", "reconnect": true})

	// All three are still in and can talk.
	sub.ok("sendMessage", map[string]any{"message": `{"to":[],"data":"still here","type":"signal:x"}`})
	for _, w := range []*wire{mod, pub, sub} {
		w.hears(eventDeadline, "sendMessage", func(p map[string]any) bool { return p["data"] == "still here" && p["from"] == sub.id })
	}
	s.healthy()
}
