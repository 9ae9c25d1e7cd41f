package transport

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/pipeline"
)

// maxStreams is how many SSRCs of a leg are known at once; of what comes under
// more nothing is taken.
const maxStreams = 16

// takeOver is how long a stream must be silent before another of its kind,
// which was not declared, takes its place.
const takeOver = time.Second

// inStream is one SSRC that a peer sends: an encoding of a Receiver, or
// retransmissions of one.
type inStream struct {
	ssrc   uint32
	enc    *encoding // nil while a repair stream has none
	repair bool      // RTX (RFC 4588), or FEC
	fec    bool      // repair packets of FlexFEC
}

// rtpIn is one RTP packet before it is decrypted (RFC 3550 §5.1).
type rtpIn struct {
	header rtp.Header // without extensions
	ext    []byte     // the extension block, nil without
	long   bool       // its elements have two bytes of header (RFC 8285 §4.3)
	size   int        // of the whole header
}

// readRTP reads what is not encrypted of an RTP packet.
func readRTP(b []byte, in *rtpIn) bool {
	n := srtp.HeaderLen(b)
	if n == 0 || b[0]>>6 != 2 {
		return false
	}
	in.size = n
	in.header = rtp.Header{
		Version: 2, Padding: b[0]&0x20 != 0, Marker: b[1]&0x80 != 0, PayloadType: b[1] & 0x7f,
		SequenceNumber: binary.BigEndian.Uint16(b[2:]), Timestamp: binary.BigEndian.Uint32(b[4:]), SSRC: binary.BigEndian.Uint32(b[8:]),
	}
	in.ext = nil
	if at := 12 + 4*int(b[0]&15); b[0]&0x10 != 0 {
		profile := binary.BigEndian.Uint16(b[at:])
		in.long = profile>>4 == 0x100
		if in.long || profile == 0xbede {
			in.ext = b[at+4 : n]
		}
	}
	return true
}

// extension finds one header extension (RFC 8285 §4); nil when it is not there.
func (in *rtpIn) extension(id uint8) []byte {
	if id == 0 {
		return nil
	}
	if in.long {
		return in.longExtension(id)
	}
	for b := in.ext; len(b) > 0; {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		n := int(b[0]&15) + 1
		if b[0]>>4 == 15 || 1+n > len(b) {
			return nil
		}
		if b[0]>>4 == id {
			return b[1 : 1+n]
		}
		b = b[1+n:]
	}
	return nil
}

func (in *rtpIn) longExtension(id uint8) []byte {
	for b := in.ext; len(b) > 1; {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		n := int(b[1])
		if 2+n > len(b) {
			return nil
		}
		if b[0] == id {
			return b[2 : 2+n]
		}
		b = b[2+n:]
	}
	return nil
}

// unpad cuts padding off a payload; false when it is malformed. A packet of
// nothing but padding keeps its place with an empty payload.
func unpad(payload []byte, padded bool) ([]byte, bool) {
	if !padded {
		return payload, true
	}
	if len(payload) == 0 {
		return nil, false
	}
	pad := int(payload[len(payload)-1])
	if pad == 0 || pad > len(payload) {
		return nil, false
	}
	return payload[:len(payload)-pad], true
}

// media takes an SRTP packet.
func (l *leg) media(t *turn, b []byte) {
	var in rtpIn
	if l.opener == nil {
		t.shard.tally.refused[refusedEarly]++
		return
	}
	if !readRTP(b, &in) {
		l.peer.engine.counters.malformed.Add(1)
		return
	}
	payload, err := l.opener.Open(b, in.size)
	if err != nil {
		t.shard.tally.unopened(err)
		return
	}
	l.heardAt = t.now
	s := l.streamOf(&in, t.now)
	if s == nil || s.enc == nil {
		t.shard.tally.refused[refusedStream]++
		return
	}
	r := s.enc.of
	if !s.repair && s.enc.ssrc != s.ssrc {
		// Another has taken its place.
		if t.now.Sub(s.enc.cameAt) < takeOver {
			return
		}
		s.enc.rename(s.ssrc)
	}
	if x := in.extension(r.ext.twcc); len(x) == 2 && l.record != nil {
		l.record.Record(binary.BigEndian.Uint16(x), t.now)
		if l.record.Due(t.now) {
			l.peer.soon(t.now)
		}
	} else if !s.repair {
		r.measured(t, &in, len(b))
	}
	if s.enc.fec != nil && !s.repair {
		s.enc.fec.keep(b[:in.size+len(payload)], in.size, &r.ext)
	}
	payload, ok := unpad(payload, in.header.Padding)
	if !ok {
		l.peer.engine.counters.malformed.Add(1)
		return
	}
	in.header.Padding = false
	if s.fec {
		r.mend(t, payload)
		return
	}
	if s.repair {
		if len(payload) < 2 {
			return // a probe
		}
		pt, ok := r.repaired(in.header.PayloadType)
		if !ok {
			return
		}
		in.header.PayloadType, in.header.SSRC = pt, s.enc.ssrc
		in.header.SequenceNumber = binary.BigEndian.Uint16(payload)
		payload = payload[2:]
		t.shard.tally.repaired++
	}
	if r.red != 0 && in.header.PayloadType == r.red {
		r.unwrap(t, s, &in, payload)
		return
	}
	if r.red != 0 && r.redDeep.Load() != 0 {
		r.redDeep.Store(0)
	}
	r.take(t, s, &in, payload)
	if f := s.enc.fec; f != nil && len(f.waiting) > 0 {
		r.recovered(t, s.enc)
	}
	if next, ok := s.enc.nack.Next(); ok && !next.After(t.now) {
		l.repairOf(t, s.enc)
	}
}

