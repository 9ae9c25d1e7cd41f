//lint:file-ignore SA1019 the older constructor takes one value that a table of cases can change

package ice

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/ice/v4"
)

// owner runs an Agent over real sockets, as the engine does.
type owner struct {
	t       *testing.T
	mu      sync.Mutex
	agent   *Agent
	socks   []*net.UDPConn
	changed chan struct{}
	done    chan struct{}
	wg      sync.WaitGroup
	drop    func(b []byte) bool
	states  []State
	pairs   []Pair
	media   []byte
}

func newOwner(t *testing.T, role Role, sockets int) *owner {
	t.Helper()
	o := &owner{t: t, changed: make(chan struct{}, 1), done: make(chan struct{})}
	ufrag, pwd := NewCredentials()
	o.agent = New(Config{
		Ufrag: ufrag, Pwd: pwd, Role: role, Tag: 7,
		Send: func(base int, to netip.AddrPort, b []byte) {
			if o.drop == nil || !o.drop(b) {
				_, _ = o.socks[base].WriteToUDPAddrPort(b, to)
			}
		},
		State:    func(s State) { o.states = append(o.states, s); o.wake() },
		Selected: func(p Pair) { o.pairs = append(o.pairs, p); o.wake() },
	})
	for i := range sockets {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		o.socks = append(o.socks, c)
		l := Local{Base: i, Addr: c.LocalAddr().(*net.UDPAddr).AddrPort(), LocalPreference: uint16(60000 - i)}
		if err := o.agent.AddLocal(l, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range o.socks {
		o.wg.Go(func() { o.read(i, c) })
	}
	o.wg.Go(o.tick)
	t.Cleanup(func() {
		close(o.done)
		for _, c := range o.socks {
			c.Close()
		}
		o.wg.Wait()
	})
	return o
}

func (o *owner) wake() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

func (o *owner) read(base int, c *net.UDPConn) {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		o.mu.Lock()
		switch {
		case o.drop != nil && o.drop(b[:n]):
		case IsSTUN(b[:n]):
			o.agent.Handle(b[:n], base, from, time.Now())
		default:
			o.media = append([]byte(nil), b[:n]...)
			o.wake()
		}
		o.mu.Unlock()
	}
}

func (o *owner) tick() {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-o.done:
			return
		case <-t.C:
			o.mu.Lock()
			if n := o.agent.Next(); !n.IsZero() && !time.Now().Before(n) {
				o.agent.Tick(time.Now())
			}
			o.mu.Unlock()
		}
	}
}

// await waits until the condition holds; it is asked with the lock held.
func (o *owner) await(what string, d time.Duration, ok func() bool) {
	o.t.Helper()
	limit := time.After(d)
	for {
		o.mu.Lock()
		held := ok()
		states := o.states
		o.mu.Unlock()
		if held {
			return
		}
		select {
		case <-o.changed:
		case <-limit:
			o.t.Fatalf("%s: not within %v; states %v", what, d, states)
		}
	}
}

