package transport

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
)

const (
	// A round trip so long makes repair worth its bytes: what is asked for again
	// comes late. Below the second value it is no more.
	fecFar  = 100 * time.Millisecond
	fecNear = 80 * time.Millisecond
	// fecMuch is the share of packets lost from which repair packets get lost, or
	// have two to repair, so often that the bytes are better spent on resending.
	fecMuch = 0.25

	fecFewest = 3  // packets of media for one of repair
	fecMost   = 16 // as many at most
	// fecWait is how long the first of them waits for its repair packet at most,
	// which then leaves with the end of the picture.
	fecWait = 80 * time.Millisecond
	// fecLargest is what a repair packet may have, in bytes with its header: it is
	// larger than what it protects, and has to pass where that does.
	fecLargest = 1400
)

// fecOut makes repair packets of what is sent to one peer. It exists while they are
// of use. Guarded by the lock of the Peer's shard.
type fecOut struct {
	x     fecXOR
	mask  fecMask
	base  uint16
	n     int // packets in mask
	of    int // as many make a repair packet
	since time.Time
	due   bool // the latest closes them
	// timestamp is that of the latest.
	timestamp uint32
}

func (f *fecOut) reset() {
	f.x.reset()
	f.mask, f.n, f.due = fecMask{}, 0, false
}

// add takes a packet of media that is about to be sealed: its header of hdr bytes,
// and its payload.
func (f *fecOut) add(b []byte, hdr int, payload []byte, ids *extIDs, now time.Time) {
	seq := binary.BigEndian.Uint16(b[2:])
	at := seq - f.base
	if f.n == 0 || at >= 1<<15 && -at > fecSpan {
		f.reset()
		f.base, f.since, at = seq, now, 0
	}
	var ext [64]byte
	x := ext[:copy(ext[:], b[rtpFixed:hdr])]
	// One that comes late, or too early, has to be asked for.
	if at >= fecSpan || f.mask.has(at) || len(x) != hdr-rtpFixed {
		f.due = f.due || at >= fecSpan && at < 1<<15
		return
	}
	clearMutable(x, ids)
	if !f.x.add(b[:rtpFixed], x, payload) {
		return
	}
	f.mask.set(at)
	f.n++
	f.timestamp = binary.BigEndian.Uint32(b[4:])
	f.due = f.due || f.n >= f.of || f.n >= fecFewest && b[1]&0x80 != 0 && now.Sub(f.since) >= fecWait
}

// protect has repair packets sent while the weather asks for them.
func (l *leg) protect(s *Sender) {
	w := &l.weather
	far := fecFar
	if s.fec != nil {
		far = fecNear
	}
	// Without a stream of retransmissions numbers would leave twice.
	if s.fecPT == 0 || s.use == nil || s.use.rtx == 0 || !s.use.nack || !w.lossy || w.loss > fecMuch || w.rtt < far {
		s.fec = nil
		return
	}
	if s.fec == nil {
		s.fec = &fecOut{}
	}
	// About every second group loses one.
	s.fec.of = int(min(max(math.Round(0.5/w.loss), fecFewest), fecMost))
	// What repairs at once is not sent again, and both have to be paid.
	s.resend.budget.Lossy(2 * w.loss)
}

// repairDue sends the repair packet of what has left, if there is one to be sent and
// the purse has it.
func (s *Sender) repairDue(t *turn) {
	f := s.fec
	if !f.due {
		return
	}
	defer f.reset()
	b := s.leg.slot(t)
	out := layers.Out{Timestamp: f.timestamp}
	n := s.header(t, b, &nothing, &out, uint16(s.fecSeq))
	b[1] = s.fecPT
	binary.BigEndian.PutUint32(b[8:], s.fecSSRC)
	size := writeFEC(b[n:fecLargest-srtp.MaxOverhead], s.ssrc, f.base, &f.mask, &f.x)
	if size == 0 || !s.resend.budget.Spend(size+repairOverhead) {
		return
	}
	sealed := len(s.leg.sealer.Seal(b, n, b[n:n+size], s.fecSSRC, uint16(s.fecSeq), s.fecSeq>>16))
	if sealed == 0 {
		return
	}
	s.fecSeq++
	s.leg.commit(t, sealed)
	s.counted(t, sealed)
	s.stats.repairs++
}
