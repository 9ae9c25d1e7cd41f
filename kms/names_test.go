package kms_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/kms"
	"github.com/govidu/govidu/kms/kmstest"
)

// old is an element with a result and an event that 6.x reads otherwise.
type old struct{ elements.MediaElement }

type pairFields struct {
	Pair IceCandidatePair `json:"candidatePair"`
}

// IceCandidatePair is the register of that name.
type IceCandidatePair struct {
	StreamID    string `json:"streamId"`
	ComponentID int    `json:"componentId"`
}

func oldType() elements.Type {
	return elements.Type{
		Name: "Old", Extends: "Endpoint", Module: "test",
		New: elements.New(func(_ context.Context, env elements.Env, _ pipelineParam) (*old, error) {
			o := &old{}
			o.Init(env)
			return o, nil
		}),
		Members: []elements.Member{
			elements.Method("tell", func(o *old, _ context.Context, _ elements.None) (elements.None, error) {
				o.Emit("Pair", pairFields{IceCandidatePair{"1", 2}})
				o.Emit("OnIceCandidate", nil)
				return elements.None{}, nil
			}),
			elements.Event[pairFields]("Pair"),
			elements.Event[elements.None]("OnIceCandidate"),
		},
	}
}

// TestNamesOfSix: how a connection opens, or its URL, decides whether the names
// and fields of 6.x are served.
func TestNamesOfSix(t *testing.T) {
	for _, c := range []struct {
		name, query, opening string
		six                  bool
	}{
		{"the official clients ping first", "", `{"jsonrpc":"2.0","id":"o","method":"ping","params":{"interval":5000}}`, true},
		{"others create first", "", `{"jsonrpc":"2.0","id":"o","method":"create","params":{"type":"MediaPipeline"}}`, true},
		{"connect first", "", `{"jsonrpc":"2.0","id":"o","method":"connect","params":{}}`, false},
		{"connect first, of an unknown session", "", `{"jsonrpc":"2.0","id":"o","method":"connect","params":{"sessionId":"x"}}`, false},
		{"asked for 6", "?protocol=6.18", `{"jsonrpc":"2.0","id":"o","method":"connect","params":{}}`, true},
		{"asked for 7", "?protocol=7", `{"jsonrpc":"2.0","id":"o","method":"ping","params":{}}`, false},
		{"asked for nonsense", "?protocol=x", `{"jsonrpc":"2.0","id":"o","method":"ping","params":{}}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, nil, oldType())
			p := newPeer(t, dialRaw(t, overSocket(t, s)+c.query, nil))
			p.Send(c.opening)
			p.Reply()
			checkNames(t, p, c.six)
		})
	}
}

func checkNames(t *testing.T, p *kmstest.Peer, six bool) {
	t.Helper()
	pipe := create(t, p, 1, "MediaPipeline", "")
	obj := create(t, p, 2, "Old", pipe)
	want := func(what string, code, refused int) {
		t.Helper()
		if six {
			refused = 0
		}
		if code != refused {
			t.Errorf("%s: code %d, want %d", what, code, refused)
		}
	}
	_, code, _ := p.Ask(3, "invoke", params{"object": pipe, "operation": "getChilds"})
	want("getChilds", code, 40008)
	_, code, msg := p.Ask(4, "invoke", params{"object": obj, "operation": "setOutputBitrate", "operationParams": params{"bitrate": 1000}})
	want("setOutputBitrate", code, 40008)
	if !six && msg != "Method 'setOutputBitrate' with 1 parameters not found" {
		t.Errorf("refused with %q", msg)
	}
	_, code, _ = p.Ask(5, "subscribe", params{"object": obj, "type": "OnIceCandidate"})
	want("OnIceCandidate", code, 40106)
	if _, code, _ := p.Ask(6, "subscribe", params{"object": obj, "type": "Pair"}); code != 0 {
		t.Fatal("subscribe")
	}
	p.Ask(7, "invoke", params{"object": obj, "operation": "tell"})
	data := p.Event()["params"].(params)["value"].(params)["data"].(params)
	pair := data["candidatePair"].(params)
	if _, has := data["timestamp"]; has != six {
		t.Errorf("timestamp in %v", data)
	}
	if six && data["timestamp"].(string)+"000" > data["timestampMillis"].(string) {
		t.Errorf("timestamp %v of %v", data["timestamp"], data["timestampMillis"])
	}
	if _, has := pair["streamID"]; has != six || six && (pair["streamID"] != "1" || fmt.Sprint(pair["componentID"]) != "2") {
		t.Errorf("pair %v", pair)
	}
	p.Ask(8, "invoke", params{"object": pipe, "operation": "setLatencyStats", "operationParams": params{"latencyStats": true}})
	v, _, _ := p.Ask(9, "invoke", params{"object": obj, "operation": "getStats"})
	row := v.(params)[obj].(params)
	for _, field := range []string{"timestamp", "inputAudioLatency", "inputVideoLatency", "audioE2ELatency", "videoE2ELatency"} {
		if _, has := row[field]; has != six {
			t.Errorf("%s in %v", field, row)
		}
	}
}

// TestNamesComeBack: who resumes a session that is served both, is served both.
func TestNamesComeBack(t *testing.T) {
	s := newServer(t, nil, oldType())
	url := overSocket(t, s)
	a := newPeer(t, dialRaw(t, url, nil))
	a.Send(`{"jsonrpc":"2.0","id":"o","method":"ping"}`)
	a.Reply()
	a.Send(`{"jsonrpc":"2.0","id":1,"method":"create","params":{"type":"MediaPipeline"}}`)
	res := a.Reply()["result"].(params)
	b := newPeer(t, dialRaw(t, url, nil))
	if _, code, _ := b.Ask(1, "connect", params{"sessionId": res["sessionId"]}); code != 0 {
		t.Fatal(code)
	}
	if _, code, _ := b.Ask(2, "invoke", params{"object": res["value"], "operation": "getChilds"}); code != 0 {
		t.Errorf("getChilds after coming back: %d", code)
	}
}

// TestResources: above the limit of threads or files nothing is created, and what
// is there goes on.
func TestResources(t *testing.T) {
	use := kms.Usage{Threads: 10, MaxThreads: 100, Files: 10, MaxFiles: 100}
	for _, c := range []struct {
		edit func(*kms.Usage)
		want string
	}{
		{func(u *kms.Usage) { u.Threads = 81 }, "Too many threads"},
		{func(u *kms.Usage) { u.Files = 81 }, "Too many open files"},
		{func(u *kms.Usage) { u.Files, u.MaxFiles = 81, 0 }, ""},
		{func(u *kms.Usage) { u.Files, u.Threads = 80, 80 }, ""},
	} {
		now := use
		c.edit(&now)
		s := newServer(t, func(cfg *kms.Config) { cfg.Measure = func() kms.Usage { return now } })
		p := newPeer(t, s.Pipe())
		_, code, msg := p.Ask(1, "create", params{"type": "MediaPipeline"})
		if want := 40009; c.want == "" && code != 0 || c.want != "" && (code != want || !strings.Contains(msg, c.want)) {
			t.Errorf("%+v: %d %q, want %q", now, code, msg, c.want)
		}
		if _, code, _ := p.Ask(2, "invoke", params{"object": "manager_ServerManager", "operation": "getPipelines"}); code != 0 {
			t.Errorf("another request: %d", code)
		}
	}
	s := newServer(t, func(cfg *kms.Config) {
		cfg.ExceptionLimit, cfg.Measure = 1, func() kms.Usage { return kms.Usage{Files: 1000, MaxFiles: 10} }
	})
	create(t, newPeer(t, s.Pipe()), 1, "MediaPipeline", "")
	create(t, newPeer(t, newServer(t, nil).Pipe()), 1, "MediaPipeline", "") // as this process really is
}

// TestSessionsAreBounded: sessions that hold nothing give way to new ones; when
// all hold something, a new one is refused and the others go on.
func TestSessionsAreBounded(t *testing.T) {
	s := newServer(t, func(c *kms.Config) { c.MaxSessions = 3 })
	p := newPeer(t, s.Pipe())
	ask := func(session string, method string, more params) (any, int) {
		q := params{"sessionId": session}
		for k, v := range more {
			q[k] = v
		}
		v, code, _ := p.Ask(1, method, q)
		return v, code
	}
	for i := range 10 { // nothing is held: the oldest goes each time
		if _, code := ask(fmt.Sprint("empty", i), "describe", params{"object": "manager_ServerManager"}); code != 0 {
			t.Fatalf("session %d: %d", i, code)
		}
	}
	for i := range 3 {
		if _, code := ask(fmt.Sprint("full", i), "create", params{"type": "MediaPipeline"}); code != 0 {
			t.Fatalf("session %d: %d", i, code)
		}
	}
	if _, code := ask("one more", "create", params{"type": "MediaPipeline"}); code != 40009 {
		t.Errorf("a session too many: %d", code)
	}
	if _, code := ask("full1", "keepAlive", nil); code != 0 {
		t.Errorf("a session that is there: %d", code)
	}
	if v, _ := ask("full2", "invoke", params{"object": "manager_ServerManager", "operation": "getSessions"}); len(v.([]any)) != 3 {
		t.Errorf("sessions %v", v)
	}
}

// TestRequestCacheOff: a repeated id runs nothing twice, unless the cache is off; it
// is the connection's own.
func TestRequestCacheOff(t *testing.T) {
	const request = `{"jsonrpc":"2.0","id":7,"method":"create","params":{"type":"MediaPipeline","sessionId":"s"}}`
	for _, off := range []bool{false, true} {
		s := newServer(t, func(c *kms.Config) { c.NoRequestCache = off })
		p, other := newPeer(t, s.Pipe()), newPeer(t, s.Pipe())
		ids := map[any]bool{}
		for range 3 {
			p.Send(request)
			ids[p.Reply()["result"].(params)["value"]] = true
		}
		if want := map[bool]int{false: 1, true: 3}[off]; len(ids) != want {
			t.Errorf("cache off %v: %d pipelines, want %d", off, len(ids), want)
		}
		other.Send(request)
		if v := other.Reply()["result"].(params)["value"]; ids[v] {
			t.Errorf("cache off %v: another connection got this one's answer", off)
		}
	}
}

// TestConnectToPipeline: the original ends here.
func TestConnectToPipeline(t *testing.T) {
	p := newPeer(t, newServer(t, nil).Pipe())
	pipe := create(t, p, 1, "MediaPipeline", "")
	x := create(t, p, 2, "PassThrough", pipe)
	for i, sink := range []string{pipe, "manager_ServerManager"} {
		if _, code, msg := p.Ask(3+i, "invoke", params{"object": x, "operation": "connect", "operationParams": params{"sink": sink}}); code != 40001 || !strings.Contains(msg, "'sink'") {
			t.Errorf("connect to %s: %d %s", sink, code, msg)
		}
	}
	if _, code, _ := p.Ask(9, "invoke", params{"object": x, "operation": "getName"}); code != 0 {
		t.Errorf("afterwards: %d", code)
	}
}
