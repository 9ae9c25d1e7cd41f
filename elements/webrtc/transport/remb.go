package transport

import (
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/pipeline"
)

// measured takes note of when a packet of video came whose peer counts on REMB: it
// has negotiated that, and no transport-wide feedback. Of a simulcast only the
// time of sending will do, for each encoding has timestamps of its own.
func (r *Receiver) measured(t *turn, in *rtpIn, size int) {
	if r.kind != pipeline.Video {
		return
	}
	stamp, unit, bits := in.header.Timestamp, 0, uint(32)
	if x := in.extension(r.ext.sendTime); len(x) == 3 {
		stamp, unit, bits = uint32(x[0])<<16|uint32(x[1])<<8|uint32(x[2]), congestion.SendTimeRate, congestion.SendTimeBits
	} else if len(r.encs) == 1 && r.latest != nil {
		unit = int(r.latest.ClockRate)
	}
	if unit == 0 || !r.knows(func(c *rtpCodec) bool { return c.remb && !c.twcc }) {
		return
	}
	if r.incoming == nil {
		r.incoming = &congestion.Incoming{}
	}
	if r.incoming.Came(stamp, unit, bits, size, t.now) {
		r.fell = true
		r.peer.soon(t.now)
	}
}

// arriving is what the peer's way to us has shown to carry, in bps; 0 when that is
// not known, or transport-wide feedback has the peer find out for itself.
func (r *Receiver) arriving(now time.Time) int {
	r.fell = false
	if r.incoming == nil {
		return 0
	}
	return r.incoming.Estimate(now)
}

// tellFall sends a REMB at once when the way has become narrow.
func (l *leg) tellFall(t *turn, r *Receiver) {
	if !r.fell {
		return
	}
	r.fell = false
	if remb := r.capReport(l.peer.caps.Load(), t.now); remb != nil {
		l.sendControl(t, remb)
	}
}
