package recording

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeStorage is a bucket in memory that takes a recording when it is told to.
type fakeStorage struct {
	dir string

	mu      sync.Mutex
	begun   []string
	ended   []string
	orders  map[string]order
	objects map[string][]byte // "id/name"
	deleted map[string]bool
	refuse  error // of Delete
	down    bool  // Open fails
	link    string
}

type order struct {
	names    []string
	last     string
	uploaded func(error)
}

func newStorage(dir string) *fakeStorage {
	return &fakeStorage{dir: dir, orders: map[string]order{}, objects: map[string][]byte{}, deleted: map[string]bool{}}
}

func (f *fakeStorage) Begin(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = append(f.begun, id)
}

func (f *fakeStorage) Finish(id string, names []string, last string, uploaded func(error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders[id] = order{slices.Clone(names), last, uploaded}
}

func (f *fakeStorage) Known(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.orders[id]
	return ok
}

func (f *fakeStorage) End(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, id)
}

func (f *fakeStorage) Delete(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	f.deleted[id] = true
	return nil
}

func (f *fakeStorage) Taken(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deleted[id]
}

type memFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (memFile) Close() error                 { return nil }
func (m memFile) Stat() (fs.FileInfo, error) { return m.info, nil }

func (f *fakeStorage) Open(id, file string) (File, fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.objects[id+"/"+file]
	if f.down {
		return nil, nil, errors.New("bucket is down")
	}
	if !ok {
		return nil, nil, fs.ErrNotExist
	}
	return memFile{bytes.NewReader(b), nil}, nil, nil
}

func (f *fakeStorage) Link(context.Context, string, string) string { return f.link }

// take moves a finished recording's files from the folder into the bucket.
func (f *fakeStorage) take(t *testing.T, id string, outcome error) {
	t.Helper()
	f.mu.Lock()
	o, ok := f.orders[id]
	f.mu.Unlock()
	if !ok {
		t.Fatalf("nothing is to be uploaded of %s", id)
	}
	for _, n := range o.names {
		at := filepath.Join(f.dir, id, n)
		b, err := os.ReadFile(at)
		must(err)
		f.mu.Lock()
		f.objects[id+"/"+n] = b
		f.mu.Unlock()
		if outcome == nil && !strings.HasPrefix(n, ".") {
			must(os.Remove(at))
		}
	}
	if o.uploaded != nil {
		o.uploaded(outcome)
	}
}

// stored is a house with a bucket.
func stored(t *testing.T, wait bool) (*house, *fakeStorage, func(*Options)) {
	var f *fakeStorage
	with := func(o *Options) {
		if f == nil {
			f = newStorage(o.Dir)
		}
		o.Storage, o.ReadyWhenUploaded = f, wait
	}
	h := newHouse(t, with, "room")
	return h, f, with
}

func (h *house) recordOne() Recording {
	h.t.Helper()
	h.publish(stream(h.node, "room", "con_A"))
	r := h.mustStart("room", individual())
	return h.mustStop(r.ID)
}

