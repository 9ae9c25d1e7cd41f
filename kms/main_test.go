package kms_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/core"
	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/kms"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 10 * time.Second

func newServer(t testing.TB, edit func(*kms.Config), more ...elements.Type) *kms.Server {
	t.Helper()
	reg, err := elements.NewRegistry(append(append(elements.Types(), core.Types()...), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := kms.Config{Registry: reg}
	if edit != nil {
		edit(&cfg)
	}
	s, err := kms.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// overSocket serves s over HTTP and gives its WebSocket URL.
func overSocket(t testing.TB, s http.Handler) string {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return "ws" + strings.TrimPrefix(h.URL, "http") + "/kurento"
}

func dialRaw(t testing.TB, url string, header http.Header) jsonrpc.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, header)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonrpc.NewSocket(ws, jsonrpc.SocketOptions{MaxMessage: 64 << 20, QueueBytes: 64 << 20})
	t.Cleanup(func() { c.Close(jsonrpc.CloseNormal, "") })
	return c
}

// peer reads a connection on its own goroutine and tells replies from events.
type peer struct {
	t       testing.TB
	conn    jsonrpc.Conn
	replies chan map[string]any
	events  chan map[string]any
}

func newPeer(t testing.TB, conn jsonrpc.Conn) *peer {
	p := &peer{t, conn, make(chan map[string]any, 1024), make(chan map[string]any, 4096)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.replies)
		defer close(p.events)
		for {
			frame, err := conn.ReadFrame()
			if err != nil {
				return
			}
			m := decode(t, string(frame))
			if m["method"] == "onEvent" {
				p.events <- m
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

func (p *peer) send(raw string) {
	p.t.Helper()
	if err := p.conn.WriteJSON(json.RawMessage(raw)); err != nil {
		p.t.Fatalf("send %.100s: %v", raw, err)
	}
}

func (p *peer) reply() map[string]any { p.t.Helper(); return p.take(p.replies, "reply") }
func (p *peer) event() map[string]any { p.t.Helper(); return p.take(p.events, "event") }

func (p *peer) take(ch chan map[string]any, what string) map[string]any {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	select {
	case m, ok := <-ch:
		if !ok {
			p.t.Fatalf("connection ended while waiting for a %s", what)
		}
		return m
	case <-ctx.Done():
		p.t.Fatalf("no %s within %v", what, deadline)
	}
	return nil
}

// ask sends a request and gives the value of its reply; code is 0 or the error's.
func (p *peer) ask(id int, method string, params map[string]any) (value any, code int, message string) {
	p.t.Helper()
	raw, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(string(raw))
	r := p.reply()
	if e, ok := r["error"].(map[string]any); ok {
		n, _ := e["code"].(json.Number).Int64()
		return nil, int(n), e["message"].(string)
	}
	res, _ := r["result"].(map[string]any)
	return res["value"], 0, ""
}
