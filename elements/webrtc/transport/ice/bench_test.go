package ice

import (
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// wired makes two agents that are connected, with an allocation-free wire.
// tick lets time pass for both.
func wired(tb testing.TB) (a, b *Agent, tick func(time.Duration)) {
	tb.Helper()
	clock := time.Unix(1e9, 0)
	type datagram struct {
		b [512]byte
		n int
	}
	ring, in, out := make([]datagram, 64), 0, 0
	to := make([]*Agent, len(ring))
	x, y := addr("192.0.2.1:1000"), addr("192.0.2.2:2000")
	var drain func()
	busy := false
	wire := func(dst **Agent) func(int, netip.AddrPort, []byte) {
		return func(_ int, _ netip.AddrPort, b []byte) {
			d := &ring[in%len(ring)]
			d.n = copy(d.b[:], b)
			to[in%len(ring)] = *dst
			in++
		}
	}
	drain = func() {
		for ; out < in && !busy; out++ {
			busy = true
			d := &ring[out%len(ring)]
			dst, from := to[out%len(ring)], x
			if dst == a {
				from = y
			}
			dst.Handle(d.b[:d.n], 0, from, clock)
			busy = false
		}
	}
	a = New(Config{Ufrag: "aaaaaaaa", Pwd: "aaaaaaaaaaaaaaaaaaaaaaaa", Role: Controlled, Send: wire(&b)})
	b = New(Config{Ufrag: "bbbbbbbb", Pwd: "bbbbbbbbbbbbbbbbbbbbbbbb", Role: Controlling, Send: wire(&a)})
	if a.AddLocal(Local{Addr: x}, clock) != nil || b.AddLocal(Local{Addr: y}, clock) != nil ||
		a.SetRemote(b.local.ufrag, b.local.pwd, false, clock) != nil || b.SetRemote(a.local.ufrag, a.local.pwd, false, clock) != nil ||
		b.AddRemote(a.locals[0].Line(netip.Addr{}), clock) != nil {
		tb.Fatal("no start")
	}
	drain()
	if a.State() != StateConnected || b.State() != StateConnected {
		tb.Fatal(a.State(), b.State())
	}
	return a, b, func(d time.Duration) {
		clock = clock.Add(d)
		a.Tick(clock)
		b.Tick(clock)
		drain()
	}
}

// TestConsentAllocates nothing: it runs for each peer for as long as it lives.
func TestConsentAllocates(t *testing.T) {
	a, b, tick := wired(t)
	before := a.Stats().ConsentSent + b.Stats().ConsentSent
	if n := testing.AllocsPerRun(200, func() { tick(2 * time.Second) }); n > 0 && !racing {
		t.Errorf("%v allocations per round of consent", n)
	}
	if sent := a.Stats().ConsentSent + b.Stats().ConsentSent - before; sent < 200 {
		t.Errorf("only %d consent checks", sent)
	}
	if a.State() != StateConnected || b.State() != StateConnected {
		t.Error(a.State(), b.State())
	}
	request := request(a.local, b.local, 1, Controlling, false)
	if n := testing.AllocsPerRun(100, func() {
		if u, ok := UsernameFragment(request); !ok || IsResponse(request) || Tag(request) == 0 || len(u) == 0 {
			t.Fatal("not a request")
		}
	}); n > 0 {
		t.Errorf("%v allocations to find the agent", n)
	}
}

// BenchmarkConsent is a request and its answer, both ends.
func BenchmarkConsent(b *testing.B) {
	_, _, tick := wired(b)
	b.ReportAllocs()
	for b.Loop() {
		tick(2 * time.Second)
	}
}

// BenchmarkMemory reports what a connected agent keeps, with the candidates that
// a browser usually signals.
func BenchmarkMemory(b *testing.B) {
	const n = 2000
	now := time.Unix(1e9, 0)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		agents := make([]*Agent, n)
		for i := range agents {
			x, y, _ := wired(b)
			for _, c := range []string{
				"candidate:1 1 udp 2113937151 192.0.2.30 40000 typ host", "candidate:2 1 udp 2113939711 2001:db8::30 40001 typ host",
				"candidate:3 1 udp 1677729535 203.0.113.5 46154 typ srflx raddr 0.0.0.0 rport 0",
				"candidate:4 1 udp 33562367 203.0.113.9 50000 typ relay raddr 0.0.0.0 rport 0",
			} {
				if err := x.AddRemote(c, now); err != nil {
					b.Fatal(err)
				}
			}
			_ = x.AddLocal(Local{Base: 1, Addr: addr("[2001:db8::1]:1000")}, now)
			_ = x.AddLocal(Local{Base: 2, Addr: addr("192.0.2.1:1000"), TCP: true}, now)
			x.cfg.Send, y.cfg.Send = nil, nil // the wire is not the agent's
			agents[i] = x
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/agent")
		runtime.KeepAlive(agents)
	}
}
