package transport

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/pipeline"
)

// Receiver produces what a peer sends of one kind. It is the Producer of an
// Output: give it that Output with SetOutput. Senders of the same Engine are
// served below the packet level (pipeline.Splicer); everybody else by Push.
type Receiver struct {
	peer *Peer
	kind pipeline.Kind
	out  atomic.Pointer[pipeline.Output]

	redDeep atomic.Int32 // how many earlier packets the latest one repeated; 0 without RED
	level   atomic.Int64 // of the latest packet of sound: when, and the byte of RFC 6464

	spliceMu sync.Mutex // leaf: changes of the list
	spliced  atomic.Pointer[[]*Sender]

	// Guarded by the lock of the Peer's shard.
	bound    bool
	codecs   []rtpCodec
	ext      extIDs
	passing  [passedIDs]uint8
	declared []uint32          // what the peer's description names
	red, fec uint8             // payload types of RED and of FlexFEC, 0 without
	repair   map[uint32]uint32 // its streams of retransmissions
	encs     []*encoding       // one, or the layers of a simulcast
	formats  map[uint8]*pipeline.Format
	latest   *pipeline.Format // of payload type latestPT
	latestPT uint8
	firSeq   uint8
	rembBps  uint64
	incoming *congestion.Incoming // nil without a peer that counts on it
	fell     bool                 // its estimate, by much
	wished   int                  // the least that receivers can take, in bps; 0 until one told
	wishedAt time.Time
	source   atomic.Pointer[layers.Source] // of video; nil before negotiation
	view     *layers.Selector              // of simulcast: what is pushed
	batch    []item                        // of the turn that is being fanned out
	batches  uint64
	burst    burst
	slab     []byte
	kept     []rtp.Extension // room for those of packets to come
	packets  []pipeline.Packet
}

func newReceiver(p *Peer, kind pipeline.Kind) *Receiver {
	r := &Receiver{peer: p, kind: kind}
	r.encs = []*encoding{{of: r}}
	return r
}

// bind takes what was negotiated. The caller holds the lock.
func (r *Receiver) bind(_ *leg, m *media) {
	r.bound, r.codecs, r.declared, r.repair = m.recv, m.codecs, m.declared, m.repair
	r.takeIDs(m)
	r.red, r.fec = 0, m.fec
	for i := range r.codecs {
		r.red = max(r.red, r.codecs[i].red)
	}
	if r.kind == pipeline.Video && m.recv {
		r.source.Store(layers.NewSource(m.rids...))
	}
	if len(m.rids) == 0 {
		return
	}
	r.encs = nil
	r.view = layers.NewSelector(r.kind)
	r.view.SetSource(r.source.Load())
	for i, rid := range m.rids {
		r.encs = append(r.encs, &encoding{of: r, index: i, rid: rid})
	}
}

// Kind is the media type.
func (r *Receiver) Kind() pipeline.Kind { return r.kind }

// SetOutput names the Output that packets are pushed to; before, they go to
// spliced Senders only.
func (r *Receiver) SetOutput(out *pipeline.Output) { r.out.Store(out) }

// Feedback implements pipeline.Producer: a keyframe wish ends as a PLI (RFC 4585
// §6.3.1), or a FIR (RFC 5104 §4.3.1) when the peer knows no PLI; a bitrate as a
// REMB.
func (r *Receiver) Feedback(f pipeline.Feedback) {
	if r.kind != pipeline.Video {
		return
	}
	r.peer.under(func(t *turn) {
		switch f.Wish {
		case pipeline.WishKeyFrame:
			for _, e := range r.encs {
				e.wantKey = true
			}
			r.askKeyFrames(t)
		case pipeline.WishBitrate:
			r.wished, r.wishedAt = f.BitrateBps, t.now
		}
	})
}

