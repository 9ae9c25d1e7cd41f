package data

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/sctp"

	"github.com/govidu/govidu/elements/webrtc/transport/pionlog"
)

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// end is one end of a line that carries packets, and loses some.
type end struct {
	mu       sync.Mutex
	ready    sync.Cond
	in       [][]byte
	closed   bool
	deadline bool
	other    *end
	lose     func() bool
}

func newLine(loss int) (a, b *end) {
	a, b = &end{}, &end{}
	a.other, b.other = b, a
	for i, e := range []*end{a, b} {
		e.ready.L = &e.mu
		random := rand.New(rand.NewPCG(uint64(i), 1))
		e.lose = func() bool { return random.IntN(100) < loss }
	}
	return a, b
}

func (e *end) Read(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		switch {
		case e.closed:
			return 0, io.EOF
		case len(e.in) > 0:
			n := copy(b, e.in[0])
			e.in = e.in[1:]
			return n, nil
		case e.deadline:
			return 0, os.ErrDeadlineExceeded
		}
		e.ready.Wait()
	}
}

func (e *end) Write(b []byte) (int, error) {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	o := e.other
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.lose() && len(o.in) < 512 {
		o.in = append(o.in, slices.Clone(b))
		o.ready.Broadcast()
	}
	return len(b), nil
}

func (e *end) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.ready.Broadcast()
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = !t.IsZero()
	e.ready.Broadcast()
	return nil
}
func (e *end) SetDeadline(t time.Time) error    { return e.SetReadDeadline(t) }
func (e *end) SetWriteDeadline(time.Time) error { return nil }
func (e *end) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (e *end) RemoteAddr() net.Addr             { return &net.UDPAddr{} }

// message is one that came.
type message struct {
	id   int
	b    []byte
	text bool
}

// party is Channels with what they told.
type party struct {
	*Channels
	mu        sync.Mutex
	opened    []int
	closed    []int
	messages  []message
	oversized int
}

func newParty(t testing.TB) *party {
	p := &party{}
	p.Channels = New(Config{
		Opened: func(id int) { p.mu.Lock(); defer p.mu.Unlock(); p.opened = append(p.opened, id) },
		Closed: func(id int) { p.mu.Lock(); defer p.mu.Unlock(); p.closed = append(p.closed, id) },
		Message: func(id int, b []byte, text bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.messages = append(p.messages, message{id, b, text})
		},
		Oversized: func() { p.mu.Lock(); defer p.mu.Unlock(); p.oversized++ },
	})
	t.Cleanup(func() { _ = p.Channels.Close() })
	return p
}

func (p *party) heard() []message { p.mu.Lock(); defer p.mu.Unlock(); return slices.Clone(p.messages) }
func (p *party) begun() []int     { p.mu.Lock(); defer p.mu.Unlock(); return slices.Clone(p.opened) }
func (p *party) ended() []int     { p.mu.Lock(); defer p.mu.Unlock(); return slices.Clone(p.closed) }

// library is the other end as pion has it.
type library struct {
	*sctp.Association
	t        testing.TB
	accepted chan *datachannel.DataChannel
}

// connect starts a party and pion on a line.
func connect(t testing.TB, p *party, client bool, loss int) *library {
	t.Helper()
	a, b := newLine(loss)
	p.Start(a, client)
	as, err := sctp.ClientWithOptions(sctp.WithNetConn(b), sctp.WithMaxMessageSize(1<<20), sctp.WithLoggerFactory(pionlog.Factory{}))
	if err != nil {
		t.Fatal(err)
	}
	l := &library{as, t, make(chan *datachannel.DataChannel, 300)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			dc, err := datachannel.Accept(as, &datachannel.Config{LoggerFactory: pionlog.Factory{}})
			if err != nil {
				return
			}
			l.accepted <- dc
		}
	})
	t.Cleanup(func() { as.Abort(""); _ = as.Close(); wg.Wait() })
	return l
}

// dial opens a channel by the library.
func (l *library) dial(id uint16, cfg datachannel.Config) *datachannel.DataChannel {
	l.t.Helper()
	cfg.LoggerFactory = pionlog.Factory{}
	dc, err := datachannel.Dial(l.Association, id, &cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	return dc
}

// take gives the next channel that we opened.
func (l *library) take() *datachannel.DataChannel {
	l.t.Helper()
	select {
	case dc := <-l.accepted:
		return dc
	case <-time.After(20 * time.Second):
		l.t.Fatal("no channel within 20 s")
	}
	panic("unreachable")
}
