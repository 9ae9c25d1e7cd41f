package srtp

import (
	"encoding/binary"
	"sync"
)

// Bounds of what one Opener keeps.
const (
	maxStreams = 64    // synchronization sources, each for RTP and RTCP
	minWindow  = 1024  // packets that may come late
	maxWindow  = 32768 // more cannot be told from a rollover
	rtcpWindow = 128
	maxSaved   = 2048 // longest packet whose rollover counter is tried twice
)

// Opener verifies and decrypts what one peer sends. It is used by one goroutine
// at a time.
type Opener struct {
	suite     suite
	window    int
	rtp, rtcp []stream
}

// stream is what is known of one synchronization source.
type stream struct {
	ssrc uint32
	replay
}

// NewOpener derives the session keys from the master key and salt of the
// direction from the peer (RFC 5764 §4.2). It keeps neither slice. window says
// how many packets late one may come, at least 1024 and at most 32768. The error
// is ErrProfile or ErrKey.
func NewOpener(p Profile, masterKey, masterSalt []byte, window int) (*Opener, error) {
	s, err := newSuite(p, masterKey, masterSalt)
	if err != nil {
		return nil, err
	}
	window = (min(max(window, minWindow), maxWindow) + 63) &^ 63
	return &Opener{suite: s, window: window}, nil
}

// Open verifies and decrypts an SRTP packet in place. hdr is its HeaderLen; the
// payload is packet[hdr:] without the tag. The rollover counter is estimated from
// what authentic packets of the SSRC came before (RFC 3711 §3.3.1 and appendix
// A). An SSRC takes a place among the 64 when its first packet was authentic.
// Errors are ErrHeader, ErrShort, ErrReplay, ErrAuth and ErrTooManyStreams; after
// one of them the bytes behind the header are undefined. Nothing is allocated but
// for the first packet of an SSRC.
func (o *Opener) Open(packet []byte, hdr int) ([]byte, error) {
	if hdr < rtpHeader || hdr > len(packet) {
		return nil, ErrHeader
	}
	if len(packet)-hdr < o.suite.overhead() {
		return nil, ErrShort
	}
	id := packetID{ssrc: binary.BigEndian.Uint32(packet[8:]), seq: binary.BigEndian.Uint16(packet[2:])}
	s := find(o.rtp, id.ssrc)
	if s == nil {
		return o.openFirst(packet, hdr, id)
	}
	index, ok := estimate(s.top, id.seq)
	if !ok || !s.fresh(index) {
		return nil, ErrReplay
	}
	id.roc = uint32(index >> 16)
	payload, ok := o.suite.open(packet, hdr, id)
	if !ok {
		return nil, ErrAuth
	}
	s.mark(index)
	return payload, nil
}

// saved holds a packet while its rollover counter is guessed.
var saved = sync.Pool{New: func() any { return new([maxSaved]byte) }}

// openFirst opens the first packet of a source. Its rollover counter is zero; but
// a peer that began shortly before the rollover, and whose first packets were
// lost, has one already, and would otherwise stay unheard for 65536 packets.
func (o *Opener) openFirst(packet []byte, hdr int, id packetID) ([]byte, error) {
	if len(o.rtp) >= maxStreams {
		return nil, ErrTooManyStreams
	}
	var payload []byte
	var ok bool
	if id.seq < 1<<15 && len(packet) <= maxSaved {
		// A failed attempt leaves no ciphertext to try again with.
		b := saved.Get().(*[maxSaved]byte)
		n := copy(b[:], packet)
		if payload, ok = o.suite.open(packet, hdr, id); !ok {
			copy(packet, b[:n])
			id.roc = 1
			payload, ok = o.suite.open(packet, hdr, id)
		}
		saved.Put(b)
	} else {
		payload, ok = o.suite.open(packet, hdr, id)
	}
	if !ok {
		return nil, ErrAuth
	}
	o.rtp = append(o.rtp, stream{id.ssrc, newReplay(o.window, uint64(id.roc)<<16|uint64(id.seq))})
	return payload, nil
}

// OpenRTCP verifies and decrypts an SRTCP packet in place and gives the compound
// packet, which begins where packet does. Errors are ErrShort, ErrNotEncrypted,
// ErrReplay, ErrAuth and ErrTooManyStreams; after one of them the bytes behind
// the first eight are undefined.
func (o *Opener) OpenRTCP(packet []byte) ([]byte, error) {
	if len(packet) < rtcpHeader+indexLen+o.suite.overhead() {
		return nil, ErrShort
	}
	ssrc, word := binary.BigEndian.Uint32(packet[4:]), o.suite.indexWord(packet)
	if word&encrypted == 0 {
		return nil, ErrNotEncrypted
	}
	index := word &^ encrypted
	s := find(o.rtcp, ssrc)
	switch {
	case s == nil && len(o.rtcp) >= maxStreams:
		return nil, ErrTooManyStreams
	case s != nil && !s.fresh(uint64(index)):
		return nil, ErrReplay
	}
	compound, ok := o.suite.openRTCP(packet, index)
	if !ok {
		return nil, ErrAuth
	}
	if s == nil {
		o.rtcp = append(o.rtcp, stream{ssrc, newReplay(rtcpWindow, uint64(index))})
	} else {
		s.mark(uint64(index))
	}
	return compound, nil
}

// ROC is the rollover counter of the highest sequence number that came from a
// source; ok is false before its first authentic packet.
func (o *Opener) ROC(ssrc uint32) (roc uint32, ok bool) {
	if s := find(o.rtp, ssrc); s != nil {
		return uint32(s.top >> 16), true
	}
	return 0, false
}

// Forget gives the place of a source that ended to others. Its old packets could
// be replayed from then on, to a stream that nobody listens to.
func (o *Opener) Forget(ssrc uint32) {
	forget(&o.rtp, ssrc)
	forget(&o.rtcp, ssrc)
}

// find is a search through the few sources that a peer has; a map of so few is
// slower and larger.
func find(list []stream, ssrc uint32) *stream {
	for i := range list {
		if list[i].ssrc == ssrc {
			return &list[i]
		}
	}
	return nil
}

func forget(list *[]stream, ssrc uint32) {
	l := *list
	for i := range l {
		if l[i].ssrc == ssrc {
			l[i] = l[len(l)-1]
			l[len(l)-1] = stream{}
			*list = l[:len(l)-1]
			return
		}
	}
}

// estimate is the index that seq most likely has, given the highest one so far
// (RFC 3711 appendix A); false when it would lie before the first or after the
// last index that there is.
func estimate(top uint64, seq uint16) (uint64, bool) {
	diff := int64(seq) - int64(uint16(top))
	switch {
	case diff > 1<<15:
		diff -= 1 << 16
	case diff < -1<<15:
		diff += 1 << 16
	}
	index := int64(top) + diff
	return uint64(index), index >= 0 && index < 1<<48
}
