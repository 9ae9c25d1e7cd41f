package kms_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/kms"
	"github.com/govidu/govidu/kms/kmstest"
)

type params = map[string]any

// slow is an element for tests: its operations and its Close wait for gates.
type slow struct {
	elements.MediaElement
	gates *gates
}

type gates struct {
	call, close chan struct{}
	running     atomic.Int32
	closed      chan string
}

func newGates() *gates {
	return &gates{call: make(chan struct{}), close: make(chan struct{}), closed: make(chan string, 1000)}
}

type pipelineParam struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
}

func (s *slow) Close() error {
	<-s.gates.close
	s.gates.closed <- s.ID()
	return s.CloseBase()
}

func (s *slow) wait(ctx context.Context, _ elements.None) (string, error) {
	s.gates.running.Add(1)
	defer s.gates.running.Add(-1)
	select {
	case <-s.gates.call:
		return "went on", nil
	case <-ctx.Done():
		return "", fmt.Errorf("wait: %w", kerr.UnexpectedError)
	}
}

func (s *slow) boom(context.Context, elements.None) (elements.None, error) { panic("on purpose") }

func (s *slow) raise(_ context.Context, p struct {
	N int `json:"n"`
}) (elements.None, error) {
	for i := range p.N {
		s.EmitError("STREAM_ERROR_FAILED", i, "on purpose")
	}
	return elements.None{}, nil
}

func (s *slow) nameless(context.Context, elements.None) (elements.None, error) {
	return elements.None{}, errors.New("no code")
}

func slowType(g *gates) elements.Type {
	return elements.Type{
		Name: "Slow", Extends: "MediaElement", Module: "test",
		New: elements.New(func(_ context.Context, env elements.Env, _ pipelineParam) (*slow, error) {
			s := &slow{gates: g}
			s.Init(env)
			return s, nil
		}),
		Members: []elements.Member{
			elements.Method("wait", (*slow).wait),
			elements.Method("boom", (*slow).boom),
			elements.Method("raise", (*slow).raise),
			elements.Method("nameless", (*slow).nameless),
		},
	}
}

func create(t testing.TB, p *kmstest.Peer, id int, typ, parent string) string {
	t.Helper()
	v, code, msg := p.Ask(id, "create", params{"type": typ, "constructorParams": params{"mediaPipeline": parent}})
	if code != 0 {
		t.Fatalf("create %s: %d %s", typ, code, msg)
	}
	return v.(string)
}

// TestOtherPipelinesGoOn: a call that blocks, and a release that takes long,
// hold up their own pipeline only.
func TestOtherPipelinesGoOn(t *testing.T) {
	g := newGates()
	s := newServer(t, nil, slowType(g))
	p := newPeer(t, s.Pipe())
	one, two := create(t, p, 1, "MediaPipeline", ""), create(t, p, 2, "MediaPipeline", "")
	slow1, fast2 := create(t, p, 3, "Slow", one), create(t, p, 4, "PassThrough", two)
	p.Send(`{"jsonrpc":"2.0","id":10,"method":"invoke","params":{"object":"` + slow1 + `","operation":"wait"}}`)
	p.Send(`{"jsonrpc":"2.0","id":11,"method":"invoke","params":{"object":"` + one + `","operation":"getName"}}`)
	if v, code, _ := p.Ask(12, "invoke", params{"object": fast2, "operation": "getName"}); code != 0 || v != fast2 {
		t.Fatalf("another pipeline's call: %v, %d", v, code)
	}
	if _, code, _ := p.Ask(13, "ping", params{}); code != 0 {
		t.Fatal("ping behind a blocked pipeline")
	}
	close(g.call)
	if r := p.Reply(); fmt.Sprint(r["id"]) != "10" {
		t.Errorf("reply %v, want that of the blocked call first", r)
	}
	if r := p.Reply(); fmt.Sprint(r["id"]) != "11" {
		t.Errorf("reply %v, want the next of the same pipeline", r)
	}
	if _, code, _ := p.Ask(14, "release", params{"object": one}); code != 0 {
		t.Fatal("release")
	}
	if _, code, _ := p.Ask(15, "invoke", params{"object": slow1, "operation": "getName"}); code != 40101 {
		t.Errorf("a released child answers %d while it closes", code)
	}
	if _, code, _ := p.Ask(16, "release", params{"object": two}); code != 0 {
		t.Error("release of another pipeline")
	}
	close(g.close)
}

