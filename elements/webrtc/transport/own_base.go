package transport

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/ice"
	"github.com/govidu/govidu/elements/webrtc/transport/ice/gather"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
)

// gatherTimeout bounds what STUN and TURN servers may take.
const gatherTimeout = 10 * time.Second

// gather gives the agent its local candidates: the Engine's addresses, or sockets
// of the leg's own when it is private, at once; what servers tell comes later. The
// caller holds Peer.mu.
func (l *leg) gather() error {
	p := l.peer
	network := *p.network.Load()
	on, err := network.on()
	if err != nil {
		return err
	}
	p.under(func(t *turn) {
		for i, addr := range p.engine.addrs {
			if !on(addr) {
				continue
			}
			local := ice.Local{Base: i, Type: ice.Host, Addr: netip.AddrPortFrom(addr, uint16(p.engine.port)), LocalPreference: uint16(65535 - 2*i)}
			if l.private {
				local.Base, local.Addr, err = l.privateSocket(addr)
				if err != nil {
					p.debug("private socket", "err", err)
					err = nil
					continue
				}
			}
			l.offer(t, local)
			if network.TCP && p.engine.listener != nil && !l.private {
				local.Base, local.TCP, local.LocalPreference = tcpBase+i, true, local.LocalPreference-1
				l.offer(t, local)
			}
		}
	})
	if network.STUN != "" && !l.private {
		l.pending++
		l.goGather(func(ctx context.Context) { l.reflexive(ctx, network.STUN, on) })
	}
	if network.TURN != nil {
		l.pending++
		l.goGather(func(ctx context.Context) { l.relayed(ctx, *network.TURN) })
	}
	return nil
}

// offer takes a local candidate in and notes its line.
func (l *leg) offer(t *turn, local ice.Local) {
	p := l.peer
	if err := l.agent.AddLocal(local, t.now); err != nil {
		p.debug("local candidate", "err", err)
		return
	}
	if l.private || local.Type != ice.Host || len(p.engine.announced) == 0 {
		l.found = append(l.found, local.Line(netip.Addr{}))
		return
	}
	for _, a := range p.engine.cfg.AnnouncedIPs {
		if a = a.Unmap(); a.Is4() != local.Addr.Addr().Is4() {
			continue
		}
		// Hosts have several addresses, the world sees them as one.
		if line := local.Line(a); a == local.Addr.Addr() || !slices.ContainsFunc(l.found, func(x string) bool { return sameAddress(x, line) }) {
			l.found = append(l.found, line)
		}
	}
}

// announced is the address to show of a pair's local candidate, invalid for its
// own.
func (p *Peer) announced(pair ice.Pair) netip.Addr {
	if pair.Base >= extraBase || pair.Local.Type != ice.Host {
		return netip.Addr{}
	}
	for _, a := range p.engine.cfg.AnnouncedIPs {
		if a = a.Unmap(); a.Is4() == pair.Local.Addr.Addr().Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// goGather asks a server beside the negotiation, and tells when it is done.
func (l *leg) goGather(f func(context.Context)) {
	p := l.peer
	p.goSafe("transport.gather", func() {
		ctx, cancel := context.WithTimeout(p.ctx, gatherTimeout)
		defer cancel()
		defer func() {
			p.mu.Lock()
			l.pending--
			p.tell()
			p.mu.Unlock()
		}()
		f(ctx)
	})
}

// late takes in a candidate that a server has told.
func (l *leg) late(local ice.Local) {
	p := l.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under(func(t *turn) {
		l.offer(t, local)
		l.afterICE(t)
	})
	p.tell()
}

// reflexive learns how the world sees the media port.
func (l *leg) reflexive(ctx context.Context, server string, on func(netip.Addr) bool) {
	p := l.peer
	host, port, err := HostPort(server, 3478)
	if err != nil {
		return
	}
	var resolver net.Resolver
	ips, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		p.debug("STUN server", "err", err)
		return
	}
	asked := map[bool]bool{}
	for i, addr := range p.engine.addrs {
		at := slices.IndexFunc(ips, func(a netip.Addr) bool { return a.Unmap().Is4() == addr.Is4() })
		if at < 0 || !on(addr) || asked[addr.Is4()] || addr.IsLoopback() != ips[at].IsLoopback() {
			continue
		}
		asked[addr.Is4()] = true
		mapped, ok := p.engine.query(ctx, i, netip.AddrPortFrom(ips[at].Unmap(), uint16(port)))
		if ok {
			l.late(ice.Local{
				Base: i, Type: ice.ServerReflexive, Addr: mapped, LocalPreference: 65535,
				Related: netip.AddrPortFrom(addr, uint16(p.engine.port)),
			})
		}
	}
}

// relayed gets a place at a TURN server.
func (l *leg) relayed(ctx context.Context, s TURNServer) {
	p := l.peer
	relay, err := gather.Allocate(ctx, gather.Server{Host: s.Host, Port: s.Port, User: s.User, Password: s.Password, Transport: s.Transport})
	if err != nil {
		p.debug("TURN server", "server", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), "err", err)
		return
	}
	x := &relayBase{leg: l, relay: relay}
	index, ok := l.addExtra(x)
	if !ok {
		_ = relay.Close()
		return
	}
	if !p.goSafe("transport.relay", func() { x.read(index) }) {
		_ = relay.Close()
		return
	}
	l.late(ice.Local{Base: index, Type: ice.Relay, Addr: relay.Addr(), Related: relay.Related(), LocalPreference: 65535})
}

