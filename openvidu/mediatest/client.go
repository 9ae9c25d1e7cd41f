// Package mediatest is a media node for tests of rooms: a client.Client that
// remembers what it was asked, answers SDP offers, and fails, blocks or raises
// events at a test's wish. It starts no goroutines and forwards no media.
package mediatest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/kms/client"
)

// Call is one call to the node. Name is a type for "create", an operation for
// "invoke", an event for "subscribe".
type Call struct {
	Kind   string
	Object client.ID
	Name   string
	Params map[string]any
}

// Client is the fake. The zero value is not ready; use New.
type Client struct {
	mu     sync.Mutex
	before func(ctx context.Context, c Call) error
	calls  []Call
	alive  map[client.ID]string // type
	subs   map[client.ID]map[string][]*subscriber
	next   int
	lost   chan struct{}
	once   sync.Once
}

type subscriber struct{ fn func(json.RawMessage) }

var _ client.Client = (*Client)(nil)

// New makes a node without objects.
func New() *Client {
	return &Client{alive: map[client.ID]string{}, subs: map[client.ID]map[string][]*subscriber{}, lost: make(chan struct{})}
}

// Place implements openvidu.MediaNodes with this one node.
func (c *Client) Place(context.Context) (client.Client, error) { return c, nil }

// SetBefore installs f to run before each call, on the caller's goroutine: it may
// block, and its error becomes the call's. nil takes it away.
func (c *Client) SetBefore(f func(ctx context.Context, call Call) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before = f
}

// Lose closes Lost.
func (c *Client) Lose() { c.once.Do(func() { close(c.lost) }) }

// Lost implements client.Client.
func (c *Client) Lost() <-chan struct{} { return c.lost }

// begin records a call.
func (c *Client) begin(ctx context.Context, call *Call, params any) error {
	if params != nil {
		b, err := json.Marshal(params)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &call.Params); err != nil {
			return err
		}
	}
	c.mu.Lock()
	before := c.before
	c.mu.Unlock()
	if before != nil {
		if err := before(ctx, *call); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, *call)
	return nil
}

// Create implements client.Client.
func (c *Client) Create(ctx context.Context, typ string, params any) (client.ID, error) {
	c.mu.Lock()
	c.next++
	id := client.ID(fmt.Sprintf("%d_kurento.%s", c.next, typ))
	c.mu.Unlock()
	if err := c.begin(ctx, &Call{Kind: "create", Name: typ, Object: id}, params); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alive[id] = typ
	return id, nil
}

// Invoke implements client.Client. processOffer answers with Answer of the offer;
// generateOffer gives Offer with the user fragment "node", getLayers one layer;
// gatherCandidates raises one IceCandidateFound; the rest succeed.
func (c *Client) Invoke(ctx context.Context, obj client.ID, op string, params, result any) error {
	call := Call{Kind: "invoke", Object: obj, Name: op}
	if err := c.begin(ctx, &call, params); err != nil {
		return err
	}
	c.mu.Lock()
	_, ok := c.alive[obj]
	if sink, isConnect := call.Params["sink"].(string); ok && isConnect {
		_, ok = c.alive[client.ID(sink)]
	}
	c.mu.Unlock()
	if !ok {
		return fmt.Errorf("invoke %s: %w", op, kerr.MediaObjectNotFound)
	}
	switch op {
	case "processOffer":
		offer, _ := call.Params["offer"].(string)
		if !strings.HasPrefix(offer, "v=0") {
			return fmt.Errorf("process offer: %w", kerr.SDPParseError)
		}
		if out, ok := result.(*string); ok {
			*out = Answer(offer)
		}
	case "getCurrentLayer":
		if result != nil {
			return json.Unmarshal([]byte(`{"spatial":1,"temporal":0}`), result)
		}
	case "getLayers":
		if result != nil {
			return json.Unmarshal([]byte(`[{"spatial":0,"temporal":0,"rid":"rdiv2","width":320,"height":180,"frameRate":15,"bps":150000,"active":true}]`), result)
		}
	case "generateOffer":
		if out, ok := result.(*string); ok {
			*out = Offer("node", "VP8", "VP9", "H264")
		}
	case "processAnswer":
		answer, _ := call.Params["answer"].(string)
		if !strings.HasPrefix(answer, "v=0") {
			return fmt.Errorf("process answer: %w", kerr.SDPParseError)
		}
	case "gatherCandidates":
		c.Emit(obj, "IceCandidateFound", map[string]any{"candidate": map[string]any{
			"__module__": "kurento", "__type__": "IceCandidate",
			"candidate": "candidate:1 1 UDP 2015364095 127.0.0.1 40000 typ host", "sdpMid": "0", "sdpMLineIndex": 0,
		}})
	}
	return nil
}