// newPion makes an agent of pion/ice on loopback.
func newPion(t *testing.T, set func(*pion.AgentConfig)) *pion.Agent {
	t.Helper()
	disconnected, failed := 5*time.Second, 25*time.Second
	c := &pion.AgentConfig{
		NetworkTypes: []pion.NetworkType{pion.NetworkTypeUDP4}, MulticastDNSMode: pion.MulticastDNSModeDisabled,
		IncludeLoopback: true, DisconnectedTimeout: &disconnected, FailedTimeout: &failed,
		IPFilter: func(ip net.IP) bool { return ip.IsLoopback() },
	}
	if set != nil {
		set(c)
	}
	a, err := pion.NewAgent(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// gather collects pion's candidates and gives them to use, each as it comes.
func gather(t *testing.T, a *pion.Agent, use func(line string)) {
	t.Helper()
	done := make(chan struct{})
	if err := a.OnCandidate(func(c pion.Candidate) {
		if c == nil {
			close(done)
			return
		}
		use("candidate:" + c.Marshal())
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	<-done
}

func TestPion(t *testing.T) {
	lite := func(c *pion.AgentConfig) {
		c.Lite, c.CandidateTypes = true, []pion.CandidateType{pion.CandidateTypeHost}
	}
	count := 0
	third := func([]byte) bool { count++; return count%10 < 3 } // 30 % loss, both ways
	for _, c := range []struct {
		name    string
		ours    Role
		theirs  Role
		set     func(*pion.AgentConfig)
		sockets int
		hidden  bool // we do not tell our candidates / they do not tell theirs
		drop    func([]byte) bool
	}{
		{name: "we are controlled", ours: Controlled, theirs: Controlling, sockets: 1},
		{name: "we control", ours: Controlling, theirs: Controlled, sockets: 1},
		{name: "both control", ours: Controlling, theirs: Controlling, sockets: 1},
		{name: "both are controlled", ours: Controlled, theirs: Controlled, sockets: 1},
		{name: "several bases", ours: Controlled, theirs: Controlling, sockets: 4},
		{name: "several bases, we control", ours: Controlling, theirs: Controlled, sockets: 4},
		{name: "their candidates are not known", ours: Controlled, theirs: Controlling, sockets: 2, hidden: true},
		{name: "lite", ours: Controlled, theirs: Controlled, set: lite, sockets: 1},
		{name: "loss", ours: Controlled, theirs: Controlling, sockets: 1, drop: third},
		{name: "loss, we control", ours: Controlling, theirs: Controlled, sockets: 1, drop: third},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOwner(t, c.ours, c.sockets)
			o.mu.Lock()
			o.drop = c.drop
			locals := append([]Local(nil), o.agent.locals...)
			o.mu.Unlock()
			p := newPion(t, c.set)
			ufrag, pwd, err := p.GetLocalUserCredentials()
			if err != nil {
				t.Fatal(err)
			}
			o.mu.Lock()
			if err := o.agent.SetRemote(ufrag, pwd, c.set != nil, time.Now()); err != nil {
				t.Fatal(err)
			}
			o.mu.Unlock()
			gather(t, p, func(line string) {
				if c.hidden {
					return
				}
				o.mu.Lock()
				defer o.mu.Unlock()
				if err := o.agent.AddRemote(line, time.Now()); err != nil {
					t.Errorf("%s: %v", line, err)
				}
			})
			for _, l := range locals {
				cand, err := pion.UnmarshalCandidate(l.Line(netip.Addr{}))
				if err != nil {
					t.Fatal(err)
				}
				if cand.Priority() != l.Priority() {
					t.Errorf("priority %d, pion reads %d", l.Priority(), cand.Priority())
				}
				if err := p.AddRemoteCandidate(cand); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			join := p.Dial
			if c.theirs == Controlled {
				join = p.Accept
			}
			conn, err := join(ctx, o.agent.local.ufrag, o.agent.local.pwd)
			if err != nil {
				t.Fatal(err)
			}
			o.await("connected", 20*time.Second, func() bool { return o.agent.State() == StateConnected })
			if c.drop != nil {
				o.mu.Lock()
				o.drop = nil
				o.mu.Unlock()
			}
			exchange(t, o, conn)
			pair, err := p.GetSelectedCandidatePair()
			if err != nil || pair == nil {
				t.Fatal("pion has no pair", err)
			}
			mine, _ := o.agent.Selected()
			if c.sockets == 1 && int(mine.Remote.Port()) != pair.Local.Port() {
				t.Errorf("we send to %v, pion uses %v", mine.Remote, pair)
			}
		})
	}
}

// exchange sends a datagram each way by the selected pairs.
func exchange(t *testing.T, o *owner, conn net.Conn) {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		n, _ := conn.Read(b)
		got <- string(b[:n])
	}()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	limit := time.After(20 * time.Second)
	for here, there := false, false; !here || !there; {
		o.mu.Lock()
		p, _ := o.agent.Selected()
		here = here || string(o.media) == "\x80from pion"
		o.mu.Unlock()
		_, _ = o.socks[p.Base].WriteToUDPAddrPort([]byte("\x80from us"), p.Remote)
		_, _ = conn.Write([]byte("\x80from pion"))
		select {
		case s := <-got:
			if there = s == "\x80from us"; !there {
				t.Fatalf("pion got %q", s)
			}
		case <-retry.C:
		case <-limit:
			t.Fatalf("media does not flow: here %v, there %v", here, there)
		}
	}
}
