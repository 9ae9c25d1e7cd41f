package recording

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/openvidu"
)

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// unzip reads a recording's zip: its entries in order and the index.
func unzip(t *testing.T, file string) (map[string][]byte, index) {
	t.Helper()
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[string][]byte{}
	var x index
	for _, e := range r.File {
		if e.Method != zip.Store || e.Flags&8 != 0 {
			t.Errorf("entry %s: method %d flags %x, want stored with sizes before the data", e.Name, e.Method, e.Flags)
		}
		f, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name] = b
		if strings.HasSuffix(e.Name, ".json") {
			if err := json.Unmarshal(b, &x); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out, x
}

func TestIndividualRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		a, b := stream(h.node, "room", "con_A"), stream(h.node, "room", "con_B")
		b.Record = false
		h.publish(a, b)
		p := individual()
		p.Name = "my~name"
		r := h.mustStart("room", p)
		if r.ID != "room" || r.Name != "my~name" || r.Status != Started || r.Size != 0 || r.Duration != 0 || r.URL != nil {
			t.Fatalf("started recording is %+v", r)
		}
		if got := h.files("room"); !slices.Contains(got, ".recording.room") || !slices.Contains(got, ".stream."+a.StreamID) {
			t.Fatalf("folder while recording holds %v", got)
		}
		time.Sleep(700 * time.Millisecond)
		late := stream(h.node, "room", "con_C")
		h.publish(late)
		time.Sleep(300 * time.Millisecond)
		r = h.mustStop("room")
		if r.Status != Ready || r.Size != 2*int64(len(media)) || r.Duration != 1 {
			t.Fatalf("stopped recording is %+v", r)
		}
		if r.URL == nil || *r.URL != "https://host:4443/openvidu/recordings/room/my~name.zip" {
			t.Fatalf("url is %v", r.URL)
		}
		if got, want := h.files("room"), []string{".manifest.json", ".proof.jsonl", ".recording.room", "my~name.zip"}; !slices.Equal(got, want) {
			t.Fatalf("folder holds %v, want %v", got, want)
		}
		h.proven("room")
		entries, x := unzip(t, filepath.Join(h.dir, "room", "my~name.zip"))
		if len(entries) != 3 || string(entries[a.StreamID+".webm"]) != string(media) || string(entries[late.StreamID+".webm"]) != string(media) {
			t.Fatalf("zip holds %d entries: %v", len(entries), x)
		}
		want := indexFile{a.StreamID + ".webm", "con_A", a.StreamID, int64(len(media)), `{"name":"ann"}`, "server", true, true, "CAMERA", 0, 1000}
		if x.Files[0] != want {
			t.Errorf("index says %+v, want %+v", x.Files[0], want)
		}
		if l := x.Files[1]; l.StartTimeOffset != 700 || l.EndTimeOffset != 1000 {
			t.Errorf("late stream is at %d to %d ms, want 700 to 1000", l.StartTimeOffset, l.EndTimeOffset)
		}
		if got := h.rooms.statuses("room"); !slices.Equal(got, []Status{Started, Stopped, Ready}) {
			t.Errorf("events are %v", got)
		}
		if m := h.rooms.marks; len(m) != 2 || !m[0].On || m[1].On || m[1].Reason != openvidu.ReasonRecordingStopped {
			t.Errorf("session was marked %+v", m)
		}
		if again, err := h.Get("room"); err != nil || again.Status != Ready || *again.URL != *r.URL {
			t.Errorf("from the disk: %+v, %v", again, err)
		}
		if _, err := h.Stop(t.Context(), "room", openvidu.ReasonRecordingStopped); !errors.Is(err, ErrNotFound) {
			t.Errorf("second stop: %v", err)
		}
		if again := h.mustStart("room", individual()); again.ID != "room~1" || again.Name != "room~1" {
			t.Errorf("second recording is %+v", again)
		}
	})
}

