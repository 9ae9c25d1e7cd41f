package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	vnet "github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
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

	udp      *ice.MultiUDPMuxDefault
	tcp      *ice.TCPMuxDefault
	listener *listener
	sockets  []*socket
	net      vnet.Net
	ecdsa    *webrtc.Certificate
	rsa      *webrtc.Certificate // nil until the operator names one: the process's is then used
	media    *webrtc.MediaEngine
	muxes    []ice.UDPMux // one for each of addrs
	counters counters
	// factories make the helpers of every connection.
	factories  []interceptor.Factory
	handshakes atomic.Int64 // DTLS handshakes in flight
	marks      marks
	stunRate   *perSource
	stunPort   int
	stun       []*socket
	stunWG     sync.WaitGroup

	mu     sync.Mutex // leaf: peers, offers, closed
	peers  map[*Peer]struct{}
	offers map[string]*Peer // by the ICE user fragment of our open offers
	closed bool
}

// NewEngine binds the media port: one UDP socket per address and, with ICETCP,
// one TCP listener per address, all with the same number. What it had bound is
// closed when it fails.
func NewEngine(cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg, log: cfg.Log, peers: map[*Peer]struct{}{}, offers: map[string]*Peer{}, announced: map[netip.Addr]bool{}}
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
	if err := e.prepare(); err != nil {
		return nil, err
	}
	b, err := bindPort(addrs, cfg.MediaPort, cfg.ICETCP, len(cfg.ListenIPs) > 0)
	if err != nil {
		return nil, err
	}
	e.serve(b)
	if cfg.STUNPort >= 0 {
		if err := e.serveSTUN(cfg.STUNPort); err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

// serveSTUN opens the sockets that answer STUN only.
func (e *Engine) serveSTUN(port int) error {
	b, err := bindPort(e.addrs, port, false, true)
	if err != nil && port != 0 {
		e.log.Warn("STUN port is taken, using a free one", "port", port, "err", err)
		b, err = bindPort(e.addrs, 0, false, true)
	}
	if err != nil {
		return fmt.Errorf("open STUN port: %w", err)
	}
	e.stunPort = b.port
	for _, conn := range b.udp {
		s := newSocket(conn, &e.counters, e.stunRate)
		e.stun = append(e.stun, s)
		e.stunWG.Go(func() {
			defer guard(e.log, "transport.stun", nil)
			buf := make([]byte, MaxDatagram+1)
			for {
				if _, _, err := s.ReadFromAddrPort(buf); err != nil {
					return
				}
			}
		})
	}
	return nil
}

// STUNPort is the number of the port that answers STUN only, the one to name to
// browsers; 0 when there is none.
func (e *Engine) STUNPort() int { return e.stunPort }

// prepare makes what needs no socket.
func (e *Engine) prepare() error {
	var err error
	if err = e.loadCertificates(); err != nil {
		return err
	}
	if e.media, err = newMediaEngine(); err != nil {
		return fmt.Errorf("register codecs: %w", err)
	}
	if e.factories, err = newFactories(e.log); err != nil {
		return fmt.Errorf("register interceptors: %w", err)
	}
	if e.net, err = stdnet.NewNet(); err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	return nil
}

func (e *Engine) serve(b *bound) {
	e.port = b.port
	e.stunRate = &perSource{limit: stunPerSecond}
	for _, conn := range b.udp {
		s := newSocket(conn, &e.counters, e.stunRate)
		s.marks = &e.marks
		e.sockets = append(e.sockets, s)
		addr := netip.MustParseAddrPort(conn.LocalAddr().String()).Addr().Unmap()
		e.addrs = append(e.addrs, addr)
		e.loopback = e.loopback || addr.IsLoopback()
		e.muxes = append(e.muxes, ice.NewUDPMuxDefault(ice.UDPMuxParams{
			Logger: pionLog{e.log}.NewLogger("ice"), UDPConn: s, Net: e.net,
		}))
	}
	e.udp = ice.NewMultiUDPMuxDefault(e.muxes...)
	if len(b.tcp) > 0 {
		e.listener = newListener(b.tcp, b.port)
		e.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: e.listener, Logger: pionLog{e.log}.NewLogger("ice-tcp"),
			ReadBufferSize: 64, WriteBufferSize: 1 << 20,
			FirstStunBindTimeout: tcpFirstPacket, AliveDurationForConnFromStun: tcpFirstPacket,
		})
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
	e.closed = true
	peers := make([]*Peer, 0, len(e.peers))
	for p := range e.peers {
		peers = append(peers, p)
	}
	e.mu.Unlock()
	var errs []error
	for _, p := range peers {
		errs = append(errs, p.Close())
	}
	if e.listener != nil {
		errs = append(errs, ignoreClosed(e.listener.Close()))
		errs = append(errs, ignoreClosed(e.tcp.Close()))
	}
	errs = append(errs, ignoreClosed(e.udp.Close()))
	for _, s := range e.stun {
		errs = append(errs, ignoreClosed(s.Close()))
	}
	e.stunWG.Wait()
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
	return nil
}

func (e *Engine) remove(p *Peer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.peers, p)
	for ufrag, of := range e.offers {
		if of == p {
			delete(e.offers, ufrag)
		}
	}
}

// announces tells whether a candidate's address is for the world to know: with
// announced addresses, only those are.
func (e *Engine) announces(address string) bool {
	a, err := netip.ParseAddr(address)
	return len(e.announced) == 0 || err == nil && e.announced[a.Unmap()]
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
