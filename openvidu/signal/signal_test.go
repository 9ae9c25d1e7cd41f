package signal

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/mediatest"
)

// TestCall follows the annotated sequences of the contract's §11.
func TestCall(t *testing.T) {
	x := newHouse(t)
	a, b := x.memory(), x.memory()
	defer a.close()
	defer b.close()
	if f := a.call("ping", map[string]any{"interval": 5000}); f.Result["value"] != "pong" {
		t.Errorf("first ping, before joinRoom: %s", f.raw)
	}
	ja := a.join("S", "A", auth.Publisher)
	r := ja.Result
	for k, want := range map[string]any{
		"id": "con_A", "session": "S", "version": "2.32.2", "mediaServer": "kurento", "videoSimulcast": false, "record": true, "role": "PUBLISHER",
		"finalUserId": "0123456789ABCDEF", "metadata": `{"clientData":"me"}%/%{"openviduCustomConnectionId":"A"}`, "coturnPort": 3478.0, "value": []any{},
		"customIceServers": []any{map[string]any{"url": "stun:h:40000"}},
	} {
		if !reflect.DeepEqual(r[k], want) {
			t.Errorf("joinRoom result %s is %v, want %v", k, r[k], want)
		}
	}
	if r["createdAt"] == nil || r["life"] != nil {
		t.Errorf("joinRoom result %s", ja.raw)
	}
	private := r["sessionId"].(string)
	if !regexp.MustCompile(`^[a-z0-9]{26}$`).MatchString(private) {
		t.Errorf("private id %q", private)
	}
	b.join("S", "B", auth.Moderator)
	if f := a.notification("participantJoined"); !strings.Contains(f.raw, `"id":"con_B"`) || f.ID != nil {
		t.Errorf("participantJoined %s", f.raw)
	}
	// Publish, candidates first; old clients leave most parameters out.
	if f := a.call("onIceCandidate", map[string]any{"endpointName": "con_A", "candidate": "candidate:1 ufrag A", "sdpMid": "0", "sdpMLineIndex": 0}); len(f.Result) != 1 {
		t.Errorf("onIceCandidate: %s", f.raw)
	}
	pub := a.call("publishVideo", publishParams("A"))
	stream, _ := pub.Result["id"].(string)
	if pub.Result["sdpAnswer"] == nil || !strings.HasPrefix(stream, "str_CAM_") || !strings.HasSuffix(stream, "_con_A") || pub.Result["sessionId"] != private {
		t.Fatalf("publishVideo: %s", pub.raw)
	}
	f := b.notification("participantPublished")
	if want := fmt.Sprintf(`{"method":"participantPublished","params":{"id":"con_A","streams":[{"id":%q,"createdAt":%d,"hasAudio":true,"hasVideo":true,`+
		`"audioActive":true,"videoActive":true,"typeOfVideo":"CAMERA","frameRate":30,"videoDimensions":"{\"width\":640,\"height\":480}","filter":{}}]},"jsonrpc":"2.0"}`,
		stream, int64(pub.Result["createdAt"].(float64))); f.raw != want {
		t.Errorf("got  %s\nwant %s", f.raw, want)
	}
	if f := a.notification("iceCandidate"); !strings.Contains(f.raw, `"senderConnectionId":"con_A","endpointName":"`+stream+`"`) {
		t.Errorf("iceCandidate %s", f.raw)
	}
	if f := a.call("videoData", map[string]any{"height": 480, "width": 640, "videoActive": true, "audioActive": true}); f.Error != nil {
		t.Errorf("videoData: %s", f.raw)
	}
	if f := b.call("receiveVideoFrom", map[string]any{"sender": stream, "sdpOffer": mediatest.Offer("B", "VP8")}); f.Result["sdpAnswer"] == nil {
		t.Errorf("receiveVideoFrom: %s", f.raw)
	}
	if f := b.notification("iceCandidate"); !strings.Contains(f.raw, `"senderConnectionId":"con_A","endpointName":"con_B_`+stream+`"`) {
		t.Errorf("iceCandidate %s", f.raw)
	}
	// Mute and signal.
	a.call("streamPropertyChanged", map[string]any{"streamId": stream, "property": "audioActive", "newValue": false, "reason": "publishAudio"})
	if f := b.notification("streamPropertyChanged"); !strings.Contains(f.raw, `"property":"audioActive","newValue":"false","reason":"publishAudio"`) {
		t.Errorf("streamPropertyChanged %s", f.raw)
	}
	a.call("sendMessage", map[string]any{"message": `{"to":[],"data":"hi","type":"signal:chat"}`})
	for _, u := range []*browser{a, b} {
		if f := u.notification("sendMessage"); f.raw != `{"method":"sendMessage","params":{"data":"hi","type":"signal:chat","from":"con_A"},"jsonrpc":"2.0"}` {
			t.Errorf("sendMessage %s", f.raw)
		}
	}
	if f := b.call("echo", map[string]any{}); len(f.Result) != 1 {
		t.Errorf("echo: %s", f.raw)
	}
	// Reconnect the publisher's stream, then throw it out.
	if f := a.call("reconnectStream", map[string]any{"stream": stream, "sdpString": mediatest.Offer("A2", "VP8")}); f.Result["id"] != stream {
		t.Errorf("reconnectStream: %s", f.raw)
	}
	if f := b.call("forceDisconnect", map[string]any{"connectionId": "con_A"}); f.Error != nil {
		t.Errorf("forceDisconnect: %s", f.raw)
	}
	if f := a.notification("participantEvicted"); !strings.Contains(f.raw, `{"connectionId":"con_A","reason":"forceDisconnectByUser"}`) {
		t.Errorf("participantEvicted %s", f.raw)
	}
	if f := b.notification("participantLeft"); !strings.Contains(f.raw, `{"connectionId":"con_A","name":"con_A","reason":"forceDisconnectByUser"}`) {
		t.Errorf("participantLeft %s", f.raw)
	}
	a.wantCode("after the eviction", a.call("unpublishVideo", map[string]any{}), 103)
	if f := b.call("leaveRoom", map[string]any{}); f.Error != nil {
		t.Errorf("leaveRoom: %s", f.raw)
	}
	b.wantCode("after leaveRoom", b.call("sendMessage", map[string]any{"message": "{}"}), 803)
}

