package openvidu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/mediatest"
)

// invoked gives the operations on one object, with one of its parameters.
func (w *world) invoked(obj client.ID) []string {
	var out []string
	for _, c := range w.media.Calls("invoke") {
		if c.Object != obj {
			continue
		}
		s := c.Name
		for k, v := range c.Params {
			switch x := v.(type) {
			case float64:
				s += fmt.Sprint(" ", x)
			case map[string]any:
				s += fmt.Sprint(" ", x["candidate"])
			default:
				if k == "sink" {
					s += fmt.Sprint(" ", x)
				}
			}
		}
		out = append(out, s)
	}
	return out
}

func (w *world) endpoints() []client.ID { return w.media.Alive("WebRtcEndpoint") }

func TestNegotiationOfAPublisher(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	kbps := 250
	a := w.join("S", "A", auth.Publisher, func(p *ConnectionProperties) {
		p.KurentoOptions = &KurentoOptions{VideoMaxRecvBandwidth: &kbps}
	})
	cand := func(s string) ICECandidate { return ICECandidate{Candidate: "candidate:" + s, SDPMid: "0"} }
	// Candidates come before the publication exists.
	w.must(a.c.Candidate(t.Context(), "con_A", cand("early 1 ufrag A"), a.reply))
	w.must(a.c.Candidate(t.Context(), "con_A", cand("early 2"), a.reply))
	w.must(a.c.Candidate(t.Context(), "con_A", cand("of another offer ufrag Z"), a.reply))
	w.must(a.c.Candidate(t.Context(), "con_A", ICECandidate{}, a.reply)) // end of candidates
	got := a.publish()
	w.must(a.c.Candidate(t.Context(), got.ID, cand("late"), a.reply))
	w.eventually("all candidates are with the node", func() bool { return len(w.invoked(w.endpoints()[0])) == 7 })
	want := []string{"setMaxVideoRecvBandwidth 250", "setMinVideoRecvBandwidth 250", "processOffer",
		"addIceCandidate candidate:early 1 ufrag A", "addIceCandidate candidate:early 2", "gatherCandidates", "addIceCandidate candidate:late"}
	if ops := w.invoked(w.endpoints()[0]); !slices.Equal(ops, want) {
		t.Errorf("got  %q\nwant %q", ops, want)
	}
	w.eventually("the node's candidate reaches the browser", func() bool { return a.peer.last("iceCandidate") != nil })
	p := a.peer.last("iceCandidate").Params.(paramsCandidate)
	if p.SenderConnectionID != "con_A" || p.EndpointName != got.ID || p.SDPMid != "0" || p.Candidate == "" {
		t.Errorf("iceCandidate %+v", p)
	}
	if strings.Contains(got.SDPAnswer, "H264") || !strings.Contains(got.SDPAnswer, "VP8") {
		t.Errorf("answer not of the forced codec: %s", got.SDPAnswer)
	}
}

