package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/studio"
)

// composer gives a service studios and thumbnails.
func composer(h **house) func(*Options) {
	return func(o *Options) {
		hh := *h
		o.Studios = studio.New(studio.Options{Rooms: hh.rooms, Log: testLog(hh.t), LayoutsDir: filepath.Join(hh.dir, "..", "layouts")})
		o.Nodes = hh.node
		hh.t.Cleanup(func(s *studio.Service) func() { return func() { _ = s.Close() } }(o.Studios))
	}
}

func newComposer(t *testing.T, change func(*Options), sessions ...string) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "recordings"), rooms: newRooms(sessions...), node: newNode()}
	h.rooms.node = h.node
	h.open(func(o *Options) {
		composer(&h)(o)
		if change != nil {
			change(o)
		}
	})
	t.Cleanup(h.node.wg.Wait)
	return h
}

func together() openvidu.RecordingProperties { return openvidu.DefaultRecordingProperties() }

func TestComposedRecording(t *testing.T) {
	for _, mode := range []string{openvidu.OutputComposed, openvidu.OutputComposedQuickStart} {
		t.Run(mode, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { composedRecording(t, mode) }) })
	}
}

func composedRecording(t *testing.T, mode string) {
	h := newComposer(t, nil, "room")
	a, b := stream(h.node, "room", "con_A"), stream(h.node, "room", "con_B")
	b.Record = false // a composed recording shows everybody
	h.publish(a, b)
	p := together()
	p.OutputMode, p.RecordingLayout = mode, layout.VerticalPresentation
	r := h.mustStart("room", p)
	if r.Status != Started || r.OutputMode != mode || *r.Resolution != "1280x720" || *r.FrameRate != 25 || *r.RecordingLayout != layout.VerticalPresentation || r.CustomLayout != nil {
		t.Fatalf("started recording is %+v", r)
	}
	rec := h.node.recorders()[0]
	if rec.profile != "MP4" || filepath.Base(rec.path) != "room.mp4" || len(rec.links) != 2 {
		t.Fatalf("recorder is %+v", rec)
	}
	ports := 0
	for _, typ := range h.node.left() {
		if typ == "HubPort" {
			ports++
		}
	}
	if ports != 2 {
		t.Errorf("%d ports for 2 streams", ports)
	}
	if m, err := h.store.readMeta("room"); err != nil || len(m.Files) != 1 || m.Files[0].Name != "room.mp4" {
		t.Errorf("metadata while recording: %+v, %v", m, err)
	}

	state, err := h.Layout(t.Context(), "room")
	if err != nil || state.Layout.Layout != layout.VerticalPresentation || len(state.Tiles) != 1 {
		t.Errorf("layout is %+v, %v", state, err)
	}
	if state, err = h.SetLayout(t.Context(), "room", layout.Spec{Layout: layout.BestFit}); err != nil || state.Layout.Layout != layout.BestFit {
		t.Errorf("changed layout is %+v, %v", state, err)
	}
	if _, err := h.SetLayout(t.Context(), "room", layout.Spec{Layout: "ROUND"}); !errors.Is(err, studio.ErrLayout) {
		t.Errorf("bad layout: %v", err)
	}
	for range 3 {
		if _, err := h.Resume(t.Context(), "room"); !errors.Is(err, ErrNotPaused) {
			t.Errorf("resume of a running one: %v", err)
		}
		if _, err := h.Pause(t.Context(), "room"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Pause(t.Context(), "room"); !errors.Is(err, ErrPaused) {
			t.Errorf("pause of a paused one: %v", err)
		}
		if _, err := h.Resume(t.Context(), "room"); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	r = h.mustStop("room")
	if r.Status != Ready || r.Size != int64(len(media)) || r.Duration != 1 || *r.URL != "https://host:4443/openvidu/recordings/room/room.mp4" {
		t.Fatalf("stopped recording is %+v", r)
	}
	if got, want := h.files("room"), []string{".manifest.json", ".proof.jsonl", ".recording.room", ".room.mp4.manifest.json", "room.jpg", "room.mp4"}; !slices.Equal(got, want) {
		t.Errorf("folder holds %v, want %v", got, want)
	}
	if got := h.rooms.statuses("room"); !slices.Equal(got, []Status{Started, Stopped, Ready}) {
		t.Errorf("events are %v", got)
	}
	if e := h.rooms.told()[0]; *e.Resolution != "1280x720" || *e.FrameRate != 25 || *e.RecordingLayout != layout.VerticalPresentation {
		t.Errorf("event is %+v", e)
	}
	if got := h.node.left(); len(got) != 0 {
		t.Errorf("left on the node: %v", got)
	}
	var m manifest
	text, err := h.store.read("room/.manifest.json")
	if err != nil || json.Unmarshal(text, &m) != nil || len(m.Files) != 1 || m.Files[0].SHA256 == "" || len(m.Files[0].Gaps) != 1 || len(m.Changes) != 7 {
		t.Errorf("manifest is %s, %v", text, err)
	}
	for _, f := range []func() error{
		func() error { _, err := h.Layout(t.Context(), "room"); return err },
		func() error { _, err := h.SetLayout(t.Context(), "room", layout.Spec{}); return err },
		func() error { _, err := h.Pause(t.Context(), "room"); return err },
		func() error { _, err := h.Resume(t.Context(), "room"); return err },
	} {
		if err := f(); !errors.Is(err, ErrNotRunning) {
			t.Errorf("a finished one is directed: %v", err)
		}
	}
	if err := h.Delete("room"); err != nil || h.store.exists("room") {
		t.Errorf("delete: %v", err)
	}
}

// What the file tells of itself replaces what was asked for.
func TestProbedProperties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newComposer(t, nil, "room")
		h.node.tracks = []track{{Kind: "VIDEO", Codec: "H264", Units: 151, LastPtsMs: 10_000, Width: 640, Height: 480}}
		h.mustStart("room", together())
		if r := h.mustStop("room"); r.HasAudio || !r.HasVideo || *r.Resolution != "640x480" || *r.FrameRate != 15 {
			t.Errorf("recording is %+v", r)
		}
	})
}

