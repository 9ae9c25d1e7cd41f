//go:build gst

package mediaworker

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// output is one encoding of a port. What is not marked is the owner's.
type output struct {
	w       *worker
	stream  uint16
	port    string
	media   wire.Media
	bitrate int
	how     encoding
	from    *port // nil while there is no such port
	pad     *gst.Pad
	bin     *gst.Element
	enc     *gst.Element
	line    *line
	since   time.Time // the encoder runs
}

// line numbers the frames of one stream on the socket. One thread at a time uses
// it.
type line struct {
	w      *worker
	stream uint16
	video  bool
	base   time.Duration
	again  func() // ask for a keyframe; nil for sound
	dead   atomic.Bool
	begun  atomic.Bool // a frame has been sent since the last keyframe was asked for

	frame   uint32
	lost    bool
	waiting bool // for a keyframe, after a frame that found no room
}

// addOutput begins an encoding.
func (w *worker) addOutput(p wire.OutputParams) error {
	if p.Stream >= wire.FirstOwnStream {
		return kerr.New(kerr.MediaObjectIllegalParam, "Stream %d is not the server's", p.Stream)
	}
	if p.Kind != "audio" && p.Kind != "video" {
		return kerr.New(kerr.MediaObjectIllegalParam, "An output needs a kind")
	}
	if w.outputs[p.Stream] != nil {
		return kerr.New(kerr.MediaObjectIllegalParam, "Stream %d is in use", p.Stream)
	}
	how, err := encodingOf(p.Media)
	if err != nil {
		return err
	}
	o := &output{w: w, stream: p.Stream, port: p.Port, media: p.Media, bitrate: p.Bitrate, how: how}
	if at := w.ports[p.Port]; at != nil {
		if err := o.attach(at); err != nil {
			return err
		}
	}
	w.outputs[p.Stream] = o
	w.heard()
	return nil
}

// attach builds the encoder and links it to the port.
func (o *output) attach(p *port) error {
	if p.kind != o.media.Kind {
		return kerr.New(kerr.MediaObjectIllegalParam, "Port '%s' carries %s", p.name, p.kind)
	}
	w := o.w
	c := p.tap.Counts()
	bin, err := gst.ParseBin(o.how.branch(o.media, o.bitrate, c.Width*c.Height, p.deep), true)
	if err != nil {
		return kerr.New(kerr.MediaObjectNotAvailable, "GStreamer cannot encode %s: %v", o.media.Codec, err)
	}
	w.serial++
	if err := bin.Set("name", fmt.Sprintf("out-%d", w.serial)); err != nil {
		return err
	}
	enc := bin.Find("enc")
	old := o.line
	o.line = &line{w: w, stream: o.stream, video: o.media.Kind == "video", base: w.pipe.Base()}
	if old != nil {
		// The numbers go on: what comes is no loss, only another encoder.
		o.line.frame, o.line.lost = old.frame, old.lost
	}
	if o.line.video {
		// The streaming thread must not send events into its own encoder.
		o.line.again = func() { w.post(o.forceKey) }
	}
	l, delay := o.line, encoderDelay[codec.Parse(o.media.Codec)]
	bin.Find("sink").OnSample(func(s gst.Sample) {
		if s.Running != gst.Never {
			l.send(s.Data, l.base+s.Running-delay, s.Key)
		}
	})
	if err := w.pipe.Add(bin); err != nil {
		return err
	}
	o.bin, o.enc, o.from, o.since = bin, enc, p, time.Now()
	if err := bin.SyncState(); err != nil {
		o.detach()
		return kerr.New(kerr.MediaObjectNotAvailable, "The encoder of %s does not start: %v", o.media.Codec, err)
	}
	if o.pad, err = p.tee.Request("src_%u"); err == nil {
		err = o.pad.Link(bin.Pad("sink"))
	}
	if err != nil {
		o.detach()
		return err
	}
	return nil
}

// detach takes the encoder out; a tee can lose a pad while it pushes.
func (o *output) detach() {
	if o.line != nil {
		o.line.dead.Store(true)
	}
	if o.pad != nil {
		o.pad.Unlink(o.bin.Pad("sink"))
		o.from.tee.Release(o.pad)
	}
	if o.bin != nil {
		o.bin.LockState(true)
		_ = o.bin.SetState(gst.Null)
		o.w.pipe.Remove(o.bin)
	}
	o.pad, o.bin, o.enc, o.from = nil, nil, nil, nil
}

// renew puts another encoder in the place of a broken one, at most one per
// renewEvery.
func (o *output) renew() {
	at := o.from
	o.detach()
	again := func() {
		if o.w.outputs[o.stream] != o || o.bin != nil || o.w.ports[o.port] != at {
			return
		}
		if err := o.attach(at); err != nil {
			o.w.fail(wire.ErrorData{Type: "STREAM_ERROR_ENCODE", Code: int(kerr.UnexpectedError), Text: err.Error()})
		}
	}
	if wait := renewEvery - time.Since(o.since); wait > 0 {
		time.AfterFunc(wait, func() {
			if o.w.ctx.Err() == nil {
				o.w.post(again)
			}
		})
		return
	}
	again()
}

func (o *output) close() {
	o.detach()
	delete(o.w.outputs, o.stream)
	o.w.heard()
}

// forceKey makes the next picture a keyframe.
func (o *output) forceKey() {
	if o.enc == nil || o.media.Kind != "video" {
		return
	}
	if !o.how.deaf {
		o.enc.Pad("src").ForceKeyUnit()
		return
	}
	if o.line.begun.Swap(false) {
		at := o.from
		o.detach()
		if err := o.attach(at); err != nil {
			o.w.fail(wire.ErrorData{Type: "STREAM_ERROR_ENCODE", Code: int(kerr.UnexpectedError), Text: err.Error()})
		}
	}
}

// setBitrate changes the target, in bps, from the next frames on. What has no
// target, or cannot change it while it runs, keeps what it has.
func (o *output) setBitrate(bps int) error {
	o.bitrate = bps
	if o.enc == nil || o.how.property == "" {
		return nil
	}
	return o.enc.Set(o.how.property, o.how.value(bps))
}

// send puts a frame on the socket, or drops it and everything up to the next
// keyframe when there is no room.
func (l *line) send(data []byte, pts time.Duration, key bool) {
	l.begun.Store(true)
	if l.dead.Load() || len(data) == 0 || len(data) > wire.MaxFrame {
		return
	}
	if l.waiting && !key {
		return
	}
	h := wire.Header{Stream: l.stream, Frame: l.frame, PTS: int64(pts)}
	if key {
		h.Flags |= wire.Key
	}
	if l.lost {
		h.Flags |= wire.Gap
	}
	l.frame++
	if l.w.med.send(h, data) {
		l.lost, l.waiting = false, false
		return
	}
	l.lost, l.waiting = true, l.video
	if l.again != nil {
		l.again()
	}
}

// newStream announces coded frames that the job sends by itself. again, which may
// be nil, is called on the socket's thread when a keyframe is needed.
func (w *worker) newStream(name string, m wire.Media, again func()) *line {
	id := w.nextOwn
	if w.nextOwn++; w.nextOwn == 0 {
		w.nextOwn = wire.FirstOwnStream
	}
	w.tell(wire.EventStream, wire.StreamParams{Stream: id, Name: name, Media: m})
	return &line{w: w, stream: id, video: m.Kind == "video", again: again}
}
