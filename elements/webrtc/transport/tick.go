package transport

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/pipeline"
)

const (
	// tickEvery is how often it is looked whether a Peer has something due.
	tickEvery = 20 * time.Millisecond
	// tickLate is how old the latest look of a reader is when the ticker steps in, and
	// tickRest how long the ticker sleeps while none is that old.
	tickLate = 2 * tickEvery
	tickRest = 100 * time.Millisecond
	// reportEvery is how often reports are sent.
	reportEvery = time.Second
	// feedbackEvery is how often transport-wide feedback may be due.
	feedbackEvery = 50 * time.Millisecond
	// firstCheck is how long an answerer leaves it to the peer to knock first. Our
	// answer is on its way: to a peer that does not know our addresses yet we would
	// be a stranger, and some take long to trust those.
	firstCheck = 250 * time.Millisecond
	farOff     = time.Duration(1<<63 - 1)
)

// soon has the Peer served by the first look after an instant. The caller holds the
// lock of the Peer's shard.
func (p *Peer) soon(at time.Time) {
	if d := int64(max(at.Sub(p.start), 0)); d < p.due.Load() {
		p.due.Store(d)
	}
}

// tick serves the Engine's Peers until it ends: no Peer has a timer of its own. While
// datagrams come it leaves that to the readers, who are awake anyway, and seldom looks
// whether they still do: what wakes a thread costs more than most ticks.
func (e *Engine) tick() {
	timer := time.NewTimer(tickEvery)
	defer timer.Stop()
	t := &turn{}
	for {
		select {
		case <-e.done:
			return
		case <-e.nudged:
		case <-timer.C:
		}
		now := time.Now()
		timer.Reset(e.tickIdle(t, now))
		e.relieve(now)
	}
}

// nudge has the ticker look now. It never blocks.
func (e *Engine) nudge() {
	select {
	case e.nudged <- struct{}{}:
	default:
	}
}

// tickIdle serves the Peers whose shard's reader has not come lately, and all while
// some are paced. It gives when to look again.
func (e *Engine) tickIdle(t *turn, now time.Time) time.Duration {
	next, every := tickRest, e.every()
	list := e.list.Load()
	if list == nil {
		return next
	}
	for _, p := range *list {
		if every == tickEvery && p.shard.Load().looked(now) < tickLate {
			continue
		}
		next = every
		if p.due.Load() <= int64(now.Sub(p.start)) {
			p.turn(t)
		}
	}
	return next
}

// looked is how long ago the reader looked.
func (s *shard) looked(now time.Time) time.Duration {
	return now.Sub(s.born) - time.Duration(s.look.Load())
}

// tick serves the Peers of the shard, on its reader's goroutine.
func (s *shard) tick(t *turn, now time.Time) {
	s.look.Store(int64(now.Sub(s.born)))
	list := s.engine.list.Load()
	if list == nil {
		return
	}
	for _, p := range *list {
		if p.due.Load() <= int64(now.Sub(p.start)) && p.shard.Load() == s {
			p.turn(t)
		}
	}
}

// turn does what is due.
func (p *Peer) turn(t *turn) {
	t.on(p)
	defer t.end()
	defer func() {
		if r := recover(); r != nil {
			p.due.Store(int64(farOff))
			p.broke("transport.tick", r)
		}
	}()
	p.due.Store(int64(farOff))
	if p.reportAt.IsZero() {
		p.reportAt = t.now
	}
	second := !t.now.Before(p.reportAt)
	if second {
		p.reportAt = t.now.Add(reportEvery)
		p.everySecond(t)
	}
	p.soon(p.reportAt)
	for _, l := range p.transports {
		l.tick(t, second)
	}
	if on, changed := p.flow.update(p.lastRTCP, t.now.Sub(p.start)); changed && p.cfg.MediaFlowing != nil {
		p.post(func() { p.cfg.MediaFlowing(on) })
	}
}

// everySecond closes the intervals of statistics and asks sources for what their
// receivers can take.
func (p *Peer) everySecond(t *turn) {
	for _, r := range []*Receiver{p.audioIn, p.videoIn} {
		for _, e := range r.encs {
			e.stats.interval()
		}
	}
	if l := p.videoOut.link.Load(); l != nil {
		if bps, due := p.videoOut.wish(l.Spliced(), t.now); due {
			t.after = append(t.after, func() {
				p.safely(func() { l.Feedback(pipeline.Feedback{Wish: pipeline.WishBitrate, BitrateBps: bps}) })
			})
		}
	}
	p.show(t)
}

// tick does what is due of a leg.
func (l *leg) tick(t *turn, second bool) {
	if len(l.remotes) > 0 && !t.now.Before(l.checkAt) {
		l.takeRemotes(t)
	}
	if next := l.agent.Next(); !next.IsZero() && !next.After(t.now) {
		if !l.pairAt.IsZero() {
			l.agent.Heard(l.pairAt)
		}
		l.agent.Tick(t.now)
	}
	if len(l.remotes) > 0 {
		l.peer.soon(l.checkAt)
	}
	l.afterICE(t)
	if !l.running {
		return
	}
	if l.record != nil {
		l.feedBack(t)
	}
	for _, k := range l.kinds {
		r := l.peer.Receiver(k)
		if r == nil {
			continue
		}
		for _, e := range r.encs {
			l.repair(t, e)
		}
		r.askKeyFrames(t)
		l.tellFall(t, r)
	}
	l.steer(t, second)
	if l.pace != nil {
		l.release(t, false)
	}
	if second {
		l.watch(t)
		l.report(t)
		l.retire(t)
	}
}

