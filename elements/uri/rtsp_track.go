package uri

import (
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// rtspTrack turns the packets of one track into ours: as they are for the codecs
// that the graph takes over RTP, put together to frames for the others.
type rtspTrack struct {
	media  *description.Media
	format *pipeline.Format
	clock  *pipeline.Clock
	ssrc   atomic.Uint32
	// frames puts frames together; nil for what goes on as RTP.
	frames func(*rtp.Packet) ([]rtspFrame, error)
}

// rtspFrame is a frame with its place after the packet's time, in ticks.
type rtspFrame struct {
	data  []byte
	after int64
	key   bool
}

// newRTSPTrack is nil for a format that cannot be used.
func newRTSPTrack(f format.Format, sender *pipeline.SenderClock) *rtspTrack {
	rate := f.ClockRate()
	if rate <= 0 || rate > 192000 {
		return nil
	}
	video := func(name codec.Name) *pipeline.Format {
		return &pipeline.Format{Kind: pipeline.Video, Codec: name, Framing: pipeline.RTP, ClockRate: uint32(rate)}
	}
	t := &rtspTrack{}
	switch f := f.(type) {
	case *format.VP8:
		t.format = video(codec.VP8)
	case *format.VP9:
		t.format = video(codec.VP9)
	case *format.AV1:
		t.format = video(codec.AV1)
	case *format.H264:
		t.format = video(codec.H264)
		t.format.Fmtp = fmtp(f.FMTP())
	case *format.H265:
		t.h265(f)
	case *format.MJPEG:
		t.mjpeg(f)
	case *format.Opus:
		t.format = &pipeline.Format{Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.RTP, ClockRate: 48000, Channels: 2}
	case *format.G711:
		if f.SampleRate != 8000 || f.ChannelCount != 1 {
			return nil
		}
		name := codec.PCMA
		if f.MULaw {
			name = codec.PCMU
		}
		t.format = &pipeline.Format{Kind: pipeline.Audio, Codec: name, Framing: pipeline.RTP, ClockRate: 8000, Channels: 1}
	case *format.MPEG4Audio:
		t.aac(f)
	}
	if t.format == nil {
		return nil
	}
	t.clock = sender.Track(uint32(rate))
	return t
}

func fmtp(m map[string]string) string {
	text := ""
	for _, k := range []string{"packetization-mode", "profile-level-id", "sprop-parameter-sets"} {
		if v, ok := m[k]; ok {
			if text != "" {
				text += ";"
			}
			text += k + "=" + v
		}
	}
	return text
}

// h265 puts access units together (RFC 7798), in Annex B, with the parameter
// sets of the description before each keyframe.
func (t *rtspTrack) h265(f *format.H265) {
	d, err := f.CreateDecoder()
	if err != nil || f.MaxDONDiff != 0 {
		return
	}
	t.format = &pipeline.Format{Kind: pipeline.Video, Codec: codec.H265, Framing: pipeline.Unit, ClockRate: 90000}
	t.frames = func(p *rtp.Packet) ([]rtspFrame, error) {
		nals, err := d.Decode(p)
		if err != nil || len(nals) == 0 {
			return nil, err
		}
		var fr rtspFrame
		for _, n := range nals {
			if len(n) > 0 {
				typ := n[0] >> 1 & 0x3f
				fr.key = fr.key || typ >= 16 && typ <= 21 // IRAP
			}
		}
		if vps, sps, pps := f.SafeParams(); fr.key && vps != nil && sps != nil && pps != nil {
			nals = append([][]byte{vps, sps, pps}, nals...)
		}
		for _, n := range nals {
			fr.data = append(append(fr.data, 0, 0, 0, 1), n...)
		}
		return []rtspFrame{fr}, nil
	}
}

func (t *rtspTrack) mjpeg(f *format.MJPEG) {
	d, err := f.CreateDecoder()
	if err != nil {
		return
	}
	t.format = &pipeline.Format{Kind: pipeline.Video, Codec: pipeline.Other, Framing: pipeline.Unit, ClockRate: 90000, Caps: "image/jpeg,parsed=true"}
	t.frames = func(p *rtp.Packet) ([]rtspFrame, error) {
		data, err := d.Decode(p)
		if err != nil || data == nil {
			return nil, err
		}
		return []rtspFrame{{data: data, key: true}}, nil
	}
}

// aac puts access units together (RFC 3640); several in a packet follow each
// other by 1024 samples.
func (t *rtspTrack) aac(f *format.MPEG4Audio) {
	config := f.GetConfig()
	if config == nil {
		return
	}
	raw, err := config.Marshal()
	if err != nil {
		return
	}
	d, err := f.CreateDecoder()
	if err != nil {
		return
	}
	t.format = &pipeline.Format{
		Kind: pipeline.Audio, Codec: codec.AAC, Framing: pipeline.Unit, ClockRate: uint32(config.SampleRate), Channels: uint16(config.ChannelCount), Config: raw,
	}
	t.frames = func(p *rtp.Packet) ([]rtspFrame, error) {
		units, err := d.Decode(p)
		var out []rtspFrame
		for i, u := range units {
			out = append(out, rtspFrame{data: u, after: int64(i) * 1024, key: true})
		}
		return out, err
	}
}

// take pushes what a packet gives.
func (t *rtspTrack) take(p *rtp.Packet, now time.Time, push func(*pipeline.Packet)) {
	pts, fix := t.clock.PTS(p.Timestamp, now), t.clock.Fix()
	if t.frames == nil {
		key := t.format.Kind == pipeline.Audio || codec.KeyFrameRTP(t.format.Codec, p.Payload)
		push(&pipeline.Packet{Format: t.format, Header: p.Header, Payload: p.Payload, PTS: pts, Arrival: now, Key: key, Fix: fix})
		return
	}
	frames, err := t.frames(p)
	if err != nil {
		return // more packets are needed, or some are lost
	}
	for _, f := range frames {
		at := pts + time.Duration(f.after)*time.Second/time.Duration(t.format.ClockRate)
		push(&pipeline.Packet{Format: t.format, Payload: f.data, PTS: at, Arrival: now, Key: f.key, Fix: fix})
	}
}
