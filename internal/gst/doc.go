// Package gst is the fence around GStreamer: pipelines, elements and pads by
// name, properties as text, coded frames as bytes. It alone imports go-gst, and
// no type of go-gst, no pointer and no reference count leaves it. What jobs make
// of it is internal/mediaworker's business.
//
// Build tag gst: without it the package is empty, and so is everything that
// needs it, so that the module builds, vets and tests with CGO_ENABLED=0 and
// without GStreamer's headers. With it (make worker, make test-gst) it needs cgo
// and the headers of GStreamer 1.20 or later.
//
// Beside go-gst stands a C file for what runs per frame: go-gst's buffers are
// freed by Go finalizers, which come far too late for a media rate, and its
// probes cost a crossing into Go for every buffer.
//
// Callbacks run on GStreamer's streaming threads. They must not block, and must
// not change states, release pads or remove elements: hand that to the goroutine
// that owns the pipeline. A panic in a callback is caught and given to the
// function set with OnPanic.
package gst