// feedBack sends transport-wide feedback when it is due.
func (l *leg) feedBack(t *turn) {
	if l.record.Due(t.now) {
		var buf [1200]byte
		for b := l.record.Build(buf[:0], l.mainSSRC(), l.heardSSRC(), t.now); len(b) > 0; {
			n := min(4*(int(b[2])<<8+int(b[3])+1), len(b))
			l.sendRaw(t, b[:n])
			b = b[n:]
		}
	}
	if t.now.Sub(l.heardAt) < time.Second {
		l.peer.soon(t.now.Add(feedbackEvery))
	}
}

// repair asks for what is missing of a stream, and for the report of one that
// has begun.
func (l *leg) repair(t *turn, e *encoding) {
	if e.ssrc == 0 {
		return
	}
	l.repairOf(t, e)
	if p := e.reportRequest(t.now); p != nil {
		l.sendControl(t, p)
	}
	if e.asked > 0 && e.asked < maxAsked && e.clock.Waits() {
		l.peer.soon(e.askedAt.Add(askPause))
	}
}

// repairOf asks for what is missing of a stream.
func (l *leg) repairOf(t *turn, e *encoding) {
	if at, ok := e.nack.Next(); ok && !at.After(t.now) {
		var missing [64]uint16
		if list := e.nack.Missing(missing[:0], t.now, l.agent.Stats().RoundTrip); len(list) > 0 {
			var buf [512]byte
			l.sendRaw(t, congestion.AppendNACK(buf[:0], l.mainSSRC(), e.ssrc, list))
			l.peer.nacks++
			t.shard.tally.asked += uint64(len(list))
		}
	}
	e.nack.GaveUp()
	if at, ok := e.nack.Next(); ok {
		l.peer.soon(at)
	}
}

// report sends the reports of one second (RFC 3550 §6.4) and the cap on what the
// peer shall send.
func (l *leg) report(t *turn) {
	var blocks []rtcp.ReceptionReport
	for _, s := range l.streams {
		if e := s.enc; e != nil && !s.repair && e.ssrc == s.ssrc && e.reception.Started() && t.now.Sub(e.cameAt) < 5*time.Second {
			blocks = append(blocks, e.reception.Block(s.ssrc, t.now))
		}
	}
	for _, k := range l.kinds {
		s := l.peer.Sender(k)
		if s == nil || s.leg != l {
			continue
		}
		if sr := s.senderReport(t.now); sr != nil {
			// Each in a compound of its own with the name that ties them (RFC 3550 §6.5.1).
			sr.Reports, blocks = blocks, nil
			l.sendControl(t, sr, rtcp.NewCNAMESourceDescription(sr.SSRC, l.peer.streamID))
		}
	}
	if len(blocks) > 0 {
		ssrc := l.mainSSRC()
		l.sendControl(t, &rtcp.ReceiverReport{SSRC: ssrc, Reports: blocks}, rtcp.NewCNAMESourceDescription(ssrc, l.peer.streamID))
	}
	for _, k := range l.kinds {
		if k != pipeline.Video {
			continue
		}
		if remb := l.peer.videoIn.capReport(l.peer.caps.Load(), t.now); remb != nil {
			l.sendControl(t, remb)
		}
	}
}

// retire lets go of what only the handshake needed.
func (l *leg) retire(t *turn) {
	if l.retired || l.heardAt.IsZero() || l.peer.hasChannels(l) {
		return
	}
	l.retired = true
	if err := l.conn.Retire(); err != nil {
		l.peer.debug("retire DTLS", "err", err)
	}
}

// mainSSRC is the name under which the leg speaks of others' streams.
func (l *leg) mainSSRC() uint32 {
	for _, s := range []*Sender{l.peer.videoOut, l.peer.audioOut} {
		if s.leg == l {
			return s.ssrc
		}
	}
	return l.peer.audioOut.ssrc
}

// heardSSRC is a stream that transport-wide feedback may name: any that the peer
// sends.
func (l *leg) heardSSRC() uint32 {
	if len(l.streams) == 0 {
		return 0
	}
	return l.streams[0].ssrc
}

// mediaTimeout is the silence of RTCP after which media counts as gone.
const mediaTimeout = 5 * time.Second

// mediaFlow follows RTCP; both times are since the Peer's start.
type mediaFlow struct{ on bool }

func (m *mediaFlow) update(last int64, now time.Duration) (on, changed bool) {
	on = last != 0 && now-time.Duration(last) < mediaTimeout
	changed = on != m.on
	m.on = on
	return on, changed
}

// sawRTCP notes that RTCP arrived. The ticker comes at once for the first.
func (p *Peer) sawRTCP(t *turn) {
	if p.lastRTCP == 0 || !p.flow.on {
		p.soon(t.now)
	}
	p.lastRTCP = int64(t.now.Sub(p.start))
}
