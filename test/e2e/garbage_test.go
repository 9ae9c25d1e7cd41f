package e2e

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
)

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
