package broadcast

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/mediatest"
	"github.com/govidu/govidu/openvidu/studio"
)

// Place implements openvidu.MediaNodes.
func (n *fakeNode) Place(context.Context) (client.Client, error) { return n, nil }

// browser is a socket that notes what it is told.
type browser struct {
	mu  sync.Mutex
	got []string
}

func (b *browser) Notify(n *openvidu.Notification) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, string(n.Frame()))
}
func (b *browser) Replace() [][]byte { return nil }
func (b *browser) Finish()           {}

// told are the frames about broadcasts.
func (b *browser) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.got), func(f string) bool { return !strings.Contains(f, "broadcast") })
}

// TestInARoom puts the real Manager, studios and broadcasts together over a media
// node that only remembers.
func TestInARoom(t *testing.T) {
	node := &fakeNode{Client: mediatest.New(), answer: "Connected", path: playlist}
	log := &events.Memory{Limit: 100}
	rooms, err := openvidu.New(openvidu.Options{Media: node, Events: log, Secret: secret.New("s")})
	if err != nil {
		t.Fatal(err)
	}
	defer rooms.Close()
	h := newHouse(t) // for its logger
	studios := studio.New(studio.Options{Rooms: rooms, Log: h.log})
	defer studios.Close()
	s := New(Options{Rooms: rooms, Studios: StudiosOf(studios), Log: h.log, PublicURL: "https://host"})
	defer s.Close()
	rooms.SetRecorder(openvidu.Recorders(s, studios))

	ctx := t.Context()
	if _, err := rooms.CreateSession(ctx, openvidu.SessionProperties{CustomSessionID: "room"}); err != nil {
		t.Fatal(err)
	}
	info, err := rooms.CreateConnection(ctx, "room", openvidu.ConnectionProperties{Role: auth.Publisher})
	if err != nil {
		t.Fatal(err)
	}
	ann := &browser{}
	c, err := rooms.Join(ctx, openvidu.JoinRequest{Token: *info.Token, Session: "room", SDKVersion: "2.32.2"}, ann, func(openvidu.JoinResult) {})
	if err != nil {
		t.Fatal(err)
	}

	// Before anybody published there is a picture already: nobody's.
	if _, err := s.Start(ctx, "room", rtmp("early")); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(ctx, publication(), func(any) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(ctx, "room", hls("late")); err != nil {
		t.Fatal(err)
	}
	h.eventually("one director has the stream", func() bool {
		return len(node.Alive("Director")) == 1 && len(node.Alive("HubPort")) == 1 && len(node.Alive("View")) == 2
	})
	if shown, err := rooms.Session(ctx, "room", openvidu.ViewOptions{}); err != nil || !shown.Broadcasting {
		t.Errorf("session %+v, %v", shown, err)
	}
	if err := s.Stop(ctx, "room", "late", openvidu.ReasonBroadcastStopped); err != nil {
		t.Fatal(err)
	}
	if err := rooms.CloseSession(ctx, "room", openvidu.ReasonSessionClosed); err != nil {
		t.Fatal(err)
	}
	if got := ann.told(); len(got) != 1 || !strings.Contains(got[0], `"method":"broadcastStarted","params":{}`) {
		t.Errorf("the browser, who was gone before the end, is told %v", got)
	}
	var order []string
	for _, e := range log.Events() {
		switch f := e.Fields.(type) {
		case events.BroadcastStopped:
			order = append(order, e.Name+" "+f.Reason)
		default:
			order = append(order, e.Name)
		}
	}
	want := []string{"sessionCreated", "participantJoined", "broadcastStarted", "webrtcConnectionCreated", "broadcastStarted",
		"broadcastStopped broadcastStoppedByServer", "webrtcConnectionDestroyed", "participantLeft", "broadcastStopped sessionClosedByServer", "sessionDestroyed"}
	if !slices.Equal(order, want) {
		t.Errorf("events\n got  %v\n want %v", order, want)
	}
	if left := append(node.outputs(), node.Alive("View")...); len(left) != 0 || len(s.List()) != 0 {
		t.Errorf("left: %v %v", left, s.List())
	}
}

func publication() openvidu.PublishRequest {
	return openvidu.PublishRequest{
		SDPOffer: mediatest.Offer("u", "VP8"), HasAudio: true, HasVideo: true, AudioActive: true, VideoActive: true,
		TypeOfVideo: "CAMERA", FrameRate: 30, VideoDimensions: `{"width":640,"height":480}`,
	}
}
