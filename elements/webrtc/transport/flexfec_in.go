package transport

import (
	"encoding/binary"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
)

const (
	fecKept    = 128 // packets of media that parity may need: a power of two over fecSpan
	fecWaiting = 32  // repair packets that miss more than one
)

// fecIn recovers what is missing of one SSRC from its repair packets. It exists once
// such a packet has come. It holds at most fecKept and fecWaiting packets of
// fecPacket bytes each. Guarded by the lock of the Peer's shard.
type fecIn struct {
	high    uint16 // the newest of what is kept
	begun   bool
	kept    [fecKept]fecKeep // by sequence number
	waiting []fecRepair
	x       fecXOR
	out     [fecPacket]byte
	// told counts repair packets.
	told uint64
}

// fecKeep is a packet as it was when parity was made, without SRTP.
type fecKeep struct {
	b   []byte
	seq uint16
}

type fecRepair struct {
	fecHeader
	b []byte // head and parity
}

func (f *fecIn) has(seq uint16) bool {
	k := &f.kept[seq%fecKept]
	return len(k.b) > 0 && k.seq == seq
}

// keep remembers a packet of media: its header with hdr bytes and the payload
// behind it, padding included.
func (f *fecIn) keep(b []byte, hdr int, ids *extIDs) {
	if len(b) > fecPacket {
		return
	}
	seq := binary.BigEndian.Uint16(b[2:])
	if ahead := int16(seq - f.high); !f.begun || ahead > 0 || ahead <= -fecKept {
		f.begun, f.high = true, seq
	}
	k := &f.kept[seq%fecKept]
	k.b, k.seq = append(k.b[:0], b...), seq
	if at := rtpFixed + 4*int(b[0]&15); b[0]&0x10 != 0 && at < hdr {
		clearMutable(k.b[at:hdr], ids)
	}
}

// take remembers the payload of a repair packet; false when it is malformed.
func (f *fecIn) take(h fecHeader, b []byte) bool {
	if len(b) > fecPacket {
		return false
	}
	f.told++
	if f.begun && int16(h.base-f.high) <= -fecKept {
		return true // too late to be of use
	}
	if _, missing := f.missing(&h); missing == 0 {
		return true
	}
	if len(f.waiting) == fecWaiting {
		f.drop(0)
	}
	// The buffer of one that was dropped lies behind the end.
	var room []byte
	if n := len(f.waiting); n < cap(f.waiting) {
		room = f.waiting[:n+1][n].b
	}
	f.waiting = append(f.waiting, fecRepair{h, append(room[:0], b...)})
	return true
}

// drop takes one out, and keeps its buffer for the next.
func (f *fecIn) drop(i int) {
	gone := f.waiting[i]
	last := len(f.waiting) - 1
	copy(f.waiting[i:], f.waiting[i+1:])
	f.waiting[last] = fecRepair{b: gone.b}
	f.waiting = f.waiting[:last]
}

// missing is how many of the protected packets are not there, and the first of
// them.
func (f *fecIn) missing(h *fecHeader) (seq uint16, n int) {
	for left := h.mask; ; {
		i := left.first()
		if i < 0 {
			return seq, n
		}
		left.clear(uint16(i))
		if at := h.base + uint16(i); !f.has(at) {
			if n == 0 {
				seq = at
			}
			if n++; n > 1 {
				return seq, n
			}
		}
	}
}

// next is a packet that can be recovered now, nil when none can. It is there until
// the next call, and counts as kept.
func (f *fecIn) next() []byte {
	for i := 0; i < len(f.waiting); {
		r := &f.waiting[i]
		seq, n := f.missing(&r.fecHeader)
		if n > 1 && int16(r.base-f.high) > -fecKept {
			i++
			continue
		}
		var b []byte
		if n == 1 {
			b = f.recover(r, seq)
		}
		f.drop(i)
		if b != nil {
			return b
		}
	}
	return nil
}

// recover makes the one packet that is missing (§6.3 of the draft); nil when what
// comes out is none.
func (f *fecIn) recover(r *fecRepair, seq uint16) []byte {
	x := &f.x
	x.reset()
	parity := r.b[r.size:]
	copy(x.head[:], r.b)
	x.size = copy(x.body[:], parity)
	for left := r.mask; ; {
		i := left.first()
		if i < 0 {
			break
		}
		left.clear(uint16(i))
		at := r.base + uint16(i)
		if at == seq {
			continue
		}
		b := f.kept[at%fecKept].b
		if !x.add(b[:rtpFixed], b[rtpFixed:], nil) {
			return nil
		}
	}
	n := int(binary.BigEndian.Uint16(x.head[2:]))
	if n > len(parity) || rtpFixed+n > fecPacket {
		return nil
	}
	b := f.out[:rtpFixed+n]
	copy(b, x.head[:])
	b[0] = b[0]&0x3f | 0x80
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], r.ssrc)
	copy(b[rtpFixed:], x.body[:n])
	hdr := srtp.HeaderLen(b)
	if hdr == 0 {
		return nil
	}
	f.keep(b, hdr, &extIDs{})
	return b
}

// mend takes the payload of a repair packet, and what it recovers.
func (r *Receiver) mend(t *turn, b []byte) {
	h, ok := readFEC(b)
	if !ok {
		r.peer.engine.counters.malformed.Add(1)
		return
	}
	for _, e := range r.encs {
		if e.ssrc != h.ssrc || e.ssrc == 0 {
			continue
		}
		if e.fec == nil {
			e.fec = &fecIn{}
		}
		if e.fec.take(h, b) {
			r.recovered(t, e)
		}
		return
	}
}

// recovered takes the packets that can be recovered now, as if they had come.
func (r *Receiver) recovered(t *turn, e *encoding) {
	s := inStream{ssrc: e.ssrc, enc: e, repair: true}
	for b := e.fec.next(); b != nil; b = e.fec.next() {
		var in rtpIn
		if !readRTP(b, &in) {
			continue
		}
		payload, ok := unpad(b[in.size:], in.header.Padding)
		if c, repair := r.codecOf(in.header.PayloadType); !ok || c == nil || repair {
			r.peer.engine.counters.malformed.Add(1)
			continue
		}
		in.header.Padding = false
		before := e.stats.packets
		r.take(t, &s, &in, payload)
		if e.stats.packets != before {
			e.stats.recovered++
			r.peer.engine.counters.recovered.Add(1)
		}
	}
}
