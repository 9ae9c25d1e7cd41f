//go:build !linux || portable

package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// batchSystem is the one datagram that package net reads at a time.
type batchSystem struct {
	got    int
	sender netip.AddrPort
	whole  []byte // one byte more than a buffer, to see what does not fit
}

func (b *Batch) prepare() { b.whole = make([]byte, b.size+1) }

func (b *Batch) swapped(int) {}

// ReadBatch waits for one datagram. The error is net.ErrClosed after Close;
// another one means that the socket is of no use any more.
func (s *Socket) ReadBatch(b *Batch) (int, error) {
	for failures := 1; ; failures++ {
		n, from, err := s.conn.ReadFromUDPAddrPort(b.whole)
		switch {
		case err == nil:
			b.got, b.sender = n, unmap(from)
			copy(b.bufs[0], b.whole[:n])
			return 1, nil
		case errors.Is(err, net.ErrClosed):
			return 0, net.ErrClosed
		case failures == maxFailures:
			return 0, fmt.Errorf("read from %v: %w", s.local, err)
		}
	}
}

// ReadWithin is ReadBatch that gives up after so much time, maxWithin at most, and
// gives 0 then. 0 waits as ReadBatch does.
func (s *Socket) ReadWithin(b *Batch, d time.Duration) (int, error) {
	if d <= 0 {
		return s.ReadBatch(b)
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(min(d, maxWithin)))
	n, from, err := s.conn.ReadFromUDPAddrPort(b.whole)
	_ = s.conn.SetReadDeadline(time.Time{})
	switch {
	case errors.Is(err, net.ErrClosed):
		return 0, net.ErrClosed
	case err != nil:
		return 0, nil // ReadBatch judges errors
	}
	b.got, b.sender = n, unmap(from)
	copy(b.bufs[0], b.whole[:n])
	return 1, nil
}

func (b *Batch) length(int) (int, bool) { return min(b.got, b.size), b.got > b.size }

func (b *Batch) from(int) netip.AddrPort { return b.sender }