func TestBeforeJoin(t *testing.T) {
	x := newHouse(t)
	b := x.memory()
	defer b.close()
	for m := range methods {
		b.wantCode(m, b.call(m, map[string]any{}), 803)
	}
	b.wantCode("unknown", b.call("nonsense", nil), 803)
	b.wantCode("leaveRoom", b.call("leaveRoom", nil), 803)
	for _, m := range []string{"ping", "echo"} {
		if f := b.call(m, nil); f.Error != nil {
			t.Errorf("%s before join: %s", m, f.raw)
		}
	}
	b.wantCode("connect of nobody", b.call("connect", map[string]any{"sessionId": "x", "reconnect": true}), 40007)
	b.wantCode("connect without id", b.call("connect", map[string]any{}), -1)
	b.wantCode("session unknown", b.call("joinRoom", joinParams("tok_A", "nowhere")), 202)
	x.token("S", "A", auth.Publisher)
	b.wantCode("token unknown", b.call("joinRoom", joinParams("tok_A", "S")), 401)
	if f := b.call("closeSession", nil); f.Result["value"] != "bye" {
		t.Errorf("closeSession: %s", f.raw)
	}
	if _, ok := b.next(); ok {
		t.Error("the socket goes on after closeSession")
	}
}

func TestParameters(t *testing.T) {
	x := newHouse(t)
	b := x.memory()
	defer b.close()
	for _, name := range []string{"token", "session", "metadata"} {
		p := joinParams("tok_A", "S")
		delete(p, name)
		b.wantCode("without "+name, b.call("joinRoom", p), -1)
		p[name] = nil
		b.wantCode("null "+name, b.call("joinRoom", p), -1)
		p[name] = 7
		b.wantCode("a number as "+name, b.call("joinRoom", p), -1)
	}
	b.join("S", "B", auth.Moderator)
	b.wantCode("second join", b.call("joinRoom", joinParams(x.token("S", "C", auth.Publisher), "S")), 104)
	b.wantCode("unknown", b.call("nonsense", nil), -32601)
	b.wantCode("params no object", b.call("sendMessage", []int{1}), -1)
	for m, p := range map[string]map[string]any{
		"publishVideo": {}, "receiveVideoFrom": {"sdpOffer": "v=0"}, "prepareReceiveVideoFrom": {}, "unsubscribeFromVideo": {},
		"onIceCandidate": {"endpointName": "con_B"}, "reconnectStream": {}, "sendMessage": {}, "forceUnpublish": {}, "forceDisconnect": {},
		"streamPropertyChanged": {"streamId": "x", "property": "y"}, "videoData": {"height": 1}, "applyFilter": {"streamId": "x"}, "removeFilter": {},
		"execFilterMethod": {"streamId": "x"}, "addFilterEventListener": {"streamId": "x"}, "removeFilterEventListener": {"streamId": "x"},
		"subscribeToSpeechToText": {}, "unsubscribeFromSpeechToText": {}, "setPreferredLayer": {"spatialLayer": 1},
	} {
		b.wantCode(m, b.call(m, p), -1)
	}
	b.wantCode("wrong type", b.call("publishVideo", map[string]any{"sdpOffer": "v=0", "hasAudio": "yes"}), -1)
	b.wantCode("speech", b.call("subscribeToSpeechToText", map[string]any{"connectionId": "con_B", "lang": "en"}), 997)
	b.wantCode("stranger", b.call("forceDisconnect", map[string]any{"connectionId": "con_X"}), 102)
	b.wantCode("signal", b.call("sendMessage", map[string]any{"message": "no JSON"}), 600)
	// Requests without an id are served without an answer.
	x.must(b.conn.WriteJSON(json.RawMessage(`{"jsonrpc":"2.0","method":"sendMessage","params":{"message":"{\"data\":\"quiet\"}"}}`)))
	b.notification("sendMessage")
	if f := b.call("echo", nil); f.Error != nil {
		t.Error(f.raw)
	}
}

