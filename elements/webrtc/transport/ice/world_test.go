package ice

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a network with a clock of its own: nothing in it waits.
type world struct {
	t      *testing.T
	now    time.Time
	flying []packet
	ends   []*end
	random *rand.Rand
	loss   float64
	delay  time.Duration
	// through says under which address a datagram arrives, and whether it does.
	through func(from, to netip.AddrPort) (netip.AddrPort, bool)
}

type packet struct {
	at       time.Time
	from, to netip.AddrPort
	data     []byte
}

// end is an Agent with its sockets.
type end struct {
	*Agent
	w       *world
	sockets map[int]netip.AddrPort
	states  []State
	pairs   []Pair
	sent    []packet
}

func newWorld(t *testing.T) *world {
	return &world{t: t, now: time.Unix(1e9, 0), random: rand.New(rand.NewPCG(1, 2)), delay: 5 * time.Millisecond}
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func (w *world) end(role Role, sockets ...string) *end {
	e := &end{w: w, sockets: map[int]netip.AddrPort{}}
	ufrag, pwd := NewCredentials()
	e.Agent = New(Config{
		Ufrag: ufrag, Pwd: pwd, Role: role, Tag: uint32(len(w.ends) + 1), Send: e.send,
		State:    func(s State) { e.states = append(e.states, s) },
		Selected: func(p Pair) { e.pairs = append(e.pairs, p) },
	})
	w.ends = append(w.ends, e)
	for i, s := range sockets {
		e.listen(Local{Base: i, Addr: addr(s), LocalPreference: uint16(65535 - i)})
	}
	return e
}

func (e *end) listen(l Local) {
	e.w.t.Helper()
	if l.Type != ServerReflexive {
		e.sockets[l.Base] = l.Addr
	}
	if err := e.AddLocal(l, e.w.now); err != nil {
		e.w.t.Fatal(err)
	}
}

func (e *end) send(base int, to netip.AddrPort, b []byte) {
	w := e.w
	from, ok := e.sockets[base]
	if !ok {
		w.t.Errorf("an agent sends by base %d, which it has not", base)
	}
	p := packet{w.now.Add(w.delay), from, to, slices.Clone(b)}
	e.sent = append(e.sent, p)
	if w.random.Float64() < w.loss {
		return
	}
	if w.through != nil {
		if p.from, ok = w.through(from, to); !ok {
			return
		}
	}
	w.flying = append(w.flying, p)
}

// deliver gives a datagram to whoever listens there.
func (w *world) deliver(p packet) {
	for _, e := range w.ends {
		for base, s := range e.sockets {
			if s == p.to {
				e.Handle(p.data, base, p.from, w.now)
				return
			}
		}
	}
}

// run lets time pass until the condition holds, at most d, and tells whether it
// held. Agents are ticked when they want it, as an owner with a 20 ms ticker does.
func (w *world) run(d time.Duration, until func() bool) bool {
	for end := w.now.Add(d); ; {
		if until != nil && until() {
			return true
		}
		if !w.now.Before(end) {
			return until == nil
		}
		w.now = w.now.Add(time.Millisecond)
		due := slices.DeleteFunc(slices.Clone(w.flying), func(p packet) bool { return p.at.After(w.now) })
		w.flying = slices.DeleteFunc(w.flying, func(p packet) bool { return !p.at.After(w.now) })
		for _, p := range due {
			w.deliver(p)
		}
		if w.now.UnixMilli()%20 == 0 {
			for _, e := range w.ends {
				if n := e.Next(); !n.IsZero() && !n.After(w.now) {
					e.Tick(w.now)
				}
			}
		}
	}
}

// meet tells each end the other's credentials and candidates.
func (w *world) meet(a, b *end) {
	w.t.Helper()
	for _, x := range [][2]*end{{a, b}, {b, a}} {
		w.describe(x[0], x[1])
		w.trickle(x[0], x[1])
	}
}

func (w *world) describe(to, of *end) {
	w.t.Helper()
	if err := to.SetRemote(of.local.ufrag, of.local.pwd, false, w.now); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) trickle(to, of *end) {
	w.t.Helper()
	for _, l := range of.locals {
		if err := to.AddRemote(l.Line(netip.Addr{}), w.now); err != nil && !l.TCP {
			w.t.Fatal(err)
		}
	}
}

func connected(ends ...*end) func() bool {
	return func() bool {
		return !slices.ContainsFunc(ends, func(e *end) bool { return e.State() != StateConnected })
	}
}

// on tells whether two ends use the same path.
func on(a, b *end) bool {
	p, ok := a.Selected()
	q, ok2 := b.Selected()
	return ok && ok2 && p.Remote == b.sockets[q.Base] && q.Remote == a.sockets[p.Base]
}

func (e *end) history() string {
	var s []string
	for _, x := range e.states {
		s = append(s, x.String())
	}
	for _, p := range e.pairs {
		s = append(s, fmt.Sprintf("%d→%s", p.Base, p.Remote))
	}
	return strings.Join(s, " ")
}
