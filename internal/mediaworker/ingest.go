//go:build gst

package mediaworker

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

const (
	// askEvery bounds how often an input asks for a keyframe.
	askEvery = 500 * time.Millisecond
	// maxWaiting frames of an input may wait for its decoder: two seconds of video,
	// five of sound.
	maxWaitingVideo, maxWaitingAudio = 60, 250
	// maxConceal is the longest hole in sound that a decoder shall fill, minConceal
	// the shortest, a frame of Opus (RFC 6716 §2.1.4): told of less, opusdec loses a
	// packet's time, and all sound were that much early from then on.
	maxConceal = 200 * time.Millisecond
	minConceal = 2500 * time.Microsecond
	// renewEvery bounds how often a broken decoder is made anew.
	renewEvery = time.Second
)

// input is a row of coded frames and its decoder. What is not marked is the
// owner's.
type input struct {
	w      *worker
	params wire.StreamParams
	stream uint16 // where its frames come; changes with the announcement
	bin    *gst.Element
	out    *gst.Pad // raw media: I420 (any size), S16LE 48 kHz stereo
	feed   *feed
	since  time.Time
}

// feed is the part of an input that the media reader works with.
type feed struct {
	w     *worker
	name  string
	video bool
	opus  bool
	order bool // of decoding, with B-frames
	src   *gst.Element
	base  time.Duration
	ask   func() // ask for a keyframe, from any thread

	// way is that of whole frames in order, which never come here. It keeps where
	// the row stands: enter and leave.
	way *gst.Route

	// Of the media reader.
	asm     assembler
	waiting bool // for a keyframe
	last    time.Duration
	step    time.Duration
}

// setInput adds an input or changes its format.
func (w *worker) setInput(p wire.StreamParams) error {
	if p.Name == "" || p.Kind != "audio" && p.Kind != "video" {
		return kerr.New(kerr.MediaObjectIllegalParam, "An input needs a name and a kind")
	}
	if p.Stream >= wire.FirstOwnStream {
		return kerr.New(kerr.MediaObjectIllegalParam, "Stream %d is not the server's", p.Stream)
	}
	if old := w.inputs[p.Name]; old != nil {
		if sameMedia(old.params.Media, p.Media) {
			w.med.remove(old.stream)
			old.params, old.stream = p, p.Stream
			w.listenTo(old)
			return nil
		}
		w.dropInput(old)
	}
	return w.addInput(p)
}

func (w *worker) addInput(p wire.StreamParams) error {
	in := &input{w: w, params: p, stream: p.Stream, since: time.Now()}
	if err := in.build(); err != nil {
		return err
	}
	w.inputs[p.Name] = in
	err := w.job.addInput(in)
	if err == nil {
		err = in.bin.SyncState()
	}
	if err != nil {
		w.dropInput(in)
		return err
	}
	w.listenTo(in)
	return nil
}

// build makes appsrc, decoder and conversion.
func (in *input) build() error {
	w, m := in.w, in.params.Media
	caps, chain, err := decodingOf(m)
	if err != nil {
		return err
	}
	raw := toRawAudio
	if m.Kind == "video" {
		raw = toRawVideo
	}
	w.serial++
	const source = "appsrc name=src format=time is-live=true block=false max-bytes=0 max-buffers=0 max-time=0 emit-signals=false handle-segment-change=false"
	text := source + " ! " + chain + " ! " + raw
	if strings.HasPrefix(chain, "decodebin") {
		// Its source pad comes later.
		text = source + " ! " + chain + "  identity name=join silent=true ! " + raw
	}
	if in.bin, err = gst.ParseBin(text, !strings.HasPrefix(chain, "decodebin")); err != nil {
		return kerr.New(kerr.MediaObjectNotAvailable, "GStreamer cannot decode %s: %v", m.Codec+m.Caps, err)
	}
	if err := in.bin.Set("name", fmt.Sprintf("in-%d", w.serial)); err != nil {
		return err
	}
	if any := in.bin.Find("any"); any != nil {
		join := in.bin.Find("join").Pad("sink")
		any.OnPadAdded(func(p *gst.Pad) {
			if join.Peer() == nil {
				if err := p.Link(join); err != nil {
					w.log.Debug("a decoded stream is not used", "error", err)
				}
			}
		})
		if _, err := in.bin.Ghost("src", in.bin.Find("raw").Pad("src")); err != nil {
			return err
		}
	}
	src := in.bin.Find("src")
	src.SetCaps(caps)
	if src.Get("caps") == "" {
		return kerr.New(kerr.MediaObjectIllegalParam, "'%s' are no GStreamer caps", caps)
	}
	name := codec.Parse(m.Codec)
	in.feed = &feed{w: w, name: in.params.Name, video: m.Kind == "video", opus: name == codec.Opus, order: m.Reordered, src: src, base: w.pipe.Base(),
		ask: w.asker(in.params.Name), waiting: m.Kind == "video", last: gst.Never, step: time.Second / 30}
	// Only this is kept by the pad: with the feed it would keep its own element.
	ask := in.feed.ask
	src.Pad("src").Watch(gst.Up, func(p gst.Probe) gst.Verdict {
		if p.Structure != "GstForceKeyUnit" {
			return gst.OK
		}
		ask()
		return gst.Drop
	})
	if err := w.pipe.Add(in.bin); err != nil {
		return err
	}
	in.out = in.bin.Pad("src")
	return nil
}

