package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/elements/webrtc/transport/dtls"
	"github.com/govidu/govidu/elements/webrtc/transport/ice"
	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// MaxHandshakes is how many DTLS handshakes an Engine has in flight before it
// refuses new negotiations.
const MaxHandshakes = 256

const (
	dtlsTimeout     = 15 * time.Second // one handshake
	iceDisconnected = 5 * time.Second
	iceFailed       = 25 * time.Second
	iceKeepalive    = 2 * time.Second
	// replayWindow is how late, in packets, one may be: a retransmission of a
	// fast stream is far behind. It is what browsers use.
	replayWindow = 1024
	// movedAfter is how long nothing came on the selected pair before packets on
	// another one show that the peer has moved.
	movedAfter = time.Second
	// maxBound is how many addresses of a leg are known at once.
	maxBound = 32
)

// leg is one transport of a Peer: ICE, DTLS and what runs over them. Bundled
// sections share a leg (RFC 9143); a section outside the BUNDLE group has one of
// its own.
type leg struct {
	peer    *Peer
	n       int // from 1: Kurento's stream id
	own     ownEnd
	gone    atomic.Bool // it has ended
	plan    *plan
	private bool  // it has sockets of its own
	at      []int // its sections in the local description
	kinds   []pipeline.Kind

	// Guarded by Peer.mu.
	found     []string // candidate lines of ours
	told      int      // how many of them the Handler knows
	pending   int      // servers that have not answered yet
	pair      *CandidatePair
	ice       ICEState
	dtls      DTLSState
	up        bool
	handshake bool // counted as in flight

	names []string // user fragments that find it; guarded by Engine.demux

	// Guarded by the lock of the Peer's shard.
	agent   *ice.Agent
	tag     uint32
	checkAt time.Time // not before then we knock
	remotes []string  // the peer's candidates, until then
	conn    *dtls.Conn
	chosen  ice.Pair // the selected pair
	hasPair bool
	path    *udp.Path // to it by the writer; nil when it is not at a shard
	other   base      // to it otherwise
	bound   []binding
	extras  []base // sockets and relays of its own: ICE base extraBase+i
	tcp     map[netip.AddrPort]*tcpConn
	sealer  *srtp.Sealer // nil before DTLS is done
	opener  *srtp.Opener
	iceUp   bool
	running bool // ICE and DTLS are up
	ended   bool
	heardAt time.Time   // authenticated media came
	pairAt  time.Time   // the same, on the selected pair
	streams []*inStream // what the peer sends
	recent  *inStream   // of the latest packet
	record  *congestion.Recorder
	sendSeq uint16 // transport-wide, of the next packet
	rate    congestion.Estimator
	weather weather
	pace    *pace // nil while the way is not narrow
	retired bool
}

// binding is an address from which a check has passed, and where.
type binding struct {
	at   *shard
	from netip.AddrPort
}

// newLeg makes a leg with credentials and local candidates. The caller holds
// Peer.mu.
func (p *Peer) newLeg(n int, pl *plan, private bool) (*leg, error) {
	l := &leg{peer: p, n: n, plan: pl, private: private}
	cert, err := p.engine.certificate(p.cfg.Certificate)
	if err != nil {
		return nil, err
	}
	l.own = ownEnd{fingerprint: cert.print, setup: "actpass", stream: p.streamID}
	role := ice.Controlling
	if pl != nil { // we answer
		role, l.own.setup = ice.Controlled, "passive"
		if pl.active {
			l.own.setup = "active"
		}
		if pl.lite {
			role = ice.Controlling
		}
	}
	l.own.ufrag, l.own.pwd = ice.NewCredentials()
	l.tag = p.engine.register(l)
	l.agent = ice.New(ice.Config{
		Ufrag: l.own.ufrag, Pwd: l.own.pwd, Role: role, Tag: l.tag,
		Disconnected: iceDisconnected, Failed: iceFailed, Keepalive: iceKeepalive,
		Send: l.sendCheck, State: l.iceState, Selected: l.selected,
	})
	if err := l.gather(); err != nil {
		p.engine.unregister(l)
		return nil, err
	}
	return l, nil
}