// Splice implements pipeline.Splicer for Senders of the same Engine.
func (r *Receiver) Splice(in pipeline.Input) bool {
	s, ok := in.(*Sender)
	if !ok || s.peer.engine != r.peer.engine || s.kind != r.kind {
		return false
	}
	s.sourceChanged()
	r.editSpliced(func(list []*Sender) []*Sender { return append(list, s) })
	return true
}

// Unsplice implements pipeline.Splicer.
func (r *Receiver) Unsplice(in pipeline.Input) {
	s, ok := in.(*Sender)
	if !ok {
		return
	}
	r.editSpliced(func(list []*Sender) []*Sender {
		if i := slices.Index(list, s); i >= 0 {
			return slices.Delete(list, i, i+1)
		}
		return list
	})
}

func (r *Receiver) editSpliced(edit func([]*Sender) []*Sender) {
	r.spliceMu.Lock()
	defer r.spliceMu.Unlock()
	var old []*Sender
	if p := r.spliced.Load(); p != nil {
		old = slices.Clone(*p)
	}
	next := edit(old)
	r.spliced.Store(&next)
}

// stop forgets the spliced Senders, once nothing reads any more.
func (r *Receiver) stop() { r.editSpliced(func([]*Sender) []*Sender { return nil }) }

// slabSize is how much memory payloads are cut from at a time. A packet keeps its
// slab alive, so slabs are small; packetSlab is the same for the packets.
const (
	slabSize   = 24 << 10
	packetSlab = 16
)

// take accounts for a packet and hands it on. payload is in memory that is used
// again.
func (r *Receiver) take(t *turn, s *inStream, in *rtpIn, payload []byte) {
	e := s.enc
	f := r.format(in.header.PayloadType)
	if f == nil {
		return
	}
	if len(r.packets) == 0 {
		r.packets = make([]pipeline.Packet, packetSlab)
	}
	p := &r.packets[0]
	p.Arrival, p.Format, p.Header = t.now, f, in.header
	if !e.account(p, len(payload), captureTime(in.extension(r.ext.capture)), t.now, s.repair) {
		*p = pipeline.Packet{}
		return
	}
	r.packets = r.packets[1:]
	p.Payload = r.keep(payload)
	if level := in.extension(r.ext.level); len(level) == 1 && r.kind == pipeline.Audio {
		r.levelOn(p, level[0], t.now)
	}
	if in.ext != nil && r.passing != ([passedIDs]uint8{}) {
		r.passOn(p, in)
	}
	a := arrival{to: r, push: p, item: item{p: p, enc: int8(e.index)}}
	if r.kind == pipeline.Audio {
		p.Key = true
	} else {
		descriptor := in.extension(r.ext.descriptor)
		e.parser.Read(p, descriptor, &a.info)
		if len(descriptor) > 0 {
			p.Descriptor = r.keep(descriptor)
		}
		p.Key, p.Layer.RID, p.Layer.Temporal = a.info.Key, e.rid, a.info.Temporal
		if source := r.source.Load(); source != nil {
			source.Note(e.index, p, &a.info, t.now)
		}
		if r.view != nil {
			a.push = r.best(t, &a.item)
		}
	}
	t.came = append(t.came, a)
	if !s.repair {
		r.burst.arrived(in.header.Marker, t.now)
	}
}

// best is the packet for those who take one stream: of the best encoding, under
// the first one's name.
func (r *Receiver) best(t *turn, x *item) *pipeline.Packet {
	out, ok := r.view.Take(int(x.enc), x.p, &x.info, t.now)
	if r.view.NeedsKey() {
		if enc, ask := r.view.WantsKeyFrame(t.now); ask && enc < len(r.encs) {
			r.encs[enc].wantKey = true
			r.askKeyFrames(t)
		}
	}
	if !ok {
		return nil
	}
	q := *x.p
	q.Header.SSRC, q.Header.SequenceNumber, q.Header.Timestamp, q.Header.Marker = r.name(), out.Seq, out.Timestamp, out.Marker
	switch {
	case out.Empty:
		q.Payload = nil
	case out.PatchLen != 0:
		q.Payload = slices.Clone(q.Payload)
		out.Apply(q.Payload)
	}
	return &q
}

