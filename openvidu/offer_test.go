package openvidu

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/mediatest"
)

func simulcast(o *Options) { o.ServerOffers, o.Simulcast = true, true }

func TestWhoTakesOffers(t *testing.T) {
	for sdk, want := range map[string]bool{
		"": false, "2.17.0": false, "2.18.0": true, "2.21.0": true, "2.32.2": true, "2.31.0-beta1": true,
		"1.9.0": false, "3.0.0": false, "2": false, "2.x": false, "2.32": true,
	} {
		if got := takesOffers(sdk); got != want {
			t.Errorf("takesOffers(%q) = %v", sdk, got)
		}
	}
}

// offered asks for an offer as the library does.
func (u *user) offered(stream string, reconnect bool) string {
	u.w.t.Helper()
	var offer string
	if err := u.c.PrepareReceive(u.w.t.Context(), PrepareRequest{Sender: stream, Reconnect: reconnect}, func(r any) {
		offer = r.(OfferResult).SDPOffer
		u.reply(r)
	}); err != nil {
		u.w.t.Fatalf("%s is not offered to: %v", u.name, err)
	}
	return offer
}

// TestServerOffers: a new client is offered to, an old one in the same session is
// served as ever; nobody's codec is forced.
func TestServerOffers(t *testing.T) {
	w := newWorld(t, simulcast)
	w.session("S")
	a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Subscriber)
	old := w.joinWith(JoinRequest{Token: *w.token("S", "C", auth.Subscriber).Token, Session: "S"}, "C")
	if r := a.result; r.MediaServer != "mediasoup" || !r.VideoSimulcast {
		t.Errorf("a new client is told %q, %v", r.MediaServer, r.VideoSimulcast)
	}
	if r := old.result; r.MediaServer != "kurento" || r.VideoSimulcast {
		t.Errorf("an old client is told %q, %v", r.MediaServer, r.VideoSimulcast)
	}
	stream := a.publish()
	if ops := w.invoked(w.endpoints()[0]); !slices.Contains(ops, "processOffer") {
		t.Errorf("publisher: %q", ops)
	}
	old.subscribe(stream.ID)
	wantCode(t, "old client", old.c.PrepareReceive(t.Context(), PrepareRequest{Sender: stream.ID}, old.reply), CodeMediaGeneric)

	offer := b.offered(stream.ID, false)
	if !strings.Contains(offer, "H264") {
		t.Errorf("a codec was forced on the offer: %s", offer)
	}
	sink := w.endpoints()[2]
	w.must(b.c.Candidate(t.Context(), "con_A", ICECandidate{Candidate: "candidate:early 1 ufrag B"}, b.reply))
	w.took()
	w.must(b.c.Subscribe(t.Context(), SubscribeRequest{Sender: stream.ID, SDPAnswer: mediatest.Answer(mediatest.Offer("B", "VP8"))}, func(r any) {
		if r != (Empty{}) {
			t.Errorf("result %v", r)
		}
		b.reply(r)
	}))
	w.eventually("gathered", func() bool { return len(w.invoked(sink)) == 6 })
	want := []string{"setMaxVideoSendBandwidth 1000", "setMinVideoSendBandwidth 300", "generateOffer <nil>", "processAnswer", "addIceCandidate candidate:early 1 ufrag B", "gatherCandidates"}
	if ops := w.invoked(sink); !slices.Equal(ops, want) {
		t.Errorf("got  %q\nwant %q", ops, want)
	}
	if ops := w.invoked(w.endpoints()[0]); !slices.Contains(ops, "connect "+string(sink)) {
		t.Errorf("the publisher was not connected: %q", ops)
	}
	if n := w.eventNames(); !slices.Contains(n, "webrtcConnectionCreated INBOUND con_B") {
		t.Errorf("events %q", n)
	}
	answer := mediatest.Answer(mediatest.Offer("B", "VP8"))
	wantCode(t, "answered twice", b.c.Subscribe(t.Context(), SubscribeRequest{Sender: stream.ID, SDPAnswer: answer}, b.reply), CodeMediaEndpoint)
	wantCode(t, "own stream", a.c.PrepareReceive(t.Context(), PrepareRequest{Sender: stream.ID}, a.reply), CodeUserNotStreaming)
	wantCode(t, "unknown", b.c.PrepareReceive(t.Context(), PrepareRequest{Sender: "str_CAM_Xyzw_con_X"}, b.reply), CodeUserNotFound)
	w.must(a.c.Unpublish(t.Context(), a.reply))
	w.eventually("nothing is left", func() bool { return len(w.endpoints()) == 0 })
}

