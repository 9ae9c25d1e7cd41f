package rest

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/broadcast"
	"github.com/govidu/govidu/openvidu/studio"
)

// fakeBroadcasts knows the sessions of fakeRooms, of which "room" has a broadcast
// named "one".
type fakeBroadcasts struct {
	rooms  *fakeRooms
	fail   error // of Start, Stop and SetLayout
	specs  []broadcast.Spec
	stops  []string
	layout layout.Spec
}

func (f *fakeBroadcasts) Check(ctx context.Context, id, name string) error {
	t, err := f.rooms.RecordingTarget(ctx, id)
	switch {
	case err != nil:
		return err
	case t.MediaMode != openvidu.MediaRouted || name == "one":
		return broadcast.ErrConflict
	case !t.Active:
		return openvidu.ErrSessionNotActive
	}
	return nil
}

func (f *fakeBroadcasts) Resolve(name, custom string) (layout.Spec, error) {
	if custom == "page" {
		return layout.Spec{}, &openvidu.Error{Text: "the customLayout is a web page", Kind: broadcast.ErrLayout}
	}
	return layout.Spec{Layout: name}, nil
}

func (f *fakeBroadcasts) Start(_ context.Context, id string, s broadcast.Spec) (broadcast.Broadcast, error) {
	f.specs = append(f.specs, s)
	return broadcast.Broadcast{ID: "brd_1", SessionID: id, Name: s.Name, Output: s.Output}, f.fail
}

func (f *fakeBroadcasts) Stop(_ context.Context, id, name string, r openvidu.Reason) error {
	if id == "none" {
		return openvidu.ErrSessionNotFound
	}
	if id == "idle" {
		return broadcast.ErrNotBroadcasting
	}
	f.stops = append(f.stops, id+"/"+name+" "+string(r))
	return f.fail
}

func (f *fakeBroadcasts) List() []broadcast.Broadcast { return []broadcast.Broadcast{} }

func (f *fakeBroadcasts) SetLayout(_ context.Context, id, name string, l layout.Spec) error {
	if id != "room" || name != "one" {
		return broadcast.ErrNotFound
	}
	f.layout = l
	return f.fail
}

func (f *fakeBroadcasts) Layout(_ context.Context, id, name string) (layout.Spec, []studio.Tile, error) {
	if id != "room" || name != "one" {
		return layout.Spec{}, nil, broadcast.ErrNotFound
	}
	return f.layout, nil, nil
}

func newBroadcastDoor(t *testing.T) (*door, *fakeBroadcasts) {
	f := &fakeBroadcasts{}
	d := newDoor(t, func(o *Options) { o.Broadcasts = f })
	f.rooms = d.rooms
	return d, f
}

