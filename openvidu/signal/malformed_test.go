package signal

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/mediatest"
)

// seeds are frames as clients send them, and some that none does.
var seeds = []string{
	`{"jsonrpc":"2.0","method":"ping","params":{"interval":5000},"id":0}`,
	`{"jsonrpc":"2.0","method":"joinRoom","params":{"token":"wss://h?sessionId=S&token=tok_X","session":"S","platform":"Chrome","sdkVersion":"2.32.2","metadata":"{}","secret":"","recorder":false,"stt":false},"id":1}`,
	`{"jsonrpc":"2.0","method":"publishVideo","params":{"sdpOffer":"v=0\r\n","doLoopback":false,"hasAudio":true,"hasVideo":true,"audioActive":true,"videoActive":true,"typeOfVideo":"CAMERA","frameRate":30,"videoDimensions":"{\"width\":640,\"height\":480}","filter":{"type":"GStreamerFilter","options":{}}},"id":2}`,
	`{"jsonrpc":"2.0","method":"onIceCandidate","params":{"endpointName":"con_A","candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","sdpMid":"0","sdpMLineIndex":0},"id":3}`,
	`{"jsonrpc":"2.0","method":"receiveVideoFrom","params":{"sender":"str_CAM_Abcd_con_A","sdpOffer":"v=0\r\nm=video 9 x 96\r\n"},"id":4}`,
	`{"jsonrpc":"2.0","method":"streamPropertyChanged","params":{"streamId":"str_CAM_Abcd_con_A","property":"audioActive","newValue":false,"reason":"publishAudio"},"id":5}`,
	`{"jsonrpc":"2.0","method":"sendMessage","params":{"message":"{\"to\":[\"con_A\"],\"data\":\"hi\",\"type\":\"signal:chat\"}"},"id":6}`,
	`{"jsonrpc":"2.0","method":"forceDisconnect","params":{"connectionId":"con_A"},"id":7}`,
	`{"jsonrpc":"2.0","method":"forceUnpublish","params":{"streamId":"str_CAM_Abcd_con_A"},"id":7}`,
	`{"jsonrpc":"2.0","method":"reconnectStream","params":{"stream":"str_CAM_Abcd_con_A","sdpString":"v=0"},"id":8}`,
	`{"jsonrpc":"2.0","method":"connect","params":{"sessionId":"abc","reconnect":true},"id":9}`,
	`{"jsonrpc":"2.0","method":"applyFilter","params":{"streamId":"str_CAM_Abcd_con_A","type":"F","options":"{}"},"id":"x"}`,
	`{"jsonrpc":"2.0","method":"videoData","params":{"height":480,"width":640,"videoActive":true,"audioActive":true},"id":-1.5e3}`,
	`{"jsonrpc":"2.0","method":"leaveRoom","id":10}`, `{"jsonrpc":"2.0","method":"closeSession","id":11}`, `[]`, `null`, `{`, `"x"`, `{"id":1}`,
	strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
}

// answersOf reads a socket to its end, without the notifications.
func answersOf(b *browser) (out []frame) {
	for {
		f, ok := b.next()
		if !ok {
			return out
		}
		if f.Method == "" {
			out = append(out, f)
		}
	}
}

// feed sends frames over one fresh socket and gives the answers, until the socket
// ends: a closing frame is added.
func feed(x *house, frames []string) []frame {
	b := x.memory()
	for _, f := range frames {
		if b.conn.WriteJSON([]byte(f)) != nil {
			break // cut off by a limit
		}
	}
	_ = b.conn.WriteJSON([]byte(`{"jsonrpc":"2.0","method":"closeSession","id":"end"}`))
	out := answersOf(b)
	b.close()
	<-b.done
	return out
}

// bystander makes a room with a publisher and a subscriber who do nothing.
func bystander(x *house) *browser {
	a, b := x.memory(), x.memory()
	a.join("S", "A", auth.Publisher)
	b.join("S", "B", auth.Subscriber)
	stream := a.call("publishVideo", publishParams("A")).Result["id"]
	b.call("receiveVideoFrom", map[string]any{"sender": stream, "sdpOffer": mediatest.Offer("B", "VP8")})
	x.t.Cleanup(a.close)
	b.notification("participantPublished")
	b.got = nil
	return b
}

