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
	"unsafe"

	gogst "github.com/go-gst/go-gst/gst"
)

// Element is a GStreamer element or bin. It keeps a reference; the element lives
// at least as long.
type Element struct{ e *gogst.Element }

// State of an element.
type State int

// States, in GStreamer's order and values.
const (
	Null    State = 1
	Ready   State = 2
	Paused  State = 3
	Playing State = 4
)

// Make creates an element of a factory. name may be "". The error says what is
// missing.
func Make(factory, name string) (*Element, error) {
	e, err := gogst.NewElementWithName(factory, name)
	if err != nil {
		return nil, fmt.Errorf("there is no GStreamer element %q", factory)
	}
	return &Element{e}, nil
}

// ParseBin makes a bin of a description in the language of gst-launch-1.0. With
// ghost, pads left unlinked become the bin's own (sink, src).
func ParseBin(description string, ghost bool) (*Element, error) {
	b, err := gogst.NewBinFromString(description, ghost)
	if err != nil {
		return nil, fmt.Errorf("make %q: %w", description, err)
	}
	return &Element{b.Element}, nil
}

// NewBin makes an empty bin.
func NewBin(name string) *Element { return &Element{gogst.NewBin(name).Element} }

func (e *Element) ptr() C.gpointer { return C.gpointer(e.e.Unsafe()) }

// bin treats the element as what it must then be.
func (e *Element) bin() *C.GstBin { return (*C.GstBin)(e.e.Unsafe()) }

func (e *Element) element() *C.GstElement { return (*C.GstElement)(e.e.Unsafe()) }

// Name within its bin.
func (e *Element) Name() string { return e.e.GetName() }

// Same tells whether both are one element.
func (e *Element) Same(o *Element) bool { return o != nil && e.e.Unsafe() == o.e.Unsafe() }

// Add puts elements into this bin.
func (e *Element) Add(elements ...*Element) error {
	defer runtime.KeepAlive(e)
	for _, x := range elements {
		if C.gst_bin_add(e.bin(), x.element()) == 0 {
			return fmt.Errorf("add %s to %s", x.Name(), e.Name())
		}
	}
	return nil
}

// Remove takes elements out of this bin. Bring them to Null first.
func (e *Element) Remove(elements ...*Element) {
	defer runtime.KeepAlive(e)
	for _, x := range elements {
		C.gst_bin_remove(e.bin(), x.element())
	}
}

// Find gives an element of this bin, at any depth, by name; nil when there is none.
func (e *Element) Find(name string) *Element {
	defer runtime.KeepAlive(e)
	var p *C.GstElement
	with(name, func(s *C.char) { p = C.gst_bin_get_by_name(e.bin(), (*C.gchar)(s)) })
	if p == nil {
		return nil
	}
	return &Element{gogst.FromGstElementUnsafeFull(unsafe.Pointer(p))}
}

// Set gives a property the value that text means, as gst-launch-1.0 reads it.
// A property that does not exist, or text that is no value of it, is an error.
func (e *Element) Set(property, text string) error {
	defer runtime.KeepAlive(e)
	return set(e.ptr(), e.Name(), property, text)
}

func set(p C.gpointer, name, property, text string) error {
	var r C.int
	var why *C.char
	with(property, func(k *C.char) { with(text, func(v *C.char) { r = C.gv_set(p, k, v, &why) }) })
	switch r {
	case 1:
		return fmt.Errorf("%s has no property %q", name, property)
	case 2:
		return fmt.Errorf("property %q of %s cannot be set", property, name)
	case 3:
		return fmt.Errorf("property %q of %s: %q is no %s", property, name, text, take(why))
	}
	return nil
}