// The object and the events have exactly the contract's fields (§7.4, §11.2).
func TestShapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"))
		r := h.mustStart("room", individual())
		var m map[string]any
		b, _ := json.Marshal(r)
		_ = json.Unmarshal(b, &m)
		want := []string{"createdAt", "duration", "hasAudio", "hasVideo", "id", "name", "object", "outputMode", "sessionId", "size", "status", "url"}
		if got := keys(m); !slices.Equal(got, want) {
			t.Errorf("recording has %v, want %v", got, want)
		}
		h.mustStop("room")
		for i, want := range []int{12, 13, 13} { // and "event" in a webhook
			e := h.rooms.told()[i]
			b, _ := json.Marshal(e)
			var m map[string]any
			_ = json.Unmarshal(b, &m)
			if len(m) != want {
				t.Errorf("event %s has %d fields, want %d: %v", e.Status, len(m), want, keys(m))
			}
		}
		if e := h.rooms.told()[0]; e.Timestamp != e.StartTime || e.UniqueSessionID != "room_1" {
			t.Errorf("started event is %+v", e)
		}
	})
}

func TestProfiles(t *testing.T) {
	for _, c := range []struct {
		name                   string
		recAudio, recVideo     bool
		audio, video           bool
		codec, profile, suffix string
		links                  int
	}{
		{"both", true, true, true, true, "VP8", "WEBM", ".webm", 2},
		{"h264", true, true, true, true, "H264", "MKV", ".mkv", 2},
		{"vp9", true, true, true, true, "VP9", "WEBM", ".webm", 2},
		{"microphone only", true, true, true, false, "", "WEBM_AUDIO_ONLY", ".webm", 1},
		{"screen only", true, true, false, true, "VP8", "WEBM_VIDEO_ONLY", ".webm", 1},
		{"recording of video", false, true, true, true, "H264", "MKV_VIDEO_ONLY", ".mkv", 1},
		{"recording of audio", true, false, true, true, "H264", "WEBM_AUDIO_ONLY", ".webm", 1},
		{"nothing in common", true, false, false, true, "VP8", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, nil, "room")
			s := stream(h.node, "room", "con_A")
			s.HasAudio, s.HasVideo, s.VideoCodec = c.audio, c.video, c.codec
			h.publish(s)
			p := individual()
			p.HasAudio, p.HasVideo = c.recAudio, c.recVideo
			h.mustStart("room", p)
			made := h.node.recorders()
			if c.profile == "" {
				if len(made) != 0 {
					t.Fatalf("a recorder was made: %+v", made[0])
				}
				return
			}
			if len(made) != 1 || made[0].profile != c.profile || filepath.Ext(made[0].path) != c.suffix || len(made[0].links) != c.links {
				t.Fatalf("recorder is %+v", made)
			}
		})
	}
}

func TestUnpublishAndPublishAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		s := stream(h.node, "room", "con_A")
		h.publish(s)
		h.mustStart("room", individual())
		for i := range 2 {
			time.Sleep(time.Second)
			h.StreamUnpublished(t.Context(), s, openvidu.ReasonUnpublish)
			if n := len(h.node.objects); n != 0 {
				t.Fatalf("%d recorders are left", n)
			}
			time.Sleep(time.Second)
			s.Endpoint += "x"
			h.publish(s)
			h.publish(s) // told twice, recorded once
			if n := len(h.node.recorders()); n != i+2 {
				t.Fatalf("%d recorders, want %d", n, i+2)
			}
		}
		time.Sleep(time.Second)
		h.mustStop("room")
		entries, x := unzip(t, filepath.Join(h.dir, "room", "room.zip"))
		for i, suffix := range []string{"", "-1", "-2"} {
			if entries[s.StreamID+suffix+".webm"] == nil {
				t.Errorf("take %q is missing", suffix)
			}
			if f := x.Files[i]; f.StreamID != s.StreamID || f.StartTimeOffset != int64(i)*2000 || f.EndTimeOffset != int64(i)*2000+1000 {
				t.Errorf("take %d is %+v", i, f)
			}
		}
	})
}

