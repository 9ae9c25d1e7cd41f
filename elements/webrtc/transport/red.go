package transport

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/pipeline"
)

const (
	redMost   = 2         // earlier packets that one of ours carries again
	redKept   = 4         // a power of two over redMost
	redBlocks = 9         // that a packet of others may have, the last among them
	redSize   = 1<<10 - 1 // bytes of an earlier block at most
	redAge    = 1<<14 - 1 // ticks that it may be earlier
)

// redundancy makes packets of sound carry those before them again (RFC 2198), for
// a peer on whose way packets are lost: sound cannot wait for a retransmission.
// Payloads are shared with the source. Guarded by the lock of the Peer's shard.
type redundancy struct {
	kept [redKept]redBlock // by sequence number
	deep int               // how many earlier ones a packet carries
}

type redBlock struct {
	payload   []byte
	timestamp uint32
	seq       uint16
}

// wrap writes the packet's payload behind those of the ones before it that fit into
// dst, and remembers it; pt is the payload type of all. It gives what it has
// written, nil when not even the packet itself fits.
func (r *redundancy) wrap(dst []byte, pt uint8, out *layers.Out, payload []byte) []byte {
	var again [redMost]*redBlock
	n, size := 0, 1+len(payload)
	for back := uint16(1); int(back) <= r.deep; back++ {
		x := &r.kept[(out.Seq-back)%redKept]
		age := out.Timestamp - x.timestamp
		if x.payload == nil || x.seq != out.Seq-back || age == 0 || age > redAge || len(x.payload) > redSize || size+4+len(x.payload) > len(dst)-64 {
			break
		}
		again[n] = x
		n++
		size += 4 + len(x.payload)
	}
	r.kept[out.Seq%redKept] = redBlock{payload, out.Timestamp, out.Seq}
	if size > len(dst) {
		return nil
	}
	at := 0
	for i := n - 1; i >= 0; i-- { // the oldest comes first
		x := again[i]
		dst[at] = 0x80 | pt
		rest := (out.Timestamp-x.timestamp)<<10 | uint32(len(x.payload))
		dst[at+1], dst[at+2], dst[at+3] = byte(rest>>16), byte(rest>>8), byte(rest)
		at += 4
	}
	dst[at] = pt
	at++
	for i := n - 1; i >= 0; i-- {
		at += copy(dst[at:], again[i].payload)
	}
	at += copy(dst[at:], payload)
	return dst[:at]
}

// redPart is one block of a packet: how many ticks it is earlier, and its bytes.
type redPart struct {
	pt      uint8
	age     uint32
	payload []byte
}

// splitRED finds the blocks of a packet, from the oldest to its own; none when it is
// malformed.
func splitRED(b []byte, parts *[redBlocks]redPart) []redPart {
	var sizes [redBlocks]int
	n, at := 0, 0
	for {
		if at >= len(b) || n == redBlocks {
			return nil
		}
		parts[n].pt = b[at] & 0x7f
		if b[at]&0x80 == 0 {
			at++
			break
		}
		if at+4 > len(b) {
			return nil
		}
		rest := binary.BigEndian.Uint32(b[at:]) & (1<<24 - 1)
		parts[n].age = rest >> 10
		sizes[n] = int(rest & redSize)
		n++
		at += 4
	}
	for i := range n {
		if at+sizes[i] > len(b) {
			return nil
		}
		parts[i].payload = b[at : at+sizes[i]]
		at += sizes[i]
	}
	parts[n].age, parts[n].payload = 0, b[at:]
	return parts[:n+1]
}

// unwrap takes a packet of RED: its own sound, after what it repeats of packets
// that have not come.
func (r *Receiver) unwrap(t *turn, s *inStream, in *rtpIn, b []byte) {
	var room [redBlocks]redPart
	parts := splitRED(b, &room)
	if parts == nil {
		r.peer.engine.counters.malformed.Add(1)
		return
	}
	if deep := int32(min(max(len(parts)-1, 1), redMost)); deep != r.redDeep.Load() {
		r.redDeep.Store(deep)
	}
	for i, x := range parts {
		c, repair := r.codecOf(x.pt)
		if c == nil || repair || c.pt != x.pt || len(x.payload) == 0 {
			continue
		}
		back := len(parts) - 1 - i
		if back == 0 {
			in.header.PayloadType = x.pt
			r.take(t, s, in, x.payload)
			return
		}
		if x.age == 0 || s.enc.stats.packets == 0 {
			continue
		}
		earlier := rtpIn{header: rtp.Header{
			Version: 2, PayloadType: x.pt, SSRC: in.header.SSRC,
			SequenceNumber: in.header.SequenceNumber - uint16(back), Timestamp: in.header.Timestamp - x.age,
		}}
		r.take(t, &inStream{ssrc: s.ssrc, enc: s.enc, repair: true}, &earlier, x.payload)
	}
}

// repeats has a peer that knows RED be sent it as the publisher does, or more
// redundantly when it loses packets. deep is how many packets the publisher repeats.
func (s *Sender) repeats(deep int) {
	s.redSource = uint8(deep)
	deep = max(deep, int(s.redWeather))
	switch {
	case deep == 0:
		s.red = nil
	case s.red == nil:
		s.red = &redundancy{deep: deep}
	default:
		s.red.deep = deep
	}
}

// takeRED notes which payload types carry others redundantly; ours must be the only
// ones inside (a=fmtp "111/111").
func (s *section) takeRED(kind pipeline.Kind, list []rtpCodec) {
	if kind != pipeline.Audio {
		return
	}
	for _, pt := range s.formats {
		name, rate, channels := s.encoding(pt)
		n, err := strconv.ParseUint(pt, 10, 7)
		if err != nil || n == 0 || !strings.EqualFold(name, "red") {
			continue
		}
		inner := strings.Split(s.fmtp(pt), "/")
		for i := range list {
			c := &list[i]
			if c.red == 0 && c.rate == rate && c.channels == channels && allAre(inner, strconv.Itoa(int(c.pt))) {
				c.red = uint8(n)
				break
			}
		}
	}
}

func allAre(list []string, want string) bool {
	for _, x := range list {
		if strings.TrimSpace(x) != want {
			return false
		}
	}
	return true
}