func TestNegotiationOfASubscriber(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	info := w.token("S", "B", auth.Subscriber)
	old := w.joinWith(JoinRequest{Token: *info.Token, Session: "S"}, "B") // no sdkVersion: an old library
	stream := a.publish()
	source := w.endpoints()[0]
	w.must(old.c.Candidate(t.Context(), "con_A", ICECandidate{Candidate: "candidate:early"}, old.reply))
	old.subscribe(stream.ID)
	sink := w.endpoints()[1]
	w.eventually("gathered", func() bool { return len(w.invoked(sink)) == 5 })
	want := []string{"setMaxVideoSendBandwidth 1000", "setMinVideoSendBandwidth 300", "processOffer", "addIceCandidate candidate:early", "gatherCandidates"}
	if ops := w.invoked(sink); !slices.Equal(ops, want) {
		t.Errorf("got  %q\nwant %q", ops, want)
	}
	if ops := w.invoked(source); !slices.Contains(ops, "connect "+string(sink)) {
		t.Errorf("the publisher was not connected: %q", ops)
	}
	w.eventually("candidate", func() bool { return old.peer.last("iceCandidate") != nil })
	if p := old.peer.last("iceCandidate").Params.(paramsCandidate); p.SenderConnectionID != "con_A" || p.EndpointName != "con_A" {
		t.Errorf("an old client is sent %+v, want a connection id as endpointName", p)
	}
	wantCode(t, "own stream", a.c.Subscribe(t.Context(), SubscribeRequest{Sender: stream.ID, SDPOffer: mediatest.Offer("A", "VP8")}, a.reply), CodeUserNotStreaming)
	wantCode(t, "unknown connection", a.c.Subscribe(t.Context(), SubscribeRequest{Sender: "str_CAM_Xyzw_con_X", SDPOffer: mediatest.Offer("A", "VP8")}, a.reply), CodeUserNotFound)
	wantCode(t, "not publishing", a.c.Subscribe(t.Context(), SubscribeRequest{Sender: "str_CAM_Xyzw_con_B", SDPOffer: mediatest.Offer("A", "VP8")}, a.reply), CodeUserNotStreaming)
	wantCode(t, "no offer", old.c.Subscribe(t.Context(), SubscribeRequest{Sender: stream.ID}, a.reply), CodeMissingParameter)
	wantCode(t, "prepare", old.c.PrepareReceive(t.Context(), PrepareRequest{Sender: stream.ID}, a.reply), CodeMediaGeneric)
	// A second subscription replaces the first; leaving releases everything.
	old.subscribe(stream.ID)
	w.eventually("the first endpoint is released", func() bool { return !slices.Contains(w.endpoints(), sink) && len(w.endpoints()) == 2 })
	w.must(old.c.Unsubscribe(t.Context(), "con_A", old.reply))
	w.eventually("unsubscribed", func() bool { return len(w.endpoints()) == 1 })
	old.subscribe("con_A_CAMERA") // as clients before 2.8 name it
	w.must(a.c.Unpublish(t.Context(), a.reply))
	w.eventually("unpublished", func() bool { return len(w.endpoints()) == 0 })
	if again := a.publish(); again.ID == stream.ID {
		t.Error("a new publication has the old stream id")
	}
	w.must(a.c.Leave(t.Context(), a.reply))
	w.must(old.c.Leave(t.Context(), old.reply))
	w.eventually("nothing is left", func() bool { return len(w.endpoints())+len(w.media.Alive("MediaPipeline")) == 0 })
}

func TestLoopback(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	req := publication("A")
	req.DoLoopback = true
	w.must(a.c.Publish(t.Context(), req, a.reply))
	ep := w.endpoints()[0]
	if ops := w.invoked(ep); !slices.Contains(ops, "connect "+string(ep)) || !slices.Contains(ops, "setMaxVideoSendBandwidth 1000") {
		t.Errorf("got %q", ops)
	}
}

func TestForcedCodecOfASession(t *testing.T) {
	yes := true
	for _, c := range []struct {
		codec     string
		transcode *bool
		offer     []string
		want      string // codec of the answer
		code      Code
	}{
		{"", nil, []string{"H264", "VP8"}, "VP8", 0},
		{"", nil, []string{"H264"}, "", CodeForcedCodec},
		{"", &yes, []string{"H264"}, "H264", 0},
		{CodecH264, nil, []string{"VP8", "H264"}, "H264", 0},
		{CodecNone, nil, []string{"AV1", "VP8"}, "AV1", 0},
		{CodecVP9, nil, []string{"VP8"}, "", CodeForcedCodec},
	} {
		w := newWorld(t)
		w.session("S", func(p *SessionProperties) { p.ForcedVideoCodec, p.AllowTranscoding = c.codec, c.transcode })
		a := w.join("S", "A", auth.Publisher)
		req := publication("A")
		req.SDPOffer = mediatest.Offer("A", c.offer...)
		var got PublishResult
		err := a.c.Publish(t.Context(), req, func(r any) { got = r.(PublishResult) })
		if c.code != 0 {
			wantCode(t, c.codec, err, c.code)
			if !strings.HasPrefix(err.Error(), "Error forcing codec:") || !strings.Contains(err.Error(), "con_A") || !strings.Contains(err.Error(), "session S") {
				t.Errorf("text %q", err)
			}
			continue
		}
		if video, _ := firstCodecs(got.SDPAnswer); err != nil || video != c.want {
			t.Errorf("codec %q, offer %v: answer has %q, want %q (%v)", c.codec, c.offer, video, c.want, err)
		}
	}
}

