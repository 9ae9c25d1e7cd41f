package jsonrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 30 * time.Second

// sockets gives both ends of a WebSocket.
func sockets(t *testing.T, server, client SocketOptions) (Conn, Conn, *websocket.Conn) {
	t.Helper()
	accepted := make(chan *websocket.Conn, 1)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		accepted <- ws
	}))
	t.Cleanup(h.Close)
	raw, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(h.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := NewSocket(<-accepted, server)
	b := NewSocket(raw, client)
	t.Cleanup(func() {
		a.Abort(CloseNormal, "")
		b.Abort(CloseNormal, "")
		a.Close(CloseNormal, "")
		b.Close(CloseNormal, "")
	})
	return a, b, raw
}

func read(t *testing.T, c Conn) string {
	t.Helper()
	b, err := c.ReadFrame()
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(b)
}

func closeCode(err error) int {
	var e *websocket.CloseError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestConnBothKinds(t *testing.T) {
	ends := map[string]func(t *testing.T) (Conn, Conn){
		"memory": func(*testing.T) (Conn, Conn) { return Pipe() },
		"websocket": func(t *testing.T) (Conn, Conn) {
			a, b, _ := sockets(t, SocketOptions{}, SocketOptions{})
			return a, b
		},
	}
	for name, make := range ends {
		t.Run(name, func(t *testing.T) {
			a, b := make(t)
			for i := range 200 {
				if err := a.WriteJSON(map[string]any{"n": i, "html": "<&>"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.WriteJSON(json.RawMessage(`{"raw":1}`)); err != nil {
				t.Fatal(err)
			}
			for i := range 200 {
				if got, want := read(t, b), fmt.Sprintf(`{"html":"<&>","n":%d}`, i); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
			}
			if got := read(t, b); got != `{"raw":1}` {
				t.Fatalf("got %s", got)
			}
			if err := a.WriteJSON("last"); err != nil {
				t.Fatal(err)
			}
			// What was written before Close arrives.
			done := goClose(a)
			if got := read(t, b); got != `"last"` {
				t.Errorf("got %s after close", got)
			}
			if _, err := b.ReadFrame(); !errors.Is(err, io.EOF) {
				t.Errorf("end of stream: %v, want io.EOF", err)
			}
			<-done
			<-a.Done()
			if err := a.WriteJSON(1); !errors.Is(err, ErrClosed) {
				t.Errorf("write after close: %v", err)
			}
		})
	}
}

func goClose(c Conn) chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Close(CloseNormal, "")
	}()
	return done
}

func TestCloseCodeReachesPeer(t *testing.T) {
	a, b, _ := sockets(t, SocketOptions{}, SocketOptions{})
	done := goClose(&closing{a, CloseProtocol, "Invalid path"})
	_, err := b.ReadFrame()
	var e *websocket.CloseError
	if !errors.As(err, &e) || e.Code != CloseProtocol || e.Text != "Invalid path" {
		t.Errorf("peer saw %v", err)
	}
	<-done
}

type closing struct {
	Conn
	code   int
	reason string
}

func (c *closing) Close(int, string) error { return c.Conn.Close(c.code, c.reason) }

// TestSlowConsumer: a peer that does not read costs a bounded queue and its own
// connection, and no writer ever waits.
func TestSlowConsumer(t *testing.T) {
	a, _, _ := sockets(t, SocketOptions{QueueMessages: 50, QueueBytes: 1 << 20}, SocketOptions{})
	big := strings.Repeat("x", 64<<10)
	began := time.Now()
	var err error
	for range 10_000 {
		if err = a.WriteJSON(big); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrSlow) {
		t.Fatalf("writes to a peer that does not read: %v, want ErrSlow", err)
	}
	if took := time.Since(began); took > deadline/2 {
		t.Errorf("writers waited %v", took)
	}
	select {
	case <-a.Done():
	case <-time.After(deadline):
		t.Error("connection stays open")
	}
}

func TestRefusedFrames(t *testing.T) {
	for name, c := range map[string]struct {
		kind int
		data string
		code int
	}{
		"binary":       {websocket.BinaryMessage, "{}", CloseUnsupported},
		"bad UTF-8":    {websocket.TextMessage, "\"\xff\"", CloseInvalidUTF8},
		"over a limit": {websocket.TextMessage, `"` + strings.Repeat("x", 3000) + `"`, CloseTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, raw := sockets(t, SocketOptions{MaxMessage: 1000}, SocketOptions{})
			served := make(chan error, 1)
			go func() {
				served <- Serve(context.Background(), a, InOrder(func(context.Context, *Request) {}), ServeOptions{TooBig: &Error{Code: -1, Message: "too big"}})
			}()
			if err := raw.WriteMessage(c.kind, []byte(c.data)); err != nil {
				t.Fatal(err)
			}
			if c.code == CloseTooBig {
				if got := read(t, b); got != `{"error":{"code":-1,"message":"too big"},"id":null,"jsonrpc":"2.0"}` {
					t.Errorf("answer %s", got)
				}
			}
			if _, err := b.ReadFrame(); closeCode(err) != c.code {
				t.Errorf("peer saw %v, want close %d", err, c.code)
			}
			<-served
		})
	}
}

func TestEnvelope(t *testing.T) {
	good := map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"m"}`:                        "1",
		`{"jsonrpc":"2.0","id":-1.5e3,"method":"m","params":null}`:     "-1.5e3",
		`{"jsonrpc":"2.0","id":12345678901234567890,"method":"m"}`:     "12345678901234567890",
		`{"jsonrpc":"2.0","id":"a","method":"m","params":{"a":[1,2]}}`: `"a"`,
		`{"jsonrpc":"2.0","id":null,"method":"m"}`:                     "",
		`{"jsonrpc":"2.0","method":"m","other":1}`:                     "",
	}
	for in, id := range good {
		r, err := ParseRequest([]byte(in))
		if err != nil || string(r.ID) != id || r.Method != "m" {
			t.Errorf("%s: %+v, %v", in, r, err)
		}
	}
	bad := map[string]int{
		``: CodeParse, `{`: CodeParse, `nope`: CodeParse, `{}{}`: CodeParse,
		strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1): CodeParse,
		`{}`: CodeInvalidRequest, `[]`: CodeInvalidRequest, `null`: CodeInvalidRequest, `5`: CodeInvalidRequest, `"x"`: CodeInvalidRequest,
		`[{"jsonrpc":"2.0","id":1,"method":"m"}]`:                                  CodeInvalidRequest,
		`{"jsonrpc":"1.0","id":1,"method":"m"}`:                                    CodeInvalidRequest,
		`{"jsonrpc":2.0,"id":1,"method":"m"}`:                                      CodeInvalidRequest,
		`{"jsonrpc":"2.0","id":1}`:                                                 CodeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":7}`:                                      CodeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"Method":"m"}`:                                    CodeInvalidRequest,
		`{"jsonrpc":"2.0","id":{},"method":"m"}`:                                   CodeInvalidRequest,
		`{"jsonrpc":"2.0","id":true,"method":"m"}`:                                 CodeInvalidRequest,
		`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", MaxID) + `","method":"m"}`: CodeInvalidRequest,
	}
	for in, code := range bad {
		if _, err := ParseRequest([]byte(in)); err == nil || err.Code != code {
			t.Errorf("%.80s: %v, want %d", in, err, code)
		}
	}
	if _, err := ParseRequest([]byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"s":"\"[[[[` + strings.Repeat("[{", 100) + `"}}`)); err != nil {
		t.Errorf("brackets in a text are no depth: %v", err)
	}
}