// streamOf finds the stream of a packet, and makes one for a packet that begins
// one.
func (l *leg) streamOf(in *rtpIn, now time.Time) *inStream {
	ssrc := in.header.SSRC
	if l.recent != nil && l.recent.ssrc == ssrc {
		return l.recent
	}
	for _, s := range l.streams {
		if s.ssrc == ssrc {
			l.recent = s
			if s.repair && s.enc == nil {
				l.adopt(s, in)
			}
			return s
		}
	}
	return l.newStream(in, now)
}

// newStream takes in an SSRC that was not heard of: its payload type tells its
// kind, for they differ between the sections of a transport (RFC 9143 §10.1.2).
func (l *leg) newStream(in *rtpIn, now time.Time) *inStream {
	for _, k := range l.kinds {
		r := l.peer.Receiver(k)
		if r == nil || !r.bound {
			continue
		}
		c, repair := r.codecOf(in.header.PayloadType)
		fec := r.fec != 0 && in.header.PayloadType == r.fec
		if c == nil && !fec {
			continue
		}
		s := &inStream{ssrc: in.header.SSRC, repair: repair || fec, fec: fec}
		if fec {
			s.enc = r.encs[0] // its packets tell which they repair
		} else if repair {
			l.adopt(s, in)
		} else if s.enc = r.encodingOf(in, now); s.enc == nil {
			return nil
		}
		if len(l.streams) >= maxStreams {
			l.forget()
		}
		l.streams = append(l.streams, s)
		l.recent = s
		return s
	}
	return nil
}

// forget drops the oldest stream that no encoding uses.
func (l *leg) forget() {
	at := slices.IndexFunc(l.streams, func(s *inStream) bool { return s.repair || s.enc.ssrc != s.ssrc })
	at = max(at, 0)
	l.opener.Forget(l.streams[at].ssrc)
	l.streams = slices.Delete(l.streams, at, at+1)
}

// adopt finds what a stream of retransmissions repairs: what the description
// said (FID), what the packet says (RFC 8852), or the only one there is.
func (l *leg) adopt(s *inStream, in *rtpIn) {
	for _, k := range l.kinds {
		r := l.peer.Receiver(k)
		if r == nil || !r.bound {
			continue
		}
		if c, repair := r.codecOf(in.header.PayloadType); c == nil || !repair {
			continue
		}
		rid := string(in.extension(r.ext.repaired))
		main, declared := r.repair[s.ssrc]
		for _, e := range r.encs {
			if e.ssrc == 0 {
				continue
			}
			if declared && e.ssrc == main || rid != "" && e.rid == rid || len(r.encs) == 1 && !declared {
				s.enc = e
				return
			}
		}
	}
}

// encoding is one of a Receiver's encodings: the only one, or one layer of a
// simulcast. Guarded by the lock of the Peer's shard.
type encoding struct {
	of        *Receiver
	index     int
	rid       string
	ssrc      uint32 // 0 before the first packet
	clock     *pipeline.Clock
	stats     inbound
	nack      congestion.NACKTracker
	fec       *fecIn // nil before its first repair packet
	reception congestion.Reception
	parser    layers.Parser
	asked     int // for a report, since the stream began
	askedAt   time.Time
	wantKey   bool
	keyAt     time.Time // the latest request
	cameAt    time.Time
}

// encodingOf is the encoding that a new SSRC belongs to, nil when it is nobody's:
// while the present one is heard, another that no description declares is not.
func (r *Receiver) encodingOf(in *rtpIn, now time.Time) *encoding {
	e := r.encs[0]
	if len(r.encs) > 1 {
		rid := string(in.extension(r.ext.rid))
		at := slices.IndexFunc(r.encs, func(e *encoding) bool { return e.rid == rid })
		if rid == "" { // it may be known by its place in the description
			at = slices.Index(r.declared, in.header.SSRC)
		}
		if at < 0 || at >= len(r.encs) {
			return nil
		}
		e = r.encs[at]
	} else if e.ssrc != 0 && now.Sub(e.cameAt) < takeOver && !slices.Contains(r.declared, in.header.SSRC) {
		return nil
	}
	e.rename(in.header.SSRC)
	return e
}

// rename makes a stream the encoding's.
func (e *encoding) rename(ssrc uint32) {
	e.ssrc = ssrc
	e.nack, e.reception, e.fec = congestion.NACKTracker{}, congestion.Reception{}, nil
}

// codecOf finds a payload type: of media, or of retransmissions.
func (r *Receiver) codecOf(pt uint8) (c *rtpCodec, repair bool) {
	for i := range r.codecs {
		c := &r.codecs[i]
		if c.pt == pt || c.red == pt && pt != 0 {
			return c, false
		}
		if c.rtx == pt && pt != 0 {
			return c, true
		}
	}
	return nil, false
}

// repaired is the payload type whose retransmissions have the given one.
func (r *Receiver) repaired(pt uint8) (uint8, bool) {
	c, repair := r.codecOf(pt)
	if !repair {
		return 0, false
	}
	return c.pt, true
}