func TestComposedKinds(t *testing.T) {
	for _, c := range []struct {
		audio, video           bool
		profile, file, picture string
	}{
		{true, false, "WEBM_AUDIO_ONLY", "room.webm", ""},
		{false, true, "MP4_VIDEO_ONLY", "room.mp4", "room.jpg"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newComposer(t, nil, "room")
			p := together()
			p.HasAudio, p.HasVideo = c.audio, c.video
			r := h.mustStart("room", p)
			if rec := h.node.recorders()[0]; rec.profile != c.profile || filepath.Base(rec.path) != c.file || len(rec.links) != 1 {
				t.Errorf("recorder is %+v", rec)
			}
			if (r.Resolution != nil) != c.video {
				t.Errorf("recording is %+v", r)
			}
			r = h.mustStop("room")
			if r.Status != Ready || !strings.HasSuffix(*r.URL, "/room/"+c.file) || h.store.exists("room/room.jpg") != (c.picture != "") {
				t.Errorf("recording is %+v, files %v", r, h.files("room"))
			}
		})
	}
}

// A session in which nobody has published yet can be recorded; the timer of §7.6
// runs from the start.
func TestComposedWithoutPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newComposer(t, func(o *Options) { o.SaveInterval = time.Hour }, "room") // the fake's file does not grow
		h.mustStart("room", together())
		time.Sleep(121 * time.Second)
		synctest.Wait()
		if r, err := h.Get("room"); err != nil || r.Status != Ready {
			t.Errorf("after the timeout: %+v, %v", r, err)
		}
	})
}