func TestStartFails(t *testing.T) {
	for name, breaks := range map[string]func(*house){
		"create":         func(h *house) { h.node.refuse["Create"] = errors.New("no at 10.0.0.1:99 /var/x") },
		"connect":        func(h *house) { h.node.refuse["connect"] = errors.New("no") },
		"record":         func(h *house) { h.node.refuse["record"] = errors.New("no") },
		"never records":  func(h *house) { h.node.silent = true },
		"cannot be told": func(h *house) { h.rooms.refuse = errors.New("no") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, nil, "room")
				h.publish(stream(h.node, "room", "con_A"))
				breaks(h)
				begin := time.Now()
				_, err := h.Start(t.Context(), "room", individual())
				if e, ok := errors.AsType[*StartError](err); !ok || !strings.HasPrefix(e.Error(), "Error starting recording: ") || strings.Contains(e.Error(), "/") {
					t.Fatalf("start: %v", err)
				}
				if d := time.Since(begin); d > 21*time.Second {
					t.Errorf("it took %v", d)
				}
				if r, err := h.Get("room"); err != nil || r.Status != Failed || r.URL != nil {
					t.Errorf("recording is %+v, %v", r, err)
				}
				if got := h.rooms.statuses("room"); !slices.Equal(got, []Status{Failed}) {
					t.Errorf("events are %v", got)
				}
				if h.rooms.sessions["room"].RecordingID != "" || len(h.node.objects) != 0 {
					t.Errorf("session is marked %q, node holds %d recorders", h.rooms.sessions["room"].RecordingID, len(h.node.objects))
				}
				// The session can be recorded again.
				h.node.refuse, h.node.silent, h.rooms.refuse = map[string]error{}, false, nil
				if r := h.mustStart("room", individual()); r.ID != "room~1" {
					t.Errorf("next recording is %+v", r)
				}
			})
		})
	}
}

func TestIgnoreFailedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		good, bad := stream(h.node, "room", "con_A"), stream(h.node, "room", "con_B")
		bad.Media = nil
		h.publish(good, bad)
		p := individual()
		p.IgnoreFailedStreams = true
		h.mustStart("room", p)
		time.Sleep(time.Second)
		if r := h.mustStop("room"); r.Status != Ready {
			t.Fatalf("recording is %+v", r)
		}
		if _, x := unzip(t, filepath.Join(h.dir, "room", "room.zip")); len(x.Files) != 1 {
			t.Errorf("zip has %+v", x.Files)
		}
		var m manifest
		b, _ := os.ReadFile(filepath.Join(h.dir, "room", manifestName))
		if err := json.Unmarshal(b, &m); err != nil || !m.Incomplete || len(m.Left) != 1 {
			t.Errorf("manifest is %+v, %v", m, err)
		}
	})
}

// A recorder that fails in the middle keeps what it has, and the others go on.
func TestRecorderError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"), stream(h.node, "room", "con_B"))
		h.mustStart("room", individual())
		time.Sleep(time.Second)
		h.node.raise(0, "Error", `{"type":"RESOURCE_ERROR_WRITE","description":"disk trouble"}`)
		time.Sleep(time.Second)
		if r := h.mustStop("room"); r.Status != Ready || r.Size != 2*int64(len(media)) {
			t.Fatalf("recording is %+v", r)
		}
		m, err := h.store.readMeta("room")
		if err != nil || !m.Incomplete {
			t.Errorf("metadata is %+v, %v", m, err)
		}
	})
}

// A recorder that cannot take one kind goes on with the other, and so do we.
func TestStreamError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"))
		h.mustStart("room", individual())
		h.node.raise(0, "Error", `{"type":"STREAM_ERROR_FAILED","description":"no audio"}`)
		time.Sleep(time.Minute)
		if r := h.mustStop("room"); r.Status != Ready || r.Duration != 60 {
			t.Fatalf("recording is %+v", r)
		}
		if m, err := h.store.readMeta("room"); err != nil || !m.Incomplete {
			t.Errorf("metadata is %+v, %v", m, err)
		}
	})
}

// When the last recorder has failed, the recording stops, fails, and keeps what it has.
func TestAllRecordersFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"))
		h.mustStart("room", individual())
		h.node.raise(0, "Error", `{"description":"no space left"}`)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		r, _ := h.Get("room")
		if r.Status != Failed || r.URL == nil {
			t.Fatalf("recording is %+v", r)
		}
		if entries, _ := unzip(t, filepath.Join(h.dir, "room", "room.zip")); len(entries) != 2 {
			t.Errorf("zip holds %d entries", len(entries))
		}
	})
}

func TestNoMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room", "silent")
		if r := h.mustStart("room", individual()); r.Status != Started {
			t.Fatalf("recording is %+v", r)
		}
		if r := h.mustStop("room"); r.Status != Ready || r.Size != 0 {
			t.Errorf("a recording nobody published in is %+v", r)
		}
		h.node.medialess = true
		h.publish(stream(h.node, "silent", "con_A"))
		h.mustStart("silent", individual())
		if r := h.mustStop("silent"); r.Status != Failed || r.URL != nil {
			t.Errorf("a recording without a byte of media is %+v", r)
		}
	})
}

func TestRefusals(t *testing.T) {
	h := newHouse(t, nil, "room", "relayed", "empty")
	h.free.Store(499 << 20)
	h.rooms.with("relayed", func(r *openvidu.RecordingTarget) { r.MediaMode, r.Active = openvidu.MediaRelayed, false })
	h.rooms.with("empty", func(r *openvidu.RecordingTarget) { r.Active = false })
	for session, want := range map[string]error{"nobody": openvidu.ErrSessionNotFound, "relayed": ErrConflict, "empty": ErrNotActive, "room": nil} {
		if _, err := h.Check(t.Context(), session); !errors.Is(err, want) {
			t.Errorf("check %s: %v, want %v", session, err, want)
		}
	}
	composed := individual()
	composed.OutputMode = openvidu.OutputComposed
	if _, err := h.Start(t.Context(), "room", composed); err == nil || !strings.HasPrefix(err.Error(), "Error starting recording: ") {
		t.Errorf("composed: %v", err)
	}
	if _, err := h.Start(t.Context(), "room", individual()); !errors.Is(err, ErrNoSpace) {
		t.Errorf("full disk: %v", err)
	}
	if entries, _ := os.ReadDir(h.dir); len(entries) != 0 {
		t.Errorf("refusals left %v", entries)
	}
	h.free.Store(1 << 40)
	h.mustStart("room", individual())
	if _, err := h.Start(t.Context(), "room", individual()); !errors.Is(err, ErrConflict) {
		t.Errorf("second start: %v", err)
	}
	if err := h.Delete("room"); !errors.Is(err, ErrInProgress) {
		t.Errorf("delete while recording: %v", err)
	}
	h.rooms.with("room", func(r *openvidu.RecordingTarget) { r.RecordingID = "" })
	if _, err := h.Stop(t.Context(), "room", openvidu.ReasonRecordingStopped); !errors.Is(err, ErrConflict) {
		t.Errorf("stop of an unmarked session: %v", err)
	}
	h.rooms.with("room", func(r *openvidu.RecordingTarget) { r.RecordingID = "room" })
	h.mustStop("room")
	if err := h.Delete("room"); err != nil {
		t.Errorf("delete: %v", err)
	}
	for _, id := range []string{"room", "nobody", "../x", "", "a/b", ".new-x"} {
		if err := h.Delete(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("delete %q: %v", id, err)
		}
		if _, err := h.Get(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("get %q: %v", id, err)
		}
	}
	if entries, _ := os.ReadDir(h.dir); len(entries) != 0 {
		t.Errorf("delete left %v", entries)
	}
}

// A stop while starting is 406; a session that closes then ends the start.
func TestCloseWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.node.silent = true
		h.publish(stream(h.node, "room", "con_A"))
		started := make(chan error, 1)
		go func() {
			_, err := h.Start(t.Context(), "room", individual())
			started <- err
		}()
		synctest.Wait()
		if r, err := h.Get("room"); err != nil || r.Status != Starting {
			t.Errorf("recording is %+v, %v", r, err)
		}
		if _, err := h.Stop(t.Context(), "room", openvidu.ReasonRecordingStopped); !errors.Is(err, ErrStarting) {
			t.Errorf("stop: %v", err)
		}
		begin := time.Now()
		h.SessionClosing(t.Context(), "room", openvidu.ReasonSessionClosed)
		if d := time.Since(begin); d > time.Second {
			t.Errorf("closing waited %v", d)
		}
		if err := <-started; err == nil {
			t.Error("the start succeeded")
		}
	})
}

func TestSessionClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"))
		h.mustStart("room", individual())
		time.Sleep(time.Second)
		h.SessionClosing(t.Context(), "room", openvidu.ReasonSessionClosed)
		if got := h.rooms.statuses("room"); !slices.Equal(got, []Status{Started, Stopped, Ready}) {
			t.Errorf("events when the hook returned: %v", got)
		}
		for _, e := range h.rooms.told()[1:] {
			if e.Reason != string(openvidu.ReasonSessionClosed) {
				t.Errorf("reason is %q", e.Reason)
			}
		}
	})
}

func TestAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		s := stream(h.node, "room", "con_A")
		h.rooms.with("room", func(r *openvidu.RecordingTarget) { r.Streams = []openvidu.StreamInfo{s} })
		h.StreamPublished(t.Context(), s, true)
		synctest.Wait()
		if _, err := h.Get("room"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("a MANUAL session was recorded: %v", err)
		}
		h.rooms.with("room", func(r *openvidu.RecordingTarget) { r.RecordingMode = openvidu.RecordingAlways })
		h.StreamPublished(t.Context(), s, true)
		synctest.Wait()
		if r, err := h.Get("room"); err != nil || r.Status != Started {
			t.Fatalf("recording is %+v, %v", r, err)
		}
		h.mustStop("room")
		h.StreamPublished(t.Context(), stream(h.node, "room", "con_B"), false)
		synctest.Wait()
		if _, err := h.Get("room~1"); !errors.Is(err, ErrNotFound) {
			t.Errorf("it started again: %v", err)
		}
	})
}

func TestAutostop(t *testing.T) {
	t.Run("nobody publishes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, nil, "room")
			h.mustStart("room", individual())
			time.Sleep(119 * time.Second)
			if r, _ := h.Get("room"); r.Status != Started {
				t.Fatalf("status after 119 s is %s", r.Status)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if r, _ := h.Get("room"); r.Status != Ready || h.rooms.marks[1].Reason != openvidu.ReasonAutomaticStop {
				t.Fatalf("recording after 121 s is %+v, marks %+v", r, h.rooms.marks)
			}
		})
	})
	t.Run("a publish aborts it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, nil, "room")
			h.mustStart("room", individual())
			time.Sleep(time.Minute)
			h.publish(stream(h.node, "room", "con_A"))
			time.Sleep(10 * time.Minute)
			if r, _ := h.Get("room"); r.Status != Started {
				t.Fatalf("status is %s", r.Status)
			}
			h.SessionEmpty("room", openvidu.ReasonDisconnect)
			time.Sleep(time.Minute)
			h.ParticipantJoined("room")
			time.Sleep(10 * time.Minute)
			if r, _ := h.Get("room"); r.Status != Started {
				t.Fatalf("status after a join is %s", r.Status)
			}
			h.SessionEmpty("room", openvidu.ReasonDisconnect)
			time.Sleep(121 * time.Second)
			synctest.Wait()
			if r, _ := h.Get("room"); r.Status != Ready {
				t.Fatalf("status of the empty session is %s", r.Status)
			}
		})
	})
	t.Run("zero", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t, func(o *Options) { o.AutostopTimeout = 0 }, "room")
			h.publish(stream(h.node, "room", "con_A"))
			h.mustStart("room", individual())
			h.SessionEmpty("room", openvidu.ReasonDisconnect)
			synctest.Wait()
			if r, _ := h.Get("room"); r.Status != Ready || h.rooms.told()[1].Reason != string(openvidu.ReasonLastParticipantLeft) {
				t.Fatalf("recording is %+v", r)
			}
		})
	})
}

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		then   func(*house)
		reason openvidu.Reason
	}{
		"length":    {func(o *Options) { o.MaxLength = 30 * time.Second }, func(*house) {}, openvidu.ReasonAutomaticStop},
		"size":      {func(o *Options) { o.MaxFileBytes = 10 }, func(*house) {}, openvidu.ReasonAutomaticStop},
		"disk":      {nil, func(h *house) { h.free.Store(1) }, openvidu.ReasonAutomaticStop},
		"node lost": {nil, func(h *house) { close(h.node.lost) }, openvidu.ReasonMediaServerDisconnect},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, c.change, "room")
				h.publish(stream(h.node, "room", "con_A"))
				h.mustStart("room", individual())
				c.then(h)
				time.Sleep(41 * time.Second)
				synctest.Wait()
				if r, _ := h.Get("room"); r.Status != Ready || h.rooms.told()[1].Reason != string(c.reason) {
					t.Fatalf("recording is %+v, events %+v", r, h.rooms.told())
				}
			})
		})
	}
}

