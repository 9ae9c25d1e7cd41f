package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// wire is a participant without media: the signalling protocol by hand, for
// what the client library would refuse by itself before the server could.
type wire struct {
	t    testing.TB
	conn *websocket.Conn
	id   string // connection id, after join

	writing sync.Mutex
	mu      sync.Mutex
	next    int
	calls   map[int]chan wireReply
	notes   []wireNote
	closed  error
	done    chan struct{}
	quit    chan struct{}
}

type wireReply struct {
	Result map[string]any
	Error  *struct {
		Code    int
		Message string
	}
}

type wireNote struct {
	Method string
	Params map[string]any
}

// dialWire opens a signalling socket and keeps it alive with pings.
func dialWire(t testing.TB, s *server) *wire {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: callDeadline}
	conn, _, err := dialer.Dial(fmt.Sprintf("wss://localhost:%d/openvidu", s.ports.HTTPS), nil)
	if err != nil {
		t.Fatalf("open a signalling socket: %v", err)
	}
	w := &wire{t: t, conn: conn, calls: map[int]chan wireReply{}, done: make(chan struct{}), quit: make(chan struct{})}
	pings := make(chan struct{})
	go w.read()
	go w.ping(pings)
	t.Cleanup(func() {
		close(w.quit)
		_ = conn.Close()
		<-w.done
		<-pings
	})
	return w
}

func (w *wire) ping(over chan struct{}) {
	defer close(over)
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	var params any = map[string]any{"interval": 5000}
	for {
		w.mu.Lock()
		id := w.next
		w.next++
		w.mu.Unlock()
		if err := w.send(map[string]any{"jsonrpc": "2.0", "id": id, "method": "ping", "params": params}); err != nil {
			return
		}
		params = nil
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
	}
}

func (w *wire) send(message any) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.conn.WriteJSON(message)
}

func (w *wire) read() {
	defer close(w.done)
	for {
		_, data, err := w.conn.ReadMessage()
		var m struct {
			ID *int
			wireNote
			wireReply
		}
		if err == nil {
			err = json.Unmarshal(data, &m)
		}
		w.mu.Lock()
		if err != nil {
			w.closed = err
			for _, call := range w.calls {
				close(call)
			}
			w.calls = map[int]chan wireReply{}
			w.mu.Unlock()
			return
		}
		if m.ID != nil {
			if call := w.calls[*m.ID]; call != nil {
				delete(w.calls, *m.ID)
				call <- m.wireReply
			}
		} else {
			w.notes = append(w.notes, m.wireNote)
		}
		w.mu.Unlock()
	}
}

// call sends a request and returns the reply, which may be an error.
func (w *wire) call(method string, params any) wireReply {
	w.t.Helper()
	reply := make(chan wireReply, 1)
	w.mu.Lock()
	if w.closed != nil {
		w.mu.Unlock()
		w.t.Fatalf("%s: the socket is closed: %v", method, w.closed)
	}
	id := w.next
	w.next++
	w.calls[id] = reply
	w.mu.Unlock()
	if err := w.send(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params}); err != nil {
		w.t.Fatalf("%s: %v", method, err)
	}
	deadline := time.NewTimer(callDeadline)
	defer deadline.Stop()
	select {
	case r, ok := <-reply:
		if !ok {
			w.t.Fatalf("%s: the socket closed before the answer: %v", method, w.closed)
		}
		if (r.Result == nil) == (r.Error == nil) {
			w.t.Fatalf("%s: exactly one of result and error must be there: %+v", method, r)
		}
		return r
	case <-deadline.C:
		w.t.Fatalf("%s: no answer within %v", method, callDeadline)
		panic("unreachable")
	}
}

// ok is call that demands a result.
func (w *wire) ok(method string, params any) map[string]any {
	w.t.Helper()
	r := w.call(method, params)
	if r.Error != nil {
		w.t.Fatalf("%s %v: error %d %s", method, params, r.Error.Code, r.Error.Message)
	}
	return r.Result
}

// fails is call that demands an error code.
func (w *wire) fails(code int, method string, params any) {
	w.t.Helper()
	r := w.call(method, params)
	if r.Error == nil {
		w.t.Errorf("%s %v was allowed: %v", method, params, r.Result)
	} else if r.Error.Code != code {
		w.t.Errorf("%s %v: error %d %q, want %d", method, params, r.Error.Code, r.Error.Message, code)
	}
}

func joinParams(session, token string) map[string]any {
	return map[string]any{
		"token": token, "session": session, "platform": "wire", "sdkVersion": "2.32.2",
		"metadata": "", "secret": "", "recorder": false, "stt": false,
	}
}

func (w *wire) join(session, token string) map[string]any {
	w.t.Helper()
	result := w.ok("joinRoom", joinParams(session, token))
	w.id, _ = result["id"].(string)
	return result
}

// hears waits for a notification.
func (w *wire) hears(deadline time.Duration, method string, match func(map[string]any) bool) {
	w.t.Helper()
	eventually(w.t, deadline, "a participant hears "+method, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, n := range w.notes {
			if n.Method == method && match(n.Params) {
				return nil
			}
		}
		return fmt.Errorf("it heard %v", w.notes)
	})
}
