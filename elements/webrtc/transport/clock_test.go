package transport

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// timed is a Peer without a network, both of whose Receivers get packets.
type timed struct {
	*Peer
	formats map[pipeline.Kind]*pipeline.Format
	seq     uint16
}

func newTimed() *timed {
	p := &Peer{start: time.Now(), clock: pipeline.NewSenderClock(time.Now())}
	p.audioIn, p.videoIn = newReceiver(p, pipeline.Audio), newReceiver(p, pipeline.Video)
	return &timed{Peer: p, formats: map[pipeline.Kind]*pipeline.Format{
		pipeline.Audio: {Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.RTP, ClockRate: 48000},
		pipeline.Video: {Kind: pipeline.Video, Codec: codec.VP8, Framing: pipeline.RTP, ClockRate: 90000},
	}}
}

// packet arrives now, sampled at ms of the sender's time.
func (x *timed) packet(k pipeline.Kind, ms uint32, captured time.Time, now time.Time) *pipeline.Packet {
	x.seq++
	p := &pipeline.Packet{Format: x.formats[k], Header: rtp.Header{SSRC: uint32(k), SequenceNumber: x.seq, Timestamp: ms * x.formats[k].ClockRate / 1000}}
	x.Receiver(k).encs[0].account(p, 0, captured, now, false)
	return p
}

// TestReportRequest: who publishes is asked for a report until it sends one, not
// for ever, and not before it sends media.
func TestReportRequest(t *testing.T) {
	x, now := newTimed(), time.Now()
	r := x.audioIn.encs[0]
	if p := r.reportRequest(now); p != nil {
		t.Fatal("a report is asked for before there is media")
	}
	x.packet(pipeline.Audio, 0, time.Time{}, now)
	p := r.reportRequest(now)
	if q, ok := p.(*rtcp.RapidResynchronizationRequest); !ok || q.MediaSSRC != uint32(pipeline.Audio) {
		t.Fatalf("%v is asked, want a report of the stream", p)
	}
	if p := r.reportRequest(now.Add(askPause / 2)); p != nil {
		t.Error("it is asked again at once")
	}
	asked := 1
	for i := range 100 {
		if p := r.reportRequest(now.Add(time.Duration(i+1) * askPause)); p != nil {
			asked++
		}
	}
	if asked != maxAsked {
		t.Errorf("it is asked %d times, want %d", asked, maxAsked)
	}
	x.packet(pipeline.Video, 0, time.Time{}, now)
	v := x.videoIn.encs[0]
	v.anchor(&rtcp.SenderReport{SSRC: uint32(pipeline.Video)}, now) // no time: no report
	if p := v.reportRequest(now); p == nil {
		t.Error("nothing is asked after a report without a time")
	}
	v.anchor(&rtcp.SenderReport{SSRC: uint32(pipeline.Video), NTPTime: toNTP(now)}, now)
	if p := v.reportRequest(now.Add(time.Second)); p != nil {
		t.Error("a report is asked for that was sent")
	}
}

// TestCaptureTime: packets that say when they were captured need no report, and
// what was captured together has one PTS from then on.
func TestCaptureTime(t *testing.T) {
	x, now := newTimed(), time.Now()
	theirs := now.Add(-time.Hour).Round(0)
	const late = 180 * time.Millisecond
	x.packet(pipeline.Audio, 1000, theirs, now)
	x.packet(pipeline.Video, 5000, theirs, now.Add(late))
	a := x.packet(pipeline.Audio, 1400, theirs.Add(400*time.Millisecond), now.Add(400*time.Millisecond))
	v := x.packet(pipeline.Video, 5400, theirs.Add(400*time.Millisecond), now.Add(400*time.Millisecond+late))
	if d := (a.PTS - v.PTS).Abs(); d > time.Millisecond {
		t.Errorf("what was captured together is %v apart", d)
	}
	if a.Fix != nil || v.Fix != nil {
		t.Error("PTS is still a guess")
	}
	if p := x.audioIn.encs[0].reportRequest(now.Add(time.Second)); p != nil {
		t.Error("a report is asked for")
	}
}

func TestCaptureTimeParse(t *testing.T) {
	at := time.Unix(1_700_000_000, 250_000_000)
	stamp := binary.BigEndian.AppendUint64(nil, toNTP(at))
	ahead := func(ntp uint64) []byte { return binary.BigEndian.AppendUint64(slices.Clone(stamp), ntp) }
	for what, row := range map[string]struct {
		id   uint8
		b    []byte
		want time.Time
	}{
		"its own":         {5, stamp, at},
		"from elsewhere":  {5, ahead(3<<31 + 1<<30), at.Add(1750 * time.Millisecond)},
		"clock behind":    {5, ahead(^uint64(0) - 1<<31 + 1), at.Add(-500 * time.Millisecond)},
		"not negotiated":  {0, stamp, time.Time{}},
		"under another":   {6, stamp, time.Time{}},
		"short":           {5, stamp[:7], time.Time{}},
		"without a value": {5, make([]byte, 8), time.Time{}},
	} {
		h := rtp.Header{Version: 2, SSRC: 1}
		if err := h.SetExtension(5, row.b); err != nil {
			t.Fatal(err)
		}
		raw, err := h.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var in rtpIn
		if !readRTP(raw, &in) {
			t.Fatalf("%s: not read", what)
		}
		if got := captureTime(in.extension(row.id)); got.Sub(row.want).Abs() > time.Microsecond {
			t.Errorf("%s: captured at %v, want %v", what, got, row.want)
		}
	}
}
