package srtp

import "unsafe"

// lastIndex is the highest SRTCP index: 31 bits (RFC 3711 §3.4).
const lastIndex = 1<<31 - 1

// Sealer protects what goes to one peer. It is used by one goroutine at a time.
type Sealer struct {
	suite suite
	index uint32 // of the next SRTCP packet; 2^31 when there are no more
	parts [2]Part
}

// Part is some memory that Seal reads: where it is and how many bytes.
type Part struct {
	At   unsafe.Pointer
	Size uintptr
}

// NewSealer derives the session keys from the master key and salt of the
// direction to the peer (RFC 5764 §4.2). It keeps neither slice. The error is
// ErrProfile or ErrKey.
func NewSealer(p Profile, masterKey, masterSalt []byte) (*Sealer, error) {
	s, err := newSuite(p, masterKey, masterSalt)
	if err != nil {
		return nil, err
	}
	x := &Sealer{suite: s}
	if g, ok := s.(*gcm); ok {
		x.parts[0] = Part{unsafe.Pointer(g), unsafe.Sizeof(*g)}
		x.parts[1].At, x.parts[1].Size = g.cipher()
	}
	return x, nil
}

// Parts is what Seal reads besides the Sealer itself, as far as that is known. It is
// there to be fetched into the processor's cache ahead of its use, and for nothing
// else: the keys are in it.
func (s *Sealer) Parts() *[2]Part { return &s.parts }

// Overhead is what Seal adds, in bytes.
func (s *Sealer) Overhead() int { return s.suite.overhead() }

// OverheadRTCP is what SealRTCP adds, in bytes.
func (s *Sealer) OverheadRTCP() int { return s.suite.overhead() + indexLen }

// Seal encrypts plain behind the RTP header that stands in dst[:hdr], and gives
// dst[:hdr+len(plain)+Overhead()]. ssrc and seq repeat what the header says; roc
// is the rollover counter of seq. plain is dst[hdr:hdr+len(plain)], or does not
// overlap dst: then it is only read, and may be shared with other Sealers. No two
// packets may have the same ssrc, seq and roc, except a packet sent again
// unchanged. Nothing is allocated: the result is nil when dst has no room.
func (s *Sealer) Seal(dst []byte, hdr int, plain []byte, ssrc uint32, seq uint16, roc uint32) []byte {
	if hdr < rtpHeader || hdr > cap(dst) || cap(dst)-hdr-s.suite.overhead() < len(plain) {
		return nil
	}
	return s.suite.seal(dst, hdr, plain, packetID{ssrc: ssrc, roc: roc, seq: seq})
}

// SealRTCP encrypts a compound packet (RFC 3550 §6.1) to the beginning of dst and
// gives the part of dst that holds it, len(compound)+OverheadRTCP() bytes.
// compound begins where dst does, or does not overlap it. One index counts all
// SRTCP of the peer: it grows for each sender as RFC 3711 §3.4 asks. The result
// is nil when dst has no room, when compound has no sender, and after 2^31
// packets, for which there is no key any more.
func (s *Sealer) SealRTCP(dst, compound []byte) []byte {
	if len(compound) < rtcpHeader || cap(dst)-s.OverheadRTCP() < len(compound) || s.index > lastIndex {
		return nil
	}
	out := s.suite.sealRTCP(dst, compound, s.index)
	s.index++
	return out
}
