package transport

import (
	"encoding/binary"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/pipeline"
)

// header writes the RTP header of a packet into dst (RFC 3550 §5.1), with the
// extensions that the peer has negotiated (RFC 8285 §4.2); it gives its length.
func (s *Sender) header(t *turn, dst []byte, p *pipeline.Packet, out *layers.Out, seq uint16) int {
	dst[0], dst[1] = 0x80, s.use.pt
	if out.Marker {
		dst[1] |= 0x80
	}
	binary.BigEndian.PutUint16(dst[2:], seq)
	binary.BigEndian.PutUint32(dst[4:], out.Timestamp)
	binary.BigEndian.PutUint32(dst[8:], s.ssrc)
	level := -1
	if s.kind == pipeline.Audio && s.ext.level != 0 && p.Header.Extension {
		if b := p.Header.GetExtension(audioLevelID); len(b) == 1 {
			level = int(b[0])
		}
	}
	n := 0
	if p == &nothing { // not of the stream whose number it has
		n = s.extend(t, dst, level)
	} else {
		n = s.extensible(t, dst, level, seq)
	}
	if p.Header.Extension {
		n = s.pass(dst, n, &p.Header)
	}
	if s.ext.descriptor != 0 && len(p.Descriptor) > 0 && !out.Empty {
		n = s.describe(dst, n, p.Descriptor, out)
	}
	return n
}

// extend adds the extensions to a fixed header; level is the audio level's, -1
// for none.
func (s *Sender) extend(t *turn, dst []byte, level int) int {
	if s.wide {
		return s.extendWide(t, dst, level)
	}
	n := 16
	if s.ext.twcc != 0 {
		dst[n] = s.ext.twcc<<4 | 1
		binary.BigEndian.PutUint16(dst[n+1:], s.leg.sendSeq)
		n += 3
	}
	if s.stamped {
		// Seconds of 6.18 bits, by which the peer estimates the bandwidth.
		at := toNTP(t.now) >> 14
		dst[n], dst[n+1], dst[n+2], dst[n+3] = s.ext.sendTime<<4|2, byte(at>>16), byte(at>>8), byte(at)
		n += 4
	}
	if s.playout != nil && s.ext.playout != 0 {
		n += describePlayout(dst[n:], s.ext.playout, s.playout.units(t.now))
	}
	if s.midLeft > 0 {
		s.midLeft--
		dst[n] = s.ext.mid<<4 | byte(len(*s.mid)-1)
		n += 1 + copy(dst[n+1:], *s.mid)
	}
	if level >= 0 {
		dst[n], dst[n+1] = s.ext.level<<4, byte(level)
		n += 2
	}
	if n == 16 {
		return 12
	}
	for n%4 != 0 {
		dst[n] = 0
		n++
	}
	dst[0] |= 0x10
	dst[12], dst[13] = 0xbe, 0xde
	binary.BigEndian.PutUint16(dst[14:], uint16(n-16)/4)
	return n
}

// counted notes that a packet of media has left, for the estimate.
func (s *Sender) counted(t *turn, size int) {
	l := s.leg
	if l.pace != nil {
		l.pace.pacer.Spend(size, t.now)
	}
	if s.ext.twcc == 0 {
		l.rate.Count(size)
		return
	}
	l.rate.Sent(l.sendSeq, size, t.now)
	l.sendSeq++
}
