package elements

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/govidu/govidu/internal/kerr"
)

// encoderRates are the bitrates a transcoder of this element's output would
// use, in bps. This build stores them for workers and reads them back.
type encoderRates struct{ rate, min, max atomic.Int64 }

func (r *encoderRates) init() {
	r.rate.Store(300000)
	r.max.Store(math.MaxInt32)
}

// EncoderBitrate is the encoders' target in bps, [min, max].
func (e *MediaElement) EncoderBitrate() (rate, minimum, maximum int) {
	return int(e.encoder.rate.Load()), int(e.encoder.min.Load()), int(e.encoder.max.Load())
}

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
	return None{}, kerr.New(kerr.UnsupportedMediaType, "cannot force %s on %s: this node has no transcoder (install the media worker)", p.Caps.Codec, e.ID())
}

func (e *MediaElement) setVideoFormat(_ context.Context, p videoFormatParams) (None, error) {
	return None{}, kerr.New(kerr.UnsupportedMediaType, "cannot force %s on %s: this node has no transcoder (install the media worker)", p.Caps.Codec, e.ID())
}
