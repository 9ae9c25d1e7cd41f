package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
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

// names are ids of objects that exist and must not be touched.
type names struct {
	session     string
	connections []string
}

// garbage makes malformed input, always the same from one seed.
type garbage struct {
	r       *rand.Rand
	victims names
}

func newGarbage(seed uint64, victims names) *garbage {
	return &garbage{rand.New(rand.NewPCG(seed, 1)), victims}
}

type badRequest struct {
	method, path, body string
	header             map[string]string
}

func pick[T any](g *garbage, list ...T) T { return list[g.r.IntN(len(list))] }

// text is a string that nobody should have to read.
func (g *garbage) text() string {
	return pick(g,
		"", " ", "\x00", "null", "undefined", "../../etc/passwd", "%2e%2e%2f", "%00", "'; DROP TABLE sessions; --", "<script>", "${jndi:x}",
		"ses_"+strings.Repeat("A", 10), strings.Repeat("x", 1+g.r.IntN(5000)), "日本語\u202e", "\xff\xfe", "con_Nobody", "str_CAM_Aaaa_con_Nobody",
		g.victims.connections[0], "str_CAM_Aaaa_"+g.victims.connections[1], "RECORDER", "-1", "1e999", "\r\nX: y", "~", "%s%n", "wss://x?token=", "{", "\"")
}

// value is any JSON value, seldom a sensible one.
func (g *garbage) value(depth int) any {
	switch n := g.r.IntN(12); {
	case n < 4:
		return g.text()
	case n == 4:
		return g.r.Int64() - 1<<62
	case n == 5:
		return pick(g, 0.5, -1, 1e308, 0)
	case n == 6:
		return nil
	case n == 7:
		return g.r.IntN(2) == 0
	case n == 8 && depth > 0:
		list := make([]any, g.r.IntN(5))
		for i := range list {
			list[i] = g.value(depth - 1)
		}
		return list
	case n >= 9 && depth > 0:
		object := map[string]any{}
		for range g.r.IntN(5) {
			object[g.text()] = g.value(depth - 1)
		}
		return object
	}
	return json.RawMessage("[]")
}

// spoil marshals v and breaks the text.
func (g *garbage) spoil(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "{"
	}
	switch g.r.IntN(5) {
	case 0:
		return string(data[:g.r.IntN(len(data))])
	case 1:
		data[g.r.IntN(len(data))] = byte(g.r.IntN(256))
	case 2:
		return strings.Repeat(`[`, 1+g.r.IntN(3000)) + string(data)
	case 3:
		return string(data) + string(data)
	}
	return string(data)
}

// wrong marshals v, whose values are wrong already, or breaks the text so that
// no reader can take it for sound: a changed byte could turn the wrong key into
// an unknown one, which is ignored.
func (g *garbage) wrong(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "{"
	}
	if g.r.IntN(3) == 0 {
		return string(data[:1+g.r.IntN(len(data)-1)])
	}
	return string(data)
}

