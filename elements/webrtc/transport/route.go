package transport

import (
	"net/netip"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/ice"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
)

// base is where datagrams leave besides the shards' sockets: a socket of one leg,
// a relay, a TCP connection. send never blocks; close waits for its goroutines.
type base interface {
	send(b []byte, to netip.AddrPort)
	close()
}

// The agents' names of bases: 0… are the Engine's addresses (see shard.base),
// from tcpBase on their TCP listeners, from extraBase on a leg's own.
const (
	tcpBase   = 1000
	extraBase = 2000
)

// datagram takes what came for the leg. came is the shard where it did, nil when
// it was none.
func (l *leg) datagram(t *turn, b []byte, base int, from netip.AddrPort, came *shard) {
	if l.ended || l.peer.broken.Load() {
		return
	}
	t.who = l.peer
	switch {
	case b[0] <= 3:
		if len(l.remotes) > 0 && !ice.IsResponse(b) {
			l.takeRemotes(t) // it knows us now
		}
		if l.agent.Handle(b, base, from, t.now) && came != nil {
			l.bind(t, came, from)
		}
		l.afterICE(t)
	case b[0] <= 63:
		if l.conn != nil {
			l.conn.Handle(b)
		}
	case b[1] >= 192 && b[1] <= 223:
		before := l.heardAt
		l.control(t, b)
		l.noteFrom(t, before, base, from)
	default:
		before := l.heardAt
		l.media(t, b)
		l.noteFrom(t, before, base, from)
	}
}

// noteFrom tells the agent on which pair authenticated packets came, if heardAt has
// moved since before: once a batch. A peer behind a NAT does not know that its
// address has changed.
func (l *leg) noteFrom(t *turn, before time.Time, base int, from netip.AddrPort) {
	switch {
	case l.heardAt == before || !l.hasPair:
	case from == l.chosen.Remote && base == l.chosen.Base:
		l.pairAt = t.now
	case t.now.Sub(l.pairAt) >= movedAfter:
		if l.agent.Elsewhere(base, from, t.now) {
			l.afterICE(t)
		}
	}
}

// bind remembers that datagrams from an address are the leg's.
func (l *leg) bind(t *turn, at *shard, from netip.AddrPort) {
	b := binding{at, from}
	for i := range l.bound {
		if l.bound[i] == b {
			if at == t.shard && at.addrs[from] != l {
				at.addrs[from] = l
			}
			return
		}
	}
	if len(l.bound) == maxBound {
		for i := range l.bound { // the oldest that is not in use
			if l.bound[i].from != l.chosen.Remote {
				l.unbind(t, l.bound[i])
				l.bound = append(l.bound[:i], l.bound[i+1:]...)
				break
			}
		}
	}
	l.bound = append(l.bound, b)
	if at == t.shard {
		at.addrs[from] = l
		return
	}
	t.after = append(t.after, func() {
		at.mu.Lock()
		if !l.gone.Load() {
			at.addrs[from] = l
		}
		at.mu.Unlock()
	})
	if !l.hasPair && len(l.bound) == 1 {
		t.after = append(t.after, func() { l.peer.move(at) })
	}
}

func (l *leg) unbind(t *turn, b binding) {
	if b.at == t.shard {
		if b.at.addrs[b.from] == l {
			delete(b.at.addrs, b.from)
		}
		return
	}
	t.after = append(t.after, func() {
		b.at.mu.Lock()
		if b.at.addrs[b.from] == l {
			delete(b.at.addrs, b.from)
		}
		b.at.mu.Unlock()
	})
}

// home is the shard where the selected pair's datagrams come, nil when it has
// none.
func (l *leg) home() *shard {
	if !l.hasPair {
		return nil
	}
	for i := len(l.bound) - 1; i >= 0; i-- {
		if b := l.bound[i]; b.from == l.chosen.Remote && b.at.base == l.chosen.Base {
			return b.at
		}
	}
	return nil
}

