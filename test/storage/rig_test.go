package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gocloud.dev/blob"

	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/recorder/storage"
)

// rig is a recordings folder with an uploader before a bucket.
type rig struct {
	t   testing.TB
	b   *Bucket
	dir string
	log *lockedBuffer
	reg *prometheus.Registry
	u   *storage.Uploader
	// told are the outcomes that Finish's callback got.
	told chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// each runs a test with every provider of the build, each in a server of its own.
func each(t *testing.T, f func(*testing.T, *Bucket)) {
	Wanted(t)
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		if start := providers[name]; start != nil {
			t.Run(name, func(t *testing.T) { f(t, start(t)) })
		}
	}
}

func newRig(t testing.TB, b *Bucket) *rig {
	t.Helper()
	r := &rig{t: t, b: b, dir: t.TempDir(), log: &lockedBuffer{}, told: make(chan error, 8)}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("log:\n%.6000s", r.log.String())
		}
	})
	return r
}

// options are small and quick: what is waited for here is not what a server waits for.
func options(dir string, bucket *blob.Bucket, prefix string, log io.Writer) storage.Options {
	return storage.Options{
		Bucket: bucket, Prefix: prefix, Dir: dir, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		ChunkBytes: 5 << 20, ChunkEvery: time.Hour, Scan: 20 * time.Millisecond, MinBackoff: 50 * time.Millisecond, MaxBackoff: 500 * time.Millisecond,
		OpTimeout: 10 * time.Second, Stall: 5 * time.Second, Link: time.Minute,
	}
}

func (r *rig) start(l storage.Location, change ...func(*storage.Options)) {
	r.t.Helper()
	bucket, prefix, err := storage.Open(context.Background(), l)
	if err != nil {
		r.t.Fatal(err)
	}
	o := options(r.dir, bucket, prefix, r.log)
	r.reg = prometheus.NewRegistry()
	o.Metrics = r.reg
	for _, c := range change {
		c(&o)
	}
	if r.u, err = storage.New(o); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stop() {
	r.t.Helper()
	if r.u == nil {
		return
	}
	if err := r.u.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
	r.u = nil
}

// write puts a file into the folder of recording "room".
func (r *rig) write(name string, b []byte) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Join(r.dir, "room"), 0o750); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "room", name), b, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) local(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, "room", name))
	return err == nil
}

// finish orders the upload of the named files, the metadata last.
func (r *rig) finish(names ...string) {
	r.write(".recording.room", []byte(`{"status":"stopped"}`))
	r.u.Finish("room", names, ".recording.room", func(err error) {
		_ = os.WriteFile(filepath.Join(r.dir, "room", ".recording.room"), []byte(`{"status":"ready"}`), 0o600)
		r.told <- err
	})
}

func (r *rig) awaitTold() {
	r.t.Helper()
	select {
	case err := <-r.told:
		if err != nil {
			r.t.Fatalf("told: %v", err)
		}
	case <-time.After(deadline):
		r.t.Fatal("nobody was told")
	}
}

const deadline = 90 * time.Second

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not reached: %s", what)
		}
	}
}

// keys lists what the bucket has, past the proxy.
func (r *rig) keys() map[string]int64 {
	r.t.Helper()
	bucket, prefix, err := storage.Open(context.Background(), r.b.Direct())
	if err != nil {
		r.t.Fatal(err)
	}
	defer bucket.Close()
	out := map[string]int64{}
	list := bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := list.Next(context.Background())
		if err == io.EOF { // a connection that was cut wraps one
			return out
		}
		if err != nil {
			return nil // a server that is down
		}
		out[strings.TrimPrefix(o.Key, prefix+"room/")] = o.Size
	}
}

// content reads an object past the proxy.
func (r *rig) content(name string) []byte {
	r.t.Helper()
	b, err := r.tryContent(name)
	if err != nil {
		r.t.Fatalf("read %s: %v", name, err)
	}
	return b
}

func (r *rig) tryContent(name string) ([]byte, error) {
	r.t.Helper()
	bucket, prefix, err := storage.Open(context.Background(), r.b.Direct())
	if err != nil {
		r.t.Fatal(err)
	}
	defer bucket.Close()
	return bucket.ReadAll(context.Background(), prefix+"room/"+name)
}

func (r *rig) metric(name string, label ...string) (sum float64) {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(label) == 0 || m.GetLabel()[0].GetValue() == label[0] {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// verifiedBy tells how the uploader made sure of a file.
func (r *rig) verifiedBy(name string) string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "room", ".upload.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	var s struct {
		Files []struct{ Name, SHA256, VerifiedBy string }
	}
	if err := json.Unmarshal(b, &s); err != nil {
		r.t.Fatal(err)
	}
	for _, f := range s.Files {
		if f.Name == name {
			return f.VerifiedBy
		}
	}
	return ""
}

// noise is incompressible and the same each time.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

func sum(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }

// noSecrets fails when the log shows one.
func (r *rig) noSecrets() {
	r.t.Helper()
	for _, s := range []string{S3SecretKey, "wrong-secret", "Eby8vdM02xNO", "Signature=", "sig="} {
		if strings.Contains(r.log.String(), s) {
			r.t.Errorf("the log shows %q", s)
		}
	}
}

func newSecret(s string) secret.Secret { return secret.New(s) }