func TestBroadcastStatuses(t *testing.T) {
	const url = `"broadcastUrl":"rtmp://target/app/the-key"`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // as wantBody
	}{
		{"POST", "/broadcast/start", `{}`, 400, "json"},
		{"POST", "/broadcast/start", ``, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"none"}`, 400, "json"},
		{"POST", "/broadcast/start", `{` + url + `}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":5,` + url + `}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"none","broadcastUrl":5}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","output":"TAPE",` + url + `}`, 400, "json"},
		// The session before the other parameters.
		{"POST", "/broadcast/start", `{"session":"none","frameRate":0,` + url + `}`, 404, ""},
		{"POST", "/broadcast/start", `{"session":"none","broadcastUrl":"http://x"}`, 404, ""},
		{"POST", "/broadcast/start", `{"session":"relayed","hasAudio":"x",` + url + `}`, 409, ""},
		{"POST", "/broadcast/start", `{"session":"idle","hasAudio":"x",` + url + `}`, 406, ""},
		{"POST", "/broadcast/start", `{"session":"room","name":"one","hasAudio":"x",` + url + `}`, 409, ""},
		// Types and values before ranges.
		{"POST", "/broadcast/start", `{"session":"room","hasAudio":"x","frameRate":0,` + url + `}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","recordingLayout":"ROUND","frameRate":0,` + url + `}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","name":"a b",` + url + `}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","record":true,` + url + `}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","frameRate":0,"broadcastUrl":"http://target/app/the-key"}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","broadcastUrl":"rtmp://target/app/the-key live=1"}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","broadcastUrl":""}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","frameRate":0,` + url + `}`, 422, "json"},
		{"POST", "/broadcast/start", `{"session":"room","resolution":"99x720",` + url + `}`, 422, "json"},
		{"POST", "/broadcast/start", `{"session":"room","shmSize":1,` + url + `}`, 422, "json"},
		{"POST", "/broadcast/start", `{"session":"room","hasAudio":false,"hasVideo":false,` + url + `}`, 422, "json"},
		{"POST", "/broadcast/start", `{"session":"room","recordingLayout":"CUSTOM","customLayout":"page",` + url + `}`, 400, "json"},
		{"POST", "/broadcast/start", `{"session":"room","resolution":null,"frameRate":25.0,"mediaNode":{"id":"x"},"strange":1,` + url + `}`, 200, "{"},
		{"POST", "/broadcast/start", `{"session":"room","output":"HLS","record":true}`, 200, "{"},
		{"POST", "/broadcast/stop", `{}`, 400, "json"},
		{"POST", "/broadcast/stop", `{"session":5}`, 400, "json"},
		{"POST", "/broadcast/stop", `{"session":"none"}`, 404, ""},
		{"POST", "/broadcast/stop", `{"session":"idle"}`, 409, ""},
		{"POST", "/broadcast/stop", `{"session":"room"}`, 200, ""},
		{"GET", "/broadcasts", ``, 200, `{"count":0,"items":[]}`},
		{"GET", "/broadcasts/room/one/layout", ``, 200, `{"layout":{},"tiles":[]}`},
		{"GET", "/broadcasts/room/two/layout", ``, 404, ""},
		{"PUT", "/broadcasts/room/two/layout", `{"layout":"SPEAKER"}`, 404, ""},
		{"PUT", "/broadcasts/room/one/layout", `{"layout":"ROUND"}`, 400, "json"},
		{"PUT", "/broadcasts/room/one/layout", `{"lay":"SPEAKER"}`, 400, "json"},
		{"PUT", "/broadcasts/room/one/layout", `[]`, 400, "json"},
		{"PUT", "/broadcasts/room/one/layout", `{"layout":"SPEAKER"}`, 200, `{"layout":{"layout":"SPEAKER"}`},
		{"GET", "/broadcast/start", ``, 403, ""},
	} {
		t.Run(c.method+" "+c.path+" "+cut(c.body), func(t *testing.T) {
			d, f := newBroadcastDoor(t)
			w := d.call(c.method, apiPrefix+c.path, c.body)
			if w.Code != c.status {
				t.Fatalf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			wantBody(t, w, c.want)
			if strings.Contains(w.Body.String(), "the-key") {
				t.Errorf("the answer holds the stream key: %s", w.Body)
			}
			if w.Code >= 400 && len(f.specs)+len(f.stops) != 0 {
				t.Errorf("a refusal did something: %v %v", f.specs, f.stops)
			}
		})
	}
}

func TestBroadcastOff(t *testing.T) {
	d := newDoor(t, nil)
	for _, path := range []string{"POST /broadcast/start", "POST /broadcast/stop", "GET /broadcasts", "PUT /broadcasts/room/one/layout"} {
		method, p, _ := strings.Cut(path, " ")
		if w := d.call(method, apiPrefix+p, "{}"); w.Code != 501 {
			t.Errorf("%s: %d, want 501", path, w.Code)
		}
	}
}

