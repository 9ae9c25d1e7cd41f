package recording

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/internal/proof"
)

func TestComposedGaps(t *testing.T) {
	const zero = 1_700_000_000_000
	video := func(from, to int64, cause string) gap {
		return gap{Kind: "VIDEO", FromMs: from, ToMs: to, Cause: cause}
	}
	audio := func(from, to int64, cause string) gap {
		return gap{Kind: "AUDIO", FromMs: from, ToMs: to, Cause: cause}
	}
	worker := func(at int64) proof.Event { return proof.Event{Event: eventWorker, At: zero + at} }
	back := func(at int64) proof.Event { return proof.Event{Event: eventPictures, At: zero + at} }
	for _, c := range []struct {
		name    string
		gaps    []gap
		events  []proof.Event
		changes []change
		want    []gap
	}{
		{name: "none", want: nil},
		{name: "too slow", gaps: []gap{video(1000, 2000, "")}, want: []gap{video(1000, 2000, proof.CauseLoad)}},
		{name: "of the disk", gaps: []gap{video(1000, 2000, proof.CauseDisk)}, events: []proof.Event{worker(1500), back(1600)},
			want: []gap{video(1000, 2000, proof.CauseDisk), video(1500, 1600, proof.CauseWorker)}},
		{name: "of a crash", gaps: []gap{audio(7900, 8500, proof.CauseCrash), video(8000, 8300, proof.CauseCrash)},
			want: []gap{audio(7900, 8500, proof.CauseCrash), video(8000, 8500, proof.CauseCrash)}},
		{name: "seen again later", gaps: []gap{audio(1100, 1500, ""), video(1200, 1500, "")}, events: []proof.Event{worker(1400), back(2100)},
			want: []gap{audio(1100, 1500, proof.CauseWorker), video(1200, 2100, proof.CauseWorker)}},
		{name: "seen again at once", gaps: []gap{video(1200, 1500, "")}, events: []proof.Event{worker(1400), back(1400)},
			want: []gap{video(1200, 1500, proof.CauseWorker)}},
		{name: "never seen again", gaps: []gap{video(1200, 1500, "")}, events: []proof.Event{worker(1400)},
			want: []gap{video(1200, 9000, proof.CauseWorker)}},
		{name: "two", gaps: []gap{video(1200, 1500, ""), video(4200, 4500, "")}, events: []proof.Event{worker(1400), back(1700), worker(4400), back(4800)},
			want: []gap{video(1200, 1700, proof.CauseWorker), video(4200, 4800, proof.CauseWorker)}},
		{name: "after a pause", gaps: []gap{video(1200, 1500, "")}, events: []proof.Event{worker(6400), back(6900)},
			changes: []change{{At: zero + 500, Type: "pause"}, {At: zero + 5500, Type: "resume"}, {At: zero + 8000, Type: "pause"}},
			want:    []gap{video(1200, 1900, proof.CauseWorker)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			side := &sidecar{DurationMs: 9000, Gaps: c.gaps, Clock: &proof.Clock{ZeroUs: zero * 1000}}
			m := &metadata{Recording: Recording{HasVideo: true}, Changes: c.changes}
			if got := composedGaps(m, side, c.events); !slices.Equal(got, c.want) {
				t.Errorf("gaps %+v, want %+v", got, c.want)
			}
		})
	}
}

// A worker that ends is in the log, with the moment at which all were back in the
// picture; other errors of the picture are not its end.
func TestWorkerIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newComposer(t, nil, "room")
		h.mustStart("room", together())
		h.node.mu.Lock()
		var hear func(json.RawMessage)
		for id, f := range h.node.heard {
			if h.node.others[id] == "View" {
				hear = f
			}
		}
		h.node.mu.Unlock()
		hear(json.RawMessage(`{"type":"STREAM_ERROR_FORMAT","description":"a picture cannot be decoded"}`))
		time.Sleep(2 * time.Second)
		before := time.Now().UnixMilli()
		hear(json.RawMessage(`{"type":"UNEXPECTED_ELEMENT_ERROR","description":"The media worker of hub x ended: signal; another one takes over"}`))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		h.mustStop("room")
		m, err := h.store.readMeta("room")
		if err != nil {
			t.Fatal(err)
		}
		var events []string
		for _, e := range h.store.ledgers.noted(m) {
			events = append(events, e.Event)
			if (e.Event == eventWorker || e.Event == eventPictures) && e.At != before {
				t.Errorf("%s is at %d, want %d", e.Event, e.At, before)
			}
		}
		if got := strings.Join(events, " "); got != "started workerRestarted picturesBack stopped" {
			t.Errorf("events %q", got)
		}
	})
}

