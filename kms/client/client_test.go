package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/core"
	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/kms"
	"github.com/govidu/govidu/kms/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 30 * time.Second

func newServer(t testing.TB) *kms.Server {
	t.Helper()
	reg, err := elements.NewRegistry(append(elements.Types(), core.Types()...)...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kms.NewServer(kms.Config{Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// node is a server behind a socket whose cables can be cut.
type node struct {
	*httptest.Server
	handler func() http.Handler
	mu      sync.Mutex
	conns   []net.Conn
}

func newNode(t testing.TB, h http.Handler) *node {
	n := &node{handler: func() http.Handler { return h }}
	n.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		h := n.handler()
		n.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	n.Config.ConnState = func(c net.Conn, s http.ConnState) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if s == http.StateHijacked {
			n.conns = append(n.conns, c)
		}
	}
	n.Start()
	t.Cleanup(func() { n.Close(); n.cut() })
	return n
}

func (n *node) url() string { return "ws" + strings.TrimPrefix(n.URL, "http") + "/kurento" }

func (n *node) serve(h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.handler = func() http.Handler { return h }
}

func (n *node) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.Close()
	}
	n.conns = nil
}

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return c
}

func TestBothStreams(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *client.Session{
		"memory": func(t *testing.T) *client.Session { return client.New(newServer(t).Pipe()) },
		"websocket": func(t *testing.T) *client.Session {
			c, err := client.Dial(ctx(t), newNode(t, newServer(t)).url(), client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			defer c.Close()
			ctx := ctx(t)
			pipe := must(c.Create(ctx, "MediaPipeline", nil))
			elem := must(c.Create(ctx, "PassThrough", map[string]any{"mediaPipeline": pipe}))
			if !strings.HasPrefix(string(elem), string(pipe)+"/") {
				t.Errorf("id %s is not below %s", elem, pipe)
			}
			var name string
			if err := c.Invoke(ctx, elem, "getName", nil, &name); err != nil || name != string(elem) {
				t.Errorf("getName %q, %v", name, err)
			}
			got := make(chan map[string]any, 100)
			cancel, err := c.Subscribe(ctx, elem, "ElementConnected", func(data json.RawMessage) {
				var m map[string]any
				if err := json.Unmarshal(data, &m); err != nil {
					t.Error(err)
				}
				got <- m
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Invoke(ctx, elem, "connect", map[string]any{"sink": elem}, nil); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"AUDIO", "VIDEO", "DATA"} {
				if m := <-got; m["mediaType"] != kind || m["sink"] != string(elem) {
					t.Errorf("event %v, want %s", m, kind)
				}
			}
			cancel()
			cancel()
			if err := c.Invoke(ctx, elem, "connect", map[string]any{"sink": elem}, nil); err != nil {
				t.Fatal(err)
			}
			if len(got) != 0 {
				t.Errorf("event after cancel: %v", <-got)
			}
			err = c.Invoke(ctx, elem, "noSuch", nil, nil)
			if code, _ := kerr.Of(err); code != kerr.MalformedTransaction || !strings.Contains(err.Error(), "Method 'noSuch' with 0 parameters not found") {
				t.Errorf("unknown operation: %v", err)
			}
			if _, err := c.Subscribe(ctx, elem, "NoSuch", nil); !errors.Is(err, kerr.MediaObjectEventNotSupported) {
				t.Errorf("unknown event: %v", err)
			}
			if err := c.Release(ctx, pipe); err != nil {
				t.Error(err)
			}
			if err := c.Release(ctx, pipe); err != nil {
				t.Errorf("second release: %v", err)
			}
			if err := c.Invoke(ctx, elem, "getName", nil, &name); !errors.Is(err, kerr.MediaObjectNotFound) {
				t.Errorf("call on a released object: %v", err)
			}
			if c.ID() == "" {
				t.Error("no session id")
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestParallel: first calls in parallel share one session; nothing races.
func TestParallel(t *testing.T) {
	c := client.New(newServer(t).Pipe())
	defer c.Close()
	ctx := ctx(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			pipe, err := c.Create(ctx, "MediaPipeline", nil)
			if err != nil {
				t.Error(err)
				return
			}
			elem, err := c.Create(ctx, "PassThrough", map[string]any{"mediaPipeline": pipe})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := c.Subscribe(ctx, elem, "Error", func(json.RawMessage) {}); err != nil {
				t.Error(err)
			}
			if err := c.Release(ctx, pipe); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var sessions []string
	if err := c.Invoke(ctx, "manager_ServerManager", "getSessions", nil, &sessions); err != nil || len(sessions) != 1 || sessions[0] != c.ID() {
		t.Errorf("sessions %v (%v), want only %s", sessions, err, c.ID())
	}
}

// TestReconnect: a cut socket is dialled again, objects and subscriptions stay,
// and calls made meanwhile wait.
func TestReconnect(t *testing.T) {
	n := newNode(t, newServer(t))
	c, err := client.Dial(ctx(t), n.url(), client.Options{Retry: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := ctx(t)
	pipe := must(c.Create(ctx, "MediaPipeline", nil))
	elem := must(c.Create(ctx, "PassThrough", map[string]any{"mediaPipeline": pipe}))
	got := make(chan json.RawMessage, 100)
	if _, err := c.Subscribe(ctx, elem, "ElementConnected", func(d json.RawMessage) { got <- d }); err != nil {
		t.Fatal(err)
	}
	session := c.ID()
	for range 5 {
		n.cut()
		var name string
		for { // a call whose reply was cut off may be repeated by its caller
			err := c.Invoke(ctx, elem, "getName", nil, &name)
			if err == nil {
				break
			}
			if !errors.Is(err, client.ErrInterrupted) {
				t.Fatalf("call across a cut: %v", err)
			}
		}
		if name != string(elem) || c.ID() != session {
			t.Errorf("name %s in session %s, want %s in %s", name, c.ID(), elem, session)
		}
	}
	if err := c.Invoke(ctx, elem, "connect", map[string]any{"sink": elem, "mediaType": "AUDIO"}, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-ctx.Done():
		t.Error("subscription did not survive the cut")
	}
}

// TestLost: a node that forgot the session, one that stays away, a stream that
// ends.
func TestLost(t *testing.T) {
	lost := func(t *testing.T, c *client.Session) {
		t.Helper()
		select {
		case <-c.Lost():
		case <-time.After(deadline):
			t.Fatal("the session is not lost")
		}
		if _, err := c.Create(context.Background(), "MediaPipeline", nil); !errors.Is(err, client.ErrLost) {
			t.Errorf("call on a lost session: %v", err)
		}
		c.Close()
	}
	t.Run("restarted", func(t *testing.T) {
		n := newNode(t, newServer(t))
		c := must(client.Dial(ctx(t), n.url(), client.Options{Retry: time.Millisecond}))
		must(c.Create(ctx(t), "MediaPipeline", nil))
		n.serve(newServer(t))
		n.cut()
		lost(t, c)
	})
	t.Run("away", func(t *testing.T) {
		n := newNode(t, newServer(t))
		c := must(client.Dial(ctx(t), n.url(), client.Options{Retry: time.Millisecond, GiveUp: 50 * time.Millisecond}))
		must(c.Create(ctx(t), "MediaPipeline", nil))
		n.serve(http.NotFoundHandler())
		n.cut()
		lost(t, c)
	})
	t.Run("memory", func(t *testing.T) {
		s := newServer(t)
		c := client.New(s.Pipe())
		must(c.Create(ctx(t), "MediaPipeline", nil))
		s.Close()
		lost(t, c)
	})
}

// TestEventBeforeReply: an event that overtakes the reply to subscribe reaches
// the handler; a handler that panics or is slow does not hold up replies.
func TestEventBeforeReply(t *testing.T) {
	mine, theirs := jsonrpc.Pipe()
	c := client.New(theirs)
	defer c.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			frame, err := mine.ReadFrame()
			if err != nil {
				return
			}
			r, bad := jsonrpc.ParseRequest(frame)
			if bad != nil {
				t.Errorf("%s: %v", frame, bad)
				return
			}
			if r.Method == "subscribe" {
				for i := range 3 {
					mine.WriteJSON(json.RawMessage(fmt.Sprintf(`{"jsonrpc":"2.0","method":"onEvent","params":{"value":{"data":{"n":%d},"object":"o","type":"E"}}}`, i)))
				}
			}
			mine.WriteJSON(jsonrpc.Result(r.ID, map[string]any{"sessionId": "s", "value": "sub"}))
		}
	}()
	seen := make(chan string, 10)
	release := make(chan struct{})
	if _, err := c.Subscribe(ctx(t), "o", "E", func(d json.RawMessage) {
		<-release
		seen <- string(d)
		if len(seen) == 1 {
			panic("on purpose")
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Invoke(ctx(t), "o", "x", nil, nil); err != nil { // while the handler waits
		t.Fatal(err)
	}
	close(release)
	for i := range 3 {
		if got := <-seen; got != fmt.Sprintf(`{"n":%d}`, i) {
			t.Errorf("event %s as number %d", got, i)
		}
	}
	mine.Close(jsonrpc.CloseNormal, "")
	<-done
}

// TestContext: a call ends with its context, not with the server's patience.
func TestContext(t *testing.T) {
	mine, theirs := jsonrpc.Pipe()
	defer mine.Close(jsonrpc.CloseNormal, "")
	c := client.New(theirs)
	defer c.Close()
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Create(short, "MediaPipeline", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("call without an answer: %v", err)
	}
}