// TestReleaseOrder: youngest first, and events of ServerManager in that order.
func TestReleaseOrder(t *testing.T) {
	g := newGates()
	close(g.close)
	s := newServer(t, nil, slowType(g))
	p := newPeer(t, s.Pipe())
	pipe := create(t, p, 1, "MediaPipeline", "")
	var born []string
	for i := range 5 {
		born = append(born, create(t, p, 10+i, "Slow", pipe))
	}
	p.Ask(20, "subscribe", params{"object": "manager_ServerManager", "type": "ObjectDestroyed"})
	p.Ask(21, "release", params{"object": pipe})
	for i := range born {
		want := born[len(born)-1-i]
		if got := <-g.closed; got != want {
			t.Errorf("closed %s as number %d, want %s", got, i, want)
		}
		data := p.Event()["params"].(params)["value"].(params)["data"].(params)
		if data["objectId"] != want {
			t.Errorf("ObjectDestroyed %v, want %s", data["objectId"], want)
		}
		if _, has := data["type"]; has {
			t.Errorf("ObjectDestroyed has a type: %v", data)
		}
	}
}

// TestPanicInOperation ends the object, not the server or the connection.
func TestPanicInOperation(t *testing.T) {
	g := newGates()
	close(g.close)
	s := newServer(t, nil, slowType(g))
	p := newPeer(t, s.Pipe())
	pipe := create(t, p, 1, "MediaPipeline", "")
	bad, good := create(t, p, 2, "Slow", pipe), create(t, p, 3, "Slow", pipe)
	if _, code, msg := p.Ask(4, "invoke", params{"object": bad, "operation": "boom"}); code != -32603 || !strings.HasPrefix(msg, "Unexpected error while processing method: ") {
		t.Errorf("panic answered with %d %q", code, msg)
	}
	if _, code, _ := p.Ask(5, "describe", params{"object": bad}); code != 40101 {
		t.Errorf("object lives on after a panic: %d", code)
	}
	if _, code, _ := p.Ask(6, "describe", params{"object": good}); code != 0 {
		t.Errorf("its sibling answers %d", code)
	}
	if _, code, _ := p.Ask(7, "invoke", params{"object": good, "operation": "nameless"}); code != 40003 {
		t.Errorf("an error without a code gives %d, want 40003", code)
	}
}

func TestLimits(t *testing.T) {
	s := newServer(t, func(c *kms.Config) { c.MaxObjects, c.MaxPipelines = 5, 2 })
	p := newPeer(t, s.Pipe())
	pipe := create(t, p, 1, "MediaPipeline", "")
	create(t, p, 2, "MediaPipeline", "")
	if _, code, _ := p.Ask(3, "create", params{"type": "MediaPipeline"}); code != 40009 {
		t.Errorf("pipeline over the limit: %d, want 40009", code)
	}
	var last string
	for i := range 3 {
		last = create(t, p, 10+i, "PassThrough", pipe)
	}
	if _, code, _ := p.Ask(20, "create", params{"type": "PassThrough", "constructorParams": params{"mediaPipeline": pipe}}); code != 40009 {
		t.Errorf("object over the limit: %d, want 40009", code)
	}
	p.Ask(21, "release", params{"object": last})
	create(t, p, 22, "PassThrough", pipe)
}

// TestSubscriptions: one delivery per session however often it subscribed, none
// after the last unsubscribe, and each session its own.
func TestSubscriptions(t *testing.T) {
	g := newGates()
	close(g.close)
	s := newServer(t, nil, slowType(g))
	a, b := newPeer(t, s.Pipe()), newPeer(t, s.Pipe())
	pipe := create(t, a, 1, "MediaPipeline", "")
	obj := create(t, a, 2, "Slow", pipe)
	sub := func(p *kmstest.Peer, id int) string {
		v, code, msg := p.Ask(id, "subscribe", params{"object": obj, "type": "Error"})
		if code != 0 {
			t.Fatalf("subscribe: %d %s", code, msg)
		}
		return v.(string)
	}
	first, second := sub(a, 3), sub(a, 4)
	sub(b, 5)
	if first == second {
		t.Error("two subscriptions share an id")
	}
	a.Ask(6, "invoke", params{"object": obj, "operation": "raise", "operationParams": params{"n": 3}})
	for _, p := range []*kmstest.Peer{a, b} {
		for i := range 3 {
			v := p.Event()["params"].(params)["value"].(params)
			data := v["data"].(params)
			if v["type"] != "Error" || data["type"] != "STREAM_ERROR_FAILED" || fmt.Sprint(data["errorCode"]) != fmt.Sprint(i) || data["source"] != obj || v["object"] != obj {
				t.Errorf("event %d: %v", i, v)
			}
			if ms, ok := data["timestampMillis"].(string); !ok || len(ms) < 13 {
				t.Errorf("timestampMillis %v is no text of milliseconds", data["timestampMillis"])
			}
		}
	}
	a.Ask(7, "unsubscribe", params{"object": obj, "subscription": first})
	a.Ask(8, "invoke", params{"object": obj, "operation": "raise", "operationParams": params{"n": 1}})
	a.Event()
	b.Event()
	a.Ask(9, "unsubscribe", params{"object": obj, "subscription": second})
	a.Ask(10, "invoke", params{"object": obj, "operation": "raise", "operationParams": params{"n": 1}})
	b.Event()
	a.Ask(11, "ping", params{})
	select {
	case e := <-a.Events:
		t.Errorf("event after unsubscribe: %v", e)
	default:
	}
}