func TestBroadcastFailures(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		retry  string
		body   string
	}{
		{&broadcast.StartError{Text: "the target does not answer"}, 500, "", "Error starting broadcast: the target does not answer"},
		{&openvidu.Error{Text: "no CPU left", Kind: broadcast.ErrNoCapacity}, 503, "5", "json"},
		{broadcast.ErrConflict, 409, "", ""},
		{broadcast.ErrLayout, 400, "", "json"},
		{broadcast.ErrClosed, 503, "1", "json"},
		{openvidu.ErrLimit, 503, "1", "json"},
		{openvidu.ErrSessionNotFound, 404, "", ""},
		{openvidu.ErrStopped, 503, "1", "json"},
	} {
		d, f := newBroadcastDoor(t)
		f.fail = c.err
		w := d.call("POST", apiPrefix+"/broadcast/start", `{"session":"room","broadcastUrl":"rtmp://target/app/the-key"}`)
		if w.Code != c.status || w.Header().Get("Retry-After") != c.retry {
			t.Errorf("%v: %d, Retry-After %q", c.err, w.Code, w.Header().Get("Retry-After"))
		}
		wantBody(t, w, c.body)
		if isPlain := strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain"); isPlain != (c.status == 500) {
			t.Errorf("%v: content type %q", c.err, w.Header().Get("Content-Type"))
		}
	}
}

// What a request gives reaches the service, and what it does not give is the
// contract's default.
func TestBroadcastParameters(t *testing.T) {
	d, f := newBroadcastDoor(t)
	post := func(body string) *httptest.ResponseRecorder {
		return d.call("POST", apiPrefix+"/broadcast/start", body)
	}
	post(`{"session":"room","broadcastUrl":"rtmps://target/app/k?x=1"}`)
	post(`{"session":"room","name":"n","output":"HLS","record":true,"hasVideo":false,"broadcastUrl":null}`)
	post(`{"session":"room","name":"m","broadcastUrl":"rtmp://target/app/k","recordingLayout":"PICTURE_IN_PICTURE","resolution":"640x480","frameRate":90,"hasAudio":false}`)
	if len(f.specs) != 3 {
		t.Fatalf("%d starts", len(f.specs))
	}
	a, b, c := f.specs[0], f.specs[1], f.specs[2]
	if a.Name != "" || a.Output != broadcast.RTMP || a.Target.Reveal() != "rtmps://target/app/k?x=1" || !a.HasAudio || !a.HasVideo ||
		a.Width != 1280 || a.Height != 720 || a.FrameRate != 25 || a.Layout.Layout != "BEST_FIT" || a.RecordingLayout != "BEST_FIT" || a.Record {
		t.Errorf("defaults: %+v", a)
	}
	if b.Name != "n" || b.Output != broadcast.HLS || !b.Record || b.HasVideo || !b.HasAudio || b.Target.Len() != 0 {
		t.Errorf("HLS: %+v", b)
	}
	if c.Width != 640 || c.Height != 480 || c.FrameRate != 90 || c.HasAudio || c.Layout.Layout != "PICTURE_IN_PICTURE" {
		t.Errorf("given: %+v", c)
	}
	d.call("POST", apiPrefix+"/broadcast/stop", `{"session":"room"}`)
	d.call("POST", apiPrefix+"/broadcast/stop", `{"session":"room","name":"one"}`)
	if want := []string{"room/ broadcastStoppedByServer", "room/one broadcastStoppedByServer"}; !slices.Equal(f.stops, want) {
		t.Errorf("stops %v, want %v", f.stops, want)
	}
	var shown map[string]any
	w := d.call("PUT", apiPrefix+"/broadcasts/room/one/layout", `{"layout":"CUSTOM","tiles":[{"x":0,"y":0,"width":1,"height":0.5}]}`)
	if err := json.Unmarshal(w.Body.Bytes(), &shown); err != nil || len(f.layout.Tiles) != 1 || f.layout.Tiles[0].Height != 0.5 {
		t.Errorf("custom layout: %v, %s", err, w.Body)
	}
}