// keyed is a handler whose requests name their key; "x…" is exclusive and
// "block…" waits for gate.
type keyed struct {
	gate chan struct{}
	mu   sync.Mutex
	log  []string
}

func (k *keyed) Route(r *Request) Route {
	key, _, _ := strings.Cut(r.Method, ".")
	return Route{Key: key, Exclusive: key == "x"}
}

func (k *keyed) Handle(ctx context.Context, r *Request) {
	if strings.HasSuffix(r.Method, "block") {
		<-k.gate
	}
	if strings.HasSuffix(r.Method, "panic") {
		panic("on purpose")
	}
	k.mu.Lock()
	k.log = append(k.log, r.Method)
	k.mu.Unlock()
	r.Conn.WriteJSON(Result(r.ID, r.Method))
}

func ask(t *testing.T, c Conn, id int, method string) {
	t.Helper()
	if err := c.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": id, "method": method}); err != nil {
		t.Fatal(err)
	}
}

// TestOrder: one key in order, keys in parallel, exclusive between all.
func TestOrder(t *testing.T) {
	a, b := Pipe()
	k := &keyed{gate: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- Serve(context.Background(), a, k, ServeOptions{}) }()
	ask(t, b, 0, "a.block")
	for i := range 20 {
		ask(t, b, 1+i, fmt.Sprintf("a.%d", i))
	}
	ask(t, b, 50, "b.0") // overtakes the blocked key
	if got := read(t, b); got != `{"id":50,"jsonrpc":"2.0","result":"b.0"}` {
		t.Fatalf("first reply %s, want that of the other key", got)
	}
	ask(t, b, 60, "x.0")
	ask(t, b, 61, "b.1")
	close(k.gate)
	var got []string
	for range 23 {
		var r struct{ Result string }
		if err := json.Unmarshal([]byte(read(t, b)), &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Result)
	}
	want := []string{"a.block"}
	for i := range 20 {
		want = append(want, fmt.Sprintf("a.%d", i))
	}
	want = append(want, "x.0", "b.1")
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("order %v\nwant  %v", got, want)
	}
	b.Close(CloseNormal, "")
	if err := <-served; err != nil {
		t.Errorf("orderly end: %v", err)
	}
}

