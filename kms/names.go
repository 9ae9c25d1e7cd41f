package kms

import (
	"strings"
	"sync/atomic"

	"github.com/govidu/govidu/elements"
)

// names tells which names a connection is served: those of Kurento 7.3 alone, or
// those of 6.x beside them (docs/adr/0009-names-of-6.md).
type names struct{ v atomic.Int32 }

const (
	namesUndecided int32 = iota // nothing was asked yet
	namesBoth
	namesSeven
)

// ask takes ?protocol= of the connection's URL: "6" serves both families of
// names, "7" those of 7.3 alone.
func (n *names) ask(protocol string) {
	switch {
	case strings.HasPrefix(protocol, "6"):
		n.v.Store(namesBoth)
	case strings.HasPrefix(protocol, "7"):
		n.v.Store(namesSeven)
	}
}

// decideNames looks at a connection's first request. Both official clients of both
// lines open with ping, libraries of others with create or describe: all of these
// may be 6.x. Who opens with connect is served 7.3 to the letter, unless it comes
// back to a session that is served both.
func (c *connection) decideNames(method string, q *call) {
	if c.names.v.Load() != namesUndecided {
		return
	}
	family := namesBoth
	if method == "connect" {
		family = namesSeven
		c.server.mu.Lock()
		if sess, ok := c.server.sessions[q.sessionID]; ok && sess.six {
			family = namesBoth
		}
		c.server.mu.Unlock()
	}
	c.names.v.Store(family)
}

// six tells whether names and fields of 6.x are served.
func (n *names) six() bool { return n.v.Load() != namesSeven }

// withSix adds to an encoded value the fields that 6.x clients read: whole seconds
// beside milliseconds, single latencies beside lists, streamID and componentID
// (kurento-protocol §9). It may change v, which belongs to one reply.
func withSix(v any) any {
	switch x := v.(type) {
	case []any:
		for i := range x {
			x[i] = withSix(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = withSix(x[k])
		}
		if name, ok := x["__type__"].(string); ok {
			sixFields(x, name)
		}
	}
	return v
}

func sixFields(x map[string]any, name string) {
	if name == "IceCandidatePair" {
		x["streamID"], x["componentID"] = x["streamId"], x["componentId"]
	}
	if !strings.HasSuffix(name, "Stats") {
		return
	}
	if ms, ok := x["timestampMillis"].(int64); ok {
		x["timestamp"] = elements.Double(float64(ms) / 1000)
	}
	if list, ok := x["inputLatency"].([]any); ok {
		x["inputAudioLatency"], x["inputVideoLatency"] = latencyOf(list, "AUDIO"), latencyOf(list, "VIDEO")
	}
	if list, ok := x["E2ELatency"].([]any); ok {
		x["audioE2ELatency"], x["videoE2ELatency"] = latencyOf(list, "AUDIO"), latencyOf(list, "VIDEO")
	}
}

// latencyOf is the first latency of a media type in ns; 0 without one.
func latencyOf(list []any, typ string) elements.Double {
	for _, e := range list {
		if m, ok := e.(map[string]any); ok && m["type"] == typ {
			avg, _ := m["avg"].(elements.Double)
			return avg
		}
	}
	return 0
}

// sixEvent is an event's data with the fields that 6.x clients read.
func sixEvent(data map[string]any) map[string]any {
	out := make(map[string]any, len(data)+1)
	for k, v := range data {
		out[k] = withSix(clone(v))
	}
	if ms, ok := data["timestampMillis"].(string); ok && len(ms) > 3 {
		out["timestamp"] = ms[:len(ms)-3]
	}
	return out
}

// clone copies maps and lists, so that both families can be written from one value.
func clone(v any) any {
	switch x := v.(type) {
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = clone(x[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = clone(e)
		}
		return out
	}
	return v
}
