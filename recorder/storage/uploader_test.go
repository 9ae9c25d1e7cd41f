package storage

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"gocloud.dev/blob/memblob"

	"github.com/govidu/govidu/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
	}
}

// A recording grows, ends, is verified, served from the bucket and deleted.
func TestRecordingGoesToTheBucket(t *testing.T) {
	dir, bucket := t.TempDir(), memblob.OpenBucket(nil)
	u, err := New(Options{
		Bucket: bucket, Dir: dir, Log: slog.New(slog.DiscardHandler), Prefix: "site/",
		ChunkBytes: 1000, ChunkEvery: time.Hour, Scan: 5 * time.Millisecond, MinBackoff: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, "room", name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exists := func(key string) bool {
		ok, err := bucket.Exists(context.Background(), "site/room/"+key)
		return err == nil && ok
	}
	if err := os.Mkdir(filepath.Join(dir, "room"), 0o700); err != nil {
		t.Fatal(err)
	}
	media := bytes.Repeat([]byte("0123456789"), 250)
	u.Begin("room")
	write("a.webm.part", media)
	until(t, "two chunks", func() bool { return exists(".live/a.webm.000002") })
	if exists(".live/a.webm.000003") {
		t.Error("a third chunk before its time")
	}
	if err := os.Rename(filepath.Join(dir, "room", "a.webm.part"), filepath.Join(dir, "room", "a.webm")); err != nil {
		t.Fatal(err)
	}
	write(".recording.room", []byte("stopped"))
	told := make(chan error, 2)
	u.Finish("room", []string{"a.webm"}, ".recording.room", func(err error) {
		write(".recording.room", []byte("ready"))
		told <- err
	})
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	until(t, "local copy gone", func() bool {
		_, err := os.Stat(filepath.Join(dir, "room", "a.webm"))
		return os.IsNotExist(err)
	})
	if exists(".live/a.webm.000001") {
		t.Error("chunks are left")
	}
	if b, err := bucket.ReadAll(t.Context(), "site/room/.recording.room"); err != nil || string(b) != "ready" {
		t.Errorf("metadata in the bucket: %q, %v", b, err)
	}
	o, err := u.Open("room", "a.webm")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	part := make([]byte, 5)
	if _, err := o.ReadAt(part, 1003); err != nil || string(part) != "34567" {
		t.Errorf("range %q, %v", part, err)
	}
	if _, err := o.Seek(2000, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(o); err != nil || !bytes.Equal(rest, media[2000:]) {
		t.Errorf("rest: %d bytes, %v", len(rest), err)
	}
	if err := u.Delete("room"); err != nil {
		t.Fatal(err)
	}
	until(t, "bucket empty", func() bool { return !exists("a.webm") && !exists(".recording.room") && !u.Taken("room") })
}

// A connection that is cut while the bucket is listed is not the end of the list: the
// promise to delete stays.
func TestCutListIsNotItsEnd(t *testing.T) {
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer dead.Close()
	dir := t.TempDir()
	bucket, prefix, err := Open(t.Context(), Location{
		URL: "s3://rec/site?use_path_style=true&endpoint=" + dead.URL, AccessKey: "a", SecretKey: secret.New("b"),
	})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	u, err := New(Options{
		Bucket: bucket, Prefix: prefix, Dir: dir, Log: slog.New(slog.DiscardHandler), Metrics: registry, MinBackoff: 5 * time.Millisecond, OpTimeout: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if err := u.Delete("room"); err != nil {
		t.Fatal(err)
	}
	until(t, "a failure", func() bool { return testutil.ToFloat64(u.metrics.failures.WithLabelValues("remove")) > 0 })
	if _, err := os.Stat(filepath.Join(dir, goneName+"room")); err != nil || !u.Taken("room") {
		t.Errorf("the promise is forgotten: %v", err)
	}
}

// A new machine lists what the bucket has whole, serves and deletes it, and leaves
// the rest alone.
func TestLostFolderIsListedAgain(t *testing.T) {
	dir, bucket := t.TempDir(), memblob.OpenBucket(nil)
	put := func(key, text string) {
		if err := bucket.WriteAll(t.Context(), key, []byte(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	put("site/room/room.zip", "PK-media")
	put("site/room/.manifest.json", "{}")
	put("site/room/.recording.room", `{"status":"ready"}`)
	put("site/half/half.zip", "PK")                     // its metadata never came
	put("site/.x/.recording..x", "{}")                  // no recording's name
	put("site/gone/.recording.gone", "{}")              // to be deleted
	put("site/here/.recording.here", "of the bucket")   // the folder has it
	put("other/theirs/.recording.theirs", "not for us") // another server's
	if err := os.Mkdir(filepath.Join(dir, "here"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, restoringPrefix+"cut"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, goneName+"gone"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := New(Options{
		Bucket: bucket, Dir: dir, Log: slog.New(slog.DiscardHandler), Prefix: "site/", Scan: 5 * time.Millisecond, MinBackoff: 5 * time.Millisecond,
		Meta: func(id string) string { return ".recording." + id },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	until(t, "the folder is back", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "room", ".recording.room"))
		return err == nil && string(b) == `{"status":"ready"}`
	})
	until(t, "what was deleted goes", func() bool {
		ok, err := bucket.Exists(t.Context(), "site/gone/.recording.gone")
		return err == nil && !ok
	})
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); n != "room" && n != "here" {
			t.Errorf("there is %s", n)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "here", ".recording.here")); err == nil {
		t.Errorf("the folder's own was overwritten: %s", b)
	}
	if !u.Known("room") {
		t.Error("it would be uploaded again")
	}
	o, err := u.Open("room", "room.zip")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(o); err != nil || string(b) != "PK-media" {
		t.Errorf("served %q, %v", b, err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := u.Delete("room"); err != nil {
		t.Fatal(err)
	}
	until(t, "it is deleted", func() bool {
		ok, err := bucket.Exists(t.Context(), "site/room/room.zip")
		return err == nil && !ok && !u.Taken("room")
	})
}
