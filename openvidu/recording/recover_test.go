package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/openvidu"
)

// guillotine ends a process at the n-th change of its disk: that change and all
// later ones do not happen, and the media node writes nothing more.
type guillotine struct {
	mu    sync.Mutex
	after int
	steps []string
	node  *fakeNode
}

var errKilled = errors.New("killed")

func (g *guillotine) step(op string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.steps) == g.after {
		g.node.mu.Lock()
		g.node.dead = true
		g.node.mu.Unlock()
		return errKilled
	}
	g.steps = append(g.steps, op)
	return nil
}

// A process that dies at any change of the disk leaves what the next one finishes:
// every recording that had media is ready and plays, none is torn, none is lost.
func TestKillAtEveryStep(t *testing.T) {
	for n := 0; ; n++ {
		over := false
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { over = killAfter(t, n) })
		})
		if over {
			if n < 12 {
				t.Fatalf("a recording changes the disk %d times: the kills did not reach it", n)
			}
			return
		}
	}
}

// killAfter records, unpublishes, stops, and kills at the n-th change; true when
// the recording came through without meeting it.
func killAfter(t *testing.T, n int) bool {
	h := newHouse(t, nil, "room")
	g := &guillotine{after: n, node: h.node}
	h.store.step = g.step
	a, b := stream(h.node, "room", "con_A"), stream(h.node, "room", "con_B")
	h.publish(a, b)
	if _, err := h.Start(t.Context(), "room", individual()); err == nil {
		time.Sleep(11 * time.Second) // past one periodic write
		h.StreamUnpublished(t.Context(), b, openvidu.ReasonUnpublish)
		time.Sleep(time.Second)
		_, _ = h.Stop(t.Context(), "room", openvidu.ReasonRecordingStopped)
	}
	_ = h.Close()
	survived := !h.node.dead

	began := false // media reached the disk
	for _, pattern := range []string{"*.webm", "*.webm.part", "*.zip"} {
		found, _ := filepath.Glob(filepath.Join(h.dir, "room", pattern))
		began = began || len(found) > 0
	}
	// The next process.
	recoverMedia(t, h.dir)
	h.rooms = newRooms("room")
	h.open(nil)
	h.Recover(t.Context())
	synctest.Wait()

	all, err := h.List()
	if err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(h.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == quarantine {
			t.Errorf("after recovery the folder holds %s", e.Name())
		}
	}
	if !began {
		if len(all) > 1 || (len(all) == 1 && all[0].Status != Failed) {
			t.Errorf("without media: %+v", all)
		}
		return survived
	}
	if len(all) != 1 {
		t.Fatalf("%d recordings after step %v", len(all), g.steps)
	}
	r := all[0]
	if r.Status != Ready || r.URL == nil || r.Size == 0 || r.Duration <= 0 {
		t.Fatalf("after a kill at %d %v the recording is %+v", n, g.steps, r)
	}
	files, x := unzip(t, filepath.Join(h.dir, "room", "room.zip"))
	if len(x.Files) == 0 {
		t.Fatalf("the zip is empty")
	}
	for _, f := range x.Files {
		if string(files[f.Name]) != string(media) {
			t.Errorf("%s differs", f.Name)
		}
	}
	if got, want := h.files("room"), []string{".manifest.json", ".proof.jsonl", ".recording.room", "room.zip"}; !slices.Equal(got, want) {
		t.Errorf("folder holds %v, want %v", got, want)
	}
	h.proven("room")
	if m, err := h.store.readMeta("room"); err != nil || (m.Recovered && len(h.rooms.statuses("room")) != 1) {
		t.Errorf("metadata %+v, %v; final events %v", m, err, h.rooms.statuses("room"))
	}
	return survived
}

// leave writes a folder as a process that died left it.
func (h *house) leave(id string, m *metadata, takes ...string) {
	h.t.Helper()
	dir := filepath.Join(h.dir, id)
	must(os.Mkdir(dir, 0o750))
	b, err := json.Marshal(m)
	must(err)
	must(os.WriteFile(filepath.Join(dir, metaName(id)), b, 0o600))
	for _, name := range takes {
		r := &fakeRecorder{path: filepath.Join(dir, name+".webm"), start: m.CreatedAt + 500}
		must(os.WriteFile(r.path, media, 0o600))
		r.sidecar("recovered", 4000)
		b, _ := json.Marshal(fileMeta{Name: name + ".webm", StreamID: name, ConnectionID: "con_A", HasAudio: true, StartTime: m.CreatedAt})
		must(os.WriteFile(filepath.Join(dir, takePrefix+name), b, 0o600))
	}
}

func left(id string, status Status) *metadata {
	return &metadata{
		Recording:       Recording{ID: id, Object: "recording", Name: id, OutputMode: "INDIVIDUAL", SessionID: id, CreatedAt: 1_700_000_000_000, HasAudio: true, Status: status},
		UniqueSessionID: id + "_1", Schema: schema, NodeID: "node1", ProcessID: "dead",
	}
}

