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
	Recovered     uint64 // packets of publishers made whole by their FlexFEC
	LateMail      uint64 // datagrams and batches that one socket's reader had for another, who was too busy
}

type counters struct {
	stunAnswered, stunRefused, oversized, malformed, badCandidates, panics, lateMail atomic.Uint64
	recovered                                                                        atomic.Uint64
}

func (c *counters) snapshot() Counters {
	return Counters{
		STUNAnswered: c.stunAnswered.Load(), STUNRefused: c.stunRefused.Load(), Oversized: c.oversized.Load(),
		Malformed: c.malformed.Load(), BadCandidates: c.badCandidates.Load(), Panics: c.panics.Load(),
		LateMail: c.lateMail.Load(), Recovered: c.recovered.Load(),
	}
}

// answerPlain serves a socket that is a STUN server and nothing else, until it is
// closed.
func (e *Engine) answerPlain(conn *net.UDPConn) {
	buf := make([]byte, MaxDatagram+1)
	var reply [64]byte
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		switch {
		case err != nil:
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// An ICMP error of an earlier send says nothing about the socket.
		case n > MaxDatagram:
			e.counters.oversized.Add(1)
		case !demuxable(buf[:n]):
			e.counters.malformed.Add(1)
		case isPlainBinding(buf[:n]):
			e.answer(buf[:n], from, time.Now(), reply[:0], func(b []byte) error {
				_, err := conn.WriteToUDPAddrPort(b, from)
				return err
			})
		}
	}
}

// answer answers a plain STUN request, within limits.
func (e *Engine) answer(request []byte, from netip.AddrPort, now time.Time, buf []byte, send func([]byte) error) {
	if !e.stunRate.allow(from.Addr().Unmap(), now) {
		e.counters.stunRefused.Add(1)
		return
	}
	reply := appendBindingSuccess(buf, request, from)
	if len(reply) > 2*len(request) {
		e.counters.stunRefused.Add(1) // no amplification (IPv6 source, bare request)
		return
	}
	if send(reply) == nil {
		e.counters.stunAnswered.Add(1)
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
