package signal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/mediatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a Manager with a fake media node behind a Handler.
type house struct {
	t     testing.TB
	m     *openvidu.Manager
	media *mediatest.Client
	h     *Handler
	busy  atomic.Value // string: why the server is overloaded
}

func newHouse(t testing.TB, tweaks ...func(*Options)) *house {
	t.Helper()
	x := &house{t: t, media: mediatest.New()}
	x.busy.Store("")
	var err error
	x.m, err = openvidu.New(openvidu.Options{
		Media: x.media, GarbageInterval: -1, Bandwidth: openvidu.DefaultBandwidth(), PublicHost: "h",
		OwnICEServers: []openvidu.ICEServer{{URL: "stun:h:40000"}}, Busy: func() string { return x.busy.Load().(string) },
	})
	x.must(err)
	opts := Options{Manager: x.m}
	for _, f := range tweaks {
		f(&opts)
	}
	x.h = New(opts)
	t.Cleanup(x.close)
	return x
}

func (x *house) close() {
	_ = x.m.Close()
	_ = x.h.Close()
}

func (x *house) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// token makes a token for con_<name>, and the session if need be.
func (x *house) token(session, name string, role auth.Role) string {
	x.t.Helper()
	if _, err := x.m.CreateSession(x.t.Context(), openvidu.SessionProperties{CustomSessionID: session}); err != nil && !strings.Contains(err.Error(), "exists") {
		x.t.Fatal(err)
	}
	info, err := x.m.CreateConnection(x.t.Context(), session, openvidu.ConnectionProperties{
		Role: role, Data: fmt.Sprintf(`{"openviduCustomConnectionId":%q}`, name),
	})
	x.must(err)
	return *info.Token
}

func (x *house) digest() string {
	x.t.Helper()
	list, err := x.m.Sessions(x.t.Context(), openvidu.ViewOptions{PendingConnections: true})
	x.must(err)
	b, err := json.Marshal(list)
	x.must(err)
	return string(b)
}

// browser is one client on a wire.
type browser struct {
	x    *house
	conn jsonrpc.Conn
	id   int
	got  []frame // notifications that came while waiting for replies
	done chan struct{}
}

type frame struct {
	ID      json.RawMessage
	Method  string
	Params  json.RawMessage
	Result  map[string]any
	Error   *jsonrpc.Error
	JSONRPC string
	raw     string
}

// memory opens a socket over memory.
func (x *house) memory() *browser {
	near, far := jsonrpc.Pipe()
	b := &browser{x: x, conn: near, done: make(chan struct{})}
	if !x.h.begin() {
		x.t.Fatal("the handler is closed")
	}
	s := newSocket(x.h, far, "192.0.2.7", "0123456789ABCDEF")
	x.h.keep(s)
	go func() {
		defer close(b.done)
		defer x.h.wg.Done()
		defer x.h.drop(s)
		s.serve()
	}()
	return b
}

// web opens a socket over a real WebSocket; raw is its connection.
func (x *house) web(header http.Header) (raw *websocket.Conn, resp *http.Response, err error) {
	srv := httptest.NewServer(x.h)
	x.t.Cleanup(srv.Close)
	return websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http")+"/openvidu?sessionId=S", header)
}

func (b *browser) send(method string, params any) int {
	b.x.t.Helper()
	m := map[string]any{"jsonrpc": "2.0", "method": method, "id": b.id}
	if params != nil {
		m["params"] = params
	}
	b.id++
	b.x.must(b.conn.WriteJSON(m))
	return b.id - 1
}

// next reads one frame; ok is false at the end of the socket.
func (b *browser) next() (f frame, ok bool) {
	raw, err := b.conn.ReadFrame()
	if err != nil {
		return f, false
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		b.x.t.Errorf("unreadable frame %s: %v", raw, err)
	}
	f.raw = string(raw)
	if f.JSONRPC != "2.0" {
		b.x.t.Errorf("frame without jsonrpc 2.0: %s", raw)
	}
	return f, true
}

// call sends a request and waits for its answer, keeping notifications.
func (b *browser) call(method string, params any) frame {
	b.x.t.Helper()
	id := b.send(method, params)
	for {
		f, ok := b.next()
		if !ok {
			b.x.t.Fatalf("%s: the socket ended before the answer", method)
		}
		if f.Method != "" {
			b.got = append(b.got, f)
			continue
		}
		if string(f.ID) != fmt.Sprint(id) {
			b.x.t.Fatalf("%s: answer %s, want id %d", method, f.raw, id)
		}
		if f.Error == nil && (f.Result == nil || f.Result["sessionId"] == nil) {
			b.x.t.Errorf("%s: result without sessionId: %s", method, f.raw)
		}
		return f
	}
}

// notification waits for a notification of a method.
func (b *browser) notification(method string) frame {
	b.x.t.Helper()
	for {
		if i := slices.IndexFunc(b.got, func(f frame) bool { return f.Method == method }); i >= 0 {
			f := b.got[i]
			b.got = slices.Delete(b.got, i, i+1)
			return f
		}
		f, ok := b.next()
		if !ok {
			b.x.t.Fatalf("the socket ended before %s", method)
		}
		b.got = append(b.got, f)
	}
}

func (b *browser) join(session, name string, role auth.Role) frame {
	b.x.t.Helper()
	f := b.call("joinRoom", joinParams(b.x.token(session, name, role), session))
	if f.Error != nil {
		b.x.t.Fatalf("join: %v", f.Error)
	}
	return f
}

func joinParams(token, session string) map[string]any {
	return map[string]any{
		"token": token, "session": session, "platform": "Test", "sdkVersion": "2.32.2", "metadata": `{"clientData":"me"}`,
		"secret": "", "recorder": false, "stt": false,
	}
}

func (b *browser) wantCode(what string, f frame, code int) {
	b.x.t.Helper()
	if f.Error == nil || f.Error.Code != code {
		b.x.t.Errorf("%s: answer %s, want code %d", what, f.raw, code)
	}
}

// close hangs up.
func (b *browser) close() { _ = b.conn.Close(jsonrpc.CloseNormal, "") }

func publishParams(ufrag string) map[string]any {
	return map[string]any{
		"sdpOffer": mediatest.Offer(ufrag, "VP8"), "doLoopback": false, "hasAudio": true, "hasVideo": true, "audioActive": true,
		"videoActive": true, "typeOfVideo": "CAMERA", "frameRate": 30, "videoDimensions": `{"width":640,"height":480}`,
	}
}

// closed waits for the close frame of a WebSocket and gives its code.
func closed(t *testing.T, ws *websocket.Conn) int {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if e, ok := err.(*websocket.CloseError); ok {
				return e.Code
			}
			t.Fatalf("no close frame: %v", err)
		}
	}
}