func TestRecover(t *testing.T) {
	h := newHouse(t, nil)
	h.leave("started", left("started", Started), "str_a", "str_b")
	h.leave("starting", left("starting", Starting), "str_a")
	h.leave("stopped", left("stopped", Stopped), "str_a")
	h.leave("nomedia", left("nomedia", Started))
	h.leave("done", left("done", Failed), "str_a")
	retry := left("retry", Failed)
	retry.Retry = true
	h.leave("retry", retry, "str_a")
	other := left("other", Started)
	other.NodeID = "node2"
	h.leave("other", other, "str_a")
	foreign := left("foreign", Started)
	foreign.Schema, foreign.NodeID, foreign.ProcessID = 0, "", ""
	h.leave("foreign", foreign, "str_a")
	torn := filepath.Join(h.dir, "torn")
	must(os.Mkdir(torn, 0o750))
	must(os.WriteFile(filepath.Join(torn, ".recording.torn"), []byte(`{"schema":1,"id":"torn","na`), 0o600))
	must(os.WriteFile(filepath.Join(torn, "str_a.webm"), media, 0o600))
	must(os.MkdirAll(filepath.Join(h.dir, "photos", "2024"), 0o750))
	must(os.WriteFile(filepath.Join(h.dir, "photos", "cat.jpg"), []byte("cat"), 0o600))
	must(os.WriteFile(filepath.Join(h.dir, "started", "started.zip.part"), []byte("half a zip"), 0o600))
	must(os.WriteFile(filepath.Join(h.dir, "started", ".recording.started.tmp"), []byte("{"), 0o600))
	must(os.Mkdir(filepath.Join(h.dir, ".new-half"), 0o750))
	must(os.Mkdir(filepath.Join(h.dir, ".deleted-half"), 0o750))

	got := h.Recover(t.Context())
	if want := (Recovery{Resumed: 5, Quarantined: 1, Foreign: 1}); got != want {
		t.Errorf("recovery found %+v, want %+v", got, want)
	}
	for id, want := range map[string]Status{
		"started": Ready, "starting": Ready, "stopped": Ready, "nomedia": Failed, "done": Failed, "retry": Ready, "other": Started, "foreign": Started,
	} {
		r, err := h.Get(id)
		if err != nil || r.Status != want {
			t.Errorf("%s is %+v, %v; want %s", id, r, err, want)
		}
		if n := len(h.rooms.statuses(id)); n != 0 != slices.Contains([]string{"started", "starting", "stopped", "nomedia", "retry"}, id) || n > 1 {
			t.Errorf("%s: %d events", id, n)
		}
	}
	if r, _ := h.Get("started"); r.Duration != 4 || r.Size != 2*int64(len(media)) {
		t.Errorf("recovered recording is %+v, want the true duration of 4 s", r)
	}
	m, err := h.store.readMeta("started")
	if err != nil || !m.Recovered || m.Reason != string(openvidu.ReasonNodeCrashed) {
		t.Errorf("metadata is %+v, %v", m, err)
	}
	if _, x := unzip(t, filepath.Join(h.dir, "started", "started.zip")); len(x.Files) != 2 || x.Files[0].StartTimeOffset != 500 || x.Files[0].EndTimeOffset != 4500 {
		t.Errorf("index is %+v", x)
	}
	if _, err := h.Get("torn"); !errors.Is(err, ErrNotFound) {
		t.Errorf("torn: %v", err)
	}
	if q, _ := filepath.Glob(filepath.Join(h.dir, quarantine, ".recording.torn.*")); len(q) != 1 {
		t.Errorf("quarantine holds %v", q)
	} else if b, _ := os.ReadFile(q[0]); string(b) != `{"schema":1,"id":"torn","na` {
		t.Errorf("quarantined file is %q", b)
	}
	for _, keep := range []string{"torn/str_a.webm", "photos/cat.jpg", "photos/2024", "foreign/str_a.webm", "other/str_a.webm"} {
		if _, err := os.Stat(filepath.Join(h.dir, keep)); err != nil {
			t.Errorf("%s is gone", keep)
		}
	}
	for _, gone := range []string{".new-half", ".deleted-half", "started/started.zip.part", "started/.recording.started.tmp"} {
		if _, err := os.Stat(filepath.Join(h.dir, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	if err := h.Delete("foreign"); !errors.Is(err, ErrReadOnly) {
		t.Errorf("delete of another server's: %v", err)
	}
	if err := h.Delete("other"); !errors.Is(err, ErrInProgress) {
		t.Errorf("delete of another node's running: %v", err)
	}
	// A second look finds nothing to do and tells nothing.
	before := len(h.rooms.told())
	if again := h.Recover(t.Context()); again.Resumed != 0 {
		t.Errorf("second recovery: %+v", again)
	}
	if after := len(h.rooms.told()); after != before {
		t.Errorf("%d events were sent again", after-before)
	}
}

// A composed recording of another server is listed with its own fields.
func TestForeignRecording(t *testing.T) {
	h := newHouse(t, nil)
	dir := filepath.Join(h.dir, "old")
	must(os.Mkdir(dir, 0o750))
	text := `{"id":"old","object":"recording","name":"old","outputMode":"COMPOSED","resolution":"1280x720","frameRate":25,"recordingLayout":"BEST_FIT",` +
		`"sessionId":"old","createdAt":1600000000000,"size":3205004,"duration":12.92,"url":"https://host/openvidu/recordings/old/old.mp4","hasAudio":true,"hasVideo":true,"status":"ready"`
	must(os.WriteFile(filepath.Join(dir, ".recording.old"), []byte(text+`,"uniqueSessionId":"old_1"}`), 0o600))
	must(os.WriteFile(filepath.Join(dir, "old.mp4"), []byte("mp4"), 0o600))
	h.Recover(t.Context())
	r, err := h.Get("old")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(r); string(b) != text+"}" {
		t.Errorf("shown as %s\nwant     %s}", b, text)
	}
	f, _, err := h.Open("old", "old.mp4")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

// A crash in the middle of a sweep is swept at the next start, after the zip was
// checked; a broken zip keeps the loose files.
func TestResweep(t *testing.T) {
	h := newHouse(t, nil)
	for _, id := range []string{"good", "bad"} {
		h.leave(id, left(id, Stopped), "str_a")
	}
	h.store.step = func(op string) error {
		if strings.HasPrefix(op, "remove ") {
			return errKilled
		}
		return nil
	}
	h.Recover(t.Context())
	must(h.Close())
	must(os.WriteFile(filepath.Join(h.dir, "bad", "bad.zip"), []byte("not a zip"), 0o600))
	h.open(nil)
	h.Recover(t.Context())
	for id, want := range map[string]bool{"good": false, "bad": true} {
		if _, err := os.Stat(filepath.Join(h.dir, id, "str_a.webm")); (err == nil) != want {
			t.Errorf("%s: loose file is there: %v", id, err == nil)
		}
	}
}

// A thousand recordings do not hold up the start (5 s by the contract, ten times
// that here).
func TestRecoverThousand(t *testing.T) {
	h := newHouse(t, nil)
	for i := range 1000 {
		id := fmt.Sprintf("ses_%d", i)
		m := left(id, Ready)
		m.URL = new("x")
		h.leave(id, m)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	h.Recover(ctx)
	all, err := h.List()
	if ctx.Err() != nil || err != nil || len(all) != 1000 {
		t.Errorf("%d recordings, %v, %v", len(all), err, ctx.Err())
	}
}

// Recovery never fails the start and never touches a file outside the folder,
// whatever the metadata says.
func FuzzRecordingMeta(f *testing.F) {
	whole, _ := json.Marshal(left("room", Started))
	take, _ := json.Marshal(fileMeta{Name: "str_a.webm", StreamID: "str_a"})
	side, _ := json.Marshal(sidecar{Schema: 1, File: "str_a.webm", Status: "recovered", DurationMs: 1000})
	for n := 0; n <= len(whole); n += 7 {
		f.Add(whole[:n], take, side)
	}
	for n := 0; n <= len(take); n += 5 {
		f.Add(whole, take[:n], side)
	}
	for n := 0; n <= len(side); n += 5 {
		f.Add(whole, take, side[:n])
	}
	f.Add([]byte(`{"id":"room","name":"../../witness","schema":1,"nodeId":"node1","status":"started"}`), take, side)
	f.Add(whole, []byte(`{"name":"../../witness"}`), side)
	f.Add([]byte(`{"id":"room","name":"room","schema":1,"nodeId":"node1","status":"ready","url":"x","files":[{"name":"../../witness"},{"name":".recording.room"}]}`), take, side)
	f.Add(whole, take, []byte(`{"startTime":9223372036854775807,"durationMs":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, meta, take, side []byte) {
		base := t.TempDir()
		dir := filepath.Join(base, "recordings")
		room := filepath.Join(dir, "room")
		must(os.MkdirAll(room, 0o750))
		witness := filepath.Join(base, "witness")
		for name, b := range map[string][]byte{
			witness: media, filepath.Join(room, ".recording.room"): meta, filepath.Join(room, ".stream.str_a"): take,
			filepath.Join(room, ".str_a.webm.manifest.json"): side, filepath.Join(room, "str_a.webm"): media,
		} {
			must(os.WriteFile(name, b, 0o600))
		}
		h := &house{t: t, dir: dir, rooms: newRooms(), node: newNode()}
		h.open(nil)
		h.Recover(t.Context())
		for _, a := range h.actives() {
			a.waitFinal(t.Context())
		}
		if _, err := h.List(); err != nil {
			t.Error(err)
		}
		must(h.Close())
		if b, err := os.ReadFile(witness); err != nil || string(b) != string(media) {
			t.Error("a file outside the folder was touched")
		}
		if entries, _ := os.ReadDir(base); len(entries) != 2 {
			t.Errorf("beside the folder lie %v", entries)
		}
		// The media is somewhere: loose, or in a zip.
		zips, _ := filepath.Glob(filepath.Join(room, "*.zip"))
		if _, err := os.Stat(filepath.Join(room, "str_a.webm")); err != nil && len(zips) == 0 {
			t.Error("the media is gone")
		}
	})
}
