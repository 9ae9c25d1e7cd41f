//go:build gst

package mediaworker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// codecOrder is the order in which ReadyData names codecs.
var codecOrder = []codec.Name{codec.VP8, codec.H264, codec.VP9, codec.AV1, codec.H265, codec.Opus, codec.PCMU, codec.PCMA, codec.AAC}

// decoding is one way to decode a codec.
type decoding struct {
	needs []string // elements
	caps  func(m wire.Media) string
	chain string // gst-launch text from coded to raw
}

func (d decoding) exists() bool { return all(d.needs) }

func all(elements []string) bool {
	for _, e := range elements {
		if !gst.Exists(e) {
			return false
		}
	}
	return true
}

// A decoder of pictures leaves out what is damaged and asks for a keyframe by
// itself. The interval keeps it from asking with every frame.
const videoDecoder = " name=dec max-errors=-1 automatic-request-sync-points=true automatic-request-sync-point-flags=discard-input min-force-key-unit-interval=500000000 discard-corrupted-frames=true qos=false"

// The frame rate in caps is a hint for the rate control of encoders, no promise.
func video(name, more string) func(wire.Media) string {
	return func(m wire.Media) string {
		c := name + more + ",framerate=30/1"
		if m.Width > 0 && m.Height > 0 {
			c += fmt.Sprintf(",width=%d,height=%d", m.Width, m.Height)
		}
		return c
	}
}

func sound(text string) func(wire.Media) string {
	return func(m wire.Media) string {
		return strings.NewReplacer("{rate}", strconv.Itoa(or(m.ClockRate, 8000)), "{channels}", strconv.Itoa(or(m.Channels, 1))).Replace(text)
	}
}

func or(v, otherwise int) int {
	if v > 0 {
		return v
	}
	return otherwise
}

// decoders lists, per codec, the ways in order of preference. No frame threads:
// they hold pictures back.
var decoders = map[codec.Name][]decoding{
	codec.VP8: {
		{[]string{"vp8dec"}, video("video/x-vp8", ""), "vp8dec threads=1" + videoDecoder},
		{[]string{"avdec_vp8"}, video("video/x-vp8", ""), "avdec_vp8 max-threads=1" + videoDecoder},
	},
	codec.VP9: {
		{[]string{"vp9dec"}, video("video/x-vp9", ""), "vp9dec threads=1" + videoDecoder},
		{[]string{"avdec_vp9"}, video("video/x-vp9", ""), "avdec_vp9 max-threads=1" + videoDecoder},
	},
	codec.H264: {
		{[]string{"h264parse", "avdec_h264"}, video("video/x-h264", ",stream-format=byte-stream,alignment=au"), "h264parse ! avdec_h264 max-threads=1 output-corrupt=false" + videoDecoder},
		{[]string{"h264parse", "openh264dec"}, video("video/x-h264", ",stream-format=byte-stream,alignment=au"), "h264parse ! openh264dec" + videoDecoder},
	},
	codec.AV1: {
		{[]string{"av1parse", "dav1ddec"}, video("video/x-av1", ",stream-format=obu-stream,alignment=tu"), "av1parse ! dav1ddec n-threads=1" + videoDecoder},
		{[]string{"av1parse", "av1dec"}, video("video/x-av1", ",stream-format=obu-stream,alignment=tu"), "av1parse ! av1dec" + videoDecoder},
	},
	codec.H265: {
		{[]string{"h265parse", "avdec_h265"}, video("video/x-h265", ",stream-format=byte-stream,alignment=au"), "h265parse ! avdec_h265 max-threads=1 output-corrupt=false" + videoDecoder},
	},
	codec.Opus: {
		{[]string{"opusdec"}, sound("audio/x-opus,channel-mapping-family=0,channels=2,rate=48000"), "opusdec name=dec plc=true use-inband-fec=true"},
	},
	codec.PCMU: {{[]string{"mulawdec"}, sound("audio/x-mulaw,rate={rate},channels={channels}"), "mulawdec name=dec"}},
	codec.PCMA: {{[]string{"alawdec"}, sound("audio/x-alaw,rate={rate},channels={channels}"), "alawdec name=dec"}},
	codec.AAC: {
		{[]string{"aacparse", "avdec_aac"}, aacCaps, "aacparse ! avdec_aac name=dec max-errors=-1"},
	},
}

// aacCaps: with a configuration the frames are bare, without it each begins with
// an ADTS header.
func aacCaps(m wire.Media) string {
	if len(m.Config) == 0 {
		return "audio/mpeg,mpegversion=4,stream-format=adts"
	}
	return fmt.Sprintf("audio/mpeg,mpegversion=4,stream-format=raw,rate=%d,channels=%d,codec_data=(buffer)%x", or(m.ClockRate, 48000), or(m.Channels, 2), m.Config)
}

// Raw media inside a worker, everywhere: what jobs get and what ports take.
const (
	rawVideo = "video/x-raw,format=I420"
	rawAudio = "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved"

	toRawVideo = "videoconvert n-threads=1 qos=false ! capsfilter name=raw caps=\"" + rawVideo + "\""
	toRawAudio = "audioconvert ! audioresample ! capsfilter name=raw caps=\"" + rawAudio + "\""
)

// decodingOf chooses how to decode; the chain ends before the raw format.
func decodingOf(m wire.Media) (caps, chain string, err error) {
	if m.Caps != "" {
		return m.Caps, "decodebin name=any", nil
	}
	name := codec.Parse(m.Codec)
	for _, d := range decoders[name] {
		if d.exists() {
			return d.caps(m), d.chain, nil
		}
	}
	return "", "", kerr.New(kerr.MediaObjectNotAvailable, "GStreamer has no decoder of %s here", name)
}