// request is malformed in its path, its body, its credentials or several.
// A wrong type is malformed too. What could be a sound order to change the
// bystanders' session is never made: their id comes only with bad bodies.
func (g *garbage) request() badRequest {
	q := badRequest{
		method: pick(g, "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"),
		header: map[string]string{"Content-Type": pick(g, "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "\"")},
	}
	credentials := &http.Request{Header: http.Header{}}
	credentials.SetBasicAuth("OPENVIDUAPP", secret)
	q.header["Authorization"] = credentials.Header.Get("Authorization")
	if g.r.IntN(50) == 0 {
		q.header["Authorization"] = pick(g, "Basic", "Basic !!!", "Bearer x", "Basic "+strings.Repeat("A", 4000), "")
	}
	object := map[string]any{}
	for _, key := range []string{
		"customSessionId", "mediaMode", "recordingMode", "forcedVideoCodec", "allowTranscoding", "defaultRecordingProperties", "role", "type", "data",
		"record", "kurentoOptions", "customIceServers", "rtspUri", "networkCache", "to", "name", "outputMode", "resolution", "frameRate", "hasAudio", "shmSize",
	} {
		if g.r.IntN(4) == 0 {
			object[key] = g.value(3)
		}
	}
	bad, body := g.badID(), g.spoil
	switch g.r.IntN(10) {
	case 0, 1:
		q.method, q.path = "POST", "/openvidu/api/sessions"
	case 2, 3:
		q.method, q.path = "POST", "/openvidu/api/sessions/"+g.victims.session+"/connection"
		object["role"] = pick[any](g, 7, "KING", []int{1}, map[string]any{}) // never a sound one
		body = g.wrong
	case 4:
		q.method, q.path = "POST", "/openvidu/api/signal"
		object["session"] = g.victims.session
		body = g.wrong
		object["to"] = pick[any](g, "everybody", 7, []any{1}, []any{"con_Nobody"}, map[string]any{}, []any{[]any{}})
	case 5:
		q.method, q.path = "POST", "/openvidu/api/recordings/start"
		object["session"] = pick[any](g, 7, []any{}, bad, g.victims.session)
		body = g.wrong
		object["name"] = pick[any](g, "no spaces", "a/b", 7, "..", []any{})
	case 6:
		q.path = "/openvidu/api/sessions/" + bad + pick(g, "", "/connection", "/connection/"+bad, "/stream/"+bad, "/nothing", "?webRtcStats=perhaps&pendingConnections=7")
	case 7:
		q.path = "/openvidu/api/" + pick(g, "recordings/", "recordings/stop/", "config/", "tokens/", "broadcast/", "") + bad
	case 8:
		q.path = "/openvidu/recordings/" + bad + "/" + g.badID()
	default:
		q.path = pick(g, "/", "/openvidu", "/api/sessions/", "/openvidu/api/sessions//", "/openvidu/../openvidu/api/sessions/x", "/health/", "/metrics/x", "/openvidu/cdr/"+bad, "*") + bad
	}
	q.body = body(object)
	if g.r.IntN(500) == 0 {
		q.body = `{"data":"` + strings.Repeat("x", 2<<20) // over the limit, and never closed
	}
	return q
}

// badID is a path element that names nothing.
func (g *garbage) badID() string {
	return pick(g, "ses_Nowhere000", "%2e%2e", "..%2f..%2fetc", "%00", "a%0d%0ab", strings.Repeat("y", 1+g.r.IntN(2000)), "%ff", "x;y", "-", "~1", "%25", ".recording.x", "x%20y", "null")
}

