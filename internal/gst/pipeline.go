//go:build gst

package gst

/*
#include "gst.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"time"

	gogst "github.com/go-gst/go-gst/gst"
)

// Pipeline is the outermost bin. One goroutine owns it: it alone changes states
// and the graph.
type Pipeline struct {
	Element
	bus  *gogst.Bus
	base time.Duration
}

// NewPipeline makes an empty pipeline on the system's monotonic clock whose
// running time is CLOCK_MONOTONIC minus base, whatever its states do. With base
// Never GStreamer keeps its own running time, as seeking and pausing need.
func NewPipeline(name string, base time.Duration) (*Pipeline, error) {
	p, err := gogst.NewPipeline(name)
	if err != nil {
		return nil, fmt.Errorf("make pipeline: %w", err)
	}
	g := &Pipeline{Element: Element{p.Element}, bus: p.GetPipelineBus(), base: base}
	if base >= 0 {
		C.gv_set_times(g.ptr(), C.guint64(base))
	}
	return g, nil
}

// Base is the CLOCK_MONOTONIC of running time zero, Never when GStreamer decides.
func (p *Pipeline) Base() time.Duration { return p.base }

// Running is the running time now.
func (p *Pipeline) Running() time.Duration {
	defer runtime.KeepAlive(p)
	base := p.base
	if base < 0 {
		base = time.Duration(C.gst_element_get_base_time(p.element()))
	}
	return Now() - base
}

// Latency spreads the latency of sources through the pipeline again; what a
// message of type latency asks for.
func (p *Pipeline) Latency() {
	defer runtime.KeepAlive(p)
	C.gst_bin_recalculate_latency(p.bin())
}

// QueryLatency asks how late the pipeline's sinks are.
func (p *Pipeline) QueryLatency() (live bool, least, most time.Duration) {
	defer runtime.KeepAlive(p)
	var l C.int
	var a, b C.guint64
	if C.gv_query_latency(p.ptr(), &l, &a, &b) == 0 {
		return false, 0, Never
	}
	return l != 0, clock(a), clock(b)
}

// Position of the stream, Never when unknown.
func (e *Element) Position() time.Duration {
	defer runtime.KeepAlive(e)
	var t C.gint64
	if C.gst_element_query_position(e.element(), C.GST_FORMAT_TIME, &t) == 0 || t < 0 {
		return Never
	}
	return time.Duration(t)
}

// Length of the stream, Never when unknown.
func (e *Element) Length() time.Duration {
	defer runtime.KeepAlive(e)
	var t C.gint64
	if C.gst_element_query_duration(e.element(), C.GST_FORMAT_TIME, &t) == 0 || t < 0 {
		return Never
	}
	return time.Duration(t)
}

// Seekable tells where Seek can go.
func (e *Element) Seekable() (from, to time.Duration, ok bool) {
	defer runtime.KeepAlive(e)
	var a, b C.gint64
	ok = C.gv_query_seeking(e.ptr(), &a, &b) != 0
	return time.Duration(a), time.Duration(b), ok
}

// SeekFlags say how to seek.
type SeekFlags int

// Flags of Seek (GstSeekFlags).
const (
	SeekFlush    SeekFlags = C.GST_SEEK_FLAG_FLUSH
	SeekAccurate SeekFlags = C.GST_SEEK_FLAG_ACCURATE
	SeekKeyUnit  SeekFlags = C.GST_SEEK_FLAG_KEY_UNIT
)

// Seek moves to a position of the stream at a rate; start or stop Never are left.
func (e *Element) Seek(rate float64, flags SeekFlags, start, stop time.Duration) bool {
	defer runtime.KeepAlive(e)
	return C.gv_seek(e.ptr(), C.double(rate), C.int(flags), C.gint64(start), C.gint64(stop)) != 0
}

// Dot draws a bin in the language of graphviz.
func (e *Element) Dot() string {
	defer runtime.KeepAlive(e)
	return take(C.gv_dot(e.ptr()))
}
