package e2e

import (
	"encoding/json"
	"fmt"
	"image"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/test/actor"
)

// player is a participant that speaks the client library's protocol and sends a
// clip instead of a camera's picture.
type player struct {
	*wire
	*actor.Sender
	clip       *actor.Clip
	token      string
	streamID   string
	begin      time.Time
	heard      int // candidates that were taken
	connection string
}

// cast are the players of a session on one clock, from 1 up; even numbers send
// H264, so the session must not force a codec.
type cast struct {
	t       testing.TB
	s       *server
	session string
	begin   time.Time
	players []*player
	pages   bool                     // of Chromium, instead: players name only what they publish
	strips  map[string][]image.Image // what was recorded, by layout
}

func newCast(t testing.TB, s *server, session string) *cast {
	t.Helper()
	return &cast{t: t, s: s, session: session, begin: time.Now(), strips: map[string][]image.Image{}}
}

// in is the cast for a part of a test, which fails alone.
func (c *cast) in(t testing.TB) *cast {
	inner, s := *c, *c.s
	s.t, inner.t, inner.s = t, t, &s
	return &inner
}

func clipOf(t testing.TB, number, width, height int) *actor.Clip {
	t.Helper()
	name := codec.VP8
	if number%2 == 0 {
		name = codec.H264
	}
	c, err := actor.Make(t.Context(), number, name, width, height)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// until has players join and publish, one after the other, until there are so many.
func (c *cast) until(n int) {
	c.t.Helper()
	for len(c.players) < n {
		c.add(len(c.players) + 1)
	}
}

func (c *cast) add(number int) *player {
	c.t.Helper()
	clip := clipOf(c.t, number, 640, 360) // first: a socket that does not join in time is closed
	p := &player{wire: dialWire(c.t, c.s), clip: clip, begin: c.begin}
	p.token, p.connection = c.s.connection(c.session, "PUBLISHER", nil)
	params := joinParams(c.session, p.token)
	params["metadata"] = fmt.Sprintf(`{"clientData":"Player %d"}`, number)
	p.ok("joinRoom", params)
	p.publish()
	c.players = append(c.players, p)
	return p
}

// streams are the ids of what is published, in that order.
func (c *cast) streams() (ids []string) {
	for _, p := range c.players {
		ids = append(ids, p.streamID)
	}
	return ids
}

func (p *player) publish() {
	p.wire.t.Helper()
	p.Sender = actor.NewSender(p.wire.t, p.clip, p.begin)
	answer := p.ok("publishVideo", map[string]any{
		"sdpOffer": p.Offer(), "doLoopback": false, "hasAudio": true, "hasVideo": true, "audioActive": true, "videoActive": true,
		"typeOfVideo": "CAMERA", "frameRate": 25, "videoDimensions": `{"width":640,"height":360}`,
	})
	p.streamID, _ = answer["id"].(string)
	p.connect(answer)
}

// again publishes the same stream from another peer, as the library does when its
// network is back.
func (p *player) again() {
	p.wire.t.Helper()
	p.Sender.Close()
	p.Sender = actor.NewSender(p.wire.t, p.clip, p.begin)
	p.connect(p.ok("reconnectStream", map[string]any{"stream": p.streamID, "sdpString": p.Offer()}))
}

func (p *player) connect(answer map[string]any) {
	p.wire.t.Helper()
	sdp, _ := answer["sdpAnswer"].(string)
	p.SetAnswer(sdp)
	eventually(p.wire.t, eventDeadline, "the publisher is connected", func() error {
		for _, c := range p.candidates() {
			p.Sender.AddCandidate(c.Candidate, *c.SDPMid, int(*c.SDPMLineIndex))
		}
		return want(p.Connected(), "it is %s", p.PC.ConnectionState())
	})
	p.Start()
}

// candidates are those that have come since the last call.
func (p *player) candidates() (list []webrtc.ICECandidateInit) {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	for ; p.heard < len(p.notes); p.heard++ {
		if p.notes[p.heard].Method != "iceCandidate" {
			continue
		}
		var c webrtc.ICECandidateInit
		text, err := json.Marshal(p.notes[p.heard].Params)
		if err == nil && json.Unmarshal(text, &c) == nil && c.SDPMid != nil && c.SDPMLineIndex != nil {
			list = append(list, c)
		}
	}
	return list
}

// property tells the session of a mute, as the library does.
func (p *player) property(name string, value bool) {
	p.wire.t.Helper()
	reason := map[string]string{"videoActive": "publishVideo", "audioActive": "publishAudio"}[name]
	p.ok("streamPropertyChanged", map[string]any{"streamId": p.streamID, "property": name, "newValue": value, "reason": reason})
}
