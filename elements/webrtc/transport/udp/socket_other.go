//go:build !linux || portable

package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// portablePatience bounds waiting for room. It is much longer than patience, because
// package net refuses even what would go at once when the time has passed.
const portablePatience = time.Second

// Shares tells whether several sockets can share a port here.
const Shares = false

// Marks tells whether datagrams carry the TOS byte that they are sent with.
const Marks = false

// sharePort: sharing a port spreads peers over sockets on Linux only.
func sharePort(uintptr) error { return errors.ErrUnsupported }

func (s *Socket) probe(uintptr) {}

type socketSystem struct{}

func (s *Socket) adopt() error { return nil }

func (s *Socket) close() error { return s.conn.Close() }

// send: this platform marks no single datagram, so the last argument has no
// effect.
func (s *Socket) send(b []byte, to netip.AddrPort, _ uint8) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(portablePatience))
	_, err := s.conn.WriteToUDPAddrPort(b, to)
	switch {
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrFull
	}
	return err
}
