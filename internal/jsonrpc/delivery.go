package jsonrpc

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// maxTracked bounds the messages kept until they are known to be delivered.
const maxTracked = 4096

// delivery remembers which written messages are not known to be delivered. Each
// message ends at a position of the byte stream, told by the system's counters
// right after the write, so layers in between (TLS, framing) do not matter; it is
// delivered when the peer's TCP had acknowledged that position while the peer was
// known to be there. The nil value tracks nothing.
type delivery struct {
	raw syscall.RawConn

	mu      sync.Mutex // leaf
	written []written  // oldest first
	until   time.Time  // the peer is there until then
	look    *time.Timer
	ended   bool
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
	if _, _, ok := position(raw); !ok {
		return nil
	}
	return &delivery{raw: raw}
}

// wrote notes a message that has just been written whole.
func (d *delivery) wrote(frame []byte) {
	if d == nil {
		return
	}
	_, end, ok := position(d.raw)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written = append(d.written, written{frame, end})
	if len(d.written) > maxTracked {
		d.written = slices.Delete(d.written, 0, len(d.written)-maxTracked)
	}
}

// alive is Conn.Alive: it looks now, and at the end of the time.
func (d *delivery) alive(t time.Duration) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.prune()
	d.until = time.Now().Add(t)
	if d.look != nil {
		d.look.Stop()
	}
	if t <= 0 {
		return
	}
	d.look = time.AfterFunc(t, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		// A machine that slept may have been late; then nothing is known.
		if !d.ended && time.Since(d.until) < time.Second {
			d.prune()
		}
	})
}

// prune forgets what is acknowledged. Under mu.
func (d *delivery) prune() {
	acked, _, ok := position(d.raw)
	if !ok {
		return
	}
	i := 0
	for i < len(d.written) && d.written[i].end <= acked {
		i++
	}
	d.written = slices.Delete(d.written, 0, i)
}

// finish takes the last look, before the socket is closed.
func (d *delivery) finish() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.ended = true
	if d.look != nil {
		d.look.Stop()
	}
	if time.Now().Before(d.until) {
		d.prune()
	}
}

// undelivered gives the messages written and not known to be delivered, oldest first.
func (d *delivery) undelivered() [][]byte {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended && time.Now().Before(d.until) {
		d.prune()
	}
	var out [][]byte
	for _, w := range d.written {
		out = append(out, w.frame)
	}
	return out
}