func (g *garbage) rawHTTP() string {
	return pick(g,
		"GET\r\n\r\n", "\x16\x03\x01\x00\x05hello", "GET / HTTP/9.9\r\n\r\n", "POST /openvidu/api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"POST /openvidu/api/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"POST /openvidu/api/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
		"POST /openvidu/api/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n: novalue\r\n\r\n",
		"GET /"+strings.Repeat("a", 70_000)+" HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("X-Y: z\r\n", 8000)+"\r\n",
		"GET /openvidu HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: x\r\n\r\n",
		"GET /openvidu HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"\x00\x01\x02\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage", strings.Repeat("A", 1+g.r.IntN(9000)))
}

// frame wraps an envelope that is itself sometimes broken.
func (g *garbage) frame(method string, params any) (int, []byte) {
	envelope := map[string]any{"jsonrpc": "2.0", "id": g.r.IntN(1000), "method": method, "params": params}
	switch g.r.IntN(16) {
	case 0:
		envelope["id"] = g.value(2)
	case 1:
		envelope["method"] = g.value(2)
	case 2:
		envelope["params"] = g.value(2)
	case 3:
		delete(envelope, pick(g, "jsonrpc", "id", "method", "params"))
	case 4:
		envelope["jsonrpc"] = g.value(1)
	case 5:
		return websocket.TextMessage, []byte(g.spoil(envelope))
	case 6:
		return websocket.TextMessage, []byte(g.spoil([]any{envelope, envelope}))
	case 7:
		if g.r.IntN(10) == 0 {
			return websocket.BinaryMessage, []byte(g.text())
		}
	case 8:
		if g.r.IntN(10) == 0 {
			return websocket.TextMessage, []byte("\xc3\x28 no UTF-8 \xff")
		}
	}
	data, err := json.Marshal(envelope)
	if err != nil {
		data = []byte("{")
	}
	return websocket.TextMessage, data
}

// sdp is an offer with something wrong in it.
func (g *garbage) sdp() string {
	lines := []string{
		"v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:0",
		"a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
		"a=setup:actpass", "a=rtcp-mux", "a=sendonly", "a=rtpmap:111 opus/48000/2", "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtpmap:96 VP8/90000", "a=sendonly",
	}
	for range 1 + g.r.IntN(4) {
		i := g.r.IntN(len(lines))
		switch g.r.IntN(4) {
		case 0:
			lines = append(lines[:i], lines[i+1:]...)
		case 1:
			lines[i] = g.text()
		case 2:
			lines = append(lines, lines[i], lines[i])
		case 3:
			lines[i] += g.text()
		}
		if len(lines) == 0 {
			break
		}
	}
	return strings.Join(lines, pick(g, "\r\n", "\n", "\r"))
}

func (g *garbage) signalling() (int, []byte) {
	stranger := pick(g, g.victims.connections[0], g.victims.connections[1], "con_Nobody", g.text())
	method := pick(g, "joinRoom", "publishVideo", "receiveVideoFrom", "prepareReceiveVideoFrom", "onIceCandidate", "sendMessage", "unpublishVideo",
		"unsubscribeFromVideo", "forceUnpublish", "forceDisconnect", "streamPropertyChanged", "videoData", "connect", "reconnectStream", "applyFilter",
		"execFilterMethod", "subscribeToSpeechToText", "sessionStatus", "echo", "ping", "nothing", g.text())
	params := map[string]any{}
	add := func(key string, sensible any) {
		switch g.r.IntN(4) {
		case 0:
			params[key] = g.value(2)
		case 1: // absent
		default:
			params[key] = sensible
		}
	}
	add("token", g.text())
	add("session", g.victims.session)
	add("secret", g.text())
	add("metadata", g.text())
	add("sdpOffer", g.sdp())
	add("sdpString", g.sdp())
	add("sdpAnswer", g.sdp())
	add("hasAudio", true)
	add("hasVideo", true)
	add("audioActive", true)
	add("videoActive", true)
	add("doLoopback", g.r.IntN(2) == 0)
	add("typeOfVideo", "CAMERA")
	add("videoDimensions", g.text())
	add("sender", "str_CAM_Aaaa_"+stranger)
	add("stream", "str_CAM_Aaaa_"+stranger)
	add("streamId", "str_CAM_Aaaa_"+stranger)
	add("connectionId", stranger)
	add("endpointName", stranger)
	add("candidate", "candidate:1 1 udp 1 999.999.0.1 70000 typ "+g.text())
	add("sdpMLineIndex", g.r.IntN(99)-3)
	add("message", g.spoil(map[string]any{"to": []any{stranger}, "data": g.text(), "type": g.text()}))
	add("property", g.text())
	add("newValue", g.value(2))
	add("sessionId", g.text())
	return g.frame(method, params)
}

func (g *garbage) kms() (int, []byte) {
	method := pick(g, "create", "invoke", "subscribe", "unsubscribe", "release", "describe", "ping", "connect", "closeSession", "transaction", "ref", "unref", "keepAlive", "nothing", g.text())
	params := map[string]any{}
	add := func(key string, sensible any) {
		switch g.r.IntN(4) {
		case 0:
			params[key] = g.value(2)
		case 1:
		default:
			params[key] = sensible
		}
	}
	add("type", pick(g, "MediaPipeline", "WebRtcEndpoint", "RecorderEndpoint", "MediaElement", "Nothing", "EndOfStream"))
	add("object", pick(g, "0_kurento.MediaPipeline", "manager_ServerManager", g.text()))
	add("operation", pick(g, "processOffer", "connect", "getName", "setName", "", g.text()))
	add("constructorParams", map[string]any{"mediaPipeline": g.text(), "uri": pick(g, "file:///etc/passwd", "file:///../../x", "gopher://x", g.text()), "mediaProfile": g.text()})
	add("operationParams", map[string]any{"offer": g.sdp(), "sink": g.text(), "mediaType": g.text()})
	add("operations", []any{g.value(2), map[string]any{"id": g.r.IntN(3), "jsonrpc": "2.0", "method": "create", "params": map[string]any{"type": "newref:" + g.text()}}})
	add("subscription", g.text())
	add("sessionId", g.text())
	return g.frame(method, params)
}
