package faults

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/test/actor"
)

// player is a participant that speaks the client library's protocol and sends a
// clip whose pictures are numbered.
type player struct {
	*actor.Sender
	t      testing.TB
	number int
	stream string
	socket *websocket.Conn
	wg     sync.WaitGroup

	mu         sync.Mutex
	answers    map[int]chan json.RawMessage
	candidates []webrtc.ICECandidateInit
	next       int
}

// join has a player publish in a session; begin is when picture 0 was due.
func join(t testing.TB, s *server, session string, number int, begin time.Time) *player {
	t.Helper()
	name := codec.VP8
	if number%2 == 0 {
		name = codec.H264
	}
	clip, err := actor.Make(t.Context(), number, name, 320, 180)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Token string }
	s.ok("POST", "/sessions/"+session+"/connection", map[string]any{"role": "PUBLISHER"}, &made)
	p := &player{t: t, number: number, answers: map[int]chan json.RawMessage{}}
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: patience}
	if p.socket, _, err = dialer.Dial(fmt.Sprintf("wss://localhost:%d/openvidu", s.https), nil); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(p.read)
	t.Cleanup(p.leave)
	p.call("ping", map[string]any{"interval": 60000})
	p.call("joinRoom", map[string]any{
		"token": made.Token, "session": session, "platform": "faults", "sdkVersion": "2.32.2",
		"metadata": fmt.Sprintf(`{"clientData":"Player %d"}`, number), "secret": "", "recorder": false, "stt": false,
	})
	p.Sender = actor.NewSender(t, clip, begin)
	var answer struct{ ID, SDPAnswer string }
	if err := json.Unmarshal(p.call("publishVideo", map[string]any{
		"sdpOffer": p.Offer(), "doLoopback": false, "hasAudio": true, "hasVideo": true, "audioActive": true, "videoActive": true,
		"typeOfVideo": "CAMERA", "frameRate": 25, "videoDimensions": `{"width":320,"height":180}`,
	}), &answer); err != nil {
		t.Fatal(err)
	}
	p.stream = answer.ID
	p.SetAnswer(answer.SDPAnswer)
	eventually(t, patience, "the publisher is connected", func() error {
		p.mu.Lock()
		list := p.candidates
		p.candidates = nil
		p.mu.Unlock()
		for _, c := range list {
			p.AddCandidate(c.Candidate, *c.SDPMid, int(*c.SDPMLineIndex))
		}
		if !p.Connected() {
			return fmt.Errorf("it is %s", p.PC.ConnectionState())
		}
		return nil
	})
	p.Start()
	return p
}

// leave closes everything without a word. Idempotent.
func (p *player) leave() {
	if p.Sender != nil {
		p.Sender.Close()
	}
	_ = p.socket.Close()
	p.wg.Wait()
}

func (p *player) read() {
	for {
		_, data, err := p.socket.ReadMessage()
		if err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			for id, answer := range p.answers {
				close(answer)
				delete(p.answers, id)
			}
			p.answers = nil
			return
		}
		var m struct {
			ID     *int
			Method string
			Params json.RawMessage
			Result json.RawMessage
		}
		if json.Unmarshal(data, &m) != nil {
			continue
		}
		p.mu.Lock()
		var c webrtc.ICECandidateInit
		switch {
		case m.ID != nil && p.answers[*m.ID] != nil:
			p.answers[*m.ID] <- m.Result
			delete(p.answers, *m.ID)
		case m.Method == "iceCandidate" && json.Unmarshal(m.Params, &c) == nil && c.SDPMid != nil && c.SDPMLineIndex != nil:
			p.candidates = append(p.candidates, c)
		}
		p.mu.Unlock()
	}
}

// call demands a result.
func (p *player) call(method string, params any) json.RawMessage {
	p.t.Helper()
	answer := make(chan json.RawMessage, 1)
	p.mu.Lock()
	p.next++
	id := p.next
	if p.answers != nil {
		p.answers[id] = answer
	}
	err := p.socket.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	p.mu.Unlock()
	if err != nil {
		p.t.Fatalf("%s: %v", method, err)
	}
	select {
	case r, ok := <-answer:
		if !ok || len(r) == 0 {
			p.t.Fatalf("%s: no result", method)
		}
		return r
	case <-time.After(patience):
		p.t.Fatalf("%s: no answer", method)
	}
	return nil
}
