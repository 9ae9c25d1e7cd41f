package elements

import (
	"context"
	"slices"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// DefaultDescription is the label of a port nobody named.
const DefaultDescription = "default"

// MediaType is Kurento's name for a pipeline.Kind.
type MediaType string

// The three media types.
const (
	AudioType MediaType = "AUDIO"
	VideoType MediaType = "VIDEO"
	DataType  MediaType = "DATA"
)

// Values implements the enumeration.
func (MediaType) Values() []string { return []string{"AUDIO", "DATA", "VIDEO"} }

// Kind is the pipeline's name for it; 0 when unknown.
func (t MediaType) Kind() pipeline.Kind {
	switch t {
	case AudioType:
		return pipeline.Audio
	case VideoType:
		return pipeline.Video
	case DataType:
		return pipeline.Data
	}
	return 0
}

// MediaTypeOf is Kurento's name for a kind.
func MediaTypeOf(k pipeline.Kind) MediaType { return MediaType(k.String()) }

// allKinds in the order a connect without media type goes through them.
var allKinds = []pipeline.Kind{pipeline.Audio, pipeline.Video, pipeline.Data}

// connection is one logical connection of one kind. link is set while both
// ports exist; it is guarded by sink.connectMu.
type connection struct {
	source, sink         *MediaElement
	kind                 pipeline.Kind
	sourceDesc, sinkDesc string
	link                 *pipeline.Link
}

// ElementConnectionData is one row of getSourceConnections and getSinkConnections.
type ElementConnectionData struct {
	Source            Object    `json:"source"`
	Sink              Object    `json:"sink"`
	Type              MediaType `json:"type"`
	SourceDescription string    `json:"sourceDescription"`
	SinkDescription   string    `json:"sinkDescription"`
}

// ConnectionFields are the fields of ElementConnected and ElementDisconnected.
type ConnectionFields struct {
	Sink                   Object    `json:"sink"`
	MediaType              MediaType `json:"mediaType"`
	SourceMediaDescription string    `json:"sourceMediaDescription"`
	SinkMediaDescription   string    `json:"sinkMediaDescription"`
}

type connectParams struct {
	Sink                   Element    `json:"sink"`
	MediaType              *MediaType `json:"mediaType"`
	SourceMediaDescription *string    `json:"sourceMediaDescription"`
	SinkMediaDescription   *string    `json:"sinkMediaDescription"`
}

func (p connectParams) kinds() []pipeline.Kind {
	if p.MediaType == nil {
		return allKinds
	}
	return []pipeline.Kind{p.MediaType.Kind()}
}

func described(p *string) string {
	if p == nil || *p == "" {
		return DefaultDescription
	}
	return *p
}

func (e *MediaElement) connect(_ context.Context, p connectParams) (None, error) {
	for _, k := range p.kinds() {
		if err := e.Connect(p.Sink, k, described(p.SourceMediaDescription), described(p.SinkMediaDescription)); err != nil {
			return None{}, err
		}
	}
	return None{}, nil
}

func (e *MediaElement) disconnect(_ context.Context, p connectParams) (None, error) {
	for _, k := range p.kinds() {
		e.Disconnect(p.Sink, k, described(p.SourceMediaDescription), described(p.SinkMediaDescription))
	}
	return None{}, nil
}

// Connect makes this element the source of one kind of media for sink, which
// drops the source it had. It succeeds before either side has the port; the
// event ElementConnected follows. Elements of different pipelines: 40004.
func (e *MediaElement) Connect(sink Element, kind pipeline.Kind, sourceDesc, sinkDesc string) error {
	s := sink.Base()
	if e.Graph() != s.Graph() {
		return kerr.New(kerr.ConnectError, "Media elements do not share pipeline")
	}
	s.connectMu.Lock()
	defer s.connectMu.Unlock()
	if s.shut {
		return kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", s.ID())
	}
	var again *connection
	for _, c := range s.connections(false) {
		if c.kind == kind && c.sinkDesc == sinkDesc {
			if c.source == e && c.sourceDesc == sourceDesc {
				again = c
				continue
			}
			c.drop()
		}
	}
	if again == nil {
		again = &connection{source: e, sink: s, kind: kind, sourceDesc: sourceDesc, sinkDesc: sinkDesc}
		if !again.record() {
			return kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", e.ID())
		}
	}
	again.realise()
	e.Emit("ElementConnected", again.fields())
	return nil
}

// Disconnect undoes Connect; without such a connection it only raises the event.
func (e *MediaElement) Disconnect(sink Element, kind pipeline.Kind, sourceDesc, sinkDesc string) {
	s := sink.Base()
	s.connectMu.Lock()
	defer s.connectMu.Unlock()
	for _, c := range s.connections(false) {
		if c.source == e && c.kind == kind && c.sourceDesc == sourceDesc && c.sinkDesc == sinkDesc {
			c.drop()
			return
		}
	}
	c := connection{source: e, sink: s, kind: kind, sourceDesc: sourceDesc, sinkDesc: sinkDesc}
	e.Emit("ElementDisconnected", c.fields())
}

func (c *connection) fields() ConnectionFields {
	return ConnectionFields{Sink: c.sink, MediaType: MediaTypeOf(c.kind), SourceMediaDescription: c.sourceDesc, SinkMediaDescription: c.sinkDesc}
}

// record enters c into both ends' lists; false when the source is closed. The
// caller holds sink.connectMu.
func (c *connection) record() bool {
	c.source.portMu.Lock()
	if c.source.closed {
		c.source.portMu.Unlock()
		return false
	}
	c.source.feeds = append(c.source.feeds, c)
	c.source.portMu.Unlock()
	c.sink.portMu.Lock()
	c.sink.fedBy = append(c.sink.fedBy, c)
	c.sink.portMu.Unlock()
	return true
}

// realise makes the link when both ports are there. The caller holds
// sink.connectMu. It does nothing for a connection that was dropped meanwhile.
func (c *connection) realise() {
	if c.link != nil || !slices.Contains(c.sink.connections(false), c) {
		return
	}
	out := c.source.port(c.kind, c.sourceDesc, true)
	in := c.sink.port(c.kind, c.sinkDesc, false)
	if out == nil || in == nil {
		return
	}
	link, err := out.out.Connect(in.in)
	if err != nil {
		// The source's output is closing; its own drop of c follows.
		return
	}
	c.link = link
}

// drop removes c from both ends, unlinks it and raises ElementDisconnected. The
// caller holds sink.connectMu. Dropping twice is harmless.
func (c *connection) drop() {
	is := func(x *connection) bool { return x == c }
	c.sink.portMu.Lock()
	had := slices.Contains(c.sink.fedBy, c)
	c.sink.fedBy = slices.DeleteFunc(c.sink.fedBy, is)
	c.sink.portMu.Unlock()
	c.source.portMu.Lock()
	c.source.feeds = slices.DeleteFunc(c.source.feeds, is)
	c.source.portMu.Unlock()
	if !had {
		return
	}
	if c.link != nil {
		c.link.From().Disconnect(c.link)
		c.link = nil
	}
	c.source.Emit("ElementDisconnected", c.fields())
}

// linkFailed hears from an Output that a link's formats cannot be bridged (once
// per link and format), or, with l nil, that a conversion broke while it ran.
// It may run on the pushing goroutine.
func (e *MediaElement) linkFailed(l *pipeline.Link, err error) {
	code, _ := kerr.Of(err)
	if l == nil {
		e.Log().Warn("conversion failed", "err", err)
		e.EmitError("STREAM_ERROR_FAILED", int(code), err.Error())
		return
	}
	for _, c := range e.connections(true) {
		in := c.sink.port(c.kind, c.sinkDesc, false)
		if in == nil || c.kind != l.From().Kind() || in.in != l.To() {
			continue
		}
		e.Log().Warn("link cannot be served", "sink", c.sink.ID(), "kind", c.kind.String(), "err", err)
		e.EmitError("STREAM_ERROR_FAILED", int(code), "no conversion for "+c.kind.String()+" from "+e.ID()+" to "+c.sink.ID()+": "+err.Error())
	}
}

type connectionsParams struct {
	MediaType   *MediaType `json:"mediaType"`
	Description *string    `json:"description"`
}

func (e *MediaElement) sourceConnections(_ context.Context, p connectionsParams) ([]ElementConnectionData, error) {
	return rows(e.connections(false), p, func(c *connection) string { return c.sinkDesc }), nil
}

func (e *MediaElement) sinkConnections(_ context.Context, p connectionsParams) ([]ElementConnectionData, error) {
	return rows(e.connections(true), p, func(c *connection) string { return c.sourceDesc }), nil
}

// rows lists connections sorted by media type name, then sink, as the original does.
func rows(list []*connection, p connectionsParams, desc func(*connection) string) []ElementConnectionData {
	out := []ElementConnectionData{}
	for _, c := range list {
		if p.MediaType != nil && p.MediaType.Kind() != c.kind || p.Description != nil && *p.Description != desc(c) {
			continue
		}
		out = append(out, ElementConnectionData{c.source, c.sink, MediaTypeOf(c.kind), c.sourceDesc, c.sinkDesc})
	}
	slices.SortStableFunc(out, func(a, b ElementConnectionData) int {
		switch {
		case a.Type < b.Type:
			return -1
		case a.Type > b.Type:
			return 1
		}
		return 0
	})
	return out
}
