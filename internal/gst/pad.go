//go:build gst

package gst

/*
#include "gst.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"runtime/cgo"
	"time"

	gogst "github.com/go-gst/go-gst/gst"
)

// Pad is where an element is linked.
type Pad struct{ p *gogst.Pad }

// Mask says what a probe sees.
type Mask int

// What probes see (GstPadProbeType).
const (
	Idle     Mask = C.GST_PAD_PROBE_TYPE_IDLE
	Block    Mask = C.GST_PAD_PROBE_TYPE_BLOCK
	Buffers  Mask = C.GST_PAD_PROBE_TYPE_BUFFER
	Down     Mask = C.GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM
	Up       Mask = C.GST_PAD_PROBE_TYPE_EVENT_UPSTREAM
	Flushing Mask = C.GST_PAD_PROBE_TYPE_EVENT_FLUSH
	Blocked  Mask = C.GST_PAD_PROBE_TYPE_BLOCK_DOWNSTREAM
)

// Verdict is what a probe decides.
type Verdict int

// Verdicts (GstPadProbeReturn).
const (
	Drop  Verdict = C.GST_PAD_PROBE_DROP
	OK    Verdict = C.GST_PAD_PROBE_OK
	Off   Verdict = C.GST_PAD_PROBE_REMOVE
	Let   Verdict = C.GST_PAD_PROBE_PASS
	Taken Verdict = C.GST_PAD_PROBE_HANDLED
)

// Probe is what passes: a buffer (PTS, Duration, Key) or an event (Event is its
// type such as eos or custom-upstream, Structure the name of its content).
type Probe struct {
	Type          Mask
	Event         string
	Structure     string
	PTS, Duration time.Duration
	Key           bool
}

func (p *Pad) ptr() *C.GstPad { return (*C.GstPad)(p.p.Unsafe()) }

// Name of the pad.
func (p *Pad) Name() string { return p.p.GetName() }

// Link joins a source pad with a sink pad.
func (p *Pad) Link(sink *Pad) error {
	if sink == nil {
		return fmt.Errorf("link %s to no pad", p.Name())
	}
	defer runtime.KeepAlive(sink)
	if r := C.gst_pad_link(p.ptr(), sink.ptr()); r != C.GST_PAD_LINK_OK {
		return fmt.Errorf("link pad %s to %s: %s", p.Name(), sink.Name(), C.GoString(C.gst_pad_link_get_name(r)))
	}
	return nil
}

// Unlink parts what Link joined; it is no error when nothing was.
func (p *Pad) Unlink(sink *Pad) {
	defer runtime.KeepAlive(sink)
	if sink != nil {
		C.gst_pad_unlink(p.ptr(), sink.ptr())
	}
}

// Peer is the pad at the other end, nil when unlinked.
func (p *Pad) Peer() *Pad {
	q := p.p.GetPeer()
	if q == nil {
		return nil
	}
	return &Pad{q}
}

// Parent is the element that the pad belongs to, nil when it has gone.
func (p *Pad) Parent() *Element {
	e := p.p.GetParentElement()
	if e == nil {
		return nil
	}
	return &Element{e}
}

// Set gives a property of the pad (of a mixer's) a value; see Element.Set.
func (p *Pad) Set(property, text string) error {
	defer runtime.KeepAlive(p)
	return set(C.gpointer(p.p.Unsafe()), p.Name(), property, text)
}

// SetAll sets properties in pairs of name and text.
func (p *Pad) SetAll(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := p.Set(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Caps is the current format as text, "" before there is one.
func (p *Pad) Caps() string {
	defer runtime.KeepAlive(p)
	return take(C.gv_caps(C.gpointer(p.p.Unsafe())))
}

// Watch calls f for what passes, on the thread that it passes on, until f says
// Off or Unwatch is called. f must not hold on to p.
func (p *Pad) Watch(m Mask, f func(Probe) Verdict) uint64 {
	defer runtime.KeepAlive(p)
	return uint64(C.gv_probe_add(C.gpointer(p.p.Unsafe()), C.int(m), C.uintptr_t(cgo.NewHandle(f))))
}

// Unwatch ends a Watch. One that has ended by itself must not be ended again.
func (p *Pad) Unwatch(id uint64) {
	defer runtime.KeepAlive(p)
	C.gst_pad_remove_probe(p.ptr(), C.gulong(id))
}

// ForceKeyUnit asks the encoder whose source pad this is for a keyframe.
func (p *Pad) ForceKeyUnit() bool {
	defer runtime.KeepAlive(p)
	return C.gv_force_key_unit(C.gpointer(p.p.Unsafe())) != 0
}

// SendEOS ends the stream that comes into a sink pad. It takes the pad's stream
// lock: never on a mixer's pad.
func (p *Pad) SendEOS() bool {
	defer runtime.KeepAlive(p)
	return C.gv_send_eos(C.gpointer(p.p.Unsafe()), 0) != 0
}

// PushEOS ends the stream that leaves a source pad.
func (p *Pad) PushEOS() bool {
	defer runtime.KeepAlive(p)
	return C.gv_push_eos(C.gpointer(p.p.Unsafe())) != 0
}

// SetOffset shifts the running time of what passes by d.
func (p *Pad) SetOffset(d time.Duration) {
	defer runtime.KeepAlive(p)
	C.gst_pad_set_offset(p.ptr(), C.gint64(d))
}

// Flush throws away what is on its way downstream of a source pad.
func (p *Pad) Flush() {
	defer runtime.KeepAlive(p)
	C.gst_pad_push_event(p.ptr(), C.gst_event_new_flush_start())
	C.gst_pad_push_event(p.ptr(), C.gst_event_new_flush_stop(0))
}