// TestTakeOver: a session's events follow it to the socket that used it last.
func TestTakeOver(t *testing.T) {
	g := newGates()
	close(g.close)
	s := newServer(t, nil, slowType(g))
	url := overSocket(t, s)
	a := newPeer(t, dialRaw(t, url, nil))
	a.Send(`{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"MediaPipeline"}}`)
	res := a.Reply()["result"].(params)
	pipe, session := res["value"].(string), res["sessionId"].(string)
	obj := create(t, a, 2, "Slow", pipe)
	a.Ask(3, "subscribe", params{"object": obj, "type": "Error"})
	b := newPeer(t, dialRaw(t, url, nil))
	if _, code, _ := b.Ask(1, "connect", params{"sessionId": session}); code != 0 {
		t.Fatalf("connect to a living session: %d", code)
	}
	b.Ask(2, "invoke", params{"object": obj, "operation": "raise", "operationParams": params{"n": 1}})
	b.Event()
	b.Conn.Close(jsonrpc.CloseNormal, "")
	c := newPeer(t, dialRaw(t, url, nil))
	if _, code, _ := c.Ask(1, "connect", params{"sessionId": session}); code != 0 {
		t.Fatalf("connect after the socket closed: %d", code)
	}
	c.Ask(2, "invoke", params{"object": obj, "operation": "raise", "operationParams": params{"n": 1}})
	c.Event()
}

// TestSessionExpires: without a socket after one to two periods; never with one.
func TestSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, err := elements.NewRegistry(elements.Types()...)
		if err != nil {
			t.Fatal(err)
		}
		s, err := kms.NewServer(kms.Config{Registry: reg})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		talk := func(c jsonrpc.Conn, text string) string {
			if err := c.WriteJSON(jsonRaw(text)); err != nil {
				t.Fatal(err)
			}
			b, err := c.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		a := s.Pipe()
		talk(a, `{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"MediaPipeline","sessionId":"s-1"}}`)
		time.Sleep(time.Hour) // bound: lives without a word
		if got := talk(a, `{"jsonrpc":"2.0","id":2,"method":"keepAlive","params":{"sessionId":"s-1"}}`); strings.Contains(got, "error") {
			t.Fatalf("session with a socket: %s", got)
		}
		a.Close(jsonrpc.CloseNormal, "")
		synctest.Wait()
		time.Sleep(239 * time.Second)
		b := s.Pipe()
		if got := talk(b, `{"jsonrpc":"2.0","id":3,"method":"connect","params":{"sessionId":"s-1"}}`); strings.Contains(got, "error") {
			t.Fatalf("session within its period: %s", got)
		}
		b.Close(jsonrpc.CloseNormal, "")
		synctest.Wait()
		time.Sleep(481 * time.Second)
		synctest.Wait()
		c := s.Pipe()
		if got := talk(c, `{"jsonrpc":"2.0","id":4,"method":"connect","params":{"sessionId":"s-1"}}`); !strings.Contains(got, "40007") {
			t.Errorf("session after two periods: %s", got)
		}
		if got := talk(c, `{"jsonrpc":"2.0","id":5,"method":"invoke","params":{"object":"manager_ServerManager","operation":"getPipelines"}}`); !strings.Contains(got, `"value":[]`) {
			t.Errorf("pipelines of an expired session: %s", got)
		}
		c.Close(jsonrpc.CloseNormal, "")
	})
}

type jsonRaw = json.RawMessage