// TestWire: what the WebSocket itself must refuse.
func TestWire(t *testing.T) {
	big := `{"jsonrpc":"2.0","method":"ping","id":1,"params":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`
	for _, c := range []struct {
		name  string
		kind  int
		send  []string
		close int
		codes []int
	}{
		{"three not JSON", websocket.TextMessage, []string{"{", "hello", "{\"a\":"}, 1008, []int{-32700, -32700, -32700}},
		{"binary", websocket.BinaryMessage, []string{"{}"}, 1003, nil},
		{"not UTF-8", websocket.TextMessage, []string{"\"\xff\xfe\""}, 1007, nil},
		{"over 1 MiB", websocket.TextMessage, []string{big}, 1009, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newHouse(t)
			ws, _, err := x.web(nil)
			x.must(err)
			defer ws.Close()
			for _, s := range c.send {
				x.must(ws.WriteMessage(c.kind, []byte(s)))
			}
			for _, code := range c.codes {
				var f frame
				x.must(ws.ReadJSON(&f))
				if f.Error == nil || f.Error.Code != code || string(f.ID) != "null" {
					t.Errorf("answer %+v, want code %d and a null id", f.Error, code)
				}
			}
			if code := closed(t, ws); code != c.close {
				t.Errorf("closed with %d, want %d", code, c.close)
			}
		})
	}
	t.Run("envelopes", func(t *testing.T) {
		x := newHouse(t)
		b := x.memory()
		defer b.close()
		for _, c := range []struct {
			send string
			code int
		}{
			{`[]`, -32600}, {`"x"`, -32600}, {`{}`, -32600}, {`{"jsonrpc":"1.0","method":"ping","id":1}`, -32600}, {`{"jsonrpc":"2.0","method":7,"id":1}`, -32600},
			{`nonsense`, -32700}, {`nonsense`, -32700}, {`[{"jsonrpc":"2.0","method":"ping","id":1}]`, -32600}, {`nonsense`, -32700},
			{`{"jsonrpc":"2.0","method":"ping","id":{}}`, -32600}, {`{"jsonrpc":"2.0","method":"ping","id":"` + strings.Repeat("x", 100) + `"}`, -32600},
		} {
			x.must(b.conn.WriteJSON(json.RawMessage(c.send)))
			if f, ok := b.next(); !ok || f.Error == nil || f.Error.Code != c.code {
				t.Errorf("%.60s: %+v, want %d", c.send, f.Error, c.code)
			}
		}
		if f := b.call("ping", nil); f.Error != nil {
			t.Error("one good frame after each two bad ones must keep the socket open")
		}
	})
}