// Subscribe implements client.Client.
func (c *Client) Subscribe(ctx context.Context, obj client.ID, event string, fn func(json.RawMessage)) (func(), error) {
	if err := c.begin(ctx, &Call{Kind: "subscribe", Object: obj, Name: event}, nil); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &subscriber{fn}
	if c.subs[obj] == nil {
		c.subs[obj] = map[string][]*subscriber{}
	}
	c.subs[obj][event] = append(c.subs[obj][event], s)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.subs[obj][event] = slices.DeleteFunc(c.subs[obj][event], func(o *subscriber) bool { return o == s })
	}, nil
}

// Release implements client.Client; a pipeline takes everything with it.
func (c *Client) Release(ctx context.Context, obj client.ID) error {
	if err := c.begin(ctx, &Call{Kind: "release", Object: obj}, nil); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alive[obj] == "MediaPipeline" {
		clear(c.alive)
	}
	delete(c.alive, obj)
	return nil
}

// Emit raises an event of an object, on the caller's goroutine.
func (c *Client) Emit(obj client.ID, event string, fields map[string]any) {
	data, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	subs := slices.Clone(c.subs[obj][event])
	c.mu.Unlock()
	for _, s := range subs {
		s.fn(data)
	}
}

// Calls gives what was called so far; kinds, if given, choose.
func (c *Client) Calls(kinds ...string) []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Call
	for _, call := range c.calls {
		if len(kinds) == 0 || slices.Contains(kinds, call.Kind) {
			out = append(out, call)
		}
	}
	return out
}

// Alive gives the ids of living objects of a type, oldest first.
func (c *Client) Alive(typ string) []client.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []client.ID
	for _, call := range c.calls {
		if call.Kind == "create" && c.alive[call.Object] == typ {
			out = append(out, call.Object)
		}
	}
	return out
}

// Offer is a small browser-like SDP offer with Opus audio and the video codecs
// named (payload types 96, 98, … with RTX at 97, 99, …). ufrag is its ICE user
// fragment.
func Offer(ufrag string, codecs ...string) string {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n")
	b.WriteString("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:" + ufrag + "\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n")
	b.WriteString("m=video 9 UDP/TLS/RTP/SAVPF")
	for i := range codecs {
		fmt.Fprintf(&b, " %d %d", 96+2*i, 97+2*i)
	}
	b.WriteString("\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:" + ufrag + "\r\na=mid:1\r\na=sendonly\r\n")
	for i, codec := range codecs {
		pt := 96 + 2*i
		fmt.Fprintf(&b, "a=rtpmap:%d %s/90000\r\na=rtcp-fb:%d nack pli\r\na=rtpmap:%d rtx/90000\r\na=fmtp:%d apt=%d\r\n", pt, codec, pt, pt+1, pt+1, pt)
	}
	return b.String()
}

// Answer turns an offer into something like its answer: the direction is reversed
// and the first payload type of each section stays.
func Answer(offer string) string {
	var out []string
	first := ""
	for line := range strings.SplitSeq(strings.TrimRight(offer, "\r\n"), "\r\n") {
		if strings.HasPrefix(line, "m=") {
			f := strings.Fields(line)
			first = f[3]
			line = strings.Join(f[:4], " ")
		}
		if pt, _, ok := strings.Cut(strings.TrimPrefix(line, "a=rtpmap:"), " "); ok && strings.HasPrefix(line, "a=rtpmap:") && pt != first {
			continue
		}
		out = append(out, strings.Replace(line, "a=sendonly", "a=recvonly", 1))
	}
	return strings.Join(out, "\r\n") + "\r\n"
}