// secure makes the DTLS end, once it is known who begins. The caller holds
// Peer.mu and the shard's lock.
func (l *leg) secure() error {
	print, err := parseFingerprint(l.plan.print)
	if err != nil {
		return err
	}
	cert, err := l.peer.engine.certificate(l.peer.cfg.Certificate)
	if err != nil {
		return err
	}
	l.conn, err = dtls.New(dtls.Config{
		Certificate: cert.pair, Client: l.plan.active, Verify: print.verify, Write: l.writeDTLS, Timeout: dtlsTimeout,
		Done: l.secured, Closed: func() { l.peer.under(func(t *turn) { l.unsecured(t, DTLSClosed) }) }, Log: l.peer.log,
	})
	return err
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

// close ends the leg and waits for its goroutines. Hold no lock.
func (l *leg) close() {
	p := l.peer
	var conn *dtls.Conn
	p.under(func(*turn) { conn = l.conn })
	if conn != nil {
		if err := conn.Close(); err != nil {
			p.debug("close DTLS", "err", err)
		}
	}
	var extras []base
	p.under(func(t *turn) { extras = l.end(t) })
	for _, x := range extras {
		x.close()
	}
	p.engine.unregister(l)
	p.mu.Lock()
	l.count(false)
	p.mu.Unlock()
}

// end stops what runs over the leg; it gives the sockets that are to be closed.
func (l *leg) end(t *turn) []base {
	l.ended = true
	l.gone.Store(true)
	l.agent.Close()
	l.refresh(t)
	for _, b := range l.bound {
		l.unbind(t, b)
	}
	l.bound, l.path, l.other, l.sealer, l.opener = nil, nil, nil, nil, nil
	extras := l.extras
	for _, c := range l.tcp {
		extras = append(extras, c)
	}
	l.extras, l.tcp = nil, nil
	return extras
}

// iceState hears of the agent's states, under the shard's lock.
func (l *leg) iceState(s ice.State) {
	if s != ice.StateChecking { // through a restart the old pair serves
		l.iceUp = s == ice.StateConnected
	}
	if l.iceUp && l.conn != nil {
		l.startDTLS()
	}
	l.peer.post(func() { l.setICE(iceStateOf(s)) })
}

func (l *leg) startDTLS() {
	if l.sealer != nil || l.ended {
		return
	}
	l.conn.Start()
	l.peer.post(func() { l.setDTLS(DTLSConnecting) })
}

// selected hears of the selected pair, under the shard's lock.
func (l *leg) selected(pair ice.Pair) {
	l.chosen, l.hasPair = pair, true
	l.peer.engine.settleName(l)
	l.route()
	cp := CandidatePair{Stream: l.n, Local: pair.LocalLine(l.peer.announced(pair)), Remote: pair.RemoteLine()}
	l.peer.post(func() { l.setPair(cp) })
}

// secured takes the outcome of the handshake.
func (l *leg) secured(k dtls.Keys, err error) {
	l.peer.under(func(t *turn) {
		if l.ended {
			return
		}
		if err == nil {
			l.sealer, err = srtp.NewSealer(srtp.Profile(k.Profile), k.WriteKey, k.WriteSalt)
		}
		if err == nil {
			l.opener, err = srtp.NewOpener(srtp.Profile(k.Profile), k.ReadKey, k.ReadSalt, replayWindow)
		}
		if err != nil {
			l.sealer = nil
			l.peer.debug("DTLS handshake failed", "err", fmt.Sprintf("%.256v", err))
			l.unsecured(t, DTLSFailed)
			return
		}
		l.peer.post(func() { l.setDTLS(DTLSConnected) })
		l.refresh(t)
		l.openChannels(t)
	})
}

// unsecured ends media: the handshake failed, or the peer has closed.
func (l *leg) unsecured(t *turn, s DTLSState) {
	if l.ended {
		return
	}
	l.sealer, l.opener = nil, nil
	l.peer.post(func() { l.setDTLS(s) })
	l.refresh(t)
}

// refresh notices that the leg went up or down: its senders open, and ask for a
// keyframe, or shut.
func (l *leg) refresh(t *turn) {
	up := l.iceUp && l.sealer != nil && !l.ended
	if up == l.running {
		return
	}
	l.running = up
	for _, k := range l.kinds {
		if s := l.peer.Sender(k); s != nil {
			s.setLive(t, up)
		}
	}
	l.peer.post(func() { l.setUp(up) })
	l.peer.soon(t.now)
}

func (l *leg) setICE(s ICEState) {
	p := l.peer
	p.mu.Lock()
	changed := l.ice != s && l.live()
	l.ice = s
	p.mu.Unlock()
	if changed && p.cfg.ICEState != nil {
		p.cfg.ICEState(l.n, s)
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

func (l *leg) setPair(pair CandidatePair) {
	p := l.peer
	p.mu.Lock()
	if !l.live() || l.pair != nil && *l.pair == pair {
		p.mu.Unlock()
		return
	}
	l.pair = &pair
	p.mu.Unlock()
	if p.cfg.Pair != nil {
		p.cfg.Pair(pair)
	}
}

// setUp tells whether media can flow. The Peer counts as connected when all its
// legs are.
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
	if p.connected.Swap(all) != all && p.cfg.Connected != nil {
		p.cfg.Connected(all)
	}
}
