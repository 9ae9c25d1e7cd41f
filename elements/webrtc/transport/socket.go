package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// MaxDatagram is the largest datagram taken, in bytes; larger ones are dropped
// and counted.
const MaxDatagram = 1500

// stunPerSecond is how many plain STUN requests one source gets answered.
const stunPerSecond = 10

// Counters are events on the media sockets since the Engine's birth.
type Counters struct {
	STUNAnswered  uint64 // plain Binding requests answered
	STUNRefused   uint64 // over the rate, or the answer would exceed twice the request
	Oversized     uint64 // datagrams over MaxDatagram
	Malformed     uint64 // datagrams that are no STUN, DTLS or (S)RTP (RFC 7983), RTP we could not parse
	BadCandidates uint64 // remote candidates dropped: host names, forbidden addresses, too many
	Panics        uint64 // caught, each ended one Peer
}

type counters struct {
	stunAnswered, stunRefused, oversized, malformed, badCandidates, panics atomic.Uint64
}

func (c *counters) snapshot() Counters {
	return Counters{
		STUNAnswered: c.stunAnswered.Load(), STUNRefused: c.stunRefused.Load(), Oversized: c.oversized.Load(),
		Malformed: c.malformed.Load(), BadCandidates: c.badCandidates.Load(), Panics: c.panics.Load(),
	}
}

// socket is a UDP socket that answers plain STUN requests itself, drops what
// cannot be ours and hands the rest up.
type socket struct {
	*net.UDPConn
	counters *counters
	rate     *perSource
	reply    [64]byte // only ReadFromAddrPort uses it, and it has one caller
	marks    *marks   // nil marks nothing
	request  []byte   // a datagram larger than allowed must be seen to be one
}

func newSocket(conn *net.UDPConn, c *counters, rate *perSource) *socket {
	return &socket{UDPConn: conn, counters: c, rate: rate, request: make([]byte, MaxDatagram+1)}
}

// ReadFromAddrPort reads the next datagram that is not handled here. One
// goroutine may call it.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		buf := b
		if len(buf) <= MaxDatagram {
			buf = s.request
		}
		n, from, err := s.UDPConn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || isTimeout(err) {
				return 0, netip.AddrPort{}, err
			}
			continue // an ICMP error of an earlier send says nothing about the socket
		}
		switch {
		case n > MaxDatagram:
			s.counters.oversized.Add(1)
		case !demuxable(buf[:n]):
			s.counters.malformed.Add(1)
		case isPlainBinding(buf[:n]):
			s.answer(buf[:n], from)
		default:
			if len(b) <= MaxDatagram {
				n = copy(b, buf[:n])
			}
			return n, from, nil
		}
	}
}

// ReadFrom is ReadFromAddrPort for callers that want a net.Addr.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteToAddrPort sends one datagram, marked when its destination's peer wants
// that.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if s.marks != nil {
		if control := s.marks.of(to); control != nil {
			n, _, err := s.UDPConn.WriteMsgUDPAddrPort(b, control, to)
			return n, err
		}
	}
	return s.UDPConn.WriteToUDPAddrPort(b, to)
}

// WriteTo is WriteToAddrPort for callers that have a net.Addr.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	if a, ok := to.(*net.UDPAddr); ok {
		return s.WriteToAddrPort(b, a.AddrPort())
	}
	return s.UDPConn.WriteTo(b, to)
}

func (s *socket) answer(request []byte, from netip.AddrPort) {
	if !s.rate.allow(from.Addr().Unmap(), time.Now()) {
		s.counters.stunRefused.Add(1)
		return
	}
	reply := appendBindingSuccess(s.reply[:0], request, from)
	if len(reply) > 2*len(request) {
		s.counters.stunRefused.Add(1) // no amplification (IPv6 source, bare request)
		return
	}
	if _, err := s.UDPConn.WriteToUDPAddrPort(reply, from); err == nil {
		s.counters.stunAnswered.Add(1)
	}
}

// demuxable tells by the first byte whether a datagram is STUN, DTLS or
// (S)RTP/(S)RTCP (RFC 7983 §7).
func demuxable(b []byte) bool {
	if len(b) < 12 {
		return false
	}
	return b[0] <= 3 || b[0] >= 20 && b[0] <= 63 || b[0] >= 128 && b[0] <= 191
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