func TestOriginAndCookie(t *testing.T) {
	x := newHouse(t, func(o *Options) { o.AllowedOrigins = []string{"https://app.example.com/"} })
	for origin, want := range map[string]bool{"": true, "https://app.example.com": true, "https://evil.example": false, "null": false} {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		ws, resp, err := x.web(h)
		if (err == nil) != want {
			t.Errorf("origin %q: %v", origin, err)
		}
		if err == nil {
			ws.Close()
		} else if resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q: status %d", origin, resp.StatusCode)
		}
	}
	ws, resp, err := x.web(nil)
	x.must(err)
	ws.Close()
	c := resp.Cookies()
	if len(c) != 1 || c[0].Name != userCookie || !cookieValue.MatchString(c[0].Value) || !c[0].HttpOnly {
		t.Fatalf("cookies %v", c)
	}
	ws, resp, err = x.web(http.Header{"Cookie": {userCookie + "=" + c[0].Value}})
	x.must(err)
	defer ws.Close()
	if len(resp.Cookies()) != 0 {
		t.Errorf("a known browser was given a new cookie")
	}
	x.must(ws.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": 0, "method": "joinRoom", "params": joinParams(x.token("S", "A", auth.Publisher), "S")}))
	var f frame
	x.must(ws.ReadJSON(&f))
	if f.Result["finalUserId"] != c[0].Value[:16] {
		t.Errorf("finalUserId %v, want the cookie's first 16 characters", f.Result["finalUserId"])
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newHouse(t)
		b := x.memory()
		// 200 messages of burst, of them 400 candidates counting as 100.
		for range 100 {
			b.send("echo", nil)
		}
		for range 400 {
			b.send("onIceCandidate", map[string]any{})
		}
		synctest.Wait()
		refused := func() (n int) {
			for {
				f, ok := b.next()
				if !ok {
					return n
				}
				if f.Error != nil && f.Error.Code == codeTooMany {
					n++
				}
				if string(f.ID) == fmt.Sprint(b.id-1) {
					return n
				}
			}
		}
		if n := refused(); n != 0 {
			t.Errorf("%d of the burst were refused", n)
		}
		b.send("echo", nil)
		b.send("echo", nil)
		if n := refused(); n != 2 {
			t.Errorf("%d of 2 over the burst were refused", n)
		}
		time.Sleep(time.Second)
		for range 50 {
			b.send("echo", nil)
		}
		if n := refused(); n != 0 {
			t.Errorf("%d of 50 a second were refused", n)
		}
		for range 3 {
			b.send("echo", nil)
		}
		if n := refused(); n != 3 {
			t.Errorf("%d of 3 in a row refused", n)
		}
		if _, ok := b.next(); ok {
			t.Error("the socket stays open after 3 in a row")
		}
		b.close()
		x.close()
	})
}