func TestComposedCapacity(t *testing.T) {
	for _, typ := range []string{"Director", "View"} {
		synctest.Test(t, func(t *testing.T) {
			h := newComposer(t, nil, "room")
			h.node.refuse["Create "+typ] = kerr.NotEnoughResources
			_, err := h.Start(t.Context(), "room", together())
			e, ok := errors.AsType[*CapacityError](err)
			if !ok || e.RetryAfter <= 0 || !strings.Contains(e.Text, "CPU") {
				t.Fatalf("%s refused: %v", typ, err)
			}
			if h.store.exists("room") || len(h.rooms.told()) != 0 || len(h.rooms.marks) != 0 || len(h.node.left()) != 0 {
				t.Errorf("%s refused: left %v, told %v, marks %v", typ, h.node.left(), h.rooms.told(), h.rooms.marks)
			}
			delete(h.node.refuse, "Create "+typ)
			if r := h.mustStart("room", together()); r.ID != "room" {
				t.Errorf("%s: the next is %+v", typ, r)
			}
		})
	}
}

func TestComposedRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *house, o *Options, p *openvidu.RecordingProperties)
		want   string
	}{
		"no studios": {func(_ *house, o *Options, _ *openvidu.RecordingProperties) { o.Studios = nil }, "does not compose"},
		"absent folder": {func(_ *house, _ *Options, p *openvidu.RecordingProperties) {
			p.RecordingLayout, p.CustomLayout = "CUSTOM", "absent"
		}, "neither layout.json"},
		"no worker": {func(h *house, _ *Options, _ *openvidu.RecordingProperties) {
			h.node.refuse["Create Director"] = kerr.MediaObjectNotAvailable
		}, "without media workers"},
		"recorder": {func(h *house, _ *Options, _ *openvidu.RecordingProperties) {
			h.node.refuse["Create RecorderEndpoint"] = kerr.UnexpectedError
		}, "could not be recorded"},
		"record": {func(h *house, _ *Options, _ *openvidu.RecordingProperties) {
			h.node.refuse["record"] = kerr.UnexpectedError
		}, "could not be recorded"},
		"never begins":    {func(h *house, _ *Options, _ *openvidu.RecordingProperties) { h.node.silent = true }, "in time"},
		"session refuses": {func(h *house, _ *Options, _ *openvidu.RecordingProperties) { h.rooms.refuse = errors.New("no") }, "could not be recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := together()
				h := newComposer(t, nil, "room")
				_ = h.Close()
				h.open(func(o *Options) { composer(&h)(o); c.change(h, o, &p) })
				_, err := h.Start(t.Context(), "room", p)
				if e, ok := errors.AsType[*StartError](err); !ok || !strings.HasPrefix(e.Error(), "Error starting recording: ") || !strings.Contains(e.Error(), c.want) {
					t.Fatalf("refusal is %v", err)
				}
				if len(h.rooms.marks) != 0 || len(h.node.left()) != 0 || h.taken("room") {
					t.Errorf("left %v, marks %v", h.node.left(), h.rooms.marks)
				}
			})
		})
	}
}

// A recorder that fails ends the recording as failed; what it wrote is kept and served.
func TestComposedRecorderFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newComposer(t, nil, "room")
		h.mustStart("room", together())
		h.node.raise(0, "Error", `{"type":"STREAM_ERROR_FAILED","description":"one kind"}`)
		synctest.Wait()
		if r, _ := h.Get("room"); r.Status != Started {
			t.Fatalf("an error of one kind made it %s", r.Status)
		}
		h.node.raise(0, "Error", `{"type":"RESOURCE_ERROR_NO_SPACE_LEFT","description":"write /secret/path"}`)
		time.Sleep(time.Second)
		synctest.Wait()
		m, err := h.store.readMeta("room")
		if err != nil || m.Status != Failed || m.Failure != "the disk is full" || m.URL == nil || !m.Incomplete || m.Size == 0 {
			t.Fatalf("metadata is %+v, %v", m, err)
		}
		if f, _, err := h.Service.Open("room", "room.mp4"); err != nil {
			t.Errorf("partial file: %v", err)
		} else {
			_ = f.Close()
		}
		if got := h.rooms.statuses("room"); !slices.Equal(got, []Status{Started, Stopped, Failed}) || len(h.node.left()) != 0 {
			t.Errorf("events are %v, left %v", got, h.node.left())
		}
		if again := h.mustStart("room", together()); again.ID != "room~1" {
			t.Errorf("the next is %+v", again)
		}
	})
}

