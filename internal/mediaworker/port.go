//go:build gst

package mediaworker

import (
	"fmt"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// silence is how long a port without a buffer still counts as flowing.
const silence = time.Second

// port is raw media that a job offers. All of it is the owner's.
type port struct {
	w          *worker
	name, kind string
	tee        *gst.Element
	sink       *gst.Pad // link raw media to it: I420, S16LE 48 kHz stereo
	tap        *gst.Tap
	flowing    bool
	width      int
	height     int
	seen       uint64
	deep       bool // encodings may be behind for longer: no picture shall be lost
}

// newPort offers raw media under a name; kind is audio or video. What encodings
// were asked for already begin.
func (w *worker) newPort(name, kind string) (*port, error) {
	if w.ports[name] != nil {
		return nil, kerr.New(kerr.UnexpectedError, "Port '%s' is there already", name)
	}
	w.serial++
	tee, err := gst.Make("tee", fmt.Sprintf("port-%d", w.serial))
	if err != nil {
		return nil, err
	}
	if err := tee.Set("allow-not-linked", "true"); err != nil {
		return nil, err
	}
	if err := w.pipe.Add(tee); err != nil {
		return nil, err
	}
	p := &port{w: w, name: name, kind: kind, tee: tee, sink: tee.Pad("sink")}
	p.tap = p.sink.Tap(w.pipe.Base(), func() { w.post(p.look) })
	w.ports[name] = p
	if err := tee.SyncState(); err != nil {
		return nil, err
	}
	for _, o := range w.outputs {
		if o.port == name {
			if err := o.attach(p); err != nil {
				w.fail(wire.ErrorData{Type: "STREAM_ERROR_ENCODE", Code: int(kerr.MediaObjectNotAvailable), Text: err.Error()})
			}
		}
	}
	return p, nil
}

// look tells the server what changed about the flow.
func (p *port) look() {
	if p.w.ports[p.name] != p {
		return
	}
	c := p.tap.Counts()
	flowing := c.Buffers > 0 && gst.Now()-c.Last < silence
	if flowing == p.flowing && (!flowing || c.Width == p.width && c.Height == p.height) {
		return
	}
	p.flowing, p.width, p.height = flowing, c.Width, c.Height
	if !flowing {
		p.tap.Arm()
	}
	p.w.tell(wire.EventFlow, wire.FlowData{Port: p.name, Kind: p.kind, Flowing: flowing, Width: p.width, Height: p.height})
}

// close withdraws the port. Its encodings wait for another of that name. Unlink
// the sink first.
func (p *port) close() {
	if p.w.ports[p.name] != p {
		return
	}
	for _, o := range p.w.outputs {
		if o.from == p {
			o.detach()
		}
	}
	p.tap.Close()
	delete(p.w.ports, p.name)
	p.tee.LockState(true)
	_ = p.tee.SetState(gst.Null)
	p.w.pipe.Remove(p.tee)
	if p.flowing {
		p.w.tell(wire.EventFlow, wire.FlowData{Port: p.name, Kind: p.kind})
	}
}
