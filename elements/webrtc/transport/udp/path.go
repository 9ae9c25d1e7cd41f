package udp

import (
	"net/netip"
	"sync/atomic"
)

// Path says from which Socket and to whom datagrams go, in the form that the
// kernel reads. It is made once per pair of addresses, and compared by identity:
// only datagrams to the same *Path leave as one message.
type Path struct {
	socket *Socket
	to     netip.AddrPort
	tos    uint8
	// possible is false when the socket cannot reach the destination's family.
	possible bool
	// whole is set when this way takes no segmented messages: its MTU is smaller
	// than the datagrams, or its device cannot.
	whole atomic.Bool
	pathSystem
}

// NewPath prepares sending from s to an address. tos is the byte that carries DSCP
// in its upper six bits (RFC 2474 §3), 0 for the default. Datagrams to an address
// of another family than the socket's are counted as unreachable.
func NewPath(s *Socket, to netip.AddrPort, tos uint8) *Path {
	p := &Path{socket: s, to: unmap(to), tos: tos}
	p.possible = p.to.IsValid() && p.to.Addr().Is4() == s.local.Addr().Is4()
	p.prepare()
	return p
}

// To is the destination.
func (p *Path) To() netip.AddrPort { return p.to }

// Socket is where datagrams leave.
func (p *Path) Socket() *Socket { return p.socket }

// TOS is the byte that datagrams are marked with.
func (p *Path) TOS() uint8 { return p.tos }

// segments tells whether datagrams may share a message.
func (p *Path) segments() bool { return p.socket.gso.Load() && !p.whole.Load() }
