package transport

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/ice"
)

// queryAt is when a question to a STUN server is asked again (RFC 8489 §6.2.1).
var queryAt = []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// query asks a STUN server how it sees one of the Engine's addresses; false when
// it does not answer.
func (e *Engine) query(ctx context.Context, base int, server netip.AddrPort) (netip.AddrPort, bool) {
	answer := make(chan netip.AddrPort, 1)
	e.demux.Lock()
	for e.nextTag++; e.nextTag == 0 || e.tags[e.nextTag] != nil || e.queries[e.nextTag] != nil; e.nextTag++ {
	}
	tag := e.nextTag
	id := ice.NewID(tag)
	e.queries[tag] = &query{id, answer}
	e.demux.Unlock()
	defer func() {
		e.demux.Lock()
		delete(e.queries, tag)
		e.demux.Unlock()
	}()
	var buf [64]byte
	request := ice.AppendQuery(buf[:0], id)
	s := e.socketOf(base, e.shards[0])
	for _, wait := range queryAt {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return netip.AddrPort{}, false
		case at := <-answer:
			timer.Stop()
			return at, true
		case <-timer.C:
		}
		_ = s.Send(request, server, 0)
	}
	select {
	case <-ctx.Done():
	case at := <-answer:
		return at, true
	}
	return netip.AddrPort{}, false
}

// query is a question to a STUN server that is not answered yet.
type query struct {
	id     [12]byte
	answer chan netip.AddrPort
}

// answered takes the response to a query; false when it is none.
func (e *Engine) answered(b []byte) bool {
	if !ice.IsResponse(b) {
		return false
	}
	e.demux.RLock()
	q := e.queries[ice.Tag(b)]
	e.demux.RUnlock()
	if q == nil {
		return false
	}
	if at, ok := ice.Mapped(b, q.id); ok {
		select {
		case q.answer <- at:
		default:
		}
	}
	return true
}

// sameAddress tells whether two candidate lines name one transport address.
func sameAddress(a, b string) bool {
	f, g := strings.Fields(a), strings.Fields(b)
	return len(f) > 6 && len(g) > 6 && f[2] == g[2] && f[4] == g[4] && f[5] == g[5]
}
