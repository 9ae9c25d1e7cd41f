package transport

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

// AddCandidate takes a trickled candidate, also before the peer's description,
// when it is kept. Candidates that are of no use are dropped without an error;
// more than MaxCandidates fail with kerr.ICEAddCandidateError.
func (p *Peer) AddCandidate(c Candidate) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("add candidate: %w", net.ErrClosed)
	}
	c.Candidate = strings.TrimPrefix(strings.TrimSpace(c.Candidate), "a=")
	switch judge(c.Candidate, p.engine.loopback) {
	case candidateSkip:
		return nil
	case candidateDrop:
		p.engine.counters.badCandidates.Add(1)
		return nil
	}
	if p.remoteN >= MaxCandidates {
		p.engine.counters.badCandidates.Add(1)
		return kerr.New(kerr.ICEAddCandidateError, "Too many ICE candidates")
	}
	p.remoteN++
	if p.reoffer != nil { // whose it is shows when that is answered
		p.waiting = append(p.waiting, c)
	}
	if p.stage != settled {
		p.waiting = append(p.waiting, c)
		return nil
	}
	p.apply(c)
	return nil
}

// takePending applies the candidates of the description and those that came
// before it. The caller holds p.mu.
func (p *Peer) takePending(d *description) {
	list := p.waiting
	p.waiting = nil
	for _, c := range d.candidates() {
		switch judge(c.Candidate, p.engine.loopback) {
		case candidateUse:
			if p.remoteN < MaxCandidates {
				p.remoteN++
				list = append(list, c)
			}
		case candidateDrop:
			p.engine.counters.badCandidates.Add(1)
		}
	}
	for _, c := range list {
		p.apply(c)
	}
}

// apply gives a candidate to the leg of its section. The caller holds p.mu.
func (p *Peer) apply(c Candidate) {
	l := p.legOf(c)
	if l == nil {
		return
	}
	p.under(func(t *turn) {
		l.remotes = append(l.remotes, c.Candidate)
		if t.now.Before(l.checkAt) {
			p.soon(l.checkAt)
			return
		}
		l.takeRemotes(t)
		l.afterICE(t)
	})
}

// takeRemotes gives the agent the peer's candidates that wait, which has it knock
// at them.
func (l *leg) takeRemotes(t *turn) {
	l.checkAt = time.Time{}
	for _, line := range l.remotes {
		if err := l.agent.AddRemote(line, t.now); err != nil {
			l.peer.engine.counters.badCandidates.Add(1)
			l.peer.debug("remote candidate refused", "err", err)
		}
	}
	l.remotes = nil
}

// legOf finds the leg by the mid, else by the index of the section. What names
// no section of ours is the first leg's: with BUNDLE there is no other.
func (p *Peer) legOf(c Candidate) *leg {
	if len(p.legs) == 0 {
		return nil
	}
	if len(p.legs) == 1 {
		return p.legs[0]
	}
	at := c.SDPMLineIndex
	for i, s := range p.remoteSDP.sections {
		if mid, ok := s.attr("mid"); ok && mid == c.SDPMid {
			at = i
			break
		}
	}
	for _, l := range p.legs {
		if slices.Contains(l.at, at) {
			return l
		}
	}
	return p.legs[0]
}

// Gather lets the candidates that were and will be found be told to the Handler.
// Before a description there is nothing to gather, which is no error.
func (p *Peer) Gather() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("gather candidates: %w", net.ErrClosed)
	}
	p.gatherOn = true
	p.tell()
	return nil
}

// tell posts what the Handler does not know yet: each candidate once for every
// section that it serves. The caller holds p.mu.
func (p *Peer) tell() {
	if !p.gatherOn || p.local == nil {
		return
	}
	all := true
	for _, l := range p.legs {
		all = all && l.pending == 0
		for ; l.told < len(l.found); l.told++ {
			text := p.network.Load().external(l.found[l.told])
			for _, i := range l.at {
				mid, _ := p.local.sections[i].attr("mid")
				c := Candidate{Candidate: text, SDPMid: mid, SDPMLineIndex: i}
				if p.cfg.Candidate != nil {
					p.post(func() { p.cfg.Candidate(c) })
				}
			}
		}
	}
	if all && !p.toldDone {
		p.toldDone = true
		if p.cfg.GatheringDone != nil {
			p.post(p.cfg.GatheringDone)
		}
	}
}
