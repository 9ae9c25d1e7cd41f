package transport

import (
	"fmt"
	"slices"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// MaxHandshakes is how many DTLS handshakes an Engine has in flight before it
// refuses new negotiations.
const MaxHandshakes = 256

// leg is one transport of a Peer: ICE, DTLS and what runs over them. Bundled
// sections share a leg (RFC 9143); a section outside the BUNDLE group has one of
// its own. What is below "guarded" is guarded by Peer.mu.
type leg struct {
	peer    *Peer
	n       int // from 1: Kurento's stream id
	pc      *webrtc.PeerConnection
	plan    *plan
	private bool  // it has sockets of its own
	at      []int // its sections in the local description
	kinds   []pipeline.Kind

	// guarded
	found     []string // candidate lines of ours
	told      int      // how many of them the Handler knows
	gathered  bool
	pair      *CandidatePair
	ice       ICEState
	held      bool // connected, but not told before the pair is
	dtls      DTLSState
	up        bool
	handshake bool // counted as in flight
}

// newLeg makes the library's object and listens to it. Its callbacks may come
// under its own locks: they only post.
func (p *Peer) newLeg(n int, pl *plan, private bool) (*leg, error) {
	l := &leg{peer: p, n: n, plan: pl, private: private}
	active := pl != nil && pl.active
	pc, err := p.engine.newConnection(connectionConfig{
		active: active, private: private, data: p.cfg.DataChannels, certificate: p.cfg.Certificate,
		network: *p.network.Load(), dscp: p.cfg.DSCP, nacks: &p.nacks, came: p.came,
	})
	if err != nil {
		return nil, err
	}
	l.pc = pc
	pc.OnICECandidate(l.candidate)
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { p.track(pc, t, r) })
	pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
		p.post(func() { l.setICE(iceStateOf(s)) })
	})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		p.post(func() { l.setUp(s == webrtc.PeerConnectionStateConnected) })
	})
	dtls := pc.SCTP().Transport()
	dtls.OnStateChange(func(s webrtc.DTLSTransportState) {
		p.post(func() { l.setDTLS(dtlsStateOf(s)) })
	})
	dtls.ICETransport().OnSelectedCandidatePairChange(func(pair *webrtc.ICECandidatePair) {
		p.post(func() { l.setPair(pair) })
	})
	pc.OnDataChannel(func(dc *webrtc.DataChannel) { p.channels.accept(dc) })
	return l, nil
}

// admit refuses a negotiation while too many handshakes are under way.
func (e *Engine) admit() error {
	if e.handshakes.Load() >= MaxHandshakes {
		return kerr.New(kerr.NotEnoughResources, "Too many DTLS handshakes in flight")
	}
	return nil
}

// live tells whether l is still one of its Peer's. The caller holds Peer.mu.
func (l *leg) live() bool { return slices.Contains(l.peer.legs, l) }

// close ends the library's object and waits for its goroutines.
func (l *leg) close() error {
	err := l.pc.GracefulClose()
	l.peer.mu.Lock()
	l.count(false)
	l.peer.mu.Unlock()
	if err != nil {
		return fmt.Errorf("close peer connection: %w", err)
	}
	return nil
}

// count notes whether l's handshake is in flight. The caller holds Peer.mu.
func (l *leg) count(on bool) {
	if l.handshake == on {
		return
	}
	l.handshake = on
	if on {
		l.peer.engine.handshakes.Add(1)
	} else {
		l.peer.engine.handshakes.Add(-1)
	}
}

// candidate hears of our candidates from the library; nil is the end.
func (l *leg) candidate(c *webrtc.ICECandidate) {
	l.peer.post(func() {
		l.peer.mu.Lock()
		defer l.peer.mu.Unlock()
		switch {
		case c == nil:
			l.gathered = true
		case l.private || c.Typ != webrtc.ICECandidateTypeHost || l.peer.engine.announces(c.Address):
			l.found = append(l.found, c.ToJSON().Candidate)
		}
		l.peer.tell()
	})
}

func (l *leg) setICE(s ICEState) {
	p := l.peer
	p.mu.Lock()
	changed := l.ice != s && l.live()
	l.ice = s
	if changed {
		l.held = s == ICEConnected && l.pair == nil
	}
	held := l.held
	p.mu.Unlock()
	if changed && !held && p.cfg.ICEState != nil {
		p.cfg.ICEState(l.n, s)
	}
}

// release tells the connected state that waited for its pair: the library says
// both in any order, listeners expect the pair first.
func (l *leg) release() {
	p := l.peer
	p.mu.Lock()
	held := l.held
	l.held = false
	p.mu.Unlock()
	if held && p.cfg.ICEState != nil {
		p.cfg.ICEState(l.n, ICEConnected)
	}
}

func (l *leg) setDTLS(s DTLSState) {
	p := l.peer
	p.mu.Lock()
	changed := l.dtls != s && l.live()
	l.dtls = s
	l.count(s == DTLSConnecting && !p.closed && l.live())
	p.mu.Unlock()
	if changed && p.cfg.DTLSState != nil {
		p.cfg.DTLSState(l.n, s)
	}
}

func (l *leg) setPair(pair *webrtc.ICECandidatePair) {
	cp := CandidatePair{Stream: l.n, Local: pair.Local.ToJSON().Candidate, Remote: pair.Remote.ToJSON().Candidate}
	p := l.peer
	p.mu.Lock()
	if !l.live() {
		p.mu.Unlock()
		return
	}
	l.pair = &cp
	p.mu.Unlock()
	p.mark(pair)
	if p.cfg.Pair != nil {
		p.cfg.Pair(cp)
	}
	l.release()
}

// setUp opens the senders of the leg, which then ask for a keyframe, or shuts
// them. The Peer counts as connected when all its legs are.
func (l *leg) setUp(up bool) {
	p := l.peer
	p.mu.Lock()
	if l.up == up || !l.live() {
		p.mu.Unlock()
		return
	}
	l.up = up
	all := !slices.ContainsFunc(p.legs, func(x *leg) bool { return !x.up })
	p.mu.Unlock()
	l.release()
	for _, k := range l.kinds {
		if s := p.Sender(k); s != nil {
			s.setLive(up)
		}
		if r := p.Receiver(k); r != nil && up {
			r.connected(l.pc)
		}
	}
	if p.connected.Swap(all) != all && p.cfg.Connected != nil {
		p.cfg.Connected(all)
	}
}
