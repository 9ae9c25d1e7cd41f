package e2e

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a TCP relay in front of a port of the server, whose cable a test can
// cut: open sockets are reset and new ones refused until it is joined again. It
// can also swallow what passes, so that both ends have a socket that looks
// well. Media does not pass here, so this hits the signalling alone.
type proxy struct {
	port   int
	target string
	ln     net.Listener
	wg     sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	over  bool
	conns map[*net.TCPConn]*atomic.Bool // whether the socket is silenced
}

func startProxy(t testing.TB, targetPort int) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		port:   ln.Addr().(*net.TCPAddr).Port,
		target: fmt.Sprintf("127.0.0.1:%d", targetPort),
		ln:     ln,
		conns:  map[*net.TCPConn]*atomic.Bool{},
	}
	p.wg.Add(1)
	go p.accept()
	t.Cleanup(func() {
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		_ = ln.Close()
		p.resetAll()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	defer p.wg.Done()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Add(1)
		go p.relay(c.(*net.TCPConn))
	}
}

func (p *proxy) relay(down *net.TCPConn) {
	defer p.wg.Done()
	silent := new(atomic.Bool)
	if !p.hold(down, silent) {
		reset(down)
		return
	}
	defer p.release(down)
	c, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	up := c.(*net.TCPConn)
	if !p.hold(up, silent) {
		reset(up)
		return
	}
	defer p.release(up)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(valve{up, silent}, down)
		_ = up.CloseWrite()
	}()
	_, _ = io.Copy(valve{down, silent}, up)
	_ = down.CloseWrite()
	<-done
}

// valve swallows what is written once it is shut.
type valve struct {
	io.Writer
	shut *atomic.Bool
}

func (v valve) Write(b []byte) (int, error) {
	if v.shut.Load() {
		return len(b), nil
	}
	return v.Writer.Write(b)
}

// silence swallows from now on whatever comes over the sockets that are open.
// New ones are served.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, silent := range p.conns {
		silent.Store(true)
	}
}

func (p *proxy) hold(c *net.TCPConn, silent *atomic.Bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.over {
		return false
	}
	p.conns[c] = silent
	return true
}

func (p *proxy) release(c *net.TCPConn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}

// setCut cuts the cable, resetting what is open, or joins it again.
func (p *proxy) setCut(cut bool) {
	p.mu.Lock()
	p.cut = cut
	p.mu.Unlock()
	if cut {
		p.resetAll()
	}
}

func (p *proxy) resetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

// reset closes with RST, as a dead path does, not with a polite FIN.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