func TestPublishRefusals(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	a := w.join("S", "A", auth.Publisher, func(p *ConnectionProperties) {
		p.KurentoOptions = &KurentoOptions{AllowedFilters: []string{"ZBarFilter"}}
	})
	sub := w.join("S", "B", auth.Subscriber)
	before := w.digest()
	change := func(f func(*PublishRequest)) PublishRequest {
		r := publication("A")
		f(&r)
		return r
	}
	for what, c := range map[string]struct {
		u    *user
		req  PublishRequest
		code Code
	}{
		"subscriber":       {sub, publication("B"), CodeUnauthorized},
		"no offer":         {a, change(func(r *PublishRequest) { r.SDPOffer = "" }), CodeMissingParameter},
		"not SDP":          {a, change(func(r *PublishRequest) { r.SDPOffer = "hello" }), CodeMediaSDP},
		"refused by node":  {a, change(func(r *PublishRequest) { r.SDPOffer = "v=1\r\n" }), CodeMediaSDP},
		"too long":         {a, change(func(r *PublishRequest) { r.SDPOffer += strings.Repeat("a", 130<<10) }), CodeMediaSDP},
		"too many lines":   {a, change(func(r *PublishRequest) { r.SDPOffer += strings.Repeat("a\n", 2001) }), CodeMediaSDP},
		"too many m":       {a, change(func(r *PublishRequest) { r.SDPOffer += strings.Repeat("\nm=", 65) }), CodeMediaSDP},
		"type":             {a, change(func(r *PublishRequest) { r.TypeOfVideo = "IPCAM" }), CodeMissingParameter},
		"size":             {a, change(func(r *PublishRequest) { r.VideoDimensions = "640x480" }), CodeMissingParameter},
		"filter forbidden": {a, change(func(r *PublishRequest) { r.Filter = "GStreamerFilter" }), CodeUnauthorized},
		"filter":           {a, change(func(r *PublishRequest) { r.Filter = "ZBarFilter" }), CodeMediaEndpoint},
	} {
		wantCode(t, what, c.u.c.Publish(t.Context(), c.req, func(any) { t.Errorf("%s: replied", what) }), c.code)
	}
	if after := w.digest(); after != before {
		t.Errorf("refusals changed the state:\n%s\n%s", before, after)
	}
	if n := len(w.endpoints()); n != 0 {
		t.Errorf("%d endpoints left behind", n)
	}
	a.publish()
	wantCode(t, "twice", a.c.Publish(t.Context(), publication("A"), a.reply), CodeUserAlreadyStreaming)
	wantCode(t, "unpublish of a subscriber", sub.c.Unpublish(t.Context(), sub.reply), CodeUserNotStreaming)
}

func TestNodeFailuresStayWithTheCaller(t *testing.T) {
	for _, c := range []struct {
		kind, name string
		err        error
		code       Code
	}{
		{"create", "MediaPipeline", kerr.NotEnoughResources, CodeMediaWebRTCEndpoint},
		{"create", "WebRtcEndpoint", kerr.NotEnoughResources, CodeMediaWebRTCEndpoint},
		{"subscribe", "IceCandidateFound", kerr.MediaObjectEventNotSupported, CodeMediaWebRTCEndpoint},
		{"invoke", "setMaxVideoRecvBandwidth", errors.New("stream closed"), CodeMediaGeneric},
		{"invoke", "processOffer", kerr.SDPProcessOfferError, CodeMediaSDP},
	} {
		w := newWorld(t)
		w.session("S")
		a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Publisher)
		w.took()
		before := w.digest()
		w.media.SetBefore(func(_ context.Context, call mediatest.Call) error {
			if call.Kind == c.kind && call.Name == c.name {
				return fmt.Errorf("node: %w", c.err)
			}
			return nil
		})
		wantCode(t, c.name, a.c.Publish(t.Context(), publication("A"), a.reply), c.code)
		w.expect(c.name+": nobody hears of it", nil...)
		if after := w.digest(); after != before {
			t.Errorf("%s: state changed:\n%s\n%s", c.name, before, after)
		}
		if n := len(w.endpoints()); n != 0 {
			t.Errorf("%s: %d endpoints left behind", c.name, n)
		}
		w.media.SetBefore(nil)
		b.publish()
		a.publish() // and it works when the node does
	}
}

func TestUnknownEventsOfANodeAreNoObstacle(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	w.media.SetBefore(func(_ context.Context, call mediatest.Call) error {
		if call.Kind == "subscribe" && call.Name != "IceCandidateFound" {
			return fmt.Errorf("subscribe: %w", kerr.MediaObjectEventNotSupported)
		}
		return nil
	})
	a.publish()
}

