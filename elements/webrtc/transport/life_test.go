package transport

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// TestPeerGoes closes the browser: its connection ends here too.
func TestPeerGoes(t *testing.T) {
	e := newEngine(t, nil)
	c := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	c.Close()
	eventually(t, "the connection is down", func() bool {
		return !c.peer.Connected() && read(c.heard, func(h *heard) bool { return slices.Contains(h.up, false) })
	})
}

// TestOrder wants what happens to a Peer told in the order that people expect.
func TestOrder(t *testing.T) {
	e := newEngine(t, nil)
	c := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	eventually(t, "it is told", func() bool { return read(c.heard, func(h *heard) bool { return len(h.up) > 0 }) })
	order := read(c.heard, func(h *heard) []string { return slices.Clone(h.order) })
	at := func(what string) int { return slices.Index(order, what) }
	states := read(c.heard, func(h *heard) []ICEState { return slices.Clone(h.ice) })
	if !slices.Equal(states, []ICEState{ICEChecking, ICEConnected}) {
		t.Errorf("ICE states %v", states)
	}
	if at("candidate") > at("done") || at("pair") < 0 || at("pair") > at("connected") {
		t.Errorf("order %v", order)
	}
	last := slices.Index(order[at("pair"):], "ice")
	if last < 0 {
		t.Errorf("connected was told before the pair: %v", order)
	}
	if pairs := c.peer.Pairs(); len(pairs) != 1 || !strings.HasPrefix(pairs[0].Local, "candidate:") {
		t.Errorf("pairs %v", pairs)
	}
}

// TestHeldBack wants no candidate before Gather, neither told nor in the answer.
func TestHeldBack(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.Receive()
	if err := c.peer.Gather(); err != nil {
		t.Fatalf("gather before negotiation: %v", err)
	}
	c2 := newClient(t, e, webrtctest.Options{})
	c2.Receive()
	answer, err := c2.peer.Answer(c2.Offer())
	if err != nil {
		t.Fatal(err)
	}
	c2.SetAnswer(answer)
	// The browser's candidates are in its offer, so it may even connect; ours
	// stay with us.
	eventually(t, "gathered inside", func() bool { c2.peer.mu.Lock(); defer c2.peer.mu.Unlock(); return c2.peer.legs[0].pending == 0 })
	local, _ := c2.peer.LocalDescription()
	if strings.Contains(answer, "candidate") || strings.Contains(local, "candidate") {
		t.Error("candidates in the description before gathering")
	}
	if n := read(c2.heard, func(h *heard) int { return len(h.candidates) }); n != 0 {
		t.Errorf("%d candidates told before gathering", n)
	}
	c2.trickle(func(Candidate) bool { return true })
	c2.connected()
	if local, _ = c2.peer.LocalDescription(); !strings.Contains(local, "a=candidate:") {
		t.Error("no candidates in the description after gathering")
	}
}

// TestMany makes and closes 50 peers in all stages; goleak watches the rest.
func TestMany(t *testing.T) {
	e := newEngine(t, nil)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	b := webrtctest.New(t, webrtctest.Options{})
	b.Receive()
	offer := b.Offer()
	for i := range 50 {
		wg.Go(func() {
			p, err := e.NewPeer(PeerConfig{Epoch: time.Now()})
			if err != nil {
				t.Error(err)
				return
			}
			switch i % 5 {
			case 0:
			case 1:
				if _, err := p.Answer(offer); err != nil {
					t.Error(err)
				}
			case 2:
				if _, err := p.Offer(OfferOptions{Audio: true, Video: true}); err != nil {
					t.Error(err)
				}
			case 3:
				if _, err := p.Answer("v=0\r\n"); err == nil {
					t.Error("answered nothing")
				}
			case 4:
				if _, err := p.Answer(offer); err != nil {
					t.Error(err)
				}
				_ = p.Gather()
			}
			for range 2 {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
			if _, err := p.Answer(offer); err == nil {
				t.Error("a closed peer answers")
			}
		})
	}
	wg.Wait()
	if n := e.Peers(); n != 0 {
		t.Errorf("%d peers left", n)
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+20 })
}

