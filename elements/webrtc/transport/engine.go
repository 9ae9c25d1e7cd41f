package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/govidu/govidu/elements/webrtc/transport/udp"
)

// Config is what an Engine needs.
type Config struct {
	// MediaPort is the number of the one UDP and TCP port of all peers; 0 picks
	// a free one (see Engine.Port).
	MediaPort int
	// ListenIPs are the addresses to bind; empty binds those of all interfaces.
	ListenIPs []netip.Addr
	// AnnouncedIPs replace the bound addresses in the candidates told to peers:
	// what the world sees of a host behind NAT 1:1.
	AnnouncedIPs []netip.Addr
	// Loopback (dev mode) binds loopback addresses too and takes remote
	// candidates on loopback. A host with no other address always does.
	Loopback bool
	// ICETCP adds a TCP listener on the media port (RFC 6544, passive).
	ICETCP bool
	// PEMCertificateRSA and PEMCertificateECDSA are files with a private key and
	// a certificate for DTLS; "" has the process make its own.
	PEMCertificateRSA, PEMCertificateECDSA string
	// STUNPort is a second UDP port, on the same addresses, that answers plain
	// STUN requests and nothing else. 0 picks a free one, a negative number opens
	// none; one that is taken is replaced by a free one, with a warning.
	//
	// The media port answers them too, but its address must not be given to
	// browsers as a STUN server: Chromium takes every datagram from its STUN
	// server's address for an answer of that server and swallows it, so that the
	// peer would never connect by UDP.
	STUNPort int
	// Shards is how many sockets share the media port on each address, each with
	// its reader; 0 is one for every two cores: the other half is for the kernel's
	// part and everything else, and who shares a shard is served in fewer calls.
	// There is one where sockets cannot share a port: elsewhere than on Linux.
	Shards int
	// ShedLoad is the load, from 0 to 1, above which for some seconds subscribers of
	// video in layers get smaller ones; 0 is never. It is the share of the processors'
	// time, as CPU tells it or by default this process's, or of a shard's.
	ShedLoad float64
	CPU      func() float64
	// For tests: how much faster than by the clock load is judged; nothing is paced.
	haste  int
	bursts bool
	// Log gets what goes wrong; nil is silent.
	Log *slog.Logger
}

// Engine owns the media port and makes Peers on it. All methods are safe for
// concurrent use.
type Engine struct {
	cfg       Config
	log       *slog.Logger
	port      int
	addrs     []netip.Addr
	loopback  bool
	announced map[netip.Addr]bool

	shards   []*shard
	listener *listener // nil without ICE-TCP
	ecdsa    *certificate
	rsa      *certificate // nil until the operator names one: the process's is then used
	counters counters
	shed     shed
	pacing   atomic.Int32 // Peers with packets that wait for their turn

	handshakes atomic.Int64 // DTLS handshakes in flight
	stunRate   *perSource
	stunPort   int
	stun       []*net.UDPConn
	done       chan struct{}
	wg         sync.WaitGroup

	demux   sync.RWMutex // leaf: who a STUN message is for
	ufrags  map[string]*leg
	tags    map[uint32]*leg
	queries map[uint32]*query
	nextTag uint32

	list   atomic.Pointer[[]*Peer] // of peers, for who does what is due
	nudged chan struct{}           // see nudge

	mu     sync.Mutex // leaf: peers, offers, closed
	peers  map[*Peer]struct{}
	offers map[string]*Peer // by the ICE user fragment of our open offers
	closed bool
}

