package transport

import (
	"errors"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
)

// refusal is why something that came was not taken.
type refusal uint8

const (
	refusedAuth    refusal = iota // its integrity is not the peer's (SRTP, SRTCP)
	refusedReplay                 // it came before, or too late
	refusedSource                 // no peer is known at its address, or by its name
	refusedStream                 // its SSRC or payload type is nobody's, or one too many
	refusedEarly                  // media before the handshake is done
	refusedSecured                // sealed wrongly otherwise
	refusals
)

var refusalNames = [refusals]string{"authentication", "replay", "unknown_source", "unknown_stream", "not_ready", "srtp"}

// omission is why a packet for a peer was not sent.
type omission uint8

const (
	omittedConnection omission = iota // the peer is not connected (any more)
	omittedCodec                      // it does not take the codec
	omittedKeyFrame                   // a keyframe is waited for
	omittedPath                       // no selected pair
	omittedSize                       // it does not fit a datagram
	omissions
)

var omissionNames = [omissions]string{"not_connected", "not_negotiated", "no_keyframe", "no_path", "oversized"}

// tally is what one shard counts: plain numbers under its lock, which nobody else
// writes.
type tally struct {
	received, receivedBytes uint64
	sent, sentBytes         uint64 // besides what the writer sends
	read                    uint64 // datagrams in
	reads                   [udp.Batches]uint64
	refused                 [refusals]uint64
	omitted                 [omissions]uint64

	nacked, resent, resentBytes    uint64 // packets that peers asked for again, and got
	unkept, unaffordable, repeated uint64 // did not get, and why
	asked, repaired                uint64 // packets that we asked for, and that came again
	probed                         uint64 // bytes
	paced                          uint64 // packets that waited
	pliIn, firIn, pliOut, firOut   uint64
}

// Capacity is what an Engine does and has done since its birth. Counters only grow.
type Capacity struct {
	// Received and Sent are datagrams of the media port and of relays, and of TCP
	// connections. STUN that we send is not counted.
	Received, ReceivedBytes, Sent, SentBytes uint64
	// Messages and Calls are in how many messages, of one datagram or several
	// (UDP_SEGMENT), and system calls those of Sent left that went by the media port.
	Messages, Calls uint64
	// Reads and Writes count batches by their datagrams, see udp.BatchClass.
	// Read and Written are the datagrams in them.
	Reads, Writes [udp.Batches]uint64
	Read, Written uint64
	// Refused is what came and was not taken, Dropped what was not sent, by reason.
	Refused, Dropped map[string]uint64
	// Overrun is what our own slowness lost: "socket" has datagrams that nobody read in
	// time, "inbox" batches and datagrams that another shard had no room for.
	Overrun map[string]uint64
	// Nacked is packets that peers asked for again. Resends tells what became of that:
	// "sent", "missing" (not kept any more), "budget", "repeated" (sent a moment ago,
	// or often). ResentBytes is that of datagrams.
	Nacked      uint64
	Resends     map[string]uint64
	ResentBytes uint64
	// Asked is packets that we asked publishers for again, Repaired those that came.
	Asked, Repaired uint64
	ProbeBytes      uint64 // padding that was sent to find bandwidth
	// PacedPackets waited for their turn, because the peer's way is narrow.
	PacedPackets uint64
	// Keyframe requests, by peers and to them.
	PLIReceived, FIRReceived, PLISent, FIRSent uint64
	// ShedStep is how far the quality is lowered for want of processor time, 0 for not.
	ShedStep int
	// Load is the share of the busiest part, from 0 to 1, of the latest second.
	Load   float64
	Shards []ShardCapacity
	// Estimates are what subscribers of video are taken to be able to receive, in
	// bps, of those for which it is measured.
	Estimates []int
	// Layers counts subscribers of video in layers by what is forwarded to them.
	Layers map[Layer]int
}

// ShardCapacity is one shard now.
type ShardCapacity struct {
	Peers      int
	Inbox      int           // letters that wait
	QueueBytes int           // memory of datagrams that wait to be read
	Busy       time.Duration // time spent on datagrams and letters since birth
}

// Layer is a spatial and a temporal layer that is forwarded: a rank, -1 for none,
// and Best for no bound.
type Layer struct{ Spatial, Temporal int }

