//go:build gst

package gst

/*
#include "gst.h"
*/
import "C"

import (
	"runtime"
	"time"
)

// Domain of an error.
type Domain int

// Domains of errors: the element's own, GStreamer's core, a library, something
// outside (file, network), the media.
const (
	OtherError Domain = iota
	CoreError
	LibraryError
	ResourceError
	StreamError
)

// Message is what an element told the application.
type Message struct {
	Type   string // GStreamer's name: error, warning, eos, element, buffering, state-changed, latency …
	Source string // name of the element
	Path   string // of the element from the pipeline down: /GstPipeline:p/GstBin:b/…

	// Of error and warning. Code counts within the domain (GstStreamError, …).
	Text, Debug string
	Domain      Domain
	Code        int

	Old, New, Pending State // of state-changed
	Percent           int   // of buffering

	// Of element: the structure's name and its fields as text, lists and nested
	// structures in GStreamer's serialised form.
	Structure string
	Fields    map[string]string
}

// Pop waits at most that long for a message; false when none came. Call it from
// one goroutine; it holds a thread while it waits.
func (p *Pipeline) Pop(wait time.Duration) (Message, bool) {
	defer runtime.KeepAlive(p)
	m := C.gv_bus_pop(C.gpointer(p.bus.Unsafe()), C.guint64(max(wait, 0)))
	if m == nil {
		return Message{}, false
	}
	defer C.gv_message_free(m)
	text := func(s *C.char) string {
		if s == nil {
			return ""
		}
		return C.GoString(s)
	}
	out := Message{Type: text(m._type), Source: text(m.source), Path: text(m.path), Text: text(m.text), Debug: text(m.debug), Domain: Domain(m.domain), Code: int(m.code),
		Old: State(m.old_state), New: State(m.new_state), Pending: State(m.pending), Percent: int(m.percent), Structure: text(m.structure)}
	if m.fields != nil {
		out.Fields = map[string]string{}
		for i := C.int(0); ; i++ {
			var name *C.char
			v := C.gv_field(m.fields, i, &name)
			if v == nil {
				break
			}
			out.Fields[text(name)] = take(v)
		}
	}
	return out, true
}
