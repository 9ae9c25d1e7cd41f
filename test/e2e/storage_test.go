package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"

	store "github.com/govidu/govidu/recorder/storage"
	"github.com/govidu/govidu/test/storage"
)

// TestStorage records into an S3 bucket: a composed recording is served from there
// and deleted there; of another one the bucket is down at its end and the server is
// killed, and it gets there nevertheless.
func TestStorage(t *testing.T) {
	storage.Wanted(t)
	b := storage.StartS3(t)
	flags := []string{
		"--recording-storage=s3", "--s3-bucket=" + storage.Name + "/site", "--s3-endpoint=" + b.Endpoint(), "--s3-with-path-style-access",
		"--s3-access-key=" + storage.S3AccessKey, "--s3-secret-key=" + storage.S3SecretKey, `--s3-headers={"x-amz-meta-site":"one"}`,
	}
	s := startServer(t, flags...)
	id, _ := startFilm(t, s)
	var r recording
	s.rest(200, "POST", "/recordings/stop/"+id, nil, &r)
	if r.Status != "stopped" && r.Status != "ready" {
		t.Errorf("after stop: %+v", r)
	}
	r = s.recordingIs(id, "ready")
	if r.URL == nil || !strings.HasSuffix(*r.URL, "/"+id+".mp4") {
		t.Fatalf("ready without its address: %+v", r)
	}
	film := filepath.Join(s.recordings, id, id+".mp4")
	eventually(t, eventDeadline, "the local copy goes", func() error {
		_, err := os.Stat(film)
		return want(os.IsNotExist(err), "it is there")
	})
	objects := inBucket(t, b)
	for _, name := range []string{".manifest.json", ".recording." + id, id + ".mp4"} {
		if objects["site/"+id+"/"+name] == 0 {
			t.Errorf("the bucket lacks %s: %v", name, slices.Sorted(maps.Keys(objects)))
		}
	}
	for name := range objects {
		if strings.Contains(name, "/.live/") {
			t.Errorf("a chunk is left: %s", name)
		}
	}
	fetched := s.fetch(id, id+".mp4")
	plays(t, fetched)
	if info, err := os.Stat(fetched); err != nil || info.Size() != r.Size {
		t.Errorf("the bucket's file is %v, the recording says %d", info, r.Size)
	}
	whole, err := os.ReadFile(fetched)
	if err != nil {
		t.Fatal(err)
	}
	if part := ranged(t, s, id, id+".mp4", 1000, 2999); string(part) != string(whole[1000:3000]) {
		t.Errorf("a range of the file is %d other bytes", len(part))
	}
	if up := s.metric("govidu_storage_up"); up != 1 {
		t.Errorf("govidu_storage_up is %v", up)
	}
	s.rest(204, "DELETE", "/recordings/"+id, nil, nil)
	eventually(t, eventDeadline, "the bucket is empty", func() error {
		left := inBucket(t, b)
		return want(len(left) == 0, "it has %v", slices.Sorted(maps.Keys(left)))
	})

	// The page still publishes. The bucket dies, the recording does not notice.
	var second recording
	s.rest(200, "POST", "/recordings/start", map[string]any{"session": id, "outputMode": "INDIVIDUAL", "name": "tracks"}, &second)
	runFor(t, 2*time.Second, "the page is recorded", func() error { return nil })
	b.Kill()
	s.rest(200, "POST", "/recordings/stop/"+second.ID, nil, nil)
	eventually(t, eventDeadline, "the upload fails", func() error { return want(s.metric("govidu_storage_failures_total") > 0, "it does not") })
	if s.rest(200, "GET", "/recordings/"+second.ID, nil, &r); r.Status != "stopped" || r.URL != nil {
		t.Errorf("without the bucket: %+v", r)
	}
	s.kill9()
	next := startServerIn(t, s.home, flags...)
	if next.rest(200, "GET", "/recordings/"+second.ID, nil, &r); r.Status != "stopped" {
		t.Errorf("without the bucket, after the crash: %+v", r)
	}
	b.Start()
	ready := next.recordingIs(second.ID, "ready")
	eventually(t, eventDeadline, "the local copy goes", func() error {
		_, err := os.Stat(filepath.Join(s.recordings, second.ID, "tracks.zip"))
		return want(os.IsNotExist(err), "it is there")
	})
	index, files := next.download(ready)
	if len(index.Files) != 1 {
		t.Fatalf("the zip lists %+v", index.Files)
	}
	plays(t, files[index.Files[0].Name])

	// Another machine, with the same bucket.
	next.kill9()
	if err := os.RemoveAll(s.recordings); err != nil {
		t.Fatal(err)
	}
	other := startServerIn(t, s.home, flags...)
	eventually(t, eventDeadline, "the recording is listed", func() error {
		r, err := other.try("GET", "/openvidu/api/recordings/"+second.ID, nil)
		return errors.Join(err, want(r.Status == 200, "%d", r.Status))
	})
	_, files = other.download(other.recordingIs(second.ID, "ready"))
	plays(t, files[index.Files[0].Name])
	b.Kill()
	if a, err := other.try("GET", "/openvidu/recordings/"+second.ID+"/tracks.zip", nil); err != nil || a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("a file of a bucket that is down: %v, %v", a, err)
	}
	for _, log := range []string{s.proc.log.String(), next.proc.log.String()} {
		if strings.Contains(log, storage.S3SecretKey) || strings.Contains(log, "Signature=") {
			t.Error("a log shows a secret")
		}
	}
}

// inBucket lists what the bucket has, with sizes.
func inBucket(t testing.TB, b *storage.Bucket) map[string]int64 {
	t.Helper()
	bucket, _, err := store.Open(context.Background(), b.Direct())
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	out := map[string]int64{}
	for list := bucket.List(&blob.ListOptions{}); ; {
		o, err := list.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out[o.Key] = o.Size
	}
}

// ranged fetches the bytes from to to of a file.
func ranged(t testing.TB, s *server, id, file string, from, to int) []byte {
	t.Helper()
	req, err := http.NewRequest("GET", s.url("/openvidu/recordings/"+id+"/"+file), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("OPENVIDUAPP", secret)
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to))
	a, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusPartialContent {
		t.Fatalf("a range: %d, %v", a.StatusCode, err)
	}
	return body
}