// A composed file that grows no more is the end of a recording, not a secret.
func TestComposedStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newComposer(t, nil, "room", "other")
		h.mustStart("room", together())
		h.mustStart("other", together())
		if _, err := h.Pause(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if m, err := h.store.readMeta("room"); err != nil || m.Status != Failed || m.Failure == "" {
			t.Errorf("stalled recording is %+v, %v", m, err)
		}
		if r, _ := h.Get("other"); r.Status != Started {
			t.Errorf("a paused recording is %s", r.Status)
		}
	})
}

// The next process finishes what a dead one composed.
func TestComposedRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newComposer(t, nil, "room")
		h.mustStart("room", together())
		h.node.dead = true
		copyTo := filepath.Join(t.TempDir(), "recordings")
		if err := os.CopyFS(copyTo, os.DirFS(h.dir)); err != nil {
			t.Fatal(err)
		}
		next := &house{t: t, dir: copyTo, rooms: newRooms(), node: newNode()}
		next.rooms.node = next.node
		recoverMedia(t, copyTo)
		next.open(composer(&next))
		if r := next.Recover(t.Context()); r.Resumed != 1 {
			t.Fatalf("recovery is %+v", r)
		}
		m, err := next.store.readMeta("room")
		if err != nil || m.Status != Ready || !m.Recovered || m.Duration != 1 || m.URL == nil || m.Reason != string(openvidu.ReasonNodeCrashed) {
			t.Fatalf("recovered recording is %+v, %v", m, err)
		}
		if !next.store.exists("room/room.mp4") || !next.store.exists("room/room.jpg") {
			t.Errorf("files are %v", next.files("room"))
		}
		if got := next.rooms.statuses("room"); !slices.Equal(got, []Status{Ready}) {
			t.Errorf("events are %v", got)
		}
		_ = next.Close()
		// A third process finds nothing to do, and above all nothing to sweep away.
		next.open(composer(&next))
		if r := next.Recover(t.Context()); r.Resumed != 0 || !next.store.exists("room/room.mp4") {
			t.Errorf("third process: %+v, files %v", r, next.files("room"))
		}
	})
}

func TestDirectorRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newComposer(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"))
		if _, err := h.Pause(t.Context(), "absent"); !errors.Is(err, ErrNotFound) {
			t.Errorf("unknown recording: %v", err)
		}
		if _, err := h.Pause(t.Context(), "../x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("bad id: %v", err)
		}
		h.mustStart("room", individual())
		if _, err := h.Pause(t.Context(), "room"); !errors.Is(err, ErrNotComposed) {
			t.Errorf("individual recording: %v", err)
		}
	})
}

// ALWAYS sessions are composed too, since that is the default.
func TestComposedAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newComposer(t, nil, "room")
		a := stream(h.node, "room", "con_A")
		h.rooms.with("room", func(target *openvidu.RecordingTarget) {
			target.RecordingMode, target.Defaults, target.Streams = openvidu.RecordingAlways, together(), []openvidu.StreamInfo{a}
		})
		h.StreamPublished(t.Context(), a, true)
		time.Sleep(time.Second)
		synctest.Wait()
		if r, err := h.Get("room"); err != nil || r.Status != Started || r.OutputMode != openvidu.OutputComposed {
			t.Errorf("recording is %+v, %v", r, err)
		}
		h.SessionClosing(t.Context(), "room", openvidu.ReasonSessionClosed)
		if r, err := h.Get("room"); err != nil || r.Status != Ready {
			t.Errorf("after the session: %+v, %v", r, err)
		}
		if got := fmt.Sprint(h.node.left()); got != "[]" {
			t.Errorf("left on the node: %s", got)
		}
	})
}
