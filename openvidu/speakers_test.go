package openvidu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/mediatest"
)

// talk raises what the node tells of those who talk, by their endpoints.
func (w *world) talk(endpoints ...client.ID) {
	list := []map[string]any{}
	for i, id := range endpoints {
		list = append(list, map[string]any{"endpoint": id, "level": 20 + i})
	}
	for _, id := range w.media.Alive("ActiveSpeakers") {
		w.media.Emit(id, "ActiveSpeakersChanged", map[string]any{"speakers": list})
	}
}

// added gives the endpoints that are listened to.
func (w *world) added() (out []string) {
	for _, c := range w.media.Calls("invoke") {
		if c.Name == "add" {
			out = append(out, c.Params["endpoint"].(string))
		}
	}
	return out
}

// TestActiveSpeakers: nobody is listened to until somebody asks; who asked hears
// who talks, and nobody else does.
func TestActiveSpeakers(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	a, b, c := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Publisher), w.join("S", "C", auth.Subscriber)
	first := a.publish()
	if n := len(w.media.Alive("ActiveSpeakers")); n != 0 {
		t.Fatalf("%d listen before anybody asked", n)
	}
	var now ActiveSpeakers
	w.must(c.c.SubscribeToActiveSpeakers(t.Context(), func(r any) { now = r.(ActiveSpeakers); c.reply(r) }))
	if now.Speakers == nil || len(now.Speakers) != 0 {
		t.Errorf("at first %+v", now)
	}
	b.publish()
	w.eventually("both are listened to", func() bool { return len(w.added()) == 2 })
	ends := w.endpoints()
	w.took()

	w.talk(ends[0])
	w.eventually("told", func() bool { return c.peer.last("activeSpeakersChanged") != nil })
	got := c.peer.last("activeSpeakersChanged").Params.(ActiveSpeakers)
	if want := (Speaker{"con_A", first.ID, 20}); len(got.Speakers) != 1 || got.Speakers[0] != want {
		t.Errorf("told %+v", got)
	}
	w.talk(ends[1], ends[0], "gone_kurento.WebRtcEndpoint")
	w.eventually("both are told", func() bool {
		p := c.peer.last("activeSpeakersChanged").Params.(ActiveSpeakers)
		return len(p.Speakers) == 2 && p.Speakers[0].ConnectionID == "con_B"
	})
	if b.peer.last("activeSpeakersChanged") != nil {
		t.Error("one who did not ask was told")
	}
	// Who is muted does not speak, whatever is before the microphone.
	w.must(a.c.PropertyChanged(t.Context(), PropertyChange{StreamID: first.ID, Property: "audioActive", Reason: "publishAudio", NewValue: []byte("false")}, a.reply))
	w.talk(ends[0], ends[1])
	w.eventually("only b is told", func() bool { return len(c.peer.last("activeSpeakersChanged").Params.(ActiveSpeakers).Speakers) == 1 })

	// A publisher that reconnects is listened to at its new endpoint.
	w.must(a.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: first.ID, SDPString: mediatest.Offer("A2", "VP8")}, a.reply))
	w.eventually("the new endpoint is listened to", func() bool { return len(w.added()) == 3 })
	w.must(c.c.UnsubscribeFromActiveSpeakers(t.Context(), c.reply))
	w.took()
	w.talk()
	w.must(c.c.do(t.Context(), func() error { return nil }))
	if log := w.took(); slices.ContainsFunc(log, func(s string) bool { return strings.Contains(s, "activeSpeakers") }) {
		t.Errorf("told after the end: %q", log)
	}
}

// TestActiveSpeakersRefused: a node of another make cannot tell; one that fails is
// asked again.
func TestActiveSpeakersRefused(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	fail := kerr.MediaObjectTypeNotFound
	w.media.SetBefore(func(_ context.Context, c mediatest.Call) error {
		if c.Name == "ActiveSpeakers" && fail != 0 {
			return fmt.Errorf("create: %w", fail)
		}
		return nil
	})
	wantCode(t, "unknown type", a.c.SubscribeToActiveSpeakers(t.Context(), a.reply), CodeServiceNotEnabled)
	fail = kerr.NotEnoughResources
	wantCode(t, "failing node", a.c.SubscribeToActiveSpeakers(t.Context(), a.reply), CodeMediaWebRTCEndpoint)
	fail = 0
	w.must(a.c.SubscribeToActiveSpeakers(t.Context(), a.reply))
}

// video gives, for each endpoint that receives, whether it is sent video now, by
// replaying what was asked of the node.
func (w *world) video() map[string]bool {
	out := map[string]bool{}
	for _, c := range w.media.Calls("invoke") {
		sink, _ := c.Params["sink"].(string)
		switch kind, all := c.Params["mediaType"].(string); {
		case c.Name == "connect" && !all:
			out[sink] = true
		case c.Name == "connect" && kind == "VIDEO":
			out[sink] = true
		case c.Name == "connect":
			out[sink] = out[sink] || false
		case c.Name == "disconnect" && kind == "VIDEO":
			out[sink] = false
		}
	}
	return out
}