// What the recorder could not finish at a start, for want of room, is tried again
// at the next one: nothing is given up, nothing is packed without it.
func TestUnfinishedFilesAreTriedAgain(t *testing.T) {
	for _, mode := range []string{"INDIVIDUAL", "COMPOSED"} {
		t.Run(mode, func(t *testing.T) {
			free := uint64(0)
			h := newHouse(t, func(o *Options) { o.FreeBytes = func(string) (uint64, error) { return free, nil } })
			m := left("room", Started)
			m.OutputMode, m.HasVideo = mode, true
			file := "str_a.webm"
			if mode == "COMPOSED" {
				file = "room.mp4"
				h.leave("room", m)
			} else {
				h.leave("room", m, "str_a", "str_b")
			}
			dir := filepath.Join(h.dir, "room")
			part := &fakeRecorder{path: filepath.Join(dir, file), start: m.CreatedAt}
			_ = os.Remove(part.path)
			must(os.WriteFile(part.path+partSuffix, media, 0o600))
			part.sidecar("recording", 4000)
			h.Recover(t.Context())
			now, err := h.store.readMeta("room")
			if err != nil || now.Status != Failed || !now.Retry || now.Failure != "the disk is full" || now.URL != nil || !h.store.exists("room/"+file+partSuffix) {
				t.Fatalf("on the full disk it is %+v, %v", now, err)
			}
			if mode == "INDIVIDUAL" && !h.store.exists("room/str_b.webm") {
				t.Error("the other take is gone")
			}
			must(h.Close())

			free = 1 << 30
			must(os.Rename(part.path+partSuffix, part.path))
			part.sidecar("recovered", 4000)
			h.open(func(o *Options) { o.FreeBytes = func(string) (uint64, error) { return free, nil } })
			h.Recover(t.Context())
			if now, err = h.store.readMeta("room"); err != nil || now.Status != Ready || now.Retry || now.Failure != "" || now.URL == nil {
				t.Errorf("when there is room it is %+v, %v", now, err)
			}
			if got := h.rooms.statuses("room"); !slices.Equal(got, []Status{Failed, Ready}) {
				t.Errorf("events %v", got)
			}
		})
	}
}

// On a full disk metadata is replaced in its place, if that needs no more blocks.
func TestOverwrite(t *testing.T) {
	h := newHouse(t, nil)
	at := filepath.Join(h.dir, "x")
	must(os.WriteFile(at, []byte("a long old text"), 0o600))
	if err := h.store.overwrite("x", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(at); err != nil || string(b) != "new" {
		t.Errorf("the file is %q, %v", b, err)
	}
	if err := h.store.overwrite("x", make([]byte, blockBytes+1)); err != syscall.ENOSPC {
		t.Errorf("more than a block: %v", err)
	}
	if err := h.store.overwrite("y", []byte("new")); err == nil {
		t.Error("a file that is not there is overwritten")
	}
}

// A running recording keeps room for its end, and gives it back.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		h.publish(stream(h.node, "room", "con_A"))
		h.mustStart("room", individual())
		info, err := os.Stat(filepath.Join(h.dir, "room", reserveName))
		if err != nil || info.Size() != reserveBytes {
			t.Fatalf("reserve: %v", err)
		}
		h.mustStop("room")
		if h.store.exists("room/" + reserveName) {
			t.Error("the reserve is still there")
		}
	})
}

// Each failure of the recorder ends the recording in order, with its reason.
func TestComposedDiskFaults(t *testing.T) {
	for typ, want := range map[string]string{
		"RESOURCE_ERROR_NO_SPACE_LEFT": "the disk is full", "RESOURCE_ERROR_WRITE": "the file could not be written",
		"RESOURCE_ERROR_OPEN": "the file could not be made", "UNEXPECTED": "the recorder failed",
	} {
		t.Run(typ, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newComposer(t, nil, "room")
				h.mustStart("room", together())
				h.node.raise(0, "Error", `{"type":"`+typ+`","description":"input/output error"}`)
				time.Sleep(time.Second)
				synctest.Wait()
				m, err := h.store.readMeta("room")
				if err != nil || m.Status != Failed || m.Failure != want || m.Reason != "automaticStop" || m.URL == nil {
					t.Errorf("metadata is %+v, %v", m, err)
				}
				if got := h.rooms.statuses("room"); !slices.Equal(got, []Status{Started, Stopped, Failed}) {
					t.Errorf("events are %v", got)
				}
			})
		})
	}
}
