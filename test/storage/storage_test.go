package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/recorder/storage"
)

// A recording grows, ends, is verified, is read in parts and deleted.
func TestStorage(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		r.start(b.Location())
		media := noise(33<<20 + 12345)
		name := "grows.mp4"
		r.write(".recording.room", []byte(`{"status":"started"}`))
		r.u.Begin("room")
		r.write(name+".part", media[:12<<20])
		r.until("two chunks while it grows", func() bool { return len(r.chunks(name)) == 2 })
		r.until("the metadata beside them", func() bool { _, ok := r.keys()[".live/.recording.room"]; return ok })
		r.write(name+".part", media[:21<<20])
		r.until("four chunks", func() bool { return len(r.chunks(name)) == 4 })
		if got := r.reassembled(name); !bytes.Equal(got, media[:20<<20]) {
			t.Error("the chunks are not what was written")
		}
		r.write(name+".part", media)
		rename(t, r, name)
		r.finish(name)
		r.awaitTold()
		r.until("the chunks go", func() bool { return len(r.chunks(name)) == 0 })
		r.until("the local copy goes", func() bool { return !r.local(name) })
		t.Logf("%d bytes are verified by %s", len(media), r.verifiedBy(name))
		if got := sum(r.content(name)); got != sum(media) {
			t.Errorf("the bucket has %s, not %s", got, sum(media))
		}
		if got := string(r.content(".recording.room")); got != `{"status":"ready"}` {
			t.Errorf("metadata in the bucket: %s", got)
		}
		if !r.local(".recording.room") {
			t.Error("the local metadata is gone")
		}
		r.reads(name, media)
		r.links(name, media)
		if r.metric("govidu_storage_up") != 1 || r.metric("govidu_storage_failures_total") != 0 {
			t.Errorf("up %v, failures %v", r.metric("govidu_storage_up"), r.metric("govidu_storage_failures_total"))
		}
		if got := r.metric("govidu_storage_uploaded_bytes_total", "file"); got < float64(len(media)) {
			t.Errorf("%v bytes are counted", got)
		}
		if err := r.u.Delete("room"); err != nil {
			t.Fatal(err)
		}
		r.until("the bucket is empty", func() bool { return len(r.keys()) == 0 && !r.u.Taken("room") })
		r.noSecrets()
	})
}

