package rtp

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

const (
	// batchSize is how many datagrams are taken from a socket at once: a picture's
	// come together.
	batchSize = 8
	// readFailures is after how many errors in a row a socket is given up.
	readFailures = 100
)

// datagram is what a socket has received. raw is valid until the next batch; it is
// longer than maxDatagram when some of it was cut off.
type datagram struct {
	raw  []byte
	from netip.AddrPort // an IPv4 address is told as one
}

// receive hands batches of datagrams to take until the socket closes.
func receive(c *net.UDPConn, take func(batch []datagram, now time.Time)) {
	r, err := newBatchReader(c)
	if err != nil {
		return
	}
	for failures := 0; failures < readFailures; {
		batch, err := r.read()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			failures++
			continue
		}
		failures = 0
		take(batch, time.Now())
	}
}