// TestLastN: each is sent the cameras of the last speakers, its own not counted;
// screens and recorders are no matter of who speaks.
func TestLastN(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.AllowSecretJoin, o.Secret = true, auth.NewSecret("s3cret") })
	w.session("S", func(p *SessionProperties) { p.LastN = 1 })
	users, cameras, sources := map[string]*user{}, map[string]string{}, map[string]client.ID{}
	for _, name := range []string{"A", "B", "C"} {
		users[name] = w.join("S", name, auth.Publisher)
		cameras[name] = users[name].publish().ID
		sources[name] = w.endpoints()[len(w.endpoints())-1]
	}
	screen := w.join("S", "X", auth.Publisher)
	req := publication("X")
	req.TypeOfVideo = "SCREEN"
	var shared string
	w.must(screen.c.Publish(t.Context(), req, func(r any) { shared = r.(PublishResult).ID }))
	viewer := w.join("S", "V", auth.Subscriber)
	recorder := w.joinWith(JoinRequest{Token: "wss://h?sessionId=S", Session: "S", Secret: auth.NewSecret("s3cret"), Recorder: true}, "R")

	sinks := map[string]client.ID{} // "V<A": what V gets of A
	receive := func(u *user, from, stream string) {
		u.subscribe(stream)
		sinks[u.name+"<"+from] = w.endpoints()[len(w.endpoints())-1]
	}
	for _, u := range []*user{viewer, recorder} {
		for _, from := range []string{"A", "B", "C"} {
			receive(u, from, cameras[from])
		}
		receive(u, "X", shared)
	}
	receive(users["A"], "B", cameras["B"])
	receive(users["A"], "C", cameras["C"])

	is := func(what string, want ...string) {
		t.Helper()
		want = append(want, "V<X", "R<A", "R<B", "R<C", "R<X")
		slices.Sort(want)
		var got []string
		w.eventually(what, func() bool {
			now := w.video()
			got = nil
			for name, id := range sinks {
				if now[string(id)] {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			return slices.Equal(got, want)
		})
	}
	w.eventually("listened to", func() bool { return len(w.added()) == 4 })
	is("before anybody speaks, in the order of publishing", "V<A", "A<B")
	w.talk(sources["C"])
	is("C speaks", "V<C", "A<C")
	w.talk(sources["C"], sources["A"])
	is("A begins to speak beside C", "V<C", "A<C")
	w.talk(sources["A"], sources["C"])
	is("A is the main speaker", "V<A", "A<C")
	w.talk()
	is("nobody speaks", "V<A", "A<C")
	w.must(users["A"].c.PropertyChanged(t.Context(), PropertyChange{StreamID: cameras["A"], Property: "videoActive", Reason: "publishVideo", NewValue: []byte("false")}, func(any) {}))
	is("A has no picture, so it takes no place", "V<A", "V<C", "A<C")
	w.must(users["C"].c.Unpublish(t.Context(), func(any) {}))
	delete(sinks, "V<C")
	delete(sinks, "A<C")
	delete(sinks, "R<C")
	w.eventually("C is gone", func() bool {
		now := w.video()
		return now[string(sinks["V<B"])] && now[string(sinks["A<B"])]
	})
	info, err := w.m.Session(t.Context(), "S", ViewOptions{})
	if err != nil || info.LastN != 1 {
		t.Errorf("lastN %d, %v", info.LastN, err)
	}
	for _, n := range []int{-1, 1001} {
		if _, err := w.m.CreateSession(t.Context(), SessionProperties{LastN: n}); !errors.Is(err, ErrInvalid) {
			t.Errorf("lastN %d: %v", n, err)
		}
	}
}

// TestLayerWishes: a wish goes to the subscriber's endpoint, holds for the one that
// replaces it, and is refused in the words of the contract.
func TestLayerWishes(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Subscriber)
	stream := a.publish()
	wish := LayerWish{Spatial: 1, Temporal: -1, Width: 640, Height: 360}
	set := func(l LayerWish) error { return b.c.SetPreferredLayer(t.Context(), stream.ID, l, b.reply) }
	wantCode(t, "not received", set(wish), CodeUserNotStreaming)
	b.subscribe(stream.ID)
	var state LayerState
	w.must(b.c.SetPreferredLayer(t.Context(), stream.ID, wish, func(r any) { state = r.(LayerState) }))
	want := LayerState{stream.ID, wish, CurrentLayer{1, 0}, []StreamLayer{{0, 0, "rdiv2", 320, 180, 15, 150000, true}}}
	if fmt.Sprint(state) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", state, want)
	}
	wished := func(id client.ID) (out []string) {
		for _, c := range w.media.Calls("invoke") {
			if c.Object == id && c.Name == "setPreferredLayer" {
				out = append(out, fmt.Sprint(c.Params))
			}
		}
		return out
	}
	params := []string{"map[maxHeight:360 maxWidth:640 spatial:1 temporal:-1]"}
	if got := wished(w.endpoints()[1]); !slices.Equal(got, params) {
		t.Errorf("the node was told %q", got)
	}
	w.must(b.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: stream.ID, SDPOffer: mediatest.Offer("B2", "VP8")}, b.reply))
	w.eventually("the new endpoint is told", func() bool {
		list := w.endpoints()
		return slices.Equal(wished(list[len(list)-1]), params)
	})
	for _, bad := range []LayerWish{{Spatial: -2}, {Spatial: 8}, {Temporal: -2}, {Temporal: 8}, {Width: -1}, {Height: 1 << 15}} {
		wantCode(t, fmt.Sprint(bad), set(bad), CodeMissingParameter)
	}
	wantCode(t, "unknown", b.c.SetPreferredLayer(t.Context(), "str_CAM_Xyzw_con_X", wish, b.reply), CodeUserNotFound)
	if got, err := w.m.Layer(t.Context(), "S", "con_B", stream.ID); err != nil || got.Preferred != wish {
		t.Errorf("%+v, %v", got, err)
	}
	for _, c := range []struct {
		session, connection, stream string
		want                        error
	}{{"none", "con_B", stream.ID, ErrSessionNotFound}, {"S", "con_X", stream.ID, ErrConnectionNotFound}, {"S", "con_A", stream.ID, ErrStreamNotFound}} {
		if _, err := w.m.SetPreferredLayer(t.Context(), c.session, c.connection, c.stream, wish); !errors.Is(err, c.want) {
			t.Errorf("%v: %v", c, err)
		}
	}
	for _, code := range []kerr.Code{kerr.MediaObjectOperationNotSupported, kerr.MalformedTransaction} {
		w.media.SetBefore(func(_ context.Context, c mediatest.Call) error {
			if c.Name == "setPreferredLayer" {
				return fmt.Errorf("invoke: %w", code)
			}
			return nil
		})
		wantCode(t, "no layers", set(wish), CodeServiceNotEnabled)
	}
}