// addExtra takes in a base of the leg's own; false when it has ended.
func (l *leg) addExtra(b base) (index int, ok bool) {
	l.peer.under(func(*turn) {
		if ok = !l.ended; ok {
			l.extras = append(l.extras, b)
			index = extraBase + len(l.extras) - 1
		}
	})
	return index, ok
}

// relayBase is a TURN allocation.
type relayBase struct {
	leg   *leg
	relay *gather.Relay
}

func (x *relayBase) send(b []byte, to netip.AddrPort) { x.relay.Send(b, to) }
func (x *relayBase) close()                           { _ = x.relay.Close() }

func (x *relayBase) read(index int) {
	buf := make([]byte, MaxDatagram)
	for {
		n, from, err := x.relay.ReadFrom(buf)
		if err != nil {
			return
		}
		x.leg.came(buf[:n], index, from)
	}
}

// came takes a datagram of a base of the leg's own, or of a TCP connection.
func (l *leg) came(b []byte, base int, from netip.AddrPort) {
	if !demuxable(b) {
		l.peer.engine.counters.malformed.Add(1)
		return
	}
	l.peer.under(func(t *turn) {
		defer func() {
			if r := recover(); r != nil {
				l.peer.engine.blame(t, "transport.datagram", r)
			}
		}()
		t.shard.tally.came(len(b))
		l.datagram(t, b, base, from, nil)
	})
}

// ownSocket is a UDP socket of one leg.
type ownSocket struct {
	leg    *leg
	socket *udp.Socket
}

func (x *ownSocket) send(b []byte, to netip.AddrPort) {
	_ = x.socket.Send(b, to, x.leg.peer.cfg.DSCP<<2)
}
func (x *ownSocket) close() { _ = x.socket.Close() }

// privateSocket opens a socket on an address. The caller holds the shard's lock.
func (l *leg) privateSocket(addr netip.Addr) (base int, at netip.AddrPort, err error) {
	socket, err := udp.Listen(netip.AddrPortFrom(addr, 0), false)
	if err != nil {
		return 0, at, err
	}
	x := &ownSocket{l, socket}
	l.extras = append(l.extras, x)
	base = extraBase + len(l.extras) - 1
	if !l.peer.goSafe("transport.socket", func() { x.read(base) }) {
		x.close()
	}
	return base, socket.LocalAddr(), nil
}

func (x *ownSocket) read(base int) {
	batch := udp.NewBatch(8, MaxDatagram)
	for {
		n, err := x.socket.ReadBatch(batch)
		if err != nil {
			return
		}
		for i := range n {
			if b, from, truncated := batch.Datagram(i); !truncated {
				x.leg.came(b, base, from)
			}
		}
	}
}
