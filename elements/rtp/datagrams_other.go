//go:build !linux

package rtp

import (
	"net"
	"net/netip"
)

// batchReader reads one datagram at a time.
type batchReader struct {
	c    *net.UDPConn
	memo []byte
	out  [1]datagram
}

func newBatchReader(c *net.UDPConn) (*batchReader, error) {
	return &batchReader{c: c, memo: make([]byte, maxDatagram+1)}, nil
}

// read waits for a datagram. The result is valid until the next read.
func (r *batchReader) read() ([]datagram, error) {
	n, from, err := r.c.ReadFromUDPAddrPort(r.memo)
	if err != nil {
		return nil, err
	}
	r.out[0] = datagram{raw: r.memo[:n], from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
	return r.out[:], nil
}
