//go:build gst

package mediaworker

import (
	"bytes"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/workers/wire"
)

// maxEarly bounds the frames that wait for the clock.
const maxEarly = 64

// playerTrack is one stream of the file.
type playerTrack struct {
	j    *playerJob
	kind string
	name codec.Name // "" for what is described by its caps
	sink *gst.Element
	out  *gst.Pad // the sink's
	line *gst.Outlet
	dead bool // guarded by j.mu
	last time.Duration
	both bool // frames are in decoding order, with B-frames
	own  bool // encoded here: the format is fixed

	mu    sync.Mutex // before j.mu
	early []gst.Sample
}

// A sink that waits for a frame's time. max-buffers bounds nothing in practice:
// each frame is taken as it comes.
const playerSink = "appsink name=sink sync=true qos=false max-buffers=4 enable-last-sample=false"

// playerBranch is the way from the demuxer to the sink for caps; ok is false for
// what is neither picture nor sound.
func playerBranch(caps string) (kind string, name codec.Name, chain string, ok bool) {
	media, rest, _ := strings.Cut(caps, ",")
	field := func(name string) string { return capsField(rest, name) }
	switch strings.TrimSpace(media) {
	case "video/x-vp8":
		return "video", codec.VP8, "identity silent=true", true
	case "video/x-vp9":
		// parsebin gives whole super-frames; a second parser gives nothing at all.
		return "video", codec.VP9, "identity silent=true", true
	case "video/x-av1":
		return "video", codec.AV1, "av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu", true
	case "video/x-h264":
		return "video", codec.H264, "h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au", true
	case "video/x-h265":
		return "video", codec.H265, "h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au", true
	case "video/x-raw":
		return "video", codec.VP8, "videoconvert n-threads=1 ! video/x-raw,format=I420 ! vp8enc deadline=1 cpu-used=8 threads=1 end-usage=cbr target-bitrate=2000000 keyframe-max-dist=60 error-resilient=partitions", true
	case "audio/x-opus":
		if f := field("channel-mapping-family"); f != "" && f != "0" {
			return "audio", "", "identity silent=true", true
		}
		return "audio", codec.Opus, "identity silent=true", true
	case "audio/x-mulaw": // files hold half a second at a time; the way back is exact
		return "audio", codec.PCMU, "mulawdec ! audioconvert ! audioresample ! audio/x-raw,rate=8000,channels=1 ! audiobuffersplit output-buffer-duration=1/50 ! mulawenc", true
	case "audio/x-alaw":
		return "audio", codec.PCMA, "alawdec ! audioconvert ! audioresample ! audio/x-raw,rate=8000,channels=1 ! audiobuffersplit output-buffer-duration=1/50 ! alawenc", true
	case "audio/x-raw":
		return "audio", codec.Opus, "audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! opusenc bitrate=96000", true
	case "audio/mpeg":
		if v := field("mpegversion"); v == "4" || v == "2" {
			return "audio", codec.AAC, "aacparse ! audio/mpeg,mpegversion=4,stream-format=raw", true
		}
	}
	if kind, _, ok := strings.Cut(media, "/"); ok && (kind == "audio" || kind == "video") {
		return kind, "", "identity silent=true", true
	} else if kind == "image" {
		return "video", "", "identity silent=true", true
	}
	return "", "", "", false
}

var capsType = regexp.MustCompile(`^\((?:[a-z]+|\{[^}]*\})\)\s*`)

// capsField is the value of a simple field of caps in text, "" when it has none.
func capsField(caps, name string) string {
	for _, part := range strings.Split(caps, ",") {
		k, v, ok := strings.Cut(part, "=")
		if ok && strings.TrimSpace(k) == name {
			return strings.Trim(capsType.ReplaceAllString(strings.TrimSpace(v), ""), ` ";`)
		}
	}
	return ""
}