func TestTimeLimits(t *testing.T) {
	ended := func(b *browser) bool {
		synctest.Wait()
		select {
		case <-b.done:
			return true
		default:
			return false
		}
	}
	drain := func(b *browser) {
		go func() {
			for {
				if _, err := b.conn.ReadFrame(); err != nil {
					return
				}
			}
		}()
	}
	t.Run("no joinRoom in 10 s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newHouse(t)
			b := x.memory()
			drain(b)
			time.Sleep(5 * time.Second)
			b.send("ping", nil)
			b.send("joinRoom", joinParams("tok_X", "S")) // not a valid one
			time.Sleep(4999 * time.Millisecond)
			if ended(b) {
				t.Error("ended too early")
			}
			time.Sleep(2 * time.Millisecond)
			if !ended(b) {
				t.Error("still open")
			}
			x.close()
		})
	})
	t.Run("three missed pings, then the window", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newHouse(t)
			a, b := x.memory(), x.memory()
			a.call("ping", map[string]any{"interval": 3000})
			a.join("S", "A", auth.Publisher)
			b.call("ping", map[string]any{"interval": 20000})
			b.join("S", "B", auth.Publisher)
			drain(a)
			start := time.Now()
			time.Sleep(5 * time.Second)
			a.send("ping", nil)
			time.Sleep(8999 * time.Millisecond)
			if ended(a) {
				t.Error("ended too early")
			}
			time.Sleep(2 * time.Millisecond)
			if !ended(a) {
				t.Error("still open 9 s after the last ping with interval 3 s")
			}
			f := b.notification("participantLeft")
			if !strings.Contains(f.raw, "networkDisconnect") {
				t.Errorf("told %s", f.raw)
			}
			if d := time.Since(start); d < 24*time.Second || d > 25*time.Second {
				t.Errorf("told after %v, want 5 s + 9 s + 10 s", d)
			}
			b.close()
			x.close()
		})
	})
	t.Run("ten seconds after the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newHouse(t)
			a := x.memory()
			a.join("S", "A", auth.Publisher)
			a.call("leaveRoom", nil)
			drain(a)
			time.Sleep(9999 * time.Millisecond)
			if ended(a) {
				t.Error("ended too early")
			}
			time.Sleep(2 * time.Millisecond)
			if !ended(a) {
				t.Error("the server did not close the socket")
			}
			x.close()
		})
	})
}

func TestReconnectOverTheWire(t *testing.T) {
	x := newHouse(t)
	a, b := x.memory(), x.memory()
	defer b.close()
	private := a.join("S", "A", auth.Publisher).Result["sessionId"].(string)
	b.join("S", "B", auth.Publisher)
	a.close()
	<-a.done
	b.call("publishVideo", publishParams("B"))
	b.call("sendMessage", map[string]any{"message": `{"data":"1"}`})
	b.call("unpublishVideo", nil)
	again := x.memory()
	defer again.close()
	again.wantCode("a request before connect", again.call("unpublishVideo", nil), 803)
	if f := again.call("connect", map[string]any{"sessionId": private, "reconnect": true}); f.Result["value"] != "reconnection successful" || f.Result["sessionId"] != private || len(again.got) != 0 {
		t.Errorf("connect: %s, before it %v", f.raw, again.got)
	}
	if f := again.call("ping", map[string]any{"interval": 5000}); f.Result["sessionId"] != private {
		t.Errorf("ping: %s", f.raw)
	}
	for !slices.ContainsFunc(again.got, func(f frame) bool { return f.Method == "participantUnpublished" }) {
		f, ok := again.next()
		if !ok {
			t.Fatal("ended before all was replayed")
		}
		again.got = append(again.got, f)
	}
	var methods []string
	for _, f := range again.got {
		methods = append(methods, f.Method)
	}
	if !slices.Equal(methods, []string{"participantPublished", "sendMessage", "participantUnpublished"}) &&
		!slices.Equal(methods, []string{"participantJoined", "participantPublished", "sendMessage", "participantUnpublished"}) {
		t.Errorf("replayed %v", methods)
	}
	if f := again.call("publishVideo", publishParams("A")); f.Error != nil {
		t.Errorf("publish on the new socket: %s", f.raw)
	}
	again.wantCode("connect as somebody else", again.call("connect", map[string]any{"sessionId": "nobody"}), 40007)
	if f := again.call("connect", map[string]any{"sessionId": private}); f.Error != nil {
		t.Errorf("a second connect is legal: %s", f.raw)
	}
}

