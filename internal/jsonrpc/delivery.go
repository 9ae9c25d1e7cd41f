package jsonrpc

import (
	"net"
	"slices"
	"sync"
	"syscall"
)

// maxTracked bounds the messages kept until they are acknowledged.
const maxTracked = 4096

// delivery remembers which written messages the peer's TCP has acknowledged. Each
// message ends at a position of the byte stream, told by the system's counters
// right after the write, so layers in between (TLS, framing) do not matter. The
// nil value tracks nothing.
type delivery struct {
	raw syscall.RawConn

	mu      sync.Mutex // leaf
	written []written  // oldest first
	acked   uint64
}

type written struct {
	frame []byte
	end   uint64
}

// newDelivery tracks the TCP connection under conn; nil when there is none, or
// the system cannot tell.
func newDelivery(conn net.Conn) *delivery {
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	d := &delivery{raw: raw}
	if _, _, ok := position(raw); !ok {
		return nil
	}
	return d
}

// wrote notes a message that has just been written whole.
func (d *delivery) wrote(frame []byte) {
	if d == nil {
		return
	}
	acked, end, ok := position(d.raw)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written = append(d.written, written{frame, end})
	d.prune(acked)
	if len(d.written) > maxTracked {
		d.written = slices.Delete(d.written, 0, len(d.written)-maxTracked)
	}
}

// prune forgets what is acknowledged. Under mu.
func (d *delivery) prune(acked uint64) {
	d.acked = max(d.acked, acked)
	i := 0
	for i < len(d.written) && d.written[i].end <= d.acked {
		i++
	}
	d.written = slices.Delete(d.written, 0, i)
}

// finish takes the last look, before the socket is closed.
func (d *delivery) finish() {
	if d == nil {
		return
	}
	if acked, _, ok := position(d.raw); ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.prune(acked)
	}
}

// unacknowledged gives the messages written and not acknowledged, oldest first.
func (d *delivery) unacknowledged() [][]byte {
	if d == nil {
		return nil
	}
	d.finish()
	d.mu.Lock()
	defer d.mu.Unlock()
	var out [][]byte
	for _, w := range d.written {
		out = append(out, w.frame)
	}
	return out
}