// TestServeEnds: with ctx, with a panic, with too much nonsense.
func TestServeEnds(t *testing.T) {
	t.Run("context", func(t *testing.T) {
		a, b := Pipe()
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- Serve(ctx, a, &keyed{}, ServeOptions{}) }()
		cancel()
		<-served
		if _, err := b.ReadFrame(); !errors.Is(err, io.EOF) {
			t.Errorf("peer sees %v", err)
		}
	})
	t.Run("panic", func(t *testing.T) {
		a, b, _ := sockets(t, SocketOptions{}, SocketOptions{})
		served := make(chan error, 1)
		go func() { served <- Serve(context.Background(), a, &keyed{}, ServeOptions{}) }()
		ask(t, b, 1, "a.panic")
		if _, err := b.ReadFrame(); closeCode(err) != CloseInternal {
			t.Errorf("peer saw %v, want close 1011", err)
		}
		<-served
	})
	t.Run("nonsense", func(t *testing.T) {
		a, b, _ := sockets(t, SocketOptions{}, SocketOptions{})
		served := make(chan error, 1)
		go func() { served <- Serve(context.Background(), a, &keyed{}, ServeOptions{}) }()
		for _, frame := range []string{"no", "no", `{}`, "no", "no", "no"} {
			if err := b.WriteJSON([]byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		for range 6 {
			read(t, b)
		}
		if _, err := b.ReadFrame(); closeCode(err) != ClosePolicy {
			t.Errorf("peer saw %v, want close 1008", err)
		}
		<-served
	})
	t.Run("backpressure", func(t *testing.T) {
		a, b := Pipe()
		k := &keyed{gate: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- Serve(context.Background(), a, k, ServeOptions{Outstanding: 4}) }()
		ask(t, b, 0, "a.block")
		for i := range 100 {
			ask(t, b, 1+i, "a.0")
		}
		close(k.gate)
		for range 101 {
			read(t, b)
		}
		b.Close(CloseNormal, "")
		<-served
	})
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{`{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}`, `[]`, `{"jsonrpc":"2.0","id":"\u0000","method":""}`, "", "\xff", `{"jsonrpc":"2.0","id":1e999,"method":"m","params":[[[]]]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := ParseRequest(frame)
		if (r == nil) == (err == nil) {
			t.Fatal("neither a request nor an error")
		}
		var reply any
		if err != nil {
			reply = Failure(nil, err)
		} else {
			reply = Result(r.ID, nil)
		}
		raw, mErr := Marshal(reply)
		if mErr != nil || !json.Valid(raw) {
			t.Fatalf("reply %s: %v", raw, mErr)
		}
	})
}