// TestBusy: an overloaded server takes no new session and nobody new, and spends no
// token on it; who is there stays and may come back.
func TestBusy(t *testing.T) {
	var why atomic.Value
	why.Store("")
	var refused []string
	w := newWorld(t, func(o *Options) {
		o.Busy = func() string { return why.Load().(string) }
		o.Refused = func(what string) { refused = append(refused, what) }
	})
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	info := w.token("S", "B", auth.Publisher)
	why.Store("processors are busy")
	_, err := w.m.CreateSession(t.Context(), SessionProperties{})
	own, ok := errors.AsType[*Error](err)
	if !ok || !errors.Is(err, ErrBusy) || own.RetryAfter != 5*time.Second || !strings.Contains(own.Text, "processors are busy") {
		t.Errorf("session: %v", err)
	}
	join := func() error {
		_, err := w.m.Join(t.Context(), JoinRequest{Token: *info.Token, Session: "S"}, &peer{w: w, name: "B"}, func(JoinResult) {})
		return err
	}
	wantCode(t, "join", join(), CodeRoomGeneric)
	if !slices.Equal(refused, []string{"session", "participant"}) {
		t.Errorf("refused %q", refused)
	}
	a.publish()
	if _, err := w.m.Reconnect(t.Context(), a.c.PrivateID(), a.peer, func() {}); err != nil {
		t.Errorf("reconnection: %v", err)
	}
	why.Store("")
	w.must(join())
}

// TestLayeredEndpoints: on nodes that have them every endpoint is layered, and a
// publisher's takes simulcast when browsers are asked for it.
func TestLayeredEndpoints(t *testing.T) {
	for _, simulcast := range []bool{false, true} {
		w := newWorld(t, func(o *Options) { o.Layers, o.ServerOffers, o.Simulcast = true, simulcast, simulcast })
		w.session("S")
		a, b := w.join("S", "A", auth.Publisher), w.join("S", "B", auth.Subscriber)
		b.subscribe(a.publish().ID)
		var made []any
		for _, c := range w.media.Calls("create") {
			if c.Name != "MediaPipeline" {
				made = append(made, c.Name, c.Params["simulcast"])
			}
		}
		want := []any{"LayeredEndpoint", nil, "LayeredEndpoint", nil}
		if simulcast {
			want[1] = true
		}
		if !slices.Equal(made, want) {
			t.Errorf("simulcast %v: made %v", simulcast, made)
		}
	}
}
