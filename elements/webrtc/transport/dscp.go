package transport

import (
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	vnet "github.com/pion/transport/v4"
	"github.com/pion/webrtc/v4"
)

// marks says which remote addresses get marked packets (RFC 2474). All peers
// share the media socket, so the mark goes with each datagram as a control
// message. Reading takes no lock; while no peer wants marks it costs one load.
type marks struct {
	mu   sync.Mutex // leaf: changes
	list atomic.Pointer[map[netip.AddrPort]mark]
}

type mark struct {
	owner   *Peer
	control []byte // nil where the platform has no such message
}

// of is the control message for a destination, nil for none.
func (m *marks) of(to netip.AddrPort) []byte {
	list := m.list.Load()
	if list == nil {
		return nil
	}
	return (*list)[netip.AddrPortFrom(to.Addr().Unmap(), to.Port())].control
}

func (m *marks) edit(f func(map[netip.AddrPort]mark)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := map[netip.AddrPort]mark{}
	if old := m.list.Load(); old != nil {
		maps.Copy(next, *old)
	}
	f(next)
	if len(next) == 0 {
		m.list.Store(nil)
		return
	}
	m.list.Store(&next)
}

// mark begins to mark what goes to the pair's remote end. A relayed or reflexive
// local candidate has a socket of its own, marked as a whole (markedNet).
func (p *Peer) mark(pair *webrtc.ICECandidatePair) {
	if p.cfg.DSCP == 0 || pair.Local == nil || pair.Remote == nil {
		return
	}
	addr, err := netip.ParseAddr(pair.Remote.Address)
	if err != nil {
		return
	}
	to := netip.AddrPortFrom(addr.Unmap(), pair.Remote.Port)
	if strings.EqualFold(pair.Local.Protocol.String(), "tcp") {
		if p.engine.listener != nil {
			p.engine.listener.mark(to, p.cfg.DSCP)
		}
		return
	}
	p.engine.marks.edit(func(m map[netip.AddrPort]mark) {
		maps.DeleteFunc(m, func(_ netip.AddrPort, x mark) bool { return x.owner == p })
		m[to] = mark{p, markControl(to.Addr(), p.cfg.DSCP)}
	})
}

func (e *Engine) unmark(p *Peer) {
	if p.cfg.DSCP == 0 {
		return
	}
	e.marks.edit(func(m map[netip.AddrPort]mark) {
		maps.DeleteFunc(m, func(_ netip.AddrPort, x mark) bool { return x.owner == p })
	})
}

// mark marks the ICE-TCP connection from an address.
func (l *listener) mark(from netip.AddrPort, dscp uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.open {
		a, err := netip.ParseAddrPort(t.RemoteAddr().String())
		if err == nil && a.Port() == from.Port() && a.Addr().Unmap() == from.Addr() {
			markSocket(t.Conn, dscp)
		}
	}
}

// markedNet marks the sockets that one connection opens for itself.
type markedNet struct {
	vnet.Net
	dscp uint8
}

// ListenPacket implements transport.Net.
func (n markedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	c, err := n.Net.ListenPacket(network, address)
	if err == nil {
		markSocket(c, n.dscp)
	}
	return c, err
}

// ListenUDP implements transport.Net.
func (n markedNet) ListenUDP(network string, local *net.UDPAddr) (vnet.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, local)
	if err == nil {
		markSocket(c, n.dscp)
	}
	return c, err
}

// DialTCP implements transport.Net.
func (n markedNet) DialTCP(network string, local, remote *net.TCPAddr) (vnet.TCPConn, error) {
	c, err := n.Net.DialTCP(network, local, remote)
	if err == nil {
		markSocket(c, n.dscp)
	}
	return c, err
}

// markSocket marks all that leaves by a socket; a platform that cannot leaves it
// unmarked, as Kurento does.
func markSocket(conn any, dscp uint8) {
	s, ok := conn.(syscall.Conn)
	if !ok || dscp == 0 {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { markDescriptor(fd, dscp) })
}
