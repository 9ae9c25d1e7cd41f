package elements

import (
	"context"
	"math"
	"slices"
	"sync/atomic"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// encoderRates are the bitrates of encoders behind this element's outputs, in
// bps. They count for encoders that start later.
type encoderRates struct{ rate, min, max atomic.Int64 }

func (r *encoderRates) init() {
	r.rate.Store(300000)
	r.max.Store(math.MaxInt32)
}

// EncoderBitrate is the encoders' target in bps, [min, max].
func (e *MediaElement) EncoderBitrate() (rate, minimum, maximum int) {
	return int(e.encoder.rate.Load()), int(e.encoder.min.Load()), int(e.encoder.max.Load())
}

// SetEncoderBitrate is the target in bps of encoders that start later, for
// elements that know better than the usual 300 kbit/s.
func (e *MediaElement) SetEncoderBitrate(bps int) { e.encoder.rate.Store(int64(bps)) }

func (e *MediaElement) encoderBitrate() int    { return int(e.encoder.rate.Load()) }
func (e *MediaElement) minEncoderBitrate() int { return int(e.encoder.min.Load()) }
func (e *MediaElement) maxEncoderBitrate() int { return int(e.encoder.max.Load()) }

func (e *MediaElement) setEncoderBitrate(bps int) error { e.encoder.rate.Store(int64(bps)); return nil }
func (e *MediaElement) setMinEncoderBitrate(bps int) error {
	e.encoder.min.Store(int64(bps))
	return nil
}
func (e *MediaElement) setMaxEncoderBitrate(bps int) error {
	if bps == 0 {
		bps = math.MaxInt32 // 0 is "no limit"
	}
	e.encoder.max.Store(int64(bps))
	return nil
}

// AudioCodec is the enumeration of setAudioFormat.
type AudioCodec string

// Values implements the enumeration.
func (AudioCodec) Values() []string { return []string{"OPUS", "PCMU", "PCMA", "RAW"} }

// VideoCodec is the enumeration of setVideoFormat.
type VideoCodec string

// Values implements the enumeration.
func (VideoCodec) Values() []string { return []string{"H265", "AV1", "VP9", "VP8", "H264", "RAW"} }

// AudioCaps is a forced audio format; Bitrate is in bps.
type AudioCaps struct {
	Codec   AudioCodec `json:"codec"`
	Bitrate int        `json:"bitrate"`
}

// Fraction is numerator / denominator.
type Fraction struct {
	Numerator   int `json:"numerator"`
	Denominator int `json:"denominator"`
}

// VideoCaps is a forced video format; Framerate is in pictures per second.
type VideoCaps struct {
	Codec     VideoCodec `json:"codec"`
	Framerate Fraction   `json:"framerate"`
}

type audioFormatParams struct {
	Caps AudioCaps `json:"caps"`
}

type videoFormatParams struct {
	Caps VideoCaps `json:"caps"`
}

func (e *MediaElement) setAudioFormat(_ context.Context, p audioFormatParams) (None, error) {
	if p.Caps.Bitrate < 0 {
		return None{}, kerr.New(kerr.MediaObjectIllegalParam, "Bitrate %d is negative", p.Caps.Bitrate)
	}
	e.force(pipeline.Audio, map[AudioCodec]codec.Name{"OPUS": codec.Opus, "PCMU": codec.PCMU, "PCMA": codec.PCMA}[p.Caps.Codec])
	return None{}, nil
}

func (e *MediaElement) setVideoFormat(_ context.Context, p videoFormatParams) (None, error) {
	if f := p.Caps.Framerate; f.Numerator < 0 || f.Denominator < 0 {
		return None{}, kerr.New(kerr.MediaObjectIllegalParam, "Framerate %d/%d is negative", f.Numerator, f.Denominator)
	}
	e.force(pipeline.Video, map[VideoCodec]codec.Name{"H265": codec.H265, "AV1": codec.AV1, "VP9": codec.VP9, "VP8": codec.VP8, "H264": codec.H264}[p.Caps.Codec])
	return None{}, nil
}

// force makes the outputs of kind, present and later, send in name wherever the
// receiver takes it. RAW (name "") leaves each receiver its choice: it is what
// the original's neighbours do with raw media.
func (e *MediaElement) force(kind pipeline.Kind, name codec.Name) {
	var f *pipeline.Format
	if name != "" {
		f = &pipeline.Format{Kind: kind, Codec: name}
	}
	e.portMu.Lock()
	if e.forced == nil {
		e.forced = map[pipeline.Kind]*pipeline.Format{}
	}
	e.forced[kind] = f
	outputs := slices.Clone(e.outputs)
	e.portMu.Unlock()
	for _, p := range outputs {
		if p.kind == kind {
			p.out.Force(f)
		}
	}
}

// encoding is what encoders behind the outputs are told.
func (e *MediaElement) encoding() pipeline.Encoding {
	rate, low, high := e.EncoderBitrate()
	return pipeline.Encoding{BitrateBps: rate, MinBps: low, MaxBps: high}
}
