package rtp

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/pipeline"
)

const (
	// maxDatagram is the largest datagram taken or sent (robustness §2).
	maxDatagram = 1500
	// slabSize is how much memory packets are cut from at a time. A packet keeps
	// its slab alive, so slabs are small; it is a multiple of 8.
	slabSize = 24 << 10
)

// leg is one negotiated section: its sockets, whom they listen to, and the two
// ends of the graph that it carries.
type leg struct {
	e     *Endpoint
	kind  pipeline.Kind
	ports ports
	in    *receiver
	out   *sender
	lock  sourceLock
	wg    sync.WaitGroup

	// Written before the lock opens, read only behind it.
	remote   *remote
	security *security // nil for plain RTP

	writeMu sync.Mutex // leaf: reports, which have no other order
	scratch []byte
}

// counters are the datagrams that an Endpoint did not take, by reason.
type counters struct {
	refused   atomic.Uint64 // from a source that is not the peer
	malformed atomic.Uint64 // no RTP, no RTCP, of no agreed payload type
	oversized atomic.Uint64
	forged    atomic.Uint64 // not authentic, or seen before (SRTP)
}

// listen starts the readers; until settle they throw away what comes.
func (l *leg) listen() {
	for i, c := range []*net.UDPConn{l.ports.rtp, l.ports.rtcp} {
		if c == nil {
			continue
		}
		l.wg.Go(func() {
			defer l.e.guard("rtp.leg.read", l.ports.close)
			l.read(c, i == 1)
		})
	}
}

// settle opens the leg for what was negotiated.
func (l *leg) settle(r *remote, s *security, now time.Time) {
	l.remote, l.security = r, s
	l.lock.settle(r, s != nil, now)
}

// close ends the sockets and waits for the readers.
func (l *leg) close() {
	l.ports.close()
	l.wg.Wait()
}

// read takes datagrams until the socket closes. Those that become packets are
// copied into slabs, which whoever keeps the packet shares.
func (l *leg) read(c *net.UDPConn, control bool) {
	var slab []byte
	receive(c, func(batch []datagram, now time.Time) {
		for _, d := range batch {
			n := len(d.raw)
			if n > maxDatagram {
				l.e.counters.oversized.Add(1)
				continue
			}
			if len(slab) < n {
				slab = make([]byte, slabSize)
			}
			copy(slab, d.raw)
			if l.take(slab[:n:n], d.from, control, now) {
				slab = slab[(n+7)&^7:]
			}
		}
	})
}

// take handles one datagram; true when its memory is in use now.
func (l *leg) take(raw []byte, from netip.AddrPort, control bool, now time.Time) bool {
	if len(raw) < 8 {
		l.e.counters.malformed.Add(1)
		return false
	}
	// RFC 5761 §4: RTCP packet types and RTP payload types do not overlap.
	reports := raw[1] >= 192 && raw[1] <= 223
	if !l.lock.allows(from, control || reports, now) {
		l.e.counters.refused.Add(1)
		return false
	}
	control = control || reports && l.remote.mux
	if l.security != nil {
		plain, ok := l.security.open(raw, control)
		if !ok {
			l.e.counters.forged.Add(1)
			return false
		}
		raw = plain
	}
	if control {
		l.reports(raw, from, now)
		return false
	}
	p, ok := l.in.parse(raw, now)
	if !ok {
		l.e.counters.malformed.Add(1)
		return false
	}
	l.heard(from, false, now)
	l.in.take(p, now)
	return true
}

// heard notes that the peer is there.
func (l *leg) heard(from netip.AddrPort, control bool, now time.Time) {
	if l.lock.heard(from, control, now) {
		l.out.opened()
		l.e.kick()
	}
	l.e.alive(now)
}

// reports handles one datagram of RTCP.
func (l *leg) reports(raw []byte, from netip.AddrPort, now time.Time) {
	packets, err := rtcp.Unmarshal(raw)
	if err != nil {
		l.e.counters.malformed.Add(1)
		return
	}
	l.heard(from, true, now)
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			l.in.anchor(p, now)
			l.out.blocks(p.Reports, now)
		case *rtcp.ReceiverReport:
			l.out.blocks(p.Reports, now)
		case *rtcp.Goodbye:
			if l.in.left(p.Sources) {
				l.e.bye()
			}
		default:
			l.out.feedback(p, now)
		}
	}
}

// sendReports sends a compound datagram to where reports go.
func (l *leg) sendReports(packets []rtcp.Packet, now time.Time) {
	to, ok := l.lock.target(true, now)
	if !ok || len(packets) == 0 {
		return
	}
	b, err := rtcp.Marshal(packets)
	if err != nil {
		l.e.Log().Debug("report not written", "err", err)
		return
	}
	l.writeMu.Lock()
	defer l.writeMu.Unlock()
	if l.security != nil {
		if b, ok = l.security.protect(l.scratch[:0], b, true); !ok {
			return
		}
		l.scratch = b
	}
	if len(b) > maxDatagram {
		return
	}
	c := l.ports.rtcp
	if c == nil {
		c = l.ports.rtp
	}
	if _, err := c.WriteToUDPAddrPort(b, to); err != nil {
		l.e.Log().Debug("report not sent", "err", err)
	}
}