func capsInt(caps, name string) int {
	n, err := strconv.Atoi(capsField(caps, name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// found takes a stream of the file, on the thread that found it: were it not
// linked when that goes on, the demuxer would give up. What it is shows with its
// first frame, behind the queue.
func (j *playerJob) found(pad *gst.Pad, queue *gst.Element) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen++; j.seen > maxTracks {
		return
	}
	in, err := queue.Request("sink_%u")
	if err != nil {
		j.w.log.Warn("a stream of the file is left out", "error", err)
		return
	}
	number := strings.TrimPrefix(in.Name(), "sink_")
	out := queue.Pad("src_" + number)
	if out == nil || pad.Link(in) != nil {
		return
	}
	out.PTSFromDTS()
	j.undecided++
	out.Watch(gst.Buffers|gst.Down, func(p gst.Probe) gst.Verdict {
		switch {
		case p.Event == "" || p.Event == "gap":
			j.decide(queue.Pad("src_" + number))
		case p.Event == "eos": // it was empty
			j.decide(nil)
		default:
			return gst.OK
		}
		return gst.Off
	})
}

// decide links a stream to its sink, or leaves it, as its format is.
func (j *playerJob) decide(out *gst.Pad) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.undecided--
	j.w.post(j.prerolled)
	if out == nil {
		return
	}
	caps := out.Caps()
	kind, name, chain, ok := playerBranch(caps)
	if !ok || j.tracks[kind] != nil || j.closing {
		return
	}
	t := &playerTrack{j: j, kind: kind, name: name, last: gst.Never, own: strings.Contains(caps, "x-raw")}
	if err := t.link(out, chain); err != nil {
		j.w.log.Warn("a stream of the file is left out", "caps", caps, "error", err)
		return
	}
	j.tracks[kind] = t
}

func (t *playerTrack) link(out *gst.Pad, chain string) error {
	bin, err := gst.ParseBin(chain+" ! "+playerSink, true)
	if err != nil {
		return err
	}
	sink := bin.Find("sink")
	t.sink, t.out = sink, sink.Pad("sink")
	sink.OnSample(t.sample)
	if err := t.j.pipe.Add(bin); err != nil {
		return err
	}
	if err := out.Link(bin.Pad("sink")); err != nil {
		return err
	}
	return bin.SyncState()
}

// sample sends a frame whose time has come. Sinks also hand out, at once and
// whatever the state, frames that are decoded before the first one to show; their
// place in time is known only when the clock runs.
func (t *playerTrack) sample(s gst.Sample) {
	if s.Running == gst.Never || len(s.Data) == 0 {
		return // headers, which the format tells too
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.j.pipe.Settled(gst.Playing) {
		if len(t.early) < maxEarly {
			s.Data = bytes.Clone(s.Data)
			t.early = append(t.early, s)
		}
		return
	}
	t.flush()
	t.send(s)
}

// flush sends what came before the clock ran. The caller holds t.mu.
func (t *playerTrack) flush() {
	early := t.early
	t.early = nil
	for _, s := range early {
		t.send(s)
	}
}

func (t *playerTrack) send(s gst.Sample) {
	pts := t.j.pipe.BaseTime() + s.Running
	if t.line == nil {
		if t.kind == "video" && !s.Key {
			return
		}
		t.both = t.order(s.Data)
		if !t.announce() {
			return
		}
	} else if t.kind == "video" && !t.both && t.reorders() && pts < t.last-2*time.Millisecond && t.last-pts < time.Second {
		// It said nothing of B-frames, and has them.
		t.both = true
		if !t.announce() {
			return
		}
	}
	t.last = pts
	t.line.Send(s.Data, pts, s.Key || t.kind == "audio")
}

// reorders tells whether the codec can have B-frames.
func (t *playerTrack) reorders() bool {
	return t.name == codec.H264 || t.name == codec.H265 || t.name == ""
}

// order tells from a keyframe whether frames are in another order than they are
// shown in; what does not say so and may be is taken to be.
func (t *playerTrack) order(unit []byte) bool {
	switch t.name {
	case codec.H264:
		raw, _ := codec.H264Params(unit)
		var sps h264.SPS
		if raw == nil || sps.Unmarshal(raw) != nil {
			return true
		}
		if sps.ProfileIdc == 66 || sps.PicOrderCntType == 2 {
			return false
		}
		if sps.VUI != nil && sps.VUI.BitstreamRestriction != nil {
			return sps.VUI.BitstreamRestriction.MaxNumReorderFrames > 0
		}
		return true
	case codec.H265:
		for nal := range codec.NALUnits(unit) {
			var sps h265.SPS
			if len(nal) > 2 && nal[0]>>1&0x3f == 33 && sps.Unmarshal(nal) == nil {
				for _, n := range sps.MaxNumReorderPics {
					if n > 0 {
						return true
					}
				}
				return false
			}
		}
		return true
	}
	return false
}

// announce begins a row of frames; false when the job is closing.
func (t *playerTrack) announce() bool {
	caps := t.out.Caps()
	m := wire.Media{Kind: t.kind, Codec: string(t.name), Width: capsInt(caps, "width"), Height: capsInt(caps, "height"), Reordered: t.both}
	switch t.name {
	case "":
		m.Caps = caps
		m.ClockRate, m.Channels = capsInt(caps, "rate"), capsInt(caps, "channels")
		if t.kind == "video" {
			m.ClockRate = 90000
		}
	case codec.Opus:
		m.ClockRate, m.Channels = 48000, 2
		if !t.own && capsInt(caps, "channels") == 1 {
			m.Channels = 1
		}
	case codec.PCMU, codec.PCMA:
		m.ClockRate, m.Channels = 8000, 1
	case codec.AAC:
		m.ClockRate, m.Channels = capsInt(caps, "rate"), capsInt(caps, "channels")
		m.Config, _ = hex.DecodeString(capsField(caps, "codec_data"))
	}
	t.j.mu.Lock()
	defer t.j.mu.Unlock()
	if t.dead {
		return false
	}
	if t.line != nil {
		t.line.Close()
	}
	t.line = t.j.w.newStream(t.kind, m, nil)
	return true
}

// end stops what is sent. The caller holds j.mu.
func (t *playerTrack) end() {
	t.dead = true
	if t.line != nil {
		t.line.Close()
	}
}