// listenTo makes the media reader feed the input, from a keyframe on.
func (w *worker) listenTo(in *input) {
	f := in.feed // the reader may still be in it: what follows takes another
	kind, limit := gst.Sound, maxWaitingAudio
	switch {
	case f.video && f.order:
		kind, limit = gst.Reordered, maxWaitingVideo
	case f.video:
		kind, limit = gst.Pictures, maxWaitingVideo
	case f.opus:
		kind = gst.OpusSound
	}
	in.feed = &feed{w: w, name: f.name, video: f.video, opus: f.opus, order: f.order, src: f.src, base: f.base, ask: f.ask,
		way: gst.NewRoute(f.src, f.base, kind, limit), waiting: f.video, last: gst.Never, step: time.Second / 30}
	w.med.add(in.stream, in.feed)
}

// dropInput ends an input. The job lets go of it first.
func (w *worker) dropInput(in *input) {
	w.med.remove(in.stream)
	if w.inputs[in.params.Name] == in {
		delete(w.inputs, in.params.Name)
	}
	w.job.removeInput(in)
	in.bin.LockState(true)
	_ = in.bin.SetState(gst.Null)
	w.pipe.Remove(in.bin)
}

// renew makes a broken input anew.
func (w *worker) renew(in *input) {
	if time.Since(in.since) < renewEvery {
		// Broken at once: later, if it is still wanted.
		since := in.since
		w.dropInput(in)
		p := in.params
		time.AfterFunc(renewEvery-time.Since(since), func() {
			w.post(func() {
				if w.ctx.Err() == nil && w.inputs[p.Name] == nil {
					w.again(p)
				}
			})
		})
		return
	}
	w.dropInput(in)
	w.again(in.params)
}

func (w *worker) again(p wire.StreamParams) {
	if err := w.addInput(p); err != nil {
		w.fail(wire.ErrorData{Type: "STREAM_ERROR_DECODE", Code: int(kerr.UnexpectedError), Text: err.Error(), Input: p.Name})
	}
}

// asker asks the server for a keyframe of an input, at most every askEvery.
func (w *worker) asker(name string) func() {
	var asked atomic.Int64 // monotonic ns
	return func() {
		now, last := int64(gst.Now()), asked.Load()
		if (last == 0 || now-last >= int64(askEvery)) && asked.CompareAndSwap(last, now) {
			w.tell(wire.EventKeyFrame, wire.NameData{Name: name})
		}
	}
}

func (f *feed) route() *gst.Route { return f.way }

// enter learns what went straight since; leave tells whether more can.
func (f *feed) enter() {
	if at := f.way.Row(); at.Straight {
		f.asm.frame, f.last, f.step = at.Frame, at.Last, at.Step
	}
}

func (f *feed) leave() {
	f.way.Set(gst.Row{Straight: f.asm.began && !f.asm.open && !f.asm.lost, Waiting: f.waiting, Frame: f.asm.frame, Last: f.last, Step: f.step})
}

// take feeds a message; receiver.
func (f *feed) take(h wire.Header, payload []byte) {
	f.enter()
	defer f.leave()
	fr, ok := f.asm.add(h, payload)
	if !ok || len(fr.data) == 0 {
		return
	}
	t := max(0, time.Duration(fr.pts)-f.base)
	if f.video {
		f.picture(fr, t)
	} else {
		f.sound(fr, t)
	}
}

func (f *feed) picture(fr frame, t time.Duration) {
	if fr.lost {
		f.waiting = true
	}
	if f.waiting && !fr.key {
		f.ask()
		return
	}
	if d := t - f.last; f.last >= 0 && d >= 5*time.Millisecond && d <= 200*time.Millisecond {
		f.step = d
	}
	f.last = t
	duration := f.step
	if f.order {
		duration = gst.Never
	}
	err := f.src.Push(gst.Frame{Data: fr.data, PTS: t, Duration: duration, Key: fr.key, Discont: f.waiting}, maxWaitingVideo)
	f.waiting = err != nil
	if err != nil {
		f.ask()
	}
}

func (f *feed) sound(fr frame, t time.Duration) {
	duration := gst.Never
	if f.opus {
		if ticks := codec.OpusTicks(fr.data); ticks > 0 {
			duration = time.Duration(ticks) * time.Second / 48000
		}
	}
	hole := fr.lost
	if f.opus && f.last >= 0 {
		if d := t - f.last; hole && d >= minConceal && d <= maxConceal {
			f.src.Gap(f.last, d)
			hole = false
		}
	}
	// opusdec keeps a packet back for the sake of FEC. A discontinuity would make its
	// base class forget that one's time, and all sound were a packet late from then
	// on; it finds by PTS alone where to go on.
	_ = f.src.Push(gst.Frame{Data: fr.data, PTS: t, Duration: duration, Key: true, Discont: hole && !f.opus}, maxWaitingAudio)
	f.last = t + max(0, duration)
}

// sameMedia tells whether a decoder can go on.
func sameMedia(a, b wire.Media) bool {
	return a.Kind == b.Kind && a.Codec == b.Codec && a.Caps == b.Caps && string(a.Config) == string(b.Config) && a.Reordered == b.Reordered &&
		(a.Kind == "video" || a.ClockRate == b.ClockRate && a.Channels == b.Channels)
}
