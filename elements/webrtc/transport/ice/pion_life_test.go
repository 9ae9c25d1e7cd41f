//lint:file-ignore SA1019 the older constructor takes one value that a table of cases can change

package ice

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	pion "github.com/pion/ice/v4"
)

// joined connects an owner with an agent of pion.
func joined(t *testing.T, ours Role, set func(*pion.AgentConfig)) (*owner, *pion.Agent, net.Conn) {
	t.Helper()
	o, p := newOwner(t, ours, 1), newPion(t, set)
	describePion(t, o, p)
	gather(t, p, func(line string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if err := o.agent.AddRemote(line, time.Now()); err != nil {
			t.Error(err)
		}
	})
	tellPion(t, o, p)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	join := p.Accept
	if ours == Controlled {
		join = p.Dial
	}
	conn, err := join(ctx, o.agent.local.ufrag, o.agent.local.pwd)
	if err != nil {
		t.Fatal(err)
	}
	o.await("connected", 20*time.Second, func() bool { return o.agent.State() == StateConnected })
	return o, p, conn
}

func describePion(t *testing.T, o *owner, p *pion.Agent) {
	t.Helper()
	ufrag, pwd, err := p.GetLocalUserCredentials()
	if err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.agent.SetRemote(ufrag, pwd, false, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func tellPion(t *testing.T, o *owner, p *pion.Agent) {
	t.Helper()
	for _, l := range o.agent.locals {
		c, err := pion.UnmarshalCandidate(l.Line(netip.Addr{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.AddRemoteCandidate(c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPionRestart(t *testing.T) {
	for _, role := range []Role{Controlled, Controlling} {
		o, p, conn := joined(t, role, nil)
		exchange(t, o, conn)
		if err := p.Restart("", ""); err != nil {
			t.Fatal(err)
		}
		ufrag, pwd := NewCredentials()
		o.mu.Lock()
		o.agent.Restart(ufrag, pwd, time.Now())
		o.states, o.media = nil, nil
		o.mu.Unlock()
		if err := p.SetRemoteCredentials(ufrag, pwd); err != nil {
			t.Fatal(err)
		}
		describePion(t, o, p)
		gather(t, p, func(line string) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if err := o.agent.AddRemote(line, time.Now()); err != nil {
				t.Error(err)
			}
		})
		tellPion(t, o, p)
		o.await("connected again", 20*time.Second, func() bool { return o.agent.State() == StateConnected && len(o.states) == 2 })
		o.mu.Lock()
		old := o.agent.old
		o.mu.Unlock()
		if old != nil {
			t.Error("the old generation is still there")
		}
		exchange(t, o, conn)
	}
}

// TestPionGoes: the peer vanishes, and pion sees us vanish.
func TestPionGoes(t *testing.T) {
	o, p, conn := joined(t, Controlled, nil)
	exchange(t, o, conn)
	o.mu.Lock()
	o.agent.disconnected, o.agent.failed, o.agent.keepalive = int64(400*time.Millisecond), int64(400*time.Millisecond), int64(100*time.Millisecond)
	o.states = nil
	o.mu.Unlock()
	p.Close()
	o.await("failed", 20*time.Second, func() bool { return o.agent.State() == StateFailed })
	if len(o.states) != 2 || o.states[0] != StateDisconnected {
		t.Error(o.states)
	}
}

// TestPionRenominates: a controlling pion moves to another pair of its own accord.
func TestPionRenominates(t *testing.T) {
	// Two bases of ours are two pairs for pion.
	value := uint32(0)
	next := func() uint32 { value++; return value }
	p, err := pion.NewAgentWithOptions(
		pion.WithNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4}), pion.WithIncludeLoopback(),
		pion.WithMulticastDNSMode(pion.MulticastDNSModeDisabled), pion.WithRenomination(next),
		pion.WithIPFilter(func(ip net.IP) bool { return ip.IsLoopback() }),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	o := newOwner(t, Controlled, 2)
	describePion(t, o, p)
	gather(t, p, func(line string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if err := o.agent.AddRemote(line, time.Now()); err != nil {
			t.Error(err)
		}
	})
	tellPion(t, o, p)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := p.Dial(ctx, o.agent.local.ufrag, o.agent.local.pwd)
	if err != nil {
		t.Fatal(err)
	}
	o.await("connected", 20*time.Second, func() bool { return o.agent.State() == StateConnected })
	exchange(t, o, conn)
	for range 3 {
		o.mu.Lock()
		before, _ := o.agent.Selected()
		target := o.agent.locals[1-before.Base]
		o.media = nil
		o.mu.Unlock()
		locals, _ := p.GetLocalCandidates()
		remotes, _ := p.GetRemoteCandidates()
		for _, r := range remotes {
			if r.Port() == int(target.Addr.Port()) {
				if err := p.RenominateCandidate(locals[0], r); err != nil {
					t.Fatal(err)
				}
			}
		}
		o.await("the other pair", 20*time.Second, func() bool { s, _ := o.agent.Selected(); return s.Base == target.Base })
		exchange(t, o, conn)
	}
}