func (h *house) read(id, file string) string {
	h.t.Helper()
	f, _, err := h.Open(id, file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	must(err)
	return string(b)
}

// A recording is ready when the bucket has it, not before; then it is served from
// there and deleted there.
func TestReadyWhenUploaded(t *testing.T) {
	h, f, _ := stored(t, true)
	r := h.recordOne()
	if r.Status != Stopped || r.URL != nil {
		t.Errorf("before the upload: %+v", r)
	}
	if got := h.rooms.statuses("room"); slices.Contains(got, Ready) {
		t.Errorf("told before the upload: %v", got)
	}
	if !slices.Equal(f.begun, []string{"room"}) {
		t.Errorf("begun: %v", f.begun)
	}
	if o := f.orders["room"]; !slices.Equal(o.names, []string{".manifest.json", ".proof.jsonl", "room.zip"}) || o.last != ".recording.room" {
		t.Errorf("to be uploaded: %v, then %s", o.names, o.last)
	}
	zip := h.read("room", "room.zip")
	f.take(t, "room", nil)
	got, err := h.Get("room")
	if err != nil || got.Status != Ready || got.URL == nil || got.Size == 0 {
		t.Fatalf("after the upload: %+v, %v", got, err)
	}
	if list := h.rooms.statuses("room"); list[len(list)-1] != Ready {
		t.Errorf("told after the upload: %v", list)
	}
	if h.read("room", "room.zip") != zip {
		t.Error("the bucket's copy is not what was on the disk")
	}
	f.down = true
	if _, _, err := h.Open("room", "room.zip"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("open while the bucket is down: %v", err)
	}
	f.refuse = errors.New("disk is full")
	if err := h.Delete("room"); err == nil {
		t.Error("deleted without a promise that the bucket's copy goes")
	}
	if _, err := h.Get("room"); err != nil {
		t.Errorf("after a failed delete: %v", err)
	}
	f.refuse = nil
	if err := h.Delete("room"); err != nil || !f.deleted["room"] {
		t.Errorf("delete: %v, in the bucket %v", err, f.deleted)
	}
	// The id is not given again before the bucket is clear of it.
	if next := h.mustStart("room", individual()); next.ID != "room~1" {
		t.Errorf("the next recording is %s", next.ID)
	}
}

// Without the wish to wait, ready comes first and the upload after it.
func TestReadyBeforeUpload(t *testing.T) {
	h, f, _ := stored(t, false)
	if r := h.recordOne(); r.Status != Ready || r.URL == nil {
		t.Errorf("recording is %+v", r)
	}
	if o, ok := f.orders["room"]; !ok || o.uploaded != nil {
		t.Errorf("order %+v, %v", o, ok)
	}
}

func TestUploadThatCannotSucceed(t *testing.T) {
	h, f, _ := stored(t, true)
	h.recordOne()
	f.take(t, "room", errors.New("a file is gone"))
	got, err := h.Get("room")
	if err != nil || got.Status != Failed {
		t.Errorf("recording is %+v, %v", got, err)
	}
	if list := h.rooms.statuses("room"); list[len(list)-1] != Failed {
		t.Errorf("told %v", list)
	}
}

// A recording whose upload hangs can be deleted; what comes of the upload then
// changes nothing.
func TestDeleteBeforeUpload(t *testing.T) {
	h, f, _ := stored(t, true)
	h.recordOne()
	if err := h.Delete("room"); err != nil || !f.deleted["room"] {
		t.Fatalf("delete: %v", err)
	}
	f.orders["room"].uploaded(nil)
	if _, err := h.Get("room"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the delete: %v", err)
	}
	if got := h.rooms.statuses("room"); slices.Contains(got, Ready) {
		t.Errorf("told %v of a deleted recording", got)
	}
}

// A process that dies before the upload is done has the next go on.
func TestUploadAfterRestart(t *testing.T) {
	for name, wait := range map[string]bool{"held back": true, "ready": false} {
		t.Run(name, func(t *testing.T) {
			h, f, with := stored(t, wait)
			h.recordOne()
			must(h.Close())
			f.mu.Lock()
			late := f.orders["room"].uploaded
			delete(f.orders, "room") // it died before the order was on the disk
			f.mu.Unlock()
			if late != nil {
				late(nil) // too late: the service is closed
			}
			h.open(func(o *Options) { with(o); o.ProcessID = "next" })
			h.Recover(t.Context())
			f.take(t, "room", nil)
			got, err := h.Get("room")
			if err != nil || got.Status != Ready || got.URL == nil {
				t.Errorf("recording is %+v, %v", got, err)
			}
			ready := 0
			for _, s := range h.rooms.statuses("room") {
				if s == Ready {
					ready++
				}
			}
			if ready != 1 {
				t.Errorf("ready is told %d times", ready)
			}
		})
	}
}

// Waiting for uploads is given up when the setting says so at the next start.
func TestUploadNoLongerWished(t *testing.T) {
	h, _, _ := stored(t, true)
	h.recordOne()
	must(h.Close())
	h.open(func(o *Options) { o.ProcessID = "next" })
	h.Recover(t.Context())
	if got, err := h.Get("room"); err != nil || got.Status != Ready || got.URL == nil {
		t.Errorf("recording is %+v, %v", got, err)
	}
	if !strings.HasPrefix(h.read("room", "room.zip"), "PK") {
		t.Error("the zip is not served")
	}
}

// The bucket is asked for finished recordings of ours only, never for others' files
// or hidden ones.
func TestBucketIsAskedForOwnRecordingsOnly(t *testing.T) {
	h, f, _ := stored(t, false)
	f.link = "https://bucket/signed"
	f.objects["room/room.zip"], f.objects["room/.recording.room"], f.objects["other/other.zip"] = []byte("PK"), []byte("{}"), []byte("PK")
	m := left("other", Ready)
	m.URL = new("u")
	h.leave("other", m)
	h.recordOne()
	must(os.Remove(filepath.Join(h.dir, "room", "room.zip")))
	for file, want := range map[[2]string]bool{
		{"room", "room.zip"}: true, {"room", ".recording.room"}: false, {"room", "nothing.mp4"}: false, {"other", "other.zip"}: false, {"none", "none.zip"}: false,
	} {
		_, _, err := h.Open(file[0], file[1])
		if (err == nil) != want || err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("open %v: %v", file, err)
		}
		if link := h.Link(t.Context(), file[0], file[1]); file[1] != "nothing.mp4" && (link != "") != want {
			t.Errorf("link of %v: %q", file, link)
		}
	}
}

// A recording without media leaves nothing to upload, and its copying ends.
func TestNothingToUpload(t *testing.T) {
	h, f, _ := stored(t, true)
	h.node.medialess = true
	h.publish(stream(h.node, "room", "con_A"))
	r := h.mustStart("room", individual())
	h.mustStop(r.ID)
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, err := h.Get("room")
		if err == nil && got.Status == Failed {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("recording is %+v, %v", got, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.orders) != 0 || !slices.Equal(f.ended, []string{"room"}) {
		t.Errorf("orders %v, ended %v", f.orders, f.ended)
	}
}
