package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const (
	badSeed   = 20261 // fixed: a failure comes again
	badFrames = 5000
)

// TestBadInput throws 5,000 malformed REST requests and 5,000 malformed frames
// at each WebSocket of the running server while a session with two idle
// participants goes on. No answer is a 5xx but 503, nothing panics, and the
// session is afterwards what it was before, to the byte.
func TestBadInput(t *testing.T) {
	s := startServer(t)
	id := s.session(map[string]any{"customSessionId": "bystanders"})
	tokenA, _ := s.connection(id, "MODERATOR", map[string]any{"data": "one"})
	tokenB, _ := s.connection(id, "PUBLISHER", map[string]any{"data": "two"})
	s.connection(id, "SUBSCRIBER", nil) // a token that stays unused
	one, two := dialWire(t, s), dialWire(t, s)
	one.join(id, tokenA)
	two.join(id, tokenB)
	before := s.sessionJSON(id)
	goroutines := s.metric("go_goroutines")
	victims := names{session: id, connections: []string{one.id, two.id}}

	attack := func(name string, f func(t *testing.T, g *garbage)) {
		t.Run(name, func(t *testing.T) {
			s.t = t
			defer func() { s.t = t }()
			f(t, newGarbage(badSeed, victims))
			s.healthy()
			if after := s.sessionJSON(id); !bytes.Equal(before, after) {
				t.Errorf("the bystanders' session was\n%s\nand is\n%s", before, after)
			}
		})
		s.t = t
	}
	attack("REST", func(t *testing.T, g *garbage) { attackREST(t, s, g) })
	attack("raw HTTP", func(t *testing.T, g *garbage) { attackHTTP(t, s, g) })
	attack("signalling", func(t *testing.T, g *garbage) { attackSignalling(t, s, g) })
	attack("KMS", func(t *testing.T, g *garbage) { attackKMS(t, s, g) })

	one.ok("sendMessage", map[string]any{"message": `{"to":[],"data":"we are still here","type":"signal:x"}`})
	for _, w := range []*wire{one, two} {
		w.hears(eventDeadline, "sendMessage", func(p map[string]any) bool { return p["data"] == "we are still here" })
		w.mu.Lock()
		for _, n := range w.notes {
			if n.Method != "participantJoined" && n.Method != "sendMessage" {
				t.Errorf("a bystander was told %s %v", n.Method, n.Params)
			}
			if n.Method == "sendMessage" && n.Params["data"] != "we are still here" {
				t.Errorf("a bystander got a stranger's signal: %v", n.Params)
			}
		}
		w.mu.Unlock()
	}
	// What the attackers left behind goes when their reconnection windows end.
	for _, left := range s.sessionIDs() {
		if left != id {
			if r, err := s.try("DELETE", "/openvidu/api/sessions/"+left, nil); err != nil || r.Status != 204 && r.Status != 404 {
				t.Errorf("close an attacker's session: %v %v", r, err)
			}
		}
	}
	eventually(t, 100*time.Second, "the attackers' goroutines end", func() error {
		s.client.CloseIdleConnections()
		now := s.metric("go_goroutines")
		return want(now <= goroutines+20, "%v goroutines, %v before", now, goroutines)
	})
	s.healthy()
}

func (s *server) sessionJSON(id string) []byte {
	s.t.Helper()
	var body []byte
	eventually(s.t, eventDeadline, "the session is told", func() error {
		r, err := s.try("GET", "/openvidu/api/sessions/"+id+"?pendingConnections=true", nil)
		body = r.Body
		if err != nil {
			return err
		}
		return want(r.Status == 200, "%v", r)
	})
	return body
}

func (s *server) sessionIDs() []string {
	s.t.Helper()
	var list struct{ Content []struct{ ID string } }
	s.rest(200, "GET", "/sessions", nil, &list)
	var ids []string
	for _, c := range list.Content {
		ids = append(ids, c.ID)
	}
	return ids
}

// statuses counts answers and keeps the first forbidden ones.
type statuses struct {
	sync.Mutex
	count map[int]int
	bad   []string
}

func (c *statuses) add(status int, request, body string) {
	c.Lock()
	defer c.Unlock()
	c.count[status]++
	if status >= 500 && status != 503 && len(c.bad) < 10 {
		c.bad = append(c.bad, fmt.Sprintf("%s: %d %.300s", request, status, body))
	}
}

func (c *statuses) report(t *testing.T) {
	t.Helper()
	t.Logf("answers by status: %v", c.count)
	for _, b := range c.bad {
		t.Errorf("forbidden answer: %s", b)
	}
	if c.count[200]+c.count[204] > 0 && c.count[400] == 0 {
		t.Error("nothing was refused: the garbage proves nothing")
	}
}