// afterICE follows what the agent has decided: the Peer moves to where its pair
// is, and the ticker comes when the agent wants it.
func (l *leg) afterICE(t *turn) {
	if next := l.agent.Next(); !next.IsZero() {
		l.peer.soon(next)
	}
	if l.iceUp && l.agent.State() == ice.StateChecking {
		_, l.iceUp = l.agent.Selected()
	}
	l.refresh(t)
	if l.n != 1 || !l.hasPair {
		return
	}
	if home := l.home(); home != nil && home != l.peer.shard.Load() {
		t.after = append(t.after, func() { l.peer.move(home) })
	}
}

// move gives the Peer to another shard.
func (p *Peer) move(to *shard) {
	from := p.shard.Load()
	if from == to {
		return
	}
	first, second := from, to
	if second.index < first.index {
		first, second = second, first
	}
	first.mu.Lock()
	second.mu.Lock()
	if p.shard.Load() == from {
		p.shard.Store(to)
		for _, l := range p.transports {
			l.route()
		}
	}
	second.mu.Unlock()
	first.mu.Unlock()
}

// route finds the way to the selected pair.
func (l *leg) route() {
	l.path, l.other = nil, nil
	if !l.hasPair || l.ended {
		return
	}
	switch pair := l.chosen; {
	case pair.Base >= extraBase:
		if i := pair.Base - extraBase; i < len(l.extras) {
			l.other = l.extras[i]
		}
	case pair.Base >= tcpBase:
		if c := l.tcp[pair.Remote]; c != nil {
			c.mark(l.peer.cfg.DSCP)
			l.other = c
		}
	default:
		if s := l.peer.engine.socketOf(pair.Base, l.peer.shard.Load()); s != nil {
			l.path = udp.NewPath(s, pair.Remote, l.peer.cfg.DSCP<<2)
		}
	}
}

// sendCheck sends a datagram of the agent's.
func (l *leg) sendCheck(base int, to netip.AddrPort, b []byte) {
	for range l.checkCopies(b) {
		l.sendCheckOnce(base, to, b)
	}
}

func (l *leg) sendCheckOnce(base int, to netip.AddrPort, b []byte) {
	switch {
	case base >= extraBase:
		if i := base - extraBase; i < len(l.extras) {
			l.extras[i].send(b, to)
		}
	case base >= tcpBase:
		if c := l.tcp[to]; c != nil {
			c.send(b, to)
		}
	default:
		if s := l.peer.engine.socketOf(base, l.peer.shard.Load()); s != nil {
			_ = s.Send(b, to, l.peer.cfg.DSCP<<2)
		}
	}
}

// writeDTLS sends a datagram of the DTLS end. It comes from goroutines of that.
func (l *leg) writeDTLS(b []byte) error {
	l.peer.under(func(t *turn) {
		if !l.ended {
			copy(l.slot(t), b)
			l.commit(t, len(b))
		}
	})
	return nil
}

// slot is memory for one datagram to the selected pair.
func (l *leg) slot(t *turn) []byte {
	if l.path != nil {
		return t.shard.writer.Slot()
	}
	return t.shard.scratch[:]
}

// commit sends the slot's first n bytes.
func (l *leg) commit(t *turn, n int) {
	switch {
	case l.path != nil:
		t.shard.writer.Commit(n, l.path)
	case l.other != nil:
		t.shard.tally.left(n)
		l.other.send(t.shard.scratch[:n], l.chosen.Remote)
	default:
		t.shard.tally.omitted[omittedPath]++
	}
}

// socketOf is a socket of an address: the shard's own, if it is one of that.
func (e *Engine) socketOf(base int, s *shard) *udp.Socket {
	if s.base == base {
		return s.socket
	}
	for _, x := range e.shards {
		if x.base == base {
			return x.socket
		}
	}
	return nil
}

// settle notes which of the local description's sections are the leg's.
func (l *leg) settle(d *description) {
	l.at, l.kinds = nil, nil
	for _, i := range l.plan.use {
		if i < len(d.sections) && d.sections[i].port != 0 {
			l.at = append(l.at, i)
			l.kinds = append(l.kinds, kindOf(d.sections[i].media))
		}
	}
}