// TestHolds: what two sessions hold lives until both let go.
func TestHolds(t *testing.T) {
	s := newServer(t, nil)
	a, b, c := newPeer(t, s.Pipe()), newPeer(t, s.Pipe()), newPeer(t, s.Pipe())
	pipe := create(t, a, 1, "MediaPipeline", "")
	obj := create(t, a, 2, "PassThrough", pipe)
	b.Ask(3, "describe", params{"object": obj})   // b holds obj and pipe now
	later := create(t, a, 4, "PassThrough", pipe) // held by b too
	a.Ask(5, "closeSession", params{})
	for _, id := range []string{pipe, obj, later} {
		if _, code, _ := b.Ask(6, "describe", params{"object": id}); code != 0 {
			t.Errorf("%s went with one of two holders: %d", id, code)
		}
	}
	b.Ask(7, "unref", params{"object": pipe})
	for _, id := range []string{pipe, obj, later} {
		if _, code, _ := c.Ask(8, "describe", params{"object": id}); code != 40101 {
			t.Errorf("%s outlives its last holder: %d", id, code)
		}
	}
	if _, code, _ := c.Ask(9, "unref", params{"object": "manager_ServerManager"}); code != -32000 {
		t.Errorf("unref without a session: %d, want -32000", code)
	}
	if _, code, _ := c.Ask(10, "unref", params{"object": "manager_ServerManager", "sessionId": "c"}); code != 0 {
		t.Errorf("unref of the manager: %d", code)
	}
	c.Ask(12, "release", params{"object": "manager_ServerManager"})
	if _, code, _ := c.Ask(11, "describe", params{"object": "manager_ServerManager"}); code != 0 {
		t.Error("the manager was released")
	}
}

// TestAdmission: who may open a WebSocket.
func TestAdmission(t *testing.T) {
	cases := []struct {
		name   string
		edit   func(*kms.Config)
		remote string
		query  string
		header http.Header
		want   int
	}{
		{"loopback", nil, "127.0.0.1:5", "", nil, 101},
		{"loopback, IPv6", nil, "[::1]:5", "", nil, 101},
		{"elsewhere", nil, "192.0.2.1:5", "", nil, 401},
		{"elsewhere, open", func(c *kms.Config) { c.Open = true }, "192.0.2.1:5", "", nil, 101},
		{"elsewhere, bearer", func(c *kms.Config) { c.Token = "t0k" }, "192.0.2.1:5", "", http.Header{"Authorization": {"Bearer t0k"}}, 101},
		{"elsewhere, query", func(c *kms.Config) { c.Token = "t0k" }, "192.0.2.1:5", "?access_token=t0k", nil, 101},
		{"elsewhere, wrong token", func(c *kms.Config) { c.Token = "t0k" }, "192.0.2.1:5", "?access_token=nope", nil, 401},
		{"through a proxy", nil, "127.0.0.1:5", "", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, 401},
		{"bare origin of the Node client", nil, "127.0.0.1:5", "", http.Header{"Origin": {"HOST"}}, 101},
		{"loopback page", nil, "127.0.0.1:5", "", http.Header{"Origin": {"http://localhost:8443"}}, 101},
		{"foreign page", nil, "127.0.0.1:5", "", http.Header{"Origin": {"https://evil.example"}}, 403},
		{"foreign page, listed", func(c *kms.Config) { c.AllowedOrigins = []string{"https://app.example"} }, "127.0.0.1:5", "", http.Header{"Origin": {"https://app.example"}}, 101},
		{"looks like loopback", nil, "127.0.0.1:5", "", http.Header{"Origin": {"http://localhost.evil.example"}}, 403},
		{"foreign page with the token", func(c *kms.Config) { c.Token = "t0k" }, "192.0.2.1:5", "?access_token=t0k", http.Header{"Origin": {"https://app.example"}}, 101},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.edit)
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.RemoteAddr = c.remote
				s.ServeHTTP(w, r)
			}))
			defer h.Close()
			header := http.Header{}
			for k, v := range c.header {
				header.Set(k, strings.ReplaceAll(v[0], "HOST", strings.TrimPrefix(h.URL, "http://")))
			}
			ws, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(h.URL, "http")+"/kurento"+c.query, header)
			if err == nil {
				ws.Close()
			}
			if resp == nil || resp.StatusCode != c.want {
				t.Errorf("answer %v (%v), want %d", resp, err, c.want)
			}
		})
	}
}

func TestInvalidPath(t *testing.T) {
	url := overSocket(t, newServer(t, nil))
	c := dialRaw(t, strings.Replace(url, "/kurento", "/other", 1), nil)
	_, err := c.ReadFrame()
	var e *websocket.CloseError
	if !errors.As(err, &e) || e.Code != 1002 || e.Text != "Invalid path" {
		t.Errorf("wrong path: %v, want close 1002 Invalid path", err)
	}
	// A query does not change the path.
	p := newPeer(t, dialRaw(t, url+"?access_token=x", nil))
	if v, _, _ := p.Ask(1, "ping", nil); v != "pong" {
		t.Errorf("ping with a query: %v", v)
	}
}