// TestMalformedFrames sends 5,000 frames broken in every way, from sockets that
// joined nothing and from one that sits in a room of its own, and looks at a
// bystander's room before and after.
func TestMalformedFrames(t *testing.T) {
	x := newHouse(t, func(o *Options) { o.RatePerSecond, o.RateBurst, o.PingInterval = 1e6, 1e6, time.Hour })
	by := bystander(x)
	defer by.close()
	before := x.digest()
	rnd := rand.New(rand.NewPCG(1, 2))
	sent := 0
	for sent < 5000 {
		var batch []string
		for range 50 {
			batch = append(batch, mutate(rnd, seeds[rnd.IntN(len(seeds))]))
		}
		for _, f := range feed(x, batch) {
			if f.Error != nil && f.Error.Code == jsonrpc.CodeInternal {
				t.Errorf("internal error: %s", f.raw)
			}
			if f.Error == nil && f.Result == nil {
				t.Errorf("neither result nor error: %s", f.raw)
			}
		}
		sent += len(batch)
	}
	if after := x.digest(); after != before {
		t.Errorf("the bystander's room changed:\n%s\n%s", before, after)
	}
	if f := by.call("sendMessage", map[string]any{"message": `{"data":"alive"}`}); f.Error != nil {
		t.Errorf("the bystander: %s", f.raw)
	}
	for _, f := range by.got {
		if f.Method != "sendMessage" && f.Method != "iceCandidate" {
			t.Errorf("the bystander was told %s", f.raw)
		}
	}
}

// mutate breaks a frame.
func mutate(rnd *rand.Rand, s string) string {
	b := []byte(s)
	for range 1 + rnd.IntN(4) {
		if len(b) == 0 {
			break
		}
		i := rnd.IntN(len(b))
		switch rnd.IntN(7) {
		case 0:
			b[i] = byte(' ' + rnd.IntN(95))
		case 1:
			b = b[:i]
		case 2:
			b = append(b[:i], b[min(len(b), i+1+rnd.IntN(8)):]...)
		case 3:
			b = append(b[:i:i], append([]byte(`"{}[]:,0nulltrue`[rnd.IntN(10):]), b[i:]...)...)
		case 4:
			b = []byte(strings.Replace(string(b), `"con_A"`, fmt.Sprint(rnd.IntN(9)), 1))
		case 5:
			b = []byte(strings.Replace(string(b), `:"`, `:["`, 1))
		case 6:
			b = append(b, s...)
		}
	}
	return string(b)
}

// FuzzRPCSignaling feeds one frame, from a socket that joined and one that did
// not: an error answer leaves everything as it was, nothing panics (a panic is an
// internal error), and every request with an id is answered once.
func FuzzRPCSignaling(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	x := newHouse(f, func(o *Options) { o.RatePerSecond, o.RateBurst, o.PingInterval = 1e9, 1e9, time.Hour })
	by := bystander(x)
	f.Cleanup(by.close)
	// drain what the bystander is told, so that no queue grows.
	go func() {
		for {
			if _, err := by.conn.ReadFrame(); err != nil {
				return
			}
		}
	}()
	token := func(t testing.TB) map[string]any {
		y := *x
		y.t = t
		return joinParams(y.token("T", "J", auth.Moderator), "T")
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if slices.Contains(frame, '\n') && len(frame) > 1<<16 {
			t.Skip()
		}
		y := *x
		y.t = t
		before := y.digest()
		answers := feed(&y, []string{string(frame)})
		refused := len(answers) > 0 && answers[0].Error != nil
		if refused && y.digest() != before {
			t.Errorf("refused with %s, and changed the state", answers[0].raw)
		}
		if len(answers) > 2 {
			t.Errorf("%d answers to one request", len(answers))
		}
		join, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": "join", "method": "joinRoom", "params": token(t)})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range append(answers, feed(&y, []string{string(join), string(frame)})...) {
			if a.Error != nil && a.Error.Code == jsonrpc.CodeInternal {
				t.Errorf("internal error: %s", a.raw)
			}
		}
		// The joined one was the last of its session, which ends by itself.
		_ = y.m.CloseSession(t.Context(), "T", openvidu.ReasonSessionClosed)
	})
}
