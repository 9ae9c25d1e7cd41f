// Package kmstest drives a Kurento server in tests: a Peer that tells replies
// from events, and Replay, which plays recorded conversations and compares each
// reply member for member.
package kmstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/jsonrpc"
)

// Deadline bounds every wait of this package.
const Deadline = 30 * time.Second

// Dial opens a WebSocket that closes with the test.
func Dial(t testing.TB, url string, header http.Header) jsonrpc.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, header)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonrpc.NewSocket(ws, jsonrpc.SocketOptions{MaxMessage: 64 << 20, QueueBytes: 64 << 20})
	t.Cleanup(func() { c.Close(jsonrpc.CloseNormal, "") })
	return c
}

// Peer reads a connection on its own goroutine and tells replies from events.
type Peer struct {
	t       testing.TB
	Conn    jsonrpc.Conn
	replies chan map[string]any
	// Events holds what was not taken yet.
	Events chan map[string]any
}

// NewPeer starts reading; it ends with the test.
func NewPeer(t testing.TB, conn jsonrpc.Conn) *Peer {
	p := &Peer{t, conn, make(chan map[string]any, 1024), make(chan map[string]any, 4096)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.replies)
		defer close(p.Events)
		for {
			frame, err := conn.ReadFrame()
			if err != nil {
				return
			}
			m := decode(t, string(frame))
			if m["method"] == "onEvent" {
				p.Events <- m
			} else {
				p.replies <- m
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close(jsonrpc.CloseNormal, "")
		<-done
	})
	return p
}

func decode(t testing.TB, text string) map[string]any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Errorf("not a JSON object: %.200s: %v", text, err)
	}
	return m
}

// Send sends a message as it is.
func (p *Peer) Send(raw string) {
	p.t.Helper()
	if err := p.Conn.WriteJSON(json.RawMessage(raw)); err != nil {
		p.t.Fatalf("send %.100s: %v", raw, err)
	}
}

// Reply waits for the next reply.
func (p *Peer) Reply() map[string]any { p.t.Helper(); return p.take(p.replies, "reply") }

// Event waits for the next event.
func (p *Peer) Event() map[string]any { p.t.Helper(); return p.take(p.Events, "event") }

func (p *Peer) take(ch chan map[string]any, what string) map[string]any {
	p.t.Helper()
	timer := time.NewTimer(Deadline)
	defer timer.Stop()
	select {
	case m, ok := <-ch:
		if !ok {
			p.t.Fatalf("connection ended while waiting for a %s", what)
		}
		return m
	case <-timer.C:
		p.t.Fatalf("no %s within %v", what, Deadline)
	}
	return nil
}

// Ask sends a request and gives the value of its reply; code is 0 or the error's.
func (p *Peer) Ask(id int, method string, params map[string]any) (value any, code int, message string) {
	p.t.Helper()
	raw, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if err != nil {
		p.t.Fatal(err)
	}
	p.Send(string(raw))
	r := p.Reply()
	if e, ok := r["error"].(map[string]any); ok {
		n, _ := e["code"].(json.Number).Int64()
		return nil, int(n), e["message"].(string)
	}
	res, _ := r["result"].(map[string]any)
	return res["value"], 0, ""
}

// script is one replay: the peers by socket number, and what is bound.
type script struct {
	t     testing.TB
	peers map[string]*Peer
	bound map[string]string
}

// Replay plays a conversation (see kms/testdata) on connections that dial opens,
// one per socket digit. C lines are sent, S lines are the expected replies, E
// lines the events expected in all, in any order. $U0$ is an id, bound when first
// seen and made up when first sent; $ANY$ matches any value.
func Replay(t testing.TB, file string, dial func() jsonrpc.Conn) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t, map[string]*Peer{}, map[string]string{}}
	expected := map[string][]map[string]any{}
	var last string
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		head, raw, _ := strings.Cut(line, " ")
		socket := head[1:]
		p := s.peers[socket]
		if p == nil {
			p = NewPeer(t, dial())
			s.peers[socket] = p
		}
		switch head[0] {
		case 'C':
			last = s.fill(raw)
			p.Send(last)
		case 'S':
			got, want := p.Reply(), decode(t, raw)
			if err := s.match(want, got, "reply"); err != nil {
				t.Fatalf("line %d: after %s\n got %v\nwant %s\n%v", i+1, last, got, raw, err)
			}
		case 'E':
			expected[socket] = append(expected[socket], decode(t, raw))
		}
	}
	for socket, want := range expected {
		var got []map[string]any
		for range want {
			got = append(got, s.peers[socket].Event())
		}
		s.sameEvents(want, got)
	}
	for socket, p := range s.peers {
		select {
		case e := <-p.Events:
			t.Errorf("socket %s: unexpected event %v", socket, e)
		default:
		}
	}
}

// sameEvents compares without order, which the original does not keep either.
func (s *script) sameEvents(want, got []map[string]any) {
	s.t.Helper()
outer:
	for _, w := range want {
		for i, g := range got {
			if s.match(w, g, "event") == nil {
				got = append(got[:i:i], got[i+1:]...)
				continue outer
			}
		}
		s.t.Errorf("missing event %v\namong %v", w, got)
	}
}

var placeholder = regexp.MustCompile(`\$(\w+)\$`)

// fill puts bound ids into a message to send; unbound ones are made up.
func (s *script) fill(raw string) string {
	return placeholder.ReplaceAllStringFunc(raw, func(p string) string {
		if s.bound[p] == "" {
			s.bound[p] = uuid.NewString()
		}
		return s.bound[p]
	})
}

// match compares a pattern with a value and binds placeholders.
func (s *script) match(want, got any, path string) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %v is no object", path, got)
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return fmt.Errorf("%s: unexpected member %q", path, k)
			}
		}
		for k, v := range w {
			if _, ok := g[k]; !ok {
				return fmt.Errorf("%s: member %q is missing", path, k)
			}
			if err := s.match(v, g[k], path+"."+k); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Errorf("%s: got %v, want %v", path, got, want)
		}
		for i := range w {
			if err := s.match(w[i], g[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case string:
		return s.matchText(w, got, path)
	}
	if want != got {
		return fmt.Errorf("%s: got %v, want %v", path, got, want)
	}
	return nil
}

func (s *script) matchText(want string, got any, path string) error {
	if want == "$ANY$" {
		return nil
	}
	text, ok := got.(string)
	if !ok {
		return fmt.Errorf("%s: got %v, want %q", path, got, want)
	}
	var names []string
	pattern := "^" + regexp.QuoteMeta(strings.ReplaceAll(want, "$", "\x00"))
	pattern = regexp.MustCompile("\x00(\\w+)\x00").ReplaceAllStringFunc(pattern, func(p string) string {
		name := "$" + strings.Trim(p, "\x00") + "$"
		if v := s.bound[name]; v != "" {
			return regexp.QuoteMeta(v)
		}
		names = append(names, name)
		return `([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`
	}) + "$"
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%s: got %q, want %q", path, text, want)
	}
	for i, name := range names {
		s.bound[name] = m[i+1]
	}
	return nil
}