// TestServerOfferIsRefused: what a browser answers may be anything, and what was
// offered and never answered is released with its connection.
func TestServerOfferIsRefused(t *testing.T) {
	w := newWorld(t, simulcast)
	w.session("S", func(p *SessionProperties) { p.ForcedVideoCodec = CodecH264 })
	a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Subscriber)
	stream := a.publish()
	for what, c := range map[string]struct {
		answer string
		code   Code
	}{
		"no SDP":        {"hello", CodeMediaSDP},
		"refused":       {"v=1\r\n", CodeMediaSDP},
		"nothing asked": {"v=0\r\n", CodeMediaEndpoint},
		"much too long": {"v=0\r\n" + strings.Repeat("a=x\r\n", 1<<17), CodeMediaSDP},
	} {
		if what != "nothing asked" {
			if offer := b.offered(stream.ID, false); strings.Contains(offer, "VP8") || !strings.Contains(offer, "H264") {
				t.Fatalf("the offer is not of the forced codec: %s", offer)
			}
		}
		wantCode(t, what, b.c.Subscribe(t.Context(), SubscribeRequest{Sender: stream.ID, SDPAnswer: c.answer}, b.reply), c.code)
		w.must(b.c.Unsubscribe(t.Context(), "con_A", b.reply))
		w.eventually(what+": one endpoint is left", func() bool { return len(w.endpoints()) == 1 })
	}
	w.media.SetBefore(func(_ context.Context, c mediatest.Call) error {
		if c.Name == "generateOffer" {
			return errors.New("no")
		}
		return nil
	})
	wantCode(t, "node refuses", b.c.PrepareReceive(t.Context(), PrepareRequest{Sender: stream.ID}, b.reply), CodeMediaGeneric)
	w.media.SetBefore(nil)
	b.offered(stream.ID, false)
	b.offered(stream.ID, false) // again: the first is replaced
	w.eventually("one offer at a time", func() bool { return len(w.endpoints()) == 2 })
	w.must(b.c.Leave(t.Context(), b.reply))
	w.eventually("the offer is released", func() bool { return len(w.endpoints()) == 1 })
}

// TestServerOffersAgain: a reconnection keeps the old endpoint until the new one is
// answered, and an answer fits only the offer that was made for it.
func TestServerOffersAgain(t *testing.T) {
	w := newWorld(t, simulcast)
	w.session("S")
	a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Subscriber)
	stream := a.publish()
	answer := mediatest.Answer(mediatest.Offer("B", "VP8"))
	again := func(forcibly bool) error {
		return b.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: stream.ID, SDPString: answer, Forcibly: forcibly}, b.reply)
	}
	wantCode(t, "nothing offered", again(false), CodeMediaEndpoint)
	b.offered(stream.ID, true) // the socket died before it had subscribed
	w.must(again(false))
	first := w.endpoints()[1]
	b.offered(stream.ID, true)
	if len(w.endpoints()) != 3 {
		t.Fatalf("endpoints %v", w.endpoints())
	}
	wantCode(t, "not forced", again(true), CodeMediaEndpoint)
	w.must(again(false))
	w.eventually("the first is released", func() bool { return len(w.endpoints()) == 2 && !slices.Contains(w.endpoints(), first) })
	wantCode(t, "answered twice", again(false), CodeMediaEndpoint)

	// The publisher comes back with another codec: its subscriber is made to follow.
	sink := w.endpoints()[1]
	w.must(a.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: stream.ID, SDPString: mediatest.Offer("A2", "VP8")}, a.reply))
	if b.peer.last("forciblyReconnectSubscriber") != nil {
		t.Error("a subscriber that has the codec was made to reconnect")
	}
	w.must(a.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: stream.ID, SDPString: mediatest.Offer("A3", "AV1")}, a.reply))
	w.eventually("told to reconnect", func() bool { return b.peer.last("forciblyReconnectSubscriber") != nil })
	p := b.peer.last("forciblyReconnectSubscriber").Params.(paramsForcedReconnect)
	if p.ConnectionID != "con_A" || p.StreamID != stream.ID || !strings.HasPrefix(p.SDPOffer, "v=0") {
		t.Errorf("params %+v", p)
	}
	wantCode(t, "forced", again(false), CodeMediaEndpoint)
	answer = mediatest.Answer(mediatest.Offer("B", "AV1"))
	w.must(again(true))
	w.eventually("the endpoint is replaced", func() bool { return !slices.Contains(w.endpoints(), sink) && len(w.endpoints()) == 2 })
}
