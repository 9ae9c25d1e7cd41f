package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/mediatest"
	"github.com/govidu/govidu/openvidu/recording"
	"github.com/govidu/govidu/openvidu/studio"
)

// composing is the fake rooms with a media node.
type composing struct {
	*fakeRooms
	node *mediatest.Client
}

func (c composing) EnsureMedia(ctx context.Context, _ string) (client.Client, client.ID, error) {
	id, err := c.node.Create(ctx, "MediaPipeline", nil)
	return c.node, id, err
}

// newStudioDoor is a door whose recordings can be composed. Its node reports
// Recording as soon as it is asked to record.
func newStudioDoor(t *testing.T, refuse func(mediatest.Call) error) *door {
	t.Helper()
	node := mediatest.New()
	node.SetBefore(func(_ context.Context, c mediatest.Call) error {
		if c.Kind == "invoke" && c.Name == "record" {
			node.Emit(c.Object, "Recording", map[string]any{})
		}
		if refuse == nil {
			return nil
		}
		return refuse(c)
	})
	d := newDoor(t, nil)
	if err := d.rec.Close(); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	studios := studio.New(studio.Options{Rooms: composing{d.rooms, node}, Log: log})
	rec, err := recording.New(recording.Options{
		Dir: d.dir, Rooms: d.rooms, Log: log, PublicURL: "https://host:4443/", AutostopTimeout: 1 << 40,
		FreeBytes: func(string) (uint64, error) { return 1 << 40, nil }, Studios: studios,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = rec.Close()
		_ = studios.Close()
	})
	d.rec = rec
	d.h.opts.Recordings = rec
	return d
}

func TestDirector(t *testing.T) {
	d := newStudioDoor(t, nil)
	const base = "/openvidu/api/recordings/room"
	for _, c := range [][2]string{{"GET", "/layout"}, {"PUT", "/layout"}, {"POST", "/pause"}, {"POST", "/resume"}} {
		if w := d.call(c[0], base+c[1], "{}"); w.Code != 404 {
			t.Errorf("%s %s of an unknown recording: %d", c[0], c[1], w.Code)
		}
	}
	if w := d.call("POST", "/openvidu/api/recordings/start", `{"session":"room","recordingLayout":"VERTICAL_PRESENTATION"}`); w.Code != 200 {
		t.Fatalf("start: %d %s", w.Code, w.Body)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/layout", "", 200, `{"layout":{"layout":"VERTICAL_PRESENTATION"},"tiles":[]}`},
		{"PUT", "/layout", `{"layout":"ROUND"}`, 400, "json"},
		{"PUT", "/layout", `{"layot":"BEST_FIT"}`, 400, "json"},
		{"PUT", "/layout", `{"background":{"image":"absent.png"}}`, 400, "json"},
		{"PUT", "/layout", `[1]`, 400, "json"},
		{"GET", "/layout", "", 200, `{"layout":{"layout":"VERTICAL_PRESENTATION"},"tiles":[]}`},
		{"PUT", "/layout", `{"layout":"BEST_FIT","background":{"color":"#102030"}}`, 200, `{"layout":{"layout":"BEST_FIT","background":{"color":"#102030"}},"tiles":[]}`},
		{"POST", "/resume", "", 409, "json"},
		{"POST", "/pause", "", 200, `{"id":"room"`},
		{"POST", "/pause", "", 409, "json"},
		{"POST", "/resume", "", 200, `{"id":"room"`},
		{"POST", "/rewind", "", 403, ""},
		{"GET", "/pause", "", 403, ""},
	} {
		w := d.call(c.method, base+c.path, c.body)
		if w.Code != c.status {
			t.Errorf("%s %s %s: %d, want %d: %s", c.method, c.path, c.body, w.Code, c.status, w.Body)
			continue
		}
		wantBody(t, w, c.want)
	}
	if w := d.call("POST", "/openvidu/api/recordings/stop/room", ""); w.Code != 200 {
		t.Fatalf("stop: %d %s", w.Code, w.Body)
	}
	if w := d.call("GET", base+"/layout", ""); w.Code != 409 {
		t.Errorf("layout of a stopped recording: %d", w.Code)
	}
}

// What the CPU cannot carry is refused with a hint, and nothing of it is left.
func TestNoCapacity(t *testing.T) {
	d := newStudioDoor(t, func(c mediatest.Call) error {
		if c.Kind == "create" && c.Name == "View" {
			return kerr.NotEnoughResources
		}
		return nil
	})
	w := d.call("POST", "/openvidu/api/recordings/start", `{"session":"room"}`)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" || !strings.HasPrefix(w.Body.String(), "Error starting recording: ") {
		t.Errorf("refusal: %d, Retry-After %q, %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	if w := d.call("GET", "/openvidu/api/recordings", ""); w.Body.String() != `{"count":0,"items":[]}` {
		t.Errorf("left behind: %s", w.Body)
	}
}

func TestStudioStatuses(t *testing.T) {
	var seen []int
	for _, kind := range []error{studio.ErrLayout, studio.ErrNoCapacity, studio.ErrUnavailable, studio.ErrLost, studio.ErrMedia} {
		e, ok := errors.AsType[*Error](studioError(&studio.Error{Kind: kind, Text: "text"}))
		if !ok || e.Text != "text" || (e.Status == 503) != (e.RetryAfter > 0) {
			t.Errorf("%v is answered by %+v", kind, e)
			continue
		}
		seen = append(seen, e.Status)
	}
	if want := []int{400, 503, 501, 409, 503}; !slices.Equal(seen, want) {
		t.Errorf("statuses %v, want %v", seen, want)
	}
}
