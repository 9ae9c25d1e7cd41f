package transport

import (
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

const (
	audioKind = webrtc.RTPCodecTypeAudio
	videoKind = webrtc.RTPCodecTypeVideo
)

var eventually = webrtctest.Eventually

func testLog() *slog.Logger {
	if os.Getenv("WEBRTC_DEBUG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func newEngine(t testing.TB, edit func(*Config)) *Engine {
	t.Helper()
	cfg := Config{ListenIPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Loopback: true, ICETCP: true, Shards: 2, Log: testLog()}
	if edit != nil {
		edit(&cfg)
	}
	e, err := NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	return e
}

// heard is what a Peer's Handler was told.
type heard struct {
	mu          sync.Mutex
	candidates  []Candidate
	done        bool
	ice         []ICEState
	dtls        []DTLSState
	pairs       []CandidatePair
	up, flowing []bool
	opened      []int
	closed      []int
	order       []string
}

func (h *heard) handler() Handler {
	note := func(what string, f func()) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.order = append(h.order, what)
		f()
	}
	return Handler{
		Candidate:     func(c Candidate) { note("candidate", func() { h.candidates = append(h.candidates, c) }) },
		GatheringDone: func() { note("done", func() { h.done = true }) },
		ICEState:      func(_ int, s ICEState) { note("ice", func() { h.ice = append(h.ice, s) }) },
		DTLSState:     func(_ int, s DTLSState) { note("dtls", func() { h.dtls = append(h.dtls, s) }) },
		Pair:          func(p CandidatePair) { note("pair", func() { h.pairs = append(h.pairs, p) }) },
		Connected:     func(up bool) { note("connected", func() { h.up = append(h.up, up) }) },
		MediaFlowing:  func(on bool) { note("flowing", func() { h.flowing = append(h.flowing, on) }) },
		ChannelOpened: func(id int) { note("opened", func() { h.opened = append(h.opened, id) }) },
		ChannelClosed: func(id int) { note("closed", func() { h.closed = append(h.closed, id) }) },
	}
}

// read looks at what was heard under its lock.
func read[V any](h *heard, f func(*heard) V) V {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f(h)
}

// client is a Browser and the Peer that it talks to.
type client struct {
	*webrtctest.Browser
	*heard
	peer          *Peer
	offer, answer string
	seq           uint16 // of obey
}

func newClient(t testing.TB, e *Engine, o webrtctest.Options) *client {
	t.Helper()
	return newClientOf(t, e, o, PeerConfig{})
}

// newClientOf is newClient for a Peer with other properties.
func newClientOf(t testing.TB, e *Engine, o webrtctest.Options, cfg PeerConfig) *client {
	t.Helper()
	c := &client{Browser: webrtctest.New(t, o), heard: &heard{}}
	var err error
	cfg.Epoch, cfg.Log, cfg.Handler = time.Now(), testLog(), c.handler()
	c.peer, err = e.NewPeer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.peer.Close(); err != nil {
			t.Errorf("close peer: %v", err)
		}
	})
	return c
}

// negotiate answers the Browser's offer and trickles our candidates.
func (c *client) negotiate() {
	c.T.Helper()
	c.offer = c.Offer()
	var err error
	if c.answer, err = c.peer.Answer(c.offer); err != nil {
		c.T.Fatalf("answer: %v\n%s", err, c.offer)
	}
	c.SetAnswer(c.answer)
	c.trickle(func(Candidate) bool { return true })
}

func (c *client) trickle(keep func(Candidate) bool) {
	c.T.Helper()
	if err := c.peer.Gather(); err != nil {
		c.T.Fatal(err)
	}
	eventually(c.T, "gathering done", func() bool { return read(c.heard, func(h *heard) bool { return h.done }) })
	for _, x := range read(c.heard, func(h *heard) []Candidate { return h.candidates }) {
		if keep(x) {
			c.AddCandidate(x.Candidate, x.SDPMid, x.SDPMLineIndex)
		}
	}
}

func (c *client) connected() *client {
	c.T.Helper()
	eventually(c.T, "connected", func() bool { return c.peer.Connected() && c.Connected() })
	return c
}

func newPublisher(t testing.TB, e *Engine, o webrtctest.Options, mime string) *client {
	t.Helper()
	c := newClient(t, e, o)
	c.Publish(mime, webrtc.RTPTransceiverDirectionSendonly)
	c.negotiate()
	return c.connected()
}

func newSubscriber(t testing.TB, e *Engine, o webrtctest.Options) *client {
	t.Helper()
	c := newClient(t, e, o)
	c.Receive()
	c.negotiate()
	return c.connected()
}
