package openvidu

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/mediatest"
)

// muteWatcher is a recorder that hears of mutes too.
type muteWatcher struct{ *fakeRecorder }

func (w muteWatcher) StreamChanged(_ context.Context, s StreamInfo) {
	w.note("changed %s audio=%v video=%v", s.ConnectionID, s.AudioActive, s.VideoActive)
}

func (w muteWatcher) StreamUnpublished(ctx context.Context, s StreamInfo, reason Reason) {
	w.note("replaced=%v", s.Replaced)
	w.fakeRecorder.StreamUnpublished(ctx, s, reason)
}

func TestStreamWatcher(t *testing.T) {
	w := newWorld(t)
	rec := muteWatcher{&fakeRecorder{w: w}}
	w.m.SetRecorder(Recorders(rec))
	w.session("S")
	a := w.join("S", "A", auth.Publisher)
	a.publish()
	if err := a.c.PropertyChanged(t.Context(), PropertyChange{StreamID: a.c.pub.id, Property: "videoActive", NewValue: []byte("false")}, func(any) {}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // told twice, changed once
		if err := a.c.VideoData(t.Context(), VideoData{AudioActive: false, VideoActive: true}, func(any) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.c.ReconnectStream(t.Context(), ReconnectRequest{StreamID: a.c.pub.id, SDPOffer: mediatest.Offer("u2", "VP8")}, func(any) {}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"joined S", "published con_A first=true", "changed con_A audio=true video=false", "changed con_A audio=false video=true",
		"replaced=true", "unpublished con_A networkDisconnect alive=true", "published con_A first=false",
	}
	w.eventually("the watcher hears of all", func() bool { return len(rec.took()) == len(want) })
	if got := rec.took(); !slices.Equal(got, want) {
		t.Errorf("watcher heard %q, want %q", got, want)
	}
}

// A session can be composed before anybody publishes.
func TestEnsureMedia(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	node, pipeline, err := w.m.EnsureMedia(t.Context(), "S")
	if err != nil || node == nil || !slices.Contains(w.media.Alive("MediaPipeline"), pipeline) {
		t.Fatalf("pipeline %s, %v", pipeline, err)
	}
	if _, again, err := w.m.EnsureMedia(t.Context(), "S"); err != nil || again != pipeline {
		t.Errorf("asked again: %s, %v", again, err)
	}
	if _, _, err := w.m.EnsureMedia(t.Context(), "absent"); !errors.Is(err, ErrSessionNotFound) {
		t.Errorf("unknown session: %v", err)
	}
	w.media.SetBefore(func(context.Context, mediatest.Call) error { return errors.New("down") })
	w.session("T")
	if _, _, err := w.m.EnsureMedia(t.Context(), "T"); !errors.Is(err, ErrMedia) {
		t.Errorf("node that is down: %v", err)
	}
	w.media.SetBefore(nil)
}