// TestASlowNodeHoldsUpNobodyElse: while A's publication hangs in the node, the
// room goes on, and A may be thrown out meanwhile.
func TestASlowNodeHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.session("S")
		a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Moderator)
		hold := make(chan struct{})
		slow := a.name
		w.media.SetBefore(func(ctx context.Context, call mediatest.Call) error {
			offer, _ := call.Params["offer"].(string)
			if call.Name == "processOffer" && strings.Contains(offer, "ice-ufrag:"+slow) {
				select {
				case <-hold:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
		failed := make(chan error, 1)
		publish := func() {
			go func() { failed <- a.c.Publish(t.Context(), publication("A"), func(any) { t.Error("replied") }) }()
			synctest.Wait()
		}
		w.took()
		publish()
		b.publish()
		w.must(b.c.SendMessage(t.Context(), `{"data":"still here"}`, b.reply))
		w.expect("the room goes on", "B<reply", "A<participantPublished con_B", "A<sendMessage con_B still here", "B<sendMessage con_B still here", "B<reply")
		wantCode(t, "second publication", a.c.Publish(t.Context(), publication("A"), a.reply), CodeUserAlreadyStreaming)
		time.Sleep(10 * time.Second) // the media timeout
		synctest.Wait()
		wantCode(t, "hung", <-failed, CodeMediaGeneric)
		if n := len(w.endpoints()); n != 1 {
			t.Errorf("%d endpoints, want B's alone", n)
		}
		publish()
		w.must(b.c.ForceDisconnect(t.Context(), "con_A", b.reply))
		close(hold)
		wantCode(t, "thrown out meanwhile", <-failed, CodeUserClosed)
		synctest.Wait()
		if n := len(w.endpoints()); n != 1 {
			t.Errorf("%d endpoints, want B's alone", n)
		}
		_ = w.m.Close()
		if n := len(w.media.Alive("MediaPipeline")); n != 0 {
			t.Errorf("%d pipelines left behind", n)
		}
	})
}

func TestStreamEndsWhileItIsSubscribedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, _, stream := room(t)
		hold := make(chan struct{})
		w.media.SetBefore(func(_ context.Context, call mediatest.Call) error {
			if call.Name == "processOffer" {
				<-hold
			}
			return nil
		})
		failed := make(chan error, 1)
		go func() {
			failed <- b.c.Subscribe(t.Context(), SubscribeRequest{Sender: stream, SDPOffer: mediatest.Offer("B", "VP8")}, func(any) { t.Error("replied") })
		}()
		synctest.Wait()
		w.must(a.c.Unpublish(t.Context(), a.reply))
		close(hold)
		wantCode(t, "ended meanwhile", <-failed, CodeUserNotStreaming)
		synctest.Wait()
		if n := len(w.endpoints()); n != 0 {
			t.Errorf("%d endpoints left behind", n)
		}
		_ = w.m.Close()
	})
}