// SetAll sets properties in pairs of name and text, and stops at the first error.
func (e *Element) SetAll(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := e.Set(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Get reads a property as text; "" when it cannot be read.
func (e *Element) Get(property string) string {
	defer runtime.KeepAlive(e)
	var v *C.char
	with(property, func(k *C.char) { v = C.gv_get(e.ptr(), k) })
	return take(v)
}

// HasProperty tells whether Set could know it.
func (e *Element) HasProperty(property string) bool {
	defer runtime.KeepAlive(e)
	var ok C.int
	with(property, func(k *C.char) { ok = C.gv_has_property(e.ptr(), k) })
	return ok != 0
}

// Link connects a compatible free pad of e with one of next, and so on.
func (e *Element) Link(next ...*Element) error {
	for _, n := range next {
		if err := e.e.Link(n.e); err != nil {
			return fmt.Errorf("link %s to %s: %w", e.Name(), n.Name(), err)
		}
		e = n
	}
	return nil
}

// SetState asks for a state and returns when GStreamer did what it can at once;
// the rest comes with messages on the bus.
func (e *Element) SetState(s State) error {
	defer runtime.KeepAlive(e)
	if C.gst_element_set_state(e.element(), C.GstState(s)) == C.GST_STATE_CHANGE_FAILURE {
		return fmt.Errorf("%s does not reach state %d", e.Name(), s)
	}
	return nil
}

// State waits at most that long for a change under way, and gives where it is.
func (e *Element) State(wait time.Duration) State {
	defer runtime.KeepAlive(e)
	var now C.GstState
	C.gst_element_get_state(e.element(), &now, nil, C.GstClockTime(max(wait, 0)))
	return State(now)
}

// SyncState brings an added element to its bin's state.
func (e *Element) SyncState() error {
	defer runtime.KeepAlive(e)
	if C.gst_element_sync_state_with_parent(e.element()) == 0 {
		return fmt.Errorf("%s does not follow the state of its bin", e.Name())
	}
	return nil
}

// LockState keeps the bin's changes of state away from the element, or ends that.
func (e *Element) LockState(on bool) {
	defer runtime.KeepAlive(e)
	var b C.gboolean
	if on {
		b = 1
	}
	C.gst_element_set_locked_state(e.element(), b)
}

// Pad gives a pad that exists, nil when there is none of that name.
func (e *Element) Pad(name string) *Pad {
	defer runtime.KeepAlive(e)
	var p *C.GstPad
	with(name, func(s *C.char) { p = C.gst_element_get_static_pad(e.element(), (*C.gchar)(s)) })
	if p == nil {
		return nil
	}
	return &Pad{gogst.FromGstPadUnsafeFull(unsafe.Pointer(p))}
}

// Request asks for a new pad of a template such as sink_%u.
func (e *Element) Request(template string) (*Pad, error) {
	defer runtime.KeepAlive(e)
	var p *C.GstPad
	with(template, func(s *C.char) { p = C.gst_element_request_pad_simple(e.element(), (*C.gchar)(s)) })
	if p == nil {
		return nil, fmt.Errorf("%s gives no pad %s", e.Name(), template)
	}
	return &Pad{gogst.FromGstPadUnsafeFull(unsafe.Pointer(p))}, nil
}

// Release gives a requested pad back.
func (e *Element) Release(p *Pad) {
	defer runtime.KeepAlive(p)
	C.gst_element_release_request_pad(e.element(), p.ptr())
}

// Ghost makes an inner pad a pad of this bin.
func (e *Element) Ghost(name string, inner *Pad) (*Pad, error) {
	defer runtime.KeepAlive(inner)
	var g *C.GstPad
	with(name, func(s *C.char) { g = C.gst_ghost_pad_new((*C.gchar)(s), inner.ptr()) })
	if g == nil {
		return nil, fmt.Errorf("no ghost of %s", inner.Name())
	}
	C.gst_pad_set_active(g, 1)
	if C.gst_element_add_pad(e.element(), g) == 0 {
		return nil, fmt.Errorf("%s takes no pad %s", e.Name(), name)
	}
	return e.Pad(name), nil
}

// OnPadAdded calls f for each new pad, on the thread that made it. f must not hold
// on to e itself, or neither is ever freed.
func (e *Element) OnPadAdded(f func(*Pad)) {
	e.onObject("pad-added", func(p unsafe.Pointer) { f(&Pad{gogst.FromGstPadUnsafeNone(p)}) })
}

// OnPadRemoved calls f for each pad that went.
func (e *Element) OnPadRemoved(f func(*Pad)) {
	e.onObject("pad-removed", func(p unsafe.Pointer) { f(&Pad{gogst.FromGstPadUnsafeNone(p)}) })
}

// OnElement calls f for a signal whose one argument is an element (source-setup,
// element-added).
func (e *Element) OnElement(signal string, f func(*Element)) {
	e.onObject(signal, func(p unsafe.Pointer) { f(&Element{gogst.FromGstElementUnsafeNone(p)}) })
}

func (e *Element) onObject(signal string, f func(unsafe.Pointer)) {
	h := C.uintptr_t(cgo.NewHandle(f))
	with(signal, func(s *C.char) { C.gv_on_object(e.ptr(), s, h) })
}

// OnSignal calls f for a signal without arguments (no-more-pads, drained).
func (e *Element) OnSignal(signal string, f func()) {
	h := C.uintptr_t(cgo.NewHandle(func(unsafe.Pointer) { f() }))
	with(signal, func(s *C.char) { C.gv_on_plain(e.ptr(), s, h) })
}

// Emit calls an action signal with arguments of plain types.
func (e *Element) Emit(signal string, args ...any) (any, error) { return e.e.Emit(signal, args...) }

// SendEOS puts an end of stream into the element: a source ends.
func (e *Element) SendEOS() bool {
	defer runtime.KeepAlive(e)
	return C.gv_send_eos(e.ptr(), 1) != 0
}

// Factory is the name of what the element was made by.
func (e *Element) Factory() string {
	f := e.e.GetFactory()
	if f == nil {
		return ""
	}
	return f.GetName()
}

// IsURIHandler tells whether the element opens addresses by itself.
func (e *Element) IsURIHandler() bool { return e.e.IsURIHandler() }