// TestMessageSize: 1 MiB before the first valid request, 16 MiB after; above: 1009.
func TestMessageSize(t *testing.T) {
	url := overSocket(t, newServer(t, nil))
	big := func(n int) string {
		return `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", n) + `"}}`
	}
	p := newPeer(t, dialRaw(t, url, nil))
	p.Send(big(100))
	p.Reply()
	p.Send(big(3 << 20))
	if r := p.Reply(); r["result"] == nil {
		t.Errorf("3 MiB after a valid request: %.200v", r)
	}
	q := newPeer(t, dialRaw(t, url, nil))
	q.Send(big(2 << 20))
	if e, ok := q.Reply()["error"].(params); !ok || fmt.Sprint(e["code"]) != "40008" {
		t.Errorf("2 MiB as the first message: %v, want 40008", e)
	}
	select {
	case <-q.Conn.Done():
	case <-time.After(deadline):
		t.Error("connection stays open")
	}
}

// TestRequestCache: a repeated id is answered from memory on one connection
// only, and only for the same request.
func TestRequestCache(t *testing.T) {
	s := newServer(t, nil)
	a, b := newPeer(t, s.Pipe()), newPeer(t, s.Pipe())
	create := `{"jsonrpc":"2.0","id":7,"method":"create","params":{"type":"MediaPipeline","sessionId":"shared"}}`
	ask := func(p *kmstest.Peer, raw string) any {
		p.Send(raw)
		return p.Reply()["result"].(params)["value"]
	}
	first := ask(a, create)
	if again := ask(a, create); again != first {
		t.Errorf("repeated request made %v beside %v", again, first)
	}
	if other := ask(b, create); other == first {
		t.Error("another connection got the first one's reply")
	}
	if name := ask(a, `{"jsonrpc":"2.0","id":7,"method":"invoke","params":{"object":"`+first.(string)+`","operation":"getName","sessionId":"shared"}}`); name != first {
		t.Errorf("another request with the same id got %v", name)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newServer(t, func(c *kms.Config) { c.Metrics = reg })
	p := newPeer(t, s.Pipe())
	pipe := create(t, p, 1, "MediaPipeline", "")
	create(t, p, 2, "PassThrough", pipe)
	p.Ask(3, "invoke", params{"object": pipe, "operation": "getName"})
	p.Ask(4, "invoke", params{"object": pipe, "operation": "noSuch" + strings.Repeat("x", 99)})
	want := "# HELP kms_objects Living media objects by type.\n# TYPE kms_objects gauge\nkms_objects{type=\"MediaPipeline\"} 1\nkms_objects{type=\"PassThrough\"} 1\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "kms_objects"); err != nil {
		t.Error(err)
	}
	n, err := testutil.GatherAndCount(reg, "kms_rpc_seconds")
	if err != nil || n != 5 {
		t.Errorf("%d series of kms_rpc_seconds (%v), want 5: two methods, create of two types, getName", n, err)
	}
}

// TestStorm: many clients create, connect, subscribe and release at once; in
// the end nothing is left.
func TestStorm(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := newServer(t, func(c *kms.Config) { c.Metrics = reg })
	shared := newPeer(t, s.Pipe())
	common := create(t, shared, 1, "MediaPipeline", "")
	var wg sync.WaitGroup
	for range 8 {
		p := newPeer(t, s.Pipe())
		wg.Go(func() {
			for i := range 15 {
				pipe := create(t, p, 100*i, "MediaPipeline", "")
				x, y := create(t, p, 100*i+1, "PassThrough", pipe), create(t, p, 100*i+2, "PassThrough", common)
				p.Ask(100*i+3, "subscribe", params{"object": x, "type": "ElementDisconnected"})
				p.Ask(100*i+4, "invoke", params{"object": x, "operation": "connect", "operationParams": params{"sink": x}})
				if i%2 == 0 {
					p.Ask(100*i+5, "release", params{"object": y})
				}
				p.Ask(100*i+6, "release", params{"object": pipe})
			}
			p.Ask(9999, "closeSession", params{"release": false})
		})
	}
	wg.Wait()
	shared.Ask(2, "closeSession", params{"release": true})
	if v, _, _ := shared.Ask(3, "invoke", params{"object": "manager_ServerManager", "operation": "getPipelines"}); len(v.([]any)) != 0 {
		t.Errorf("pipelines left: %v", v)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader("# HELP kms_objects Living media objects by type.\n# TYPE kms_objects gauge\nkms_objects{type=\"MediaPipeline\"} 0\nkms_objects{type=\"PassThrough\"} 0\n"), "kms_objects"); err != nil {
		t.Error(err)
	}
}