func rename(t *testing.T, r *rig, name string) {
	t.Helper()
	at := filepath.Join(r.dir, "room", name)
	if err := os.Rename(at+".part", at); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) chunks(name string) (list []string) {
	for k := range r.keys() {
		if strings.HasPrefix(k, ".live/"+name+".") {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return list
}

func (r *rig) reassembled(name string) (b []byte) {
	for _, k := range r.chunks(name) {
		part, err := r.tryContent(k)
		if err != nil {
			return nil // deleted meanwhile
		}
		b = append(b, part...)
	}
	return b
}

// reads compares parts read from the bucket with what was recorded.
func (r *rig) reads(name string, media []byte) {
	r.t.Helper()
	o, err := r.u.Open("room", name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer o.Close()
	if info, err := o.Stat(); err != nil || info.Size() != int64(len(media)) {
		r.t.Errorf("size in the bucket: %v, %v", info, err)
	}
	for _, at := range []int{0, 1, 9_999_999, len(media) - 1000} {
		part := make([]byte, 1000)
		if _, err := o.ReadAt(part, int64(at)); err != nil || !bytes.Equal(part, media[at:at+1000]) {
			r.t.Errorf("ReadAt %d: %v", at, err)
		}
		if _, err := o.Seek(int64(at), io.SeekStart); err != nil {
			r.t.Fatal(err)
		}
		if _, err := io.ReadFull(o, part); err != nil || !bytes.Equal(part, media[at:at+1000]) {
			r.t.Errorf("read at %d: %v", at, err)
		}
	}
	if _, err := r.u.Open("room", "nothing.mp4"); !errors.Is(err, fs.ErrNotExist) {
		r.t.Errorf("a file that is not there: %v", err)
	}
}

// links fetches by a signed address, where the provider gives one.
func (r *rig) links(name string, media []byte) {
	r.t.Helper()
	link := r.u.Link(context.Background(), "room", name)
	if link == "" {
		if r.b.refuses() { // fake-gcs-server has no keys to sign with
			r.t.Error("no signed address")
		}
		return
	}
	get := func(address string) (int, []byte) {
		req, err := http.NewRequest("GET", address, nil)
		if err != nil {
			r.t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=100-199")
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}
		a, err := client.Do(req)
		if err != nil {
			r.t.Fatal(err)
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		return a.StatusCode, body
	}
	if status, body := get(link); status != 206 || !bytes.Equal(body, media[100:200]) {
		r.t.Errorf("the signed address answers %d, %d bytes", status, len(body))
	}
	if bare, _, _ := strings.Cut(link, "?"); bare == link {
		r.t.Error("the address is not signed")
	} else if status, _ := get(bare); status < 400 {
		r.t.Errorf("the address without its signature answers %d", status)
	}
}

// A file that becomes final while the recording goes on is not sent a second time:
// only what finishing changed.
func TestStorageSendsEachByteOnce(t *testing.T) {
	Wanted(t)
	b := StartS3(t)
	r := newRig(t, b)
	r.start(b.Location())
	media := noise(22 << 20)
	r.write("anna.webm.part", media)
	r.u.Begin("room")
	r.until("four chunks", func() bool { return len(r.chunks("anna.webm")) == 4 })
	copy(media, "the head is written anew")
	media = append(media, "and an index at the end"...)
	r.write("anna.webm.part", media)
	rename(t, r, "anna.webm")
	r.until("the rest", func() bool { return bytes.Equal(r.reassembled("anna.webm"), media) })
	if up := b.Up(); up > int64(len(media))+5<<20+1<<20 {
		t.Errorf("%d bytes were sent for a file of %d", up, len(media))
	}
	shorter := media[:7<<20]
	r.write("berta.webm.part", media)
	r.until("chunks of another", func() bool { return len(r.chunks("berta.webm")) == 4 })
	r.write("berta.webm.part", shorter)
	rename(t, r, "berta.webm")
	r.until("chunks of a file that was cut", func() bool { return bytes.Equal(r.reassembled("berta.webm"), shorter) })
	r.u.End("room")
}

// Local copies stay for as long as it is wished.
func TestStorageKeepsLocalCopies(t *testing.T) {
	Wanted(t)
	b := StartS3(t)
	r := newRig(t, b)
	keep := func(d time.Duration) func(*storage.Options) { return func(o *storage.Options) { o.Keep = d } }
	r.start(b.Location(), keep(-1))
	media := noise(1 << 20)
	r.write("a.mp4", media)
	r.finish("a.mp4")
	r.awaitTold()
	r.until("the job is over", func() bool { return r.metric("govidu_storage_recordings") == 0 })
	if !r.local("a.mp4") {
		t.Fatal("the local copy went, though it should stay for ever")
	}
	r.stop()
	// Another setting, another process: the time counts from the verification.
	r.start(b.Location(), keep(time.Millisecond))
	r.until("the local copy goes", func() bool { return !r.local("a.mp4") })
	if got := sum(r.content("a.mp4")); got != sum(media) {
		t.Errorf("the bucket has %s", got)
	}
}

// Headers of the settings come with the objects, sent at once or in parts.
func TestStorageHeaders(t *testing.T) {
	Wanted(t)
	b := StartS3(t)
	r := newRig(t, b)
	l := b.Location()
	l.Headers = map[string]secret.Secret{"X-Amz-Meta-Site": secret.New("one")}
	r.start(l)
	r.write("small.mp4", noise(1<<20))
	r.write("large.mp4", noise(20<<20))
	r.finish("small.mp4", "large.mp4")
	r.awaitTold()
	bucket, prefix, err := storage.Open(context.Background(), b.Direct())
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	for _, name := range []string{"small.mp4", "large.mp4"} {
		a, err := bucket.Attributes(context.Background(), prefix+"room/"+name)
		if err != nil || a.Metadata["site"] != "one" {
			t.Errorf("%s has metadata %v, %v", name, a, err)
		}
	}
	r.links("large.mp4", noise(20<<20)) // a client need not know of them
}

// Readers of a dead bucket are told soon, and the next ones at once.
func TestStorageReadersOfADeadBucket(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		r.start(b.Location(), func(o *storage.Options) { o.OpTimeout = 2 * time.Second })
		b.Set(Silent)
		begun := time.Now()
		for range 50 {
			if _, err := r.u.Open("room", "a.mp4"); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("opened with %v", err)
			}
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("50 readers waited %v", took)
		}
		b.Set(None)
		r.until("the bucket is asked again", func() bool {
			_, err := r.u.Open("room", "a.mp4")
			return errors.Is(err, fs.ErrNotExist)
		})
		r.noSecrets()
	})
}