// TestOffer lets the browser answer us.
func TestOffer(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.peer.SetBandwidth(Bandwidth{MaxAudioRecv: 64, MaxVideoRecv: 700})
	offer, err := c.peer.Offer(OfferOptions{Audio: true, Video: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a=setup:actpass", "b=AS:64\r\n", "b=AS:700\r\n", "a=sendrecv"} {
		if !strings.Contains(offer, want) {
			t.Errorf("offer lacks %q", want)
		}
	}
	if _, err := c.peer.Offer(OfferOptions{Audio: true}); code(err) != 40208 {
		t.Errorf("second offer: %v", err)
	}
	if _, err := c.peer.Answer(offer); code(err) != 40208 {
		t.Errorf("answer after offer: %v", err)
	}
	if err := c.peer.SetAnswer("v=0\r\n"); code(err) != 40201 {
		t.Errorf("bad answer: %v", err)
	}
	c.trickle(func(Candidate) bool { return false })
	local, _ := c.peer.LocalDescription()
	answer := c.Browser.Answer(local)
	if err := c.peer.SetAnswer(answer); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	if err := c.peer.SetAnswer(answer); code(err) != 40209 {
		t.Errorf("second answer: %v", err)
	}
	c.connected()
}

// TestOfferShapes checks directions and dropped sections.
func TestOfferShapes(t *testing.T) {
	e := newEngine(t, nil)
	for name, x := range map[string]struct {
		cfg      PeerConfig
		o        OfferOptions
		want     string
		sections int
	}{
		"recvonly":   {PeerConfig{RecvOnly: true}, OfferOptions{true, true}, "a=recvonly", 2},
		"sendonly":   {PeerConfig{SendOnly: true}, OfferOptions{true, true}, "a=sendonly", 2},
		"video only": {PeerConfig{}, OfferOptions{Video: true}, "m=video", 1},
		"data":       {PeerConfig{DataChannels: true}, OfferOptions{true, true}, "webrtc-datachannel", 3},
	} {
		p, err := e.NewPeer(x.cfg)
		if err != nil {
			t.Fatal(err)
		}
		offer, err := p.Offer(x.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(offer, x.want) || strings.Count(offer, "m=") != x.sections {
			t.Errorf("%s: offer\n%s", name, offer)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPair lets two Peers of one Engine talk to each other.
func TestPair(t *testing.T) {
	e := newEngine(t, nil)
	var heards [2]*heard
	var peers [2]*Peer
	for i := range peers {
		heards[i] = &heard{}
		var err error
		if peers[i], err = e.NewPeer(PeerConfig{Epoch: time.Now(), Handler: heards[i].handler()}); err != nil {
			t.Fatal(err)
		}
		defer peers[i].Close()
	}
	offer, err := peers[0].Offer(OfferOptions{Audio: true, Video: true})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := peers[1].Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := peers[0].SetAnswer(answer); err != nil {
		t.Fatal(err)
	}
	for i, p := range peers {
		if err := p.Gather(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "gathering done", func() bool { return read(heards[i], func(h *heard) bool { return h.done }) })
		for _, c := range read(heards[i], func(h *heard) []Candidate { return h.candidates }) {
			if err := peers[1-i].AddCandidate(c); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "both connected", func() bool { return peers[0].Connected() && peers[1].Connected() })

	// A publisher's media goes through both to a subscriber.
	pub, sub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8), newSubscriber(t, e, webrtctest.Options{})
	link(t, graph(pub.peer), peers[0], true)
	link(t, graph(peers[1]), sub.peer, true)
	stream(t, "media through the pair", pub, func() bool { return true }, func() bool {
		return len(sub.Packets(videoKind)) > 10 && len(sub.Packets(audioKind)) > 10
	})
}

// TestPanic lets a Handler fail: its connection ends and says so, another goes on.
func TestPanic(t *testing.T) {
	e := newEngine(t, nil)
	other := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	c := &client{Browser: webrtctest.New(t, webrtctest.Options{}), heard: &heard{}}
	h := c.handler()
	connected := h.Connected
	h.Connected = func(up bool) {
		connected(up)
		if up {
			panic("a bug of ours")
		}
	}
	var err error
	if c.peer, err = e.NewPeer(PeerConfig{Epoch: time.Now(), Handler: h}); err != nil {
		t.Fatal(err)
	}
	defer c.peer.Close()
	c.Receive()
	c.negotiate()
	eventually(t, "the end is told", func() bool {
		return read(c.heard, func(h *heard) bool { return slices.Equal(h.up, []bool{true, false}) })
	})
	if n := e.Counters().Panics; n != 1 || c.peer.Connected() || !other.peer.Connected() {
		t.Errorf("%d panics; this one connected %v, the other %v", n, c.peer.Connected(), other.peer.Connected())
	}
}

// TestDatagramPanic has the code that reads a Peer's packets fail: that Peer ends,
// another goes on, on the same socket.
func TestDatagramPanic(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.Shards = 1 })
	other, c := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8), newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	outs := graph(other.peer)
	c.peer.under(func(*turn) {
		l := c.peer.transports[0]
		l.streams, l.recent, c.peer.videoIn.encs = nil, nil, nil // a bug of ours
	})
	stream(t, "the end is told", c, func() bool { return true }, func() bool {
		return read(c.heard, func(h *heard) bool { return slices.Equal(h.up, []bool{true, false}) })
	})
	if n := e.Counters().Panics; n != 1 {
		t.Errorf("%d panics counted", n)
	}
	stream(t, "the other goes on", other, func() bool { return true }, func() bool {
		n, _ := outs[kindOf("video")].Counters()
		return n > 10
	})
}