// TestSlowConsumer: a browser that does not read is cut off, nobody notices, and
// it gets all it missed, in order, when it comes back.
func TestSlowConsumer(t *testing.T) {
	x := newHouse(t, func(o *Options) { o.QueueMessages, o.WriteTimeout = 16, 30*time.Second })
	ws, _, err := x.web(nil)
	x.must(err)
	defer ws.Close()
	x.must(ws.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": 0, "method": "joinRoom", "params": joinParams(x.token("S", "A", auth.Publisher), "S")}))
	var joined frame
	x.must(ws.ReadJSON(&joined))
	var slow *socket
	for s := range x.h.sockets {
		slow = s
	}
	b := x.memory()
	defer b.close()
	b.join("S", "B", auth.Publisher)
	// From here on A does not read: the kernel's buffers fill, then the queue.
	// late belongs to the session's goroutine, which Signal has waited for.
	pad := strings.Repeat("x", 60<<10)
	sent := 0
	for len(slow.late) < 5 {
		if sent > 3000 {
			t.Fatal("a browser that does not read was never cut off")
		}
		x.must(x.m.Signal(context.Background(), openvidu.SignalRequest{SessionID: "S", To: []string{"con_A"}, Type: ptr(fmt.Sprint(sent)), Data: &pad}))
		sent++
	}
	deadline := time.Now().Add(20 * time.Second)
	for x.h.Sockets() == 2 {
		if time.Now().After(deadline) {
			t.Fatal("the slow socket does not end")
		}
		time.Sleep(time.Millisecond)
	}
	again := x.memory()
	defer again.close()
	if f := again.call("connect", map[string]any{"sessionId": joined.Result["sessionId"], "reconnect": true}); f.Error != nil {
		t.Fatalf("connect: %s", f.raw)
	}
	// What the old socket took in is still to be read from it, then its end.
	var got []string
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		var f frame
		if err := ws.ReadJSON(&f); err != nil {
			break
		}
		got = append(got, typeOf(f))
	}
	for len(got) == 0 || got[len(got)-1] != fmt.Sprint(sent-1) {
		f, ok := again.next()
		if !ok {
			t.Fatalf("ended; got %d of %d", len(got), sent)
		}
		if f.Method == "sendMessage" {
			got = append(got, typeOf(f))
		}
	}
	got = slices.DeleteFunc(got, func(s string) bool { return s == "" })
	got = slices.Compact(got) // the frame that was being written may come twice
	for i, s := range got {
		if s != fmt.Sprint(i) {
			t.Fatalf("signal %d came as %s of %d", i, s, sent)
		}
	}
	if len(got) != sent {
		t.Errorf("got %d of %d signals", len(got), sent)
	}
	if f := b.call("echo", nil); f.Error != nil || slices.ContainsFunc(b.got, func(f frame) bool { return f.Method == "participantLeft" }) {
		t.Error("the other participant noticed")
	}
}

func ptr(s string) *string { return &s }

func typeOf(f frame) string {
	var p struct{ Type string }
	_ = json.Unmarshal(f.Params, &p)
	return p.Type
}

