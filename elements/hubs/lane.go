package hubs

import (
	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// everyKind in the order Kurento connects them.
var everyKind = []pipeline.Kind{pipeline.Audio, pipeline.Video, pipeline.Data}

// lane is one kind of media of a port whose hub routes without looking into the
// media: what enters the port comes out of in, what is pushed into out leaves
// the port. Packets go on as they come; wishes go up to whatever feeds the
// lane, and receivers make one unbroken stream of what they get, as they do
// behind any element whose source changes. Guarded by hub.change.
type lane struct {
	in, out *elements.Joint
	feed    *pipeline.Link // into out; nil when nothing feeds it
	from    *HubPort       // whose media feed carries; nil when it is a mix
}

// addLanes gives a port an input and an output of each kind.
func addLanes(p *HubPort) {
	for _, kind := range everyKind {
		l := &lane{in: elements.NewJoint(p.Graph(), kind), out: elements.NewJoint(p.Graph(), kind)}
		p.lanes[kind] = l
		p.AddInput(kind, l.in)
		p.AddOutput(l.out.Output())
	}
}

// route makes source what feeds sink, in place of what did. The first act is a
// keyframe wish to whatever feeds source.
func route(source, sink *HubPort, kind pipeline.Kind) error {
	to := sink.lanes[kind]
	if to.from == source && to.feed != nil {
		return nil
	}
	unroute(sink, kind)
	link, err := source.lanes[kind].in.Output().Connect(to.out)
	if err != nil {
		return err
	}
	to.feed, to.from = link, source
	return nil
}

// unroute leaves sink without a source.
func unroute(sink *HubPort, kind pipeline.Kind) {
	l := sink.lanes[kind]
	if l.feed != nil {
		l.feed.From().Disconnect(l.feed)
	}
	l.feed, l.from = nil, nil
}

// dropLanes takes a closing port out of the routes of all.
func dropLanes(p *HubPort, others []*HubPort) {
	for _, kind := range everyKind {
		for _, q := range others {
			if q.lanes[kind].from == p {
				unroute(q, kind)
			}
		}
		unroute(p, kind)
		p.lanes[kind].in.Output().Close()
	}
}
