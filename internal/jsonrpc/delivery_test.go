package jsonrpc

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestDeliveryIsTracked: what a peer that does not read has not acknowledged is
// told, in order, over TCP and over TLS; when it has read, nothing is.
func TestDeliveryIsTracked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			conns := make(chan Conn, 1)
			up := websocket.Upgrader{}
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ws, err := up.Upgrade(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				conns <- NewSocket(ws, SocketOptions{QueueMessages: 1 << 16, QueueBytes: 1 << 30, TrackDelivery: true})
			}))
			if secure {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			dialer := websocket.Dialer{
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
				NetDial: func(network, addr string) (net.Conn, error) {
					c, err := net.Dial(network, addr)
					if err == nil {
						err = c.(*net.TCPConn).SetReadBuffer(32768)
					}
					return c, err
				},
			}
			ws, _, err := dialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			conn := <-conns
			defer conn.Abort(CloseNormal, "")
			conn.Alive(time.Hour)
			pad := strings.Repeat("x", 3000)
			const n = 60
			for i := range n {
				if err := conn.WriteJSON([]byte(fmt.Sprintf(`{"n":%d,"pad":%q}`, i, pad))); err != nil {
					t.Fatal(err)
				}
			}
			wait := func(what string, ok func() bool) {
				t.Helper()
				for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("never: %s; %d unwritten, %d undelivered", what, len(conn.Unsent(false)), len(conn.Unsent(true)))
					}
				}
			}
			wait("all is written", func() bool { return len(conn.Unsent(false)) == 0 })
			var got [][]byte
			wait("some is in the peer's buffer, some not", func() bool {
				got = conn.Unsent(true)
				return len(got) > 0 && len(got) < n
			})
			for i, b := range got {
				if want := fmt.Sprintf(`{"n":%d,`, n-len(got)+i); !strings.HasPrefix(string(b), want) {
					t.Fatalf("undelivered %d is %.20s, want %s", i, b, want)
				}
			}
			for range n {
				if _, _, err := ws.ReadMessage(); err != nil {
					t.Fatal(err)
				}
			}
			wait("all is delivered", func() bool { return len(conn.Unsent(true)) == 0 })
			// Acknowledged by a machine whose program is not known to be there.
			conn.Alive(0)
			if err := conn.WriteJSON([]byte(`{"n":0}`)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.ReadMessage(); err != nil {
				t.Fatal(err)
			}
			if got := conn.Unsent(true); len(got) != 1 {
				t.Errorf("%d undelivered, want the one acknowledged too late", len(got))
			}
			wait("a sign of life makes it delivered", func() bool {
				conn.Alive(0)
				return len(conn.Unsent(true)) == 0
			})
			ws.Close()
			conn.Close(CloseNormal, "")
		})
	}
}
