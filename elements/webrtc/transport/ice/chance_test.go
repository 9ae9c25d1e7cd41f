package ice

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestChance meets agents of all kinds over networks of all kinds: as long as one
// path works both ways they end up on one path, and stay there.
func TestChance(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t)
			w.random, w.loss, w.delay = r, 0.3*r.Float64(), time.Duration(1+r.IntN(150))*time.Millisecond
			sockets := func(net int) (s []string) {
				for i := range 1 + r.IntN(3) {
					s = append(s, fmt.Sprintf("192.0.%d.%d:1000", net, i+1))
					if r.IntN(3) == 0 {
						s = append(s, fmt.Sprintf("[2001:db8::%d:%d]:1000", net, i+1))
					}
				}
				return s
			}
			a, b := w.end(Role(r.IntN(2)), sockets(2)...), w.end(Role(r.IntN(2)), sockets(3)...)
			dead := map[netip.AddrPort]bool{}
			w.through = func(from, to netip.AddrPort) (netip.AddrPort, bool) { return from, !dead[from] && !dead[to] }
			for i := 1; i < len(a.locals); i++ {
				dead[a.locals[i].Addr] = r.IntN(2) == 0
			}
			described := []func(){
				func() { w.describe(a, b) }, func() { w.describe(b, a) },
				func() {
					if r.IntN(3) > 0 {
						w.trickle(a, b)
					}
				},
				func() { w.trickle(b, a) },
			}
			r.Shuffle(len(described), func(i, j int) { described[i], described[j] = described[j], described[i] })
			for _, f := range described {
				f()
				w.run(time.Duration(r.IntN(2000))*time.Millisecond, nil)
			}
			same := func() bool { return connected(a, b)() && on(a, b) }
			if !w.run(25*time.Second, same) {
				t.Fatalf("loss %.2f delay %v: %s; %s", w.loss, w.delay, a.history(), b.history())
			}
			if a.Role() == b.Role() {
				t.Error("both are", a.Role())
			}
			// The path in use dies; others are there at times.
			w.loss = 0
			w.run(5*time.Second, nil)
			p, _ := a.Selected()
			use := a.sockets[p.Base]
			others := slices.DeleteFunc(slices.Clone(a.locals), func(l Local) bool { return l.Addr == use || !reaches(b, l) })
			if len(others) > 0 {
				clear(dead)
				dead[use] = true
				if !w.run(20*time.Second, func() bool { q, _ := a.Selected(); return q.Base != p.Base && same() }) {
					t.Fatalf("does not leave a dead path: %s; %s", a.history(), b.history())
				}
			}
			clear(dead)
			n := len(a.states) + len(b.states)
			w.run(time.Minute, nil)
			if !same() || len(a.states)+len(b.states) != n {
				t.Errorf("does not stay: %s; %s", a.history(), b.history())
			}
		})
	}
}

// reaches tells whether an end has a socket of the candidate's family.
func reaches(e *end, l Local) bool {
	return slices.ContainsFunc(e.locals, func(o Local) bool { return o.Addr.Addr().Is4() == l.Addr.Addr().Is4() })
}