func TestPingIsAnsweredWhileARequestHangs(t *testing.T) {
	x := newHouse(t)
	b := x.memory()
	defer b.close()
	b.join("S", "A", auth.Publisher)
	hold := make(chan struct{})
	x.media.SetBefore(func(_ context.Context, c mediatest.Call) error {
		if c.Name == "processOffer" {
			<-hold
		}
		return nil
	})
	publish := b.send("publishVideo", publishParams("A"))
	if f := b.call("ping", nil); f.Error != nil {
		t.Errorf("ping: %s", f.raw)
	}
	close(hold)
	if f, ok := b.next(); !ok || string(f.ID) != fmt.Sprint(publish) {
		t.Errorf("then the publication's answer: %s", f.raw)
	}
}

func TestPanicEndsOneSocket(t *testing.T) {
	x := newHouse(t)
	methods["panics"] = func(context.Context, *openvidu.Connection, params, func(any)) error { panic("a bug") }
	defer delete(methods, "panics")
	a, b := x.memory(), x.memory()
	defer b.close()
	private := a.join("S", "A", auth.Publisher).Result["sessionId"]
	b.join("S", "B", auth.Publisher)
	a.wantCode("panic", a.call("panics", nil), jsonrpc.CodeInternal)
	<-a.done
	if f := b.call("echo", nil); f.Error != nil {
		t.Errorf("the other socket: %s", f.raw)
	}
	c := x.memory()
	defer c.close()
	if f := c.call("connect", map[string]any{"sessionId": private}); f.Error != nil {
		t.Errorf("the connection got no window: %s", f.raw)
	}
}

func TestHandlerClose(t *testing.T) {
	x := newHouse(t)
	ws, _, err := x.web(nil)
	x.must(err)
	defer ws.Close()
	x.must(ws.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": 0, "method": "joinRoom", "params": joinParams(x.token("S", "A", auth.Publisher), "S")}))
	var f frame
	x.must(ws.ReadJSON(&f))
	go x.close()
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	x.must(ws.ReadJSON(&f))
	if f.Method != "participantEvicted" || !strings.Contains(string(f.Params), "openviduServerStopped") {
		t.Errorf("told %s %s before the end", f.Method, f.Params)
	}
	if code := closed(t, ws); code != 1001 {
		t.Errorf("closed with %d, want 1001", code)
	}
	if _, resp, err := x.web(nil); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a new socket after Close: %v", err)
	}
}

// TestBusy: who is refused for the server's load is told when to try again, with
// the same token.
func TestBusy(t *testing.T) {
	x := newHouse(t)
	token := x.token("S", "A", auth.Publisher)
	x.busy.Store("processors are busy")
	a := x.memory()
	r := a.call("joinRoom", joinParams(token, "S"))
	a.wantCode("busy", r, 201)
	if r.Error == nil || r.Error.Data != `{"retryAfter":5}` {
		t.Errorf("error %+v", r.Error)
	}
	x.busy.Store("")
	if r := a.call("joinRoom", joinParams(token, "S")); r.Error != nil {
		t.Errorf("the token was spent: %+v", r.Error)
	}
}

// TestOursBesideTheContract: preferred layers and active speakers reach the room.
func TestOursBesideTheContract(t *testing.T) {
	x := newHouse(t)
	a := x.memory()
	a.join("S", "A", auth.Publisher)
	a.wantCode("layer", a.call("setPreferredLayer", map[string]any{"streamId": "str_CAM_Xyzw_con_X", "spatialLayer": 0}), 102)
	a.wantCode("bounds", a.call("setPreferredLayer", map[string]any{"sender": "str_CAM_Xyzw_con_A", "spatialLayer": 1e9}), -1)
	r := a.call("subscribeToActiveSpeakers", nil)
	if list, ok := r.Result["speakers"].([]any); !ok || len(list) != 0 {
		t.Errorf("answer %s", r.raw)
	}
	if r := a.call("unsubscribeFromActiveSpeakers", nil); r.Error != nil {
		t.Errorf("%+v", r.Error)
	}
}