// The service stops what runs, and says so, when it closes.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"))
		h.mustStart("room", individual())
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if got := h.rooms.statuses("room"); !slices.Equal(got, []Status{Started, Stopped, Ready}) {
			t.Errorf("events are %v", got)
		}
		if _, err := h.Start(t.Context(), "room", individual()); !errors.Is(err, ErrClosed) {
			t.Errorf("start after close: %v", err)
		}
	})
}

func TestOpen(t *testing.T) {
	h := newHouse(t, nil)
	outside := filepath.Join(filepath.Dir(h.dir), "secret")
	must(os.WriteFile(outside, []byte("x"), 0o600))
	t.Cleanup(func() { _ = os.Remove(outside) })
	must(os.Mkdir(filepath.Join(h.dir, "room"), 0o750))
	for _, n := range []string{"room.zip", ".recording.room", "x.webm.part", "y.tmp"} {
		must(os.WriteFile(filepath.Join(h.dir, "room", n), []byte("x"), 0o600))
	}
	must(os.Symlink(outside, filepath.Join(h.dir, "room", "link.webm")))
	must(os.Symlink("room.zip", filepath.Join(h.dir, "room", "inner.webm")))
	must(os.Mkdir(filepath.Join(h.dir, "room", "folder"), 0o750))
	must(os.Symlink(filepath.Dir(h.dir), filepath.Join(h.dir, "away")))
	f, info, err := h.Open("room", "room.zip")
	if err != nil || info.Size() != 1 {
		t.Fatalf("open: %v", err)
	}
	_ = f.Close()
	for _, p := range [][2]string{
		{"room", ".recording.room"}, {"room", "x.webm.part"}, {"room", "y.tmp"}, {"room", "link.webm"}, {"room", "inner.webm"}, {"room", "folder"},
		{"room", ""}, {"room", "."}, {"room", ".."}, {"room", "../secret"}, {"..", "secret"}, {"away", "secret"}, {"room", "room.zip\x00"},
		{"room/..", "room.zip"}, {"", "room.zip"}, {"room", strings.Repeat("a", 300)}, {"room", "%2e%2e"}, {"room", "none.zip"},
	} {
		if f, _, err := h.Open(p[0], p[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("open %q %q: %v", p[0], p[1], err)
			if f != nil {
				_ = f.Close()
			}
		}
	}
}

// A panic in the middle of a start ends that recording, and the session is free.
func TestPanicWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"))
		h.rooms.explode = true
		func() {
			defer func() {
				if recover() == nil {
					t.Error("nothing panicked")
				}
			}()
			_, _ = h.Start(t.Context(), "room", individual())
		}()
		h.rooms.explode = false
		if r, err := h.Get("room"); err != nil || r.Status != Failed || len(h.node.objects) != 0 {
			t.Errorf("recording is %+v, %v; %d recorders are left", r, err, len(h.node.objects))
		}
		h.mustStart("room", individual())
	})
}

// A stream that is published in the very moment in which a recording of its session
// begins is in it: its hook waits for the folder.
func TestPublishedWhileStarting(t *testing.T) {
	h := newHouse(t, nil, "room")
	a, b := stream(h.node, "room", "con_A"), stream(h.node, "room", "con_B")
	h.publish(a)
	hooked := make(chan struct{})
	h.store.step = func(op string) error {
		if op == "mkdir room" {
			h.rooms.with("room", func(r *openvidu.RecordingTarget) { r.Streams = append(r.Streams, b) })
			go func() {
				defer close(hooked)
				h.StreamPublished(t.Context(), b, false)
			}()
			time.Sleep(50 * time.Millisecond) // long enough for a hook that does not wait
		}
		return nil
	}
	h.mustStart("room", individual())
	<-hooked
	r := h.mustStop("room")
	if r.Status != Ready {
		t.Fatalf("recording is %+v", r)
	}
	m, err := h.store.readMeta("room")
	if err != nil || m.Incomplete || len(m.Files) != 2 {
		t.Errorf("recorded are %+v, incomplete %v, %v", m.Files, m.Incomplete, err)
	}
}
