package rtp

import (
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
)

const (
	// silence is how long without a datagram of the peer is DISCONNECTED.
	silence = 5 * time.Second
	// firstReport and reportEvery are when reports go; the latter is varied by a
	// fifth, so that peers do not fall into step (RFC 3550 §6.2).
	firstReport = 200 * time.Millisecond
	reportEvery = time.Second
)

// run is the Endpoint's goroutine after negotiation: reports, requests to the
// peer, and states.
func (e *Endpoint) run() {
	last := time.Now()
	due := last.Add(firstReport)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.wake:
		case <-timer.C:
		}
		now := time.Now()
		e.observe(now)
		next := due
		legs := e.usedLegs()
		for _, l := range legs {
			if at, ok := e.ask(l, now); ok && at.Before(next) {
				next = at
			}
		}
		if !now.Before(due) {
			s := get(e, func(s *settings) settings { return *s })
			for _, l := range legs {
				e.report(l, s, now.Sub(last).Seconds(), now)
			}
			last = now
			due = now.Add(reportEvery*4/5 + rand.N(reportEvery*2/5))
			next = due
		}
		timer.Reset(max(time.Until(next), time.Millisecond))
	}
}

// observe brings the two states up to date.
func (e *Endpoint) observe(now time.Time) {
	up, legs := true, e.usedLegs()
	for _, l := range legs {
		up = up && l.lock.settled(now)
	}
	e.change("ConnectionStateChanged", &e.connection, up && len(legs) > 0)
	last := e.lastAlive.Load()
	e.change("MediaStateChanged", &e.media, last != 0 && !e.goodbye.Load() && now.UnixNano()-last < int64(silence))
}

// ask sends what is to be asked of the peer now, and tells when there is more.
func (e *Endpoint) ask(l *leg, now time.Time) (time.Time, bool) {
	var out []rtcp.Packet
	if p := l.in.keyRequest(); p != nil {
		out = append(out, p)
	}
	if p := l.in.askMissing(now); p != nil {
		out = append(out, p)
	}
	if len(out) > 0 {
		// A compound begins with a report (RFC 3550 §6.1).
		l.sendReports(append(e.preamble(l, l.in.blocksNow(now), now), out...), now)
	}
	return l.in.nextAsk()
}

// report sends what is due each interval.
func (e *Endpoint) report(l *leg, s settings, seconds float64, now time.Time) {
	blocks, remb := l.in.report(s, seconds, now)
	out := e.preamble(l, blocks, now)
	if remb != nil {
		out = append(out, remb)
	}
	l.sendReports(out, now)
}

// preamble is a report, of a sender when we send, and our name.
func (e *Endpoint) preamble(l *leg, blocks []rtcp.ReceptionReport, now time.Time) []rtcp.Packet {
	var first rtcp.Packet = &rtcp.ReceiverReport{SSRC: l.out.ssrc, Reports: blocks}
	if sr := l.out.report(now); sr != nil {
		sr.Reports = blocks
		first = sr
	}
	return []rtcp.Packet{first, rtcp.NewCNAMESourceDescription(l.out.ssrc, e.identity.cname)}
}

// farewell tells the peer that we leave (RFC 3550 §6.6).
func (e *Endpoint) farewell(legs []*leg) {
	now := time.Now()
	for _, l := range legs {
		bye := &rtcp.Goodbye{Sources: []uint32{l.out.ssrc}}
		l.sendReports(append(e.preamble(l, nil, now), bye), now)
	}
}