func attackREST(t *testing.T, s *server, g *garbage) {
	seen := &statuses{count: map[int]int{}}
	requests := make(chan badRequest)
	var workers sync.WaitGroup
	for range 6 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for q := range requests {
				req, err := http.NewRequest(q.method, s.url(""), strings.NewReader(q.body))
				if err != nil {
					continue // nothing that HTTP could carry
				}
				req.URL.Opaque = q.path
				for name, value := range q.header {
					req.Header.Set(name, value)
				}
				resp, err := s.client.Do(req)
				if err != nil {
					if s.proc.exited() {
						return
					}
					seen.add(0, q.method+" "+q.path, err.Error())
					continue
				}
				body := new(bytes.Buffer)
				_, _ = body.ReadFrom(resp.Body)
				_ = resp.Body.Close()
				seen.add(resp.StatusCode, q.method+" "+q.path+" "+q.body[:min(200, len(q.body))], body.String())
			}
		}()
	}
	for range badFrames {
		requests <- g.request()
	}
	close(requests)
	workers.Wait()
	seen.report(t)
}

// attackHTTP sends what no HTTP client would: it writes to the TLS socket.
func attackHTTP(t *testing.T, s *server, g *garbage) {
	seen := &statuses{count: map[int]int{}}
	for range 200 {
		conn, err := tls.Dial("tcp", fmt.Sprintf("localhost:%d", s.ports.HTTPS), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatalf("connect: %v", err)
		}
		raw := g.rawHTTP()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = conn.Write([]byte(raw))
		_ = conn.CloseWrite()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			seen.add(resp.StatusCode, fmt.Sprintf("%.80q", raw), "")
			_ = resp.Body.Close()
		} else {
			seen.add(0, "", "")
		}
		_ = conn.Close()
	}
	// net/http itself answers 505 and 501 to what is no HTTP/1.1 at all.
	var bad []string
	for _, b := range seen.bad {
		if !strings.Contains(b, ": 505 ") && !strings.Contains(b, ": 501 ") {
			bad = append(bad, b)
		}
	}
	seen.bad = bad
	seen.report(t)
}

// attackSignalling sends frames on sockets of strangers and of participants of
// another session, whose frames reach deeper.
func attackSignalling(t *testing.T, s *server, g *garbage) {
	own := s.session(map[string]any{"customSessionId": "attackers"})
	address := fmt.Sprintf("wss://localhost:%d/openvidu", s.ports.HTTPS)
	dealt, closed, joined := 0, 0, 0
	for socket := 0; dealt < badFrames; socket++ {
		var opening []any
		if socket%2 == 0 {
			token, _ := s.connection(own, "MODERATOR", nil)
			opening = append(opening, map[string]any{"jsonrpc": "2.0", "id": 0, "method": "joinRoom", "params": joinParams(own, token)})
			joined++
		}
		if volley(t, address, opening, g.signalling) {
			dealt += perSocket
		} else {
			closed++
		}
	}
	t.Logf("%d frames on %d sockets, %d of them of participants, dealt with; %d sockets closed by the server on the way", dealt, dealt/perSocket, joined, closed)
}

func attackKMS(t *testing.T, s *server, g *garbage) {
	address := fmt.Sprintf("ws://127.0.0.1:%d/kurento", s.ports.KMS)
	dealt, closed := 0, 0
	for dealt < badFrames {
		if volley(t, address, nil, g.kms) {
			dealt += perSocket
		} else {
			closed++
		}
	}
	t.Logf("%d frames on %d sockets dealt with; %d sockets closed by the server on the way", dealt, dealt/perSocket, closed)
}

// perSocket frames go over one socket: within the rate that is served, and few
// enough that many sockets see no frame that closes them.
const perSocket = 20

// volley opens a socket, sends its frames and then a ping, and reads until the
// ping is answered or the server has closed the socket, as it may. It says
// whether the ping was answered: then the server has dealt with every frame.
func volley(t *testing.T, address string, opening []any, frame func() (int, []byte)) bool {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: 20 * time.Second}
	conn, _, err := dialer.Dial(address, nil)
	if err != nil {
		t.Fatalf("open %s: %v", address, err)
	}
	defer conn.Close()
	done := make(chan bool, 1)
	go func() {
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				var shut *websocket.CloseError
				if !errors.As(err, &shut) && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "EOF") {
					t.Errorf("read from %s: %v", address, err)
				}
				done <- false
				return
			}
			if bytes.Contains(data, []byte(`"pong"`)) && bytes.Contains(data, []byte("987654")) {
				done <- true
				return
			}
		}
	}()
	for _, m := range opening {
		_ = conn.WriteJSON(m)
	}
	for range perSocket {
		kind, data := frame()
		if err := conn.WriteMessage(kind, data); err != nil {
			break
		}
	}
	_ = conn.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": 987654, "method": "ping", "params": map[string]any{"interval": 5000}})
	deadline := time.NewTimer(callDeadline)
	defer deadline.Stop()
	select {
	case answered := <-done:
		return answered
	case <-deadline.C:
		t.Fatalf("%s neither answers a ping nor closes after bad frames", address)
		return false
	}
}
