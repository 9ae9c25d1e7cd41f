package dtls

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/dtls/v3"
)

// BenchmarkHandshake is a handshake of a Conn with the library as client, whose
// half of the work is in the figure.
func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p, c := join(b, nil)
		_ = p.Close()
		_ = c.Close()
	}
}

// BenchmarkLibrary is the same with the library on both sides.
func BenchmarkLibrary(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		x, y := pipe()
		server, err := pion.ServerWithOptions(x, somewhere{}, pion.WithCertificates(ours()), pion.WithClientAuth(pion.RequireAnyClientCert),
			pion.WithInsecureSkipVerifyHello(true), pion.WithSRTPProtectionProfiles(profiles...))
		if err != nil {
			b.Fatal(err)
		}
		var list []pion.ClientOption
		for _, o := range defaults() {
			list = append(list, o)
		}
		client, err := pion.ClientWithOptions(y, somewhere{}, list...)
		if err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { _ = server.Handshake() })
		if err := client.Handshake(); err != nil {
			b.Fatal(err)
		}
		wg.Wait()
		_ = server.Close()
		_ = client.Close()
	}
}

// pipe are two sockets that know each other.
func pipe() (a, b *wire) {
	a, b = newWire(), newWire()
	a.toUs = func(_ int, x []byte) [][]byte { _ = b.deliver(x); return nil }
	b.toUs = func(_ int, x []byte) [][]byte { _ = a.deliver(x); return nil }
	return a, b
}

// BenchmarkStream writes and reads records of 1,150 bytes.
func BenchmarkStream(b *testing.B) {
	var to *Conn
	record := make([]byte, 1150)
	var sent []byte
	p, _ := join(b, nil)
	p.cfg.Write = func(x []byte) error { sent = x; return nil }
	s, err := p.Stream()
	if err != nil {
		b.Fatal(err)
	}
	to = &Conn{cfg: p.cfg, phase: connected, secret: &secret{size: p.secret.size, read: p.secret.write}}
	from, err := to.Stream()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Write(record); err != nil {
			b.Fatal(err)
		}
		to.Handle(sent)
		if _, err := from.Read(record); err != nil {
			b.Fatal(err)
		}
	}
}

// inUse is the live heap and the stacks, in bytes.
func inUse() (heap, stacks int64) {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// BenchmarkMemory is what a connected Conn holds, per Conn of a thousand: after
// the handshake, with the ciphers of a Stream, and retired.
func BenchmarkMemory(b *testing.B) {
	const n = 1000
	for b.Loop() {
		conns, wires := make([]*Conn, n), make([]*wire, n)
		done := make(chan outcome, 1)
		tell := func(k Keys, err error) { done <- outcome{err: err} }
		verify := func([]byte) error { return nil }
		goroutines := runtime.NumGoroutine()
		before, stacks := inUse()
		for i := range n {
			w := newWire()
			wires[i] = w
			c, err := New(Config{Certificate: ours(), Verify: verify, Done: tell, Closed: func() {}, Write: func(b []byte) error {
				if w := wires[i]; w != nil {
					return w.deliver(b)
				}
				return nil
			}})
			if err != nil {
				b.Fatal(err)
			}
			conns[i], w.to = c, c
			c.Start()
			client, err := (&party{Conn: c, wire: w}).dial(b)
			if err != nil {
				b.Fatal(err)
			}
			if o := <-done; o.err != nil {
				b.Fatal(o.err)
			}
			wires[i], w.to = nil, nil
			w.toUs = func(int, []byte) [][]byte { return nil }
			_ = client.Close()
		}
		for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		with, withStacks := inUse()
		b.ReportMetric(float64(with-before)/n, "connected-B/conn")
		b.ReportMetric(float64(withStacks-stacks)/n, "stack-B/conn")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/n, "goroutines/conn")
		for _, c := range conns {
			s, err := c.Stream()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.Write([]byte("x")); err != nil {
				b.Fatal(err)
			}
			_ = s.Close()
			c.mu.Lock()
			_, _ = c.reader()
			c.mu.Unlock()
		}
		ciphers, _ := inUse()
		b.ReportMetric(float64(ciphers-before)/n, "ciphers-B/conn")
		for _, c := range conns {
			if err := c.Retire(); err != nil {
				b.Fatal(err)
			}
		}
		retired, _ := inUse()
		b.ReportMetric(float64(retired-before)/n, "retired-B/conn")
		for _, c := range conns {
			_ = c.Close()
		}
	}
}
