package transport

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/ice"
)

const (
	// maxTCP is how many ICE-TCP connections may be open at once.
	maxTCP = 8192
	// tcpFirstPacket is how long one has to show its ICE check.
	tcpFirstPacket = 10 * time.Second
	// tcpQueue is how many bytes may wait to be sent on one, and as many in the
	// system: about two seconds of video together. More is dropped, as a network would;
	// large packets of media from half of it on, so that sound and ICE get through.
	tcpQueue = 256 << 10
	tcpSmall = 400
	// tcpStall is how long a connection may take nothing before it is closed.
	tcpStall = 15 * time.Second
)

// listener takes ICE-TCP connections (RFC 6544), which are passive here, and
// closes with itself those that it took, so that nobody waits for a silent one.
type listener struct {
	engine *Engine
	parts  []net.Listener
	wg     sync.WaitGroup

	mu     sync.Mutex
	open   map[*tcpConn]struct{}
	closed bool
}

func (e *Engine) newListener(parts []net.Listener) *listener {
	l := &listener{engine: e, parts: parts, open: map[*tcpConn]struct{}{}}
	for _, p := range parts {
		l.wg.Go(func() { l.accept(p) })
	}
	return l
}

func (l *listener) accept(p net.Listener) {
	for {
		conn, err := p.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of file descriptors and the like: let some go
			case <-l.engine.done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		l.add(conn)
	}
}

func (l *listener) add(conn net.Conn) {
	local, err1 := netip.ParseAddrPort(conn.LocalAddr().String())
	remote, err2 := netip.ParseAddrPort(conn.RemoteAddr().String())
	base := -1
	for i, a := range l.engine.addrs {
		if a == local.Addr().Unmap().WithZone("") {
			base = tcpBase + i
		}
	}
	c := &tcpConn{listener: l, conn: conn, base: base, from: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
	c.some = sync.NewCond(&c.mu)
	if x, ok := conn.(*net.TCPConn); ok {
		_ = x.SetWriteBuffer(tcpQueue)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err1 != nil || err2 != nil || base < 0 || l.closed || len(l.open) >= maxTCP {
		conn.Close()
		return
	}
	l.open[c] = struct{}{}
	l.wg.Go(c.read)
}

// close ends the listeners and every connection, and waits.
func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	for c := range l.open {
		c.close()
	}
	l.mu.Unlock()
	for _, p := range l.parts {
		p.Close()
	}
	l.wg.Wait()
}

// tcpConn is one connection, framed as RFC 4571 says. It is nobody's until its
// first packet, an ICE check, names a leg.
type tcpConn struct {
	listener *listener
	conn     net.Conn
	base     int
	from     netip.AddrPort
	marked   bool // guarded by the lock of the Peer's shard

	mu     sync.Mutex // leaf: what follows
	some   *sync.Cond
	queue  []byte
	writes bool // a goroutine writes
	closed bool
}

// send queues a packet.
func (c *tcpConn) send(b []byte, _ netip.AddrPort) {
	room := tcpQueue
	if len(b) > tcpSmall && b[0] >= 128 {
		room /= 2
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.queue)+2+len(b) > room {
		return
	}
	c.queue = binary.BigEndian.AppendUint16(c.queue, uint16(len(b)))
	c.queue = append(c.queue, b...)
	if !c.writes {
		c.writes = true
		c.listener.wg.Go(c.write)
		return
	}
	c.some.Signal()
}

// write sends what is queued until the connection is closed.
func (c *tcpConn) write() {
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.closed {
			c.some.Wait()
		}
		out := c.queue
		c.queue = spare[:0]
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(tcpStall))
		if _, err := c.conn.Write(out); err != nil {
			c.close()
			return
		}
		if spare = out; cap(spare) > 64<<10 {
			spare = nil
		}
	}
}

func (c *tcpConn) close() {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if !closed {
		c.some.Broadcast()
		c.conn.Close()
	}
}

// read takes packets until the connection ends.
func (c *tcpConn) read() {
	e := c.listener.engine
	var l *leg
	defer func() {
		if r := recover(); r != nil {
			e.counters.panics.Add(1)
			e.logPanic("transport.tcp", r)
		}
		c.close()
		c.listener.mu.Lock()
		delete(c.listener.open, c)
		c.listener.mu.Unlock()
		if l != nil {
			l.dropTCP(c)
		}
	}()
	_ = c.conn.SetReadDeadline(time.Now().Add(tcpFirstPacket))
	buf := make([]byte, MaxDatagram)
	var size [2]byte
	for {
		if _, err := io.ReadFull(c.conn, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(size[:]))
		if n > MaxDatagram {
			e.counters.oversized.Add(1)
			return
		}
		if _, err := io.ReadFull(c.conn, buf[:n]); err != nil {
			return
		}
		if l == nil {
			ufrag, ok := ice.UsernameFragment(buf[:n])
			if !ok {
				return
			}
			e.demux.RLock()
			l = e.ufrags[string(ufrag)]
			e.demux.RUnlock()
			if l == nil || !l.addTCP(c) {
				l = nil
				return
			}
			_ = c.conn.SetReadDeadline(time.Time{})
		}
		l.came(buf[:n], c.base, c.from)
	}
}

// maxTCPOfLeg is how many connections one leg takes.
const maxTCPOfLeg = 8

func (l *leg) addTCP(c *tcpConn) (ok bool) {
	l.peer.under(func(*turn) {
		if l.ended || len(l.tcp) >= maxTCPOfLeg || !l.peer.network.Load().TCP {
			return
		}
		if l.tcp == nil {
			l.tcp = map[netip.AddrPort]*tcpConn{}
		}
		l.tcp[c.from] = c
		ok = true
	})
	return ok
}

func (l *leg) dropTCP(c *tcpConn) {
	l.peer.under(func(t *turn) {
		if l.tcp[c.from] != c {
			return
		}
		delete(l.tcp, c.from)
		if !l.ended {
			l.agent.Drop(c.base, c.from, t.now)
			l.route()
			l.afterICE(t)
		}
	})
}

// mark marks all that leaves by the connection (RFC 2474).
func (c *tcpConn) mark(dscp uint8) {
	if dscp == 0 || c.marked {
		return
	}
	c.marked = true
	s, ok := c.conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { markDescriptor(fd, dscp) })
}
