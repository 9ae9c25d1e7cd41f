//go:build gst

package mediaworker

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// encoding is one way to encode a codec.
type encoding struct {
	needs []string
	// chain is gst-launch text from raw to coded; {threads} and {bitrate} are
	// filled in.
	chain string
	// property and unit of the encoder's target bitrate: bits per second / unit.
	property string
	unit     int
	least    int // bps that the encoder takes
	most     int
	preset   int // bps when nobody says
	// deaf encoders make no keyframe on demand: another encoder is put in their
	// place, which begins with one.
	deaf bool
}

func (e encoding) exists() bool { return all(e.needs) }

// Keyframes come when somebody asks for one, and at the start; never by clock.
const never = "1000000000"

// A time base of its own keeps frames of one thirtieth of a second apart that are
// closer than the caps' frame rate says.
const vpx = " name=enc deadline=1 cpu-used=8 threads={threads} end-usage=cbr lag-in-frames=0 keyframe-max-dist=" + never +
	" timebase=1/90000 target-bitrate={bitrate} buffer-size=1000 buffer-initial-size=500 buffer-optimal-size=600 min-quantizer=4 max-quantizer=56 undershoot=100 overshoot=15 static-threshold=1 qos=false"

// encoders lists, per codec, the ways in order of preference. Real time over
// quality, no B-frames, no lookahead: what goes in comes out.
var encoders = map[codec.Name][]encoding{
	codec.VP8: {{[]string{"vp8enc"}, "vp8enc error-resilient=default" + vpx, "target-bitrate", 1, 30_000, 50_000_000, 1_000_000, false}},
	codec.VP9: {{[]string{"vp9enc"}, "vp9enc error-resilient=default row-mt=true" + vpx, "target-bitrate", 1, 30_000, 50_000_000, 800_000, false}},
	codec.H264: {
		{[]string{"x264enc"}, even + "x264enc name=enc tune=zerolatency speed-preset=superfast threads={threads} bitrate={bitrate} vbv-buf-capacity=600 key-int-max=" + never +
			" bframes=0 b-adapt=false byte-stream=true aud=false option-string=scenecut=0:repeat-headers=1 qos=false ! video/x-h264,stream-format=byte-stream,alignment=au,profile=constrained-baseline",
			"bitrate", 1000, 30_000, 50_000_000, 1_000_000, false},
		{[]string{"openh264enc", "h264parse"}, even + "openh264enc name=enc complexity=low rate-control=bitrate gop-size=0 scene-change-detection=false enable-frame-skip=false bitrate={bitrate} multi-thread={threads} qos=false" +
			" ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au", "bitrate", 1, 30_000, 50_000_000, 1_000_000, false},
	},
	codec.AV1: {{[]string{"av1enc"}, "av1enc name=enc usage-profile=realtime cpu-used=10 lag-in-frames=0 end-usage=cbr threads={threads} row-mt=true target-bitrate={bitrate} buf-sz=1000 buf-initial-sz=500 buf-optimal-sz=600 min-quantizer=8 max-quantizer=56 undershoot-pct=50 overshoot-pct=50 keyframe-max-dist=" +
		never + " qos=false ! video/x-av1,stream-format=obu-stream,alignment=tu", "target-bitrate", 1000, 30_000, 50_000_000, 800_000, true}},
	codec.H265: {{[]string{"x265enc"}, even + "x265enc name=enc tune=zerolatency speed-preset=ultrafast bitrate={bitrate} key-int-max=1000000 option-string=repeat-headers=1:pools=1:frame-threads=1:scenecut=0:log-level=0 qos=false" +
		" ! video/x-h265,stream-format=byte-stream,alignment=au", "bitrate", 1000, 30_000, 50_000_000, 1_000_000, false}},
	codec.Opus: {{[]string{"opusenc"}, "opusenc name=enc frame-size=20 bitrate-type=vbr complexity=5 inband-fec=true packet-loss-percentage=5 bitrate={bitrate}", "bitrate", 1, 6_000, 510_000, 64_000, false}},
	codec.PCMU: {{[]string{"mulawenc", "audiobuffersplit"}, telephone + "mulawenc name=enc", "", 0, 0, 0, 0, false}},
	codec.PCMA: {{[]string{"alawenc", "audiobuffersplit"}, telephone + "alawenc name=enc", "", 0, 0, 0, 0, false}},
	codec.AAC:  {{[]string{"avenc_aac"}, "audioconvert ! avenc_aac name=enc bitrate={bitrate} ! audio/mpeg,mpegversion=4,stream-format=raw", "", 1, 16_000, 320_000, 128_000, false}},
}

// encoderDelay is how much later than what goes in the same sound comes out of a
// decoder: encoders put samples of their own before it, and count their first
// frame from the PTS of the first sample all the same. Frames leave with their PTS
// moved back by it, so that a player that plays what it decodes at the PTS is
// right, and no container need tell. AAC: one frame of priming; Opus: the
// lookahead of libopus (its pre-skip, RFC 7845 §4.2).
var encoderDelay = map[codec.Name]time.Duration{
	codec.AAC:  1024 * time.Second / 48000,
	codec.Opus: 312 * time.Second / 48000,
}

// even brings pictures of odd size to an even one, which some encoders insist on;
// others pass untouched.
const even = "videoscale n-threads=1 qos=false ! video/x-raw,width=[2,8192,2],height=[2,8192,2] ! "

// telephone brings sound to 8 kHz mono in pieces of 20 ms (RFC 3551 §4.2).
const telephone = "audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=8000,channels=1 ! audiobuffersplit output-buffer-duration=1/50 ! "

// encodingOf chooses how to encode.
func encodingOf(m wire.Media) (encoding, error) {
	name := codec.Parse(m.Codec)
	for _, e := range encoders[name] {
		if e.exists() {
			return e, nil
		}
	}
	return encoding{}, kerr.New(kerr.MediaObjectNotAvailable, "GStreamer has no encoder of %s here", name)
}

// text fills the chain in. pixels is the size of a picture, 0 when unknown.
func (e encoding) text(bps, pixels int) string {
	threads := "1"
	if pixels > 1280*720 {
		threads = "2"
	}
	return strings.NewReplacer("{threads}", threads, "{bitrate}", e.value(bps)).Replace(e.chain)
}

// value is a bitrate as the property wants it.
func (e encoding) value(bps int) string {
	if e.unit == 0 {
		return ""
	}
	if bps <= 0 {
		bps = e.preset
	}
	return strconv.Itoa(min(max(bps, e.least), e.most) / e.unit)
}

// branch is the whole of an output: from the port's tee to an appsink. deep: it
// may be a second behind before it loses pictures.
func (e encoding) branch(m wire.Media, bps, pixels int, deep bool) string {
	const end = " ! appsink name=sink sync=false async=false max-buffers=4 enable-last-sample=false qos=false wait-on-eos=false"
	if m.Kind == "audio" {
		return "queue leaky=downstream max-size-buffers=0 max-size-bytes=0 max-size-time=500000000 silent=true ! " + e.text(bps, 0) + end
	}
	scale := ""
	if m.Width > 0 && m.Height > 0 {
		scale = fmt.Sprintf("videoscale n-threads=1 qos=false ! video/x-raw,width=%d,height=%d,pixel-aspect-ratio=1/1 ! ", m.Width&^1, m.Height&^1)
	}
	room := 8
	if deep {
		room = 30
	}
	return fmt.Sprintf("queue leaky=downstream max-size-buffers=%d", room) + " max-size-bytes=0 max-size-time=0 silent=true ! " + scale + e.text(bps, pixels) + end
}