// Capacity reads the figures; each shard's lock is taken once, and no Peer's.
func (e *Engine) Capacity() Capacity {
	c := Capacity{
		Refused: map[string]uint64{}, Dropped: map[string]uint64{}, Resends: map[string]uint64{}, Layers: map[Layer]int{},
		Overrun:  map[string]uint64{"inbox": e.counters.lateMail.Load(), "socket": 0},
		ShedStep: int(e.shed.now.Load()), Load: e.shed.load(),
		Shards: make([]ShardCapacity, len(e.shards)),
	}
	for i, s := range e.shards {
		s.mu.Lock()
		y, w := s.tally, s.writer.Stats()
		s.mu.Unlock()
		queued, dropped := s.socket.Queue()
		c.Overrun["socket"] += uint64(dropped)
		c.Shards[i] = ShardCapacity{Inbox: int(s.unread.Load()), QueueBytes: int(queued), Busy: time.Duration(s.busy.Load())}
		c.add(&y, &w)
	}
	if list := e.list.Load(); list != nil {
		for _, p := range *list {
			c.Shards[p.shard.Load().index].Peers++
			f := figures(p.figures.Load())
			if bps := f.estimate(); bps > 0 {
				c.Estimates = append(c.Estimates, bps)
			}
			if layer, ok := f.layer(); ok {
				c.Layers[layer]++
			}
		}
	}
	return c
}

// add sums a shard up.
func (c *Capacity) add(y *tally, w *udp.WriterStats) {
	c.Received += y.received
	c.ReceivedBytes += y.receivedBytes
	c.Sent += w.Packets + y.sent
	c.SentBytes += w.Bytes + y.sentBytes
	c.Read += y.read
	c.Written += w.Committed
	c.Messages += w.Messages
	c.Calls += w.Calls
	for i := range c.Reads {
		c.Reads[i] += y.reads[i]
		c.Writes[i] += w.Flushes[i]
	}
	for i, n := range y.refused {
		c.Refused[refusalNames[i]] += n
	}
	for i, n := range y.omitted {
		c.Dropped[omissionNames[i]] += n
	}
	for reason, n := range map[string]uint64{
		"socket_full": w.Full, "unreachable": w.Unreachable, "too_big": w.TooBig, "closed": w.Closed, "failed": w.Failed,
	} {
		c.Dropped[reason] += n
	}
	for what, n := range map[string]uint64{"sent": y.resent, "missing": y.unkept, "budget": y.unaffordable, "repeated": y.repeated} {
		c.Resends[what] += n
	}
	c.Nacked += y.nacked
	c.ResentBytes += y.resentBytes
	c.Asked += y.asked
	c.Repaired += y.repaired
	c.ProbeBytes += y.probed
	c.PacedPackets += y.paced
	c.PLIReceived += y.pliIn
	c.FIRReceived += y.firIn
	c.PLISent += y.pliOut
	c.FIRSent += y.firOut
}

// unopened counts a packet that SRTP did not open.
func (y *tally) unopened(err error) {
	switch {
	case errors.Is(err, srtp.ErrAuth):
		y.refused[refusedAuth]++
	case errors.Is(err, srtp.ErrReplay):
		y.refused[refusedReplay]++
	case errors.Is(err, srtp.ErrTooManyStreams):
		y.refused[refusedStream]++
	default:
		y.refused[refusedSecured]++
	}
}

// came counts one datagram, read what makes a batch of them.
func (y *tally) came(size int) {
	y.received++
	y.receivedBytes += uint64(size)
}

// batch counts what was read at once.
func (y *tally) batch(n int) {
	y.reads[udp.BatchClass(n)]++
	y.read += uint64(n)
}

// left counts a datagram that goes another way than the writer's.
func (y *tally) left(size int) {
	y.sent++
	y.sentBytes += uint64(size)
}

// worked notes the time that a batch took. The caller holds no lock.
func (s *shard) worked(t *turn) { s.busy.Add(int64(time.Since(t.now))) }

// figures are what a Peer shows of itself each second, in one word so that nobody has
// to wait for it: the estimate in kbit/s and, plus two, the layer.
type figures uint64

const figuresOfLayer = 1 << 63

func newFigures(bps int, layer Layer, layered bool) figures {
	f := figures(min(max(bps/1000, 0), 1<<31))
	if layered {
		f |= figuresOfLayer | figures(uint8(layer.Spatial+2))<<32 | figures(uint8(layer.Temporal+2))<<40
	}
	return f
}

func (f figures) estimate() int { return int(uint32(f)) * 1000 }

func (f figures) layer() (Layer, bool) {
	return Layer{int(uint8(f>>32)) - 2, int(uint8(f>>40)) - 2}, f&figuresOfLayer != 0
}

// show renews the figures of a Peer.
func (p *Peer) show(t *turn) {
	s := p.videoOut
	if s.leg == nil || !s.live {
		p.figures.Store(0)
		return
	}
	bps := 0
	if s.leg.rate.Active() {
		bps = s.leg.rate.Target(t.now)
	} else if s.stats.packets > 0 && s.estimate.lossBps > 0 {
		bps = s.estimate.allowed(p.caps.Load(), t.now)
	}
	var layer Layer
	layer.Spatial, layer.Temporal = s.selector.Current()
	p.figures.Store(uint64(newFigures(bps, layer, s.layered)))
}
