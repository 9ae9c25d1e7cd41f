package openvidu

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu/auth"
)

// Bounds of what one connection may make us keep.
const (
	maxEarlyNames  = 256
	maxStatsEvents = 64
	maxCandidate   = 1024 // bytes
)

// Candidate takes a candidate of the browser (§5.3). endpointName is the own
// connection id for the own publication, the publisher's for a subscription; a
// stream id is understood as well. Candidates that come before their endpoint
// exists are kept for it; those of no use are ignored, as a browser cannot know.
func (c *Connection) Candidate(ctx context.Context, endpointName string, cand ICECandidate, reply func(any)) error {
	return c.do(ctx, func() error {
		if err := c.may("onIceCandidate", auth.Target{}); err != nil {
			return err
		}
		if len(cand.Candidate) > maxCandidate || len(cand.SDPMid) > 64 {
			return errf(CodeMissingParameter, ErrInvalid, "candidate is too long")
		}
		if cand.Candidate != "" { // "" is the end of candidates
			c.route(c.publisherOf(endpointName), cand)
		}
		reply(Empty{})
		return nil
	})
}

// publisherOf gives the connection id in an endpoint name.
func (c *Connection) publisherOf(name string) string {
	name = strings.TrimPrefix(name, c.id+"_")
	if st := c.s.streams[name]; st != nil {
		return st.owner.id
	}
	return name
}

// route gives a candidate to the endpoint it belongs to, or keeps it.
func (c *Connection) route(publisherID string, cand ICECandidate) {
	var ep, next *endpoint
	if publisherID == c.id {
		if c.pub != nil {
			ep, next = c.pub.ep, c.pub.next
		}
	} else if p := c.s.byID[publisherID]; p == nil {
		return
	} else if p.pub != nil {
		if sub := c.subs[p.pub.id]; sub != nil {
			ep, next = sub.ep, sub.next
		}
	}
	for _, e := range []*endpoint{next, ep} {
		if e != nil && e.takes(cand) {
			e.take(cand)
			return
		}
	}
	kept := c.early[publisherID]
	if len(kept) >= c.s.m.opts.Limits.Candidates || kept == nil && len(c.early) >= maxEarlyNames {
		return
	}
	if c.early == nil {
		c.early = map[string][]ICECandidate{}
	}
	c.early[publisherID] = append(kept, cand)
}

// takes says whether the candidate is of the offer this endpoint answered.
func (ep *endpoint) takes(cand ICECandidate) bool {
	u := cand.ufrag()
	return u == "" || slices.Contains(ep.ufrags, u)
}

// take hands a candidate to the media goroutine, within the bound per endpoint.
func (ep *endpoint) take(cand ICECandidate) {
	if ep.got >= ep.c.s.m.opts.Limits.Candidates {
		return
	}
	ep.got++
	ep.stats.ClientICECandidates = append(ep.stats.ClientICECandidates, cand)
	ep.c.later(func() { ep.addCandidate(cand) })
}

// takeEarly gives a new endpoint what came before it. It runs when the endpoint's
// negotiation is queued already, so the node sees the offer first.
func (c *Connection) takeEarly(ep *endpoint) {
	for _, cand := range c.early[ep.publisherID] {
		if ep.takes(cand) {
			ep.take(cand)
		}
	}
	delete(c.early, ep.publisherID)
}

// onEvent hears of an event of the endpoint on the media node.
func (ep *endpoint) onEvent(name string, data json.RawMessage) {
	if ep.dropped {
		return
	}
	now := time.Now()
	fields := map[string]any{}
	if err := json.Unmarshal(data, &fields); err != nil {
		ep.c.log.Warn("media event is not an object", "event", name, obs.AttrErr, err)
		return
	}
	if name == "IceCandidateFound" {
		ep.onCandidate(data)
		return
	}
	for _, k := range []string{"source", "tags", "timestampMillis", "timestamp"} {
		delete(fields, k)
	}
	fields["type"], fields["timestamp"] = name, now.UnixMilli()
	fields["msSinceEndpointCreation"] = now.Sub(ep.born).Milliseconds()
	if ep.stats.Events = append(ep.stats.Events, fields); len(ep.stats.Events) > maxStatsEvents {
		ep.stats.Events = ep.stats.Events[1:]
	}
	switch name {
	case "NewCandidatePairSelected":
		var v struct {
			Pair struct {
				Local  string `json:"localCandidate"`
				Remote string `json:"remoteCandidate"`
			} `json:"candidatePair"`
		}
		if json.Unmarshal(data, &v) == nil {
			ep.stats.LocalCandidate, ep.stats.RemoteCandidate = v.Pair.Local, v.Pair.Remote
		}
	case "Error":
		ep.c.log.Warn("media node reports an error", obs.AttrStream, ep.streamID, obs.AttrElement, string(ep.id), obs.Remote(obs.AttrErr, string(data)))
	}
}

// onCandidate sends a candidate of the node to the browser (§6.6).
func (ep *endpoint) onCandidate(data json.RawMessage) {
	var v struct {
		Candidate ICECandidate `json:"candidate"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		ep.c.log.Warn("candidate of the media node is malformed", obs.AttrErr, err)
		return
	}
	if len(ep.stats.ServerICECandidates) < 2*ep.c.s.m.opts.Limits.Candidates {
		ep.stats.ServerICECandidates = append(ep.stats.ServerICECandidates, v.Candidate)
	}
	name := ep.name
	if ep.c.request.SDKVersion == "" {
		// Clients up to 2.8 look the endpoint up as a connection id; those from 2.9
		// on go by senderConnectionId, whatever stands here.
		name = ep.publisherID
	}
	ep.c.send(notification("iceCandidate", paramsCandidate{
		SenderConnectionID: ep.publisherID, EndpointName: name,
		SDPMLineIndex: v.Candidate.SDPMLineIndex, SDPMid: v.Candidate.SDPMid, Candidate: v.Candidate.Candidate,
	}))
}