// NewEngine binds the media port: one UDP socket per address and, with ICETCP,
// one TCP listener per address, all with the same number. What it had bound is
// closed when it fails.
func NewEngine(cfg Config) (*Engine, error) {
	e := &Engine{
		cfg: cfg, log: cfg.Log, peers: map[*Peer]struct{}{}, offers: map[string]*Peer{}, announced: map[netip.Addr]bool{},
		ufrags: map[string]*leg{}, tags: map[uint32]*leg{}, queries: map[uint32]*query{}, done: make(chan struct{}), nudged: make(chan struct{}, 1), stunRate: &perSource{limit: stunPerSecond},
	}
	e.shed.limit = cfg.ShedLoad
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	for _, a := range cfg.AnnouncedIPs {
		e.announced[a.Unmap()] = true
	}
	addrs := cfg.ListenIPs
	if len(addrs) == 0 {
		var err error
		if addrs, err = localAddrs(cfg.Loopback); err != nil {
			return nil, err
		}
	}
	if cfg.MediaPort < 0 || cfg.MediaPort > 65535 {
		return nil, fmt.Errorf("bind media port %d: out of range", cfg.MediaPort)
	}
	if err := e.loadCertificates(); err != nil {
		return nil, err
	}
	shards := shardsOf(cfg.Shards, runtime.GOMAXPROCS(0), len(addrs), udp.Shares)
	if shards < cfg.Shards {
		e.log.Warn("fewer sockets share the media port than configured", "wanted", cfg.Shards, "sockets", shards, "shareable", udp.Shares)
	}
	b, err := bindPort(addrs[:min(len(addrs), maxShards)], ports{cfg.MediaPort, cfg.ICETCP, shards, len(cfg.ListenIPs) > 0})
	if err != nil {
		return nil, err
	}
	e.serve(b)
	if e.rsa == nil {
		e.wg.Go(func() { // so that the first peer need not wait; an error waits for it
			_, _ = processRSA()
		})
	}
	if cfg.STUNPort >= 0 {
		if err := e.serveSTUN(cfg.STUNPort); err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

// shardsOf is how many sockets there are on each address: as many as configured, or one
// for every two cores, and one alone where sockets cannot share a port.
func shardsOf(configured, cores, addrs int, shares bool) int {
	switch {
	case !shares:
		return 1
	case configured <= 0:
		configured = cores / 2
	}
	return max(min(configured, maxShards/max(addrs, 1)), 1)
}

// serveSTUN opens the sockets that answer STUN only.
func (e *Engine) serveSTUN(port int) error {
	b, err := bindPort(e.addrs, ports{number: port, explicit: true})
	if err != nil && port != 0 {
		e.log.Warn("STUN port is taken, using a free one", "port", port, "err", err)
		b, err = bindPort(e.addrs, ports{explicit: true})
	}
	if err != nil {
		return fmt.Errorf("open STUN port: %w", err)
	}
	e.stunPort, e.stun = b.port, b.plain
	for _, conn := range b.plain {
		e.wg.Go(func() {
			defer guard(e.log, "transport.stun", nil)
			e.answerPlain(conn)
		})
	}
	return nil
}

// STUNPort is the number of the port that answers STUN only, the one to name to
// browsers; 0 when there is none.
func (e *Engine) STUNPort() int { return e.stunPort }

// serve starts the readers of what was bound.
func (e *Engine) serve(b *bound) {
	e.port = b.port
	for base, list := range b.udp {
		addr := list[0].LocalAddr().Addr().Unmap()
		e.addrs = append(e.addrs, addr)
		e.loopback = e.loopback || addr.IsLoopback()
		for _, socket := range list {
			e.shards = append(e.shards, e.newShard(socket, base))
		}
	}
	for _, s := range e.shards {
		e.wg.Go(s.read)
		e.wg.Go(func() { s.open(e.done) })
	}
	e.wg.Go(e.tick)
	if len(b.tcp) > 0 {
		e.listener = e.newListener(b.tcp)
	}
}

// Port is the number of the media port.
func (e *Engine) Port() int { return e.port }

// Addrs are the addresses that the media port is bound on, IPv4 first.
func (e *Engine) Addrs() []netip.Addr { return slices.Clone(e.addrs) }

// Counters are the events on the media sockets so far.
func (e *Engine) Counters() Counters { return e.counters.snapshot() }

// Peers is the number of open Peers.
func (e *Engine) Peers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.peers)
}

// Close closes every Peer and then the sockets. Idempotent; it waits for all
// goroutines.
func (e *Engine) Close() error {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	peers := make([]*Peer, 0, len(e.peers))
	for p := range e.peers {
		peers = append(peers, p)
	}
	e.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for _, p := range peers {
		errs = append(errs, p.Close())
	}
	if e.listener != nil {
		e.listener.close()
	}
	close(e.done)
	for _, s := range e.shards {
		errs = append(errs, ignoreClosed(s.socket.Close()))
	}
	for _, s := range e.stun {
		errs = append(errs, ignoreClosed(s.Close()))
	}
	e.wg.Wait()
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (e *Engine) add(p *Peer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("make peer: %w", net.ErrClosed)
	}
	e.peers[p] = struct{}{}
	e.relist()
	e.nudge()
	return nil
}

// relist renews the ticker's list. The caller holds e.mu.
func (e *Engine) relist() {
	list := slices.Collect(maps.Keys(e.peers))
	e.list.Store(&list)
}

// register makes a leg known to the demultiplexer; it gives its tag.
func (e *Engine) register(l *leg) uint32 {
	e.demux.Lock()
	defer e.demux.Unlock()
	for e.nextTag++; e.nextTag == 0 || e.tags[e.nextTag] != nil || e.queries[e.nextTag] != nil; e.nextTag++ {
	}
	e.tags[e.nextTag], e.ufrags[l.own.ufrag] = l, l
	l.names = []string{l.own.ufrag}
	return e.nextTag
}

func (e *Engine) unregister(l *leg) {
	e.demux.Lock()
	defer e.demux.Unlock()
	delete(e.tags, l.tag)
	for _, name := range l.names {
		delete(e.ufrags, name)
	}
}

func (e *Engine) remove(p *Peer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.peers, p)
	e.relist()
	for ufrag, of := range e.offers {
		if of == p {
			delete(e.offers, ufrag)
		}
	}
}

// offered remembers the user fragment of an offer of ours.
func (e *Engine) offered(ufrag string, p *Peer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offers[ufrag] = p
}

// isOurs tells whether a remote description is an offer of this Engine.
func (e *Engine) isOurs(ufrag string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.offers[ufrag] != nil
}