func TestReconnectStream(t *testing.T) {
	w := newWorld(t)
	rec := &fakeRecorder{w: w}
	w.m.SetRecorder(rec)
	w.session("S")
	a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Publisher)
	first := a.publish()
	b.subscribe(first.ID)
	eps := w.endpoints()
	w.took()
	// The publisher's candidates of the new offer come first.
	w.must(a.c.Candidate(t.Context(), "con_A", ICECandidate{Candidate: "candidate:x ufrag NEW"}, a.reply))
	var again PublishResult
	w.must(a.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: first.ID, SDPString: mediatest.Offer("NEW", "VP8", "VP9")}, func(r any) { again = r.(PublishResult) }))
	if again.ID != first.ID || again.CreatedAt != first.CreatedAt || again.SDPAnswer == "" {
		t.Errorf("got %+v, want the id and time of %+v", again, first)
	}
	w.expect("nobody is notified", "A<reply")
	w.eventually("the old endpoint is released", func() bool { return !slices.Contains(w.endpoints(), eps[0]) && len(w.endpoints()) == 2 })
	fresh := w.endpoints()[1]
	w.eventually("the subscriber is connected to the new one", func() bool { return slices.Contains(w.invoked(fresh), "connect "+string(eps[1])) })
	w.eventually("its candidate is with it", func() bool { return slices.Contains(w.invoked(fresh), "addIceCandidate candidate:x ufrag NEW") })
	if slices.Contains(w.invoked(eps[0]), "addIceCandidate candidate:x ufrag NEW") {
		t.Error("the candidate of the new offer went to the old endpoint")
	}
	w.eventually("the recorder changes over", func() bool { return len(rec.took()) == 5 })
	if got := rec.took()[2:]; !slices.Equal(got, []string{"published con_A first=true", "unpublished con_A networkDisconnect alive=true", "published con_A first=false"}) {
		t.Errorf("recorder %v", got)
	}
	// The subscriber's.
	w.must(b.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: first.ID, SDPOffer: mediatest.Offer("B2", "VP8")}, b.reply))
	w.eventually("the subscriber's old endpoint is released", func() bool { return !slices.Contains(w.endpoints(), eps[1]) && len(w.endpoints()) == 2 })
	if ops := w.invoked(fresh); !slices.Contains(ops, "connect "+string(w.endpoints()[1])) {
		t.Errorf("the new subscriber endpoint is not connected: %q", ops)
	}
	wantCode(t, "answer to an offer we never made", b.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: first.ID, SDPString: "v=0"}, b.reply), CodeMediaEndpoint)
	wantCode(t, "unknown stream", b.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: "str_CAM_Abcd_con_X", SDPOffer: "v=0"}, b.reply), CodeUserNotFound)
	wantCode(t, "bad offer", a.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: first.ID, SDPOffer: "v=1\n"}, b.reply), CodeMediaSDP)
	info, err := w.m.Connection(t.Context(), "S", "con_A", ViewOptions{})
	w.must(err)
	if len(info.Publishers) != 1 || info.Publishers[0].StreamID != first.ID {
		t.Errorf("after a refused reconnection: %+v", info.Publishers)
	}
}

func TestMediaEventsShowInStatistics(t *testing.T) {
	w, _, _, _, _ := room(t)
	ep := w.endpoints()[0]
	w.media.Emit(ep, "ConnectionStateChanged", map[string]any{"source": string(ep), "type": "x", "newState": "CONNECTED"})
	w.media.Emit(ep, "NewCandidatePairSelected", map[string]any{"candidatePair": map[string]any{"localCandidate": "L", "remoteCandidate": "R"}})
	for range 100 {
		w.media.Emit(ep, "MediaFlowInStateChanged", map[string]any{"mediaType": "VIDEO", "state": "FLOWING"})
	}
	info, err := w.m.Connection(t.Context(), "S", "con_A", ViewOptions{WebRTCStats: true})
	w.must(err)
	p := info.Publishers[0]
	if p.LocalCandidate != "L" || p.RemoteCandidate != "R" || len(p.Events) != 64 || p.Events[63]["mediaType"] != "VIDEO" || p.Events[63]["type"] != "MediaFlowInStateChanged" || p.Events[63]["source"] != nil {
		t.Errorf("statistics %+v", p.WebRTCStats)
	}
	plain, err := w.m.Connection(t.Context(), "S", "con_A", ViewOptions{})
	w.must(err)
	if plain.Publishers[0].WebRTCStats != nil {
		t.Error("statistics shown without being asked for")
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	for i := range 200 {
		w.must(a.c.Candidate(t.Context(), "con_A", ICECandidate{Candidate: fmt.Sprint("candidate:", i)}, a.reply))
		w.must(a.c.Candidate(t.Context(), fmt.Sprint("con_Nobody", i), ICECandidate{Candidate: "candidate:x"}, a.reply))
	}
	a.publish()
	for i := range 200 {
		w.must(a.c.Candidate(t.Context(), "con_A", ICECandidate{Candidate: fmt.Sprint("candidate:late", i)}, a.reply))
	}
	w.must(w.m.find("S").do(t.Context(), func() error {
		if len(a.c.early) > 1 || a.c.pub.ep.got != 64 {
			t.Errorf("kept %d names, gave %d candidates; want at most 1 and 64", len(a.c.early), a.c.pub.ep.got)
		}
		return nil
	}))
	wantCode(t, "giant candidate", a.c.Candidate(t.Context(), "con_A", ICECandidate{Candidate: strings.Repeat("x", 2000)}, a.reply), CodeMissingParameter)
}
