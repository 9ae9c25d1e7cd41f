//go:build gst

package mediaworker

import (
	"fmt"
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
	line    *gst.Outlet
	since   time.Time // the encoder runs
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
	var again func()
	if o.media.Kind == "video" {
		// The streaming thread must not send events into its own encoder.
		again = func() { w.post(o.forceKey) }
	}
	// The numbers go on: what comes is no loss, only another encoder.
	o.line = gst.NewOutlet(gst.OutletConfig{FD: w.med.fd, Stream: o.stream, Video: again != nil, Base: w.pipe.Base(),
		Delay: encoderDelay[codec.Parse(o.media.Codec)], After: o.line, Again: again})
	o.line.Take(bin.Find("sink"))
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
		o.line.Close()
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
	if o.line.Begun() {
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

// newStream announces coded frames that the job sends by itself. again, which may
// be nil, is called on the socket's thread when a keyframe is needed.
func (w *worker) newStream(name string, m wire.Media, again func()) *gst.Outlet {
	id := w.nextOwn
	if w.nextOwn++; w.nextOwn == 0 {
		w.nextOwn = wire.FirstOwnStream
	}
	w.tell(wire.EventStream, wire.StreamParams{Stream: id, Name: name, Media: m})
	return gst.NewOutlet(gst.OutletConfig{FD: w.med.fd, Stream: id, Video: m.Kind == "video", Again: again})
}