// name is the SSRC of the first encoding that has come.
func (r *Receiver) name() uint32 {
	for _, e := range r.encs {
		if e.ssrc != 0 {
			return e.ssrc
		}
	}
	return 0
}

// keep copies a payload into memory that is never used again: packets share it
// with whoever keeps them.
func (r *Receiver) keep(payload []byte) []byte {
	if len(r.slab) < len(payload) {
		r.slab = make([]byte, slabSize)
	}
	n := copy(r.slab, payload)
	out := r.slab[:n:n]
	r.slab = r.slab[min((n+7)&^7, len(r.slab)):]
	return out
}

// audioLevelID is the header extension id under which packets on a link carry
// the audio level (RFC 6464); it is the only extension they keep.
const audioLevelID = 1

// format is the Format of a payload type, nil for one that was not negotiated.
func (r *Receiver) format(pt uint8) *pipeline.Format {
	if r.latest != nil && r.latestPT == pt {
		return r.latest
	}
	f := r.formats[pt]
	if f == nil {
		c, repair := r.codecOf(pt)
		if c == nil || repair {
			return nil
		}
		f = &pipeline.Format{
			Kind: r.kind, Codec: c.name, Framing: pipeline.RTP, ClockRate: c.rate, Channels: c.channels, Fmtp: c.fmtp,
		}
		if r.kind == pipeline.Audio && f.Channels == 0 {
			f.Channels = 1
		}
		if r.formats == nil {
			r.formats = map[uint8]*pipeline.Format{}
		}
		r.formats[pt] = f
	}
	if r.latest != nil && r.latest.ClockRate != f.ClockRate {
		for _, e := range r.encs {
			if e.clock != nil {
				e.clock.Restart(f.ClockRate)
			}
		}
	}
	r.latest, r.latestPT = f, pt
	return f
}

// account gives the packet its PTS and counts it; false for a duplicate.
// captured is when it was, by the sender's clock, if it says so; repaired tells
// that it came as a retransmission.
func (e *encoding) account(p *pipeline.Packet, size int, captured, now time.Time, repaired bool) bool {
	rate := p.Format.ClockRate
	if e.clock == nil {
		e.clock = e.of.peer.clock.Track(rate)
	}
	if e.stats.packets > 0 && e.stats.ssrc != p.Header.SSRC {
		e.clock.Restart(rate)
		e.asked = 0
	}
	if !e.stats.count(&p.Header, size, rate, now.Sub(e.of.peer.start)) {
		return false
	}
	e.cameAt = now
	if !repaired {
		e.reception.Came(p.Header.SequenceNumber, p.Header.Timestamp, rate, now)
	}
	if c, _ := e.of.codecOf(p.Header.PayloadType); c != nil && c.nack {
		e.count(p.Header.SequenceNumber, now, repaired)
	}
	p.PTS = e.clock.PTS(p.Header.Timestamp, now)
	if !captured.IsZero() {
		e.clock.Report(p.Header.Timestamp, captured, now)
		p.PTS = e.clock.PTS(p.Header.Timestamp, now)
	}
	p.Fix = e.clock.Fix()
	if e.stats.packets == 1 || p.Fix != nil && e.asked < maxAsked && now.Sub(e.askedAt) >= askPause {
		e.of.peer.soon(now) // now it is known whom to ask for a keyframe or a report
	}
	return true
}

// count follows what is missing, so that it is asked for.
func (e *encoding) count(seq uint16, now time.Time, repaired bool) {
	if repaired {
		e.nack.Recovered(seq, now)
		return
	}
	e.nack.Came(seq, now)
	if next, ok := e.nack.Next(); ok {
		e.of.peer.soon(next)
	}
}
