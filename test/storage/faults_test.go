package storage

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/recorder/storage"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("GOVIDU_STORAGE_VICTIM"); dir != "" {
		victim(dir)
	}
	goleak.VerifyTestMain(m)
}

// expect waits until everything is in the bucket, and only there.
func (r *rig) expect(name string, media []byte) {
	r.t.Helper()
	r.until("the local copy goes", func() bool { return !r.local(name) })
	if got := sum(r.content(name)); got != sum(media) {
		r.t.Errorf("the bucket has %s, not %s", got, sum(media))
	}
	r.noSecrets()
}

// trouble waits until a step has failed and the gauge says so, with the file kept.
func (r *rig) trouble(name string) {
	r.t.Helper()
	r.until("a failure is counted", func() bool {
		return r.metric("govidu_storage_failures_total") > 0 && r.metric("govidu_storage_up") == 0 && r.metric("govidu_storage_waiting_bytes") > 0
	})
	if !r.local(name) {
		r.t.Fatal("the local copy is gone before the upload")
	}
	select {
	case err := <-r.told:
		r.t.Fatalf("told %v before the upload", err)
	default:
	}
}

func TestStorageDownAtStart(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		b.Kill()
		r := newRig(t, b)
		r.start(b.Location())
		media := noise(9 << 20)
		r.write("a.mp4", media)
		r.finish("a.mp4")
		r.trouble("a.mp4")
		b.Start()
		r.awaitTold()
		r.expect("a.mp4", media)
	})
}

func TestStorageDownInTheMiddle(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		b.Pace(8 << 20)
		r.start(b.Location())
		media := noise(40 << 20)
		r.write("a.mp4", media)
		r.finish("a.mp4")
		r.until("some of it is sent", func() bool { return b.Up() > 10<<20 })
		b.Kill()
		r.trouble("a.mp4")
		b.Pace(0)
		b.Start()
		r.awaitTold()
		r.expect("a.mp4", media)
	})
}

// A bucket that takes requests and never answers holds up nobody for long.
func TestStorageSilent(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		b.Set(Silent)
		r.start(b.Location(), func(o *storage.Options) { o.Stall, o.OpTimeout = time.Second, time.Second })
		media := noise(9 << 20)
		r.write("a.mp4", media)
		r.finish("a.mp4")
		r.trouble("a.mp4")
		begun := time.Now()
		r.stop()
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("Close waited %v for a silent bucket", took)
		}
		b.Set(None)
		r.start(b.Location())
		r.expect("a.mp4", media)
	})
}

func TestStorageFull(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		b.Set(Full)
		r.start(b.Location(), func(o *storage.Options) { o.Stall = 2 * time.Second })
		media := noise(9 << 20)
		r.write("a.mp4", media)
		r.finish("a.mp4")
		r.trouble("a.mp4")
		b.Set(None)
		r.awaitTold()
		r.expect("a.mp4", media)
	})
}

func TestStorageWrongCredentials(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		if !b.refuses() {
			t.Skip("this server takes everybody")
		}
		r := newRig(t, b)
		r.start(b.Wrong())
		media := noise(9 << 20)
		r.write("a.mp4", media)
		r.finish("a.mp4")
		r.trouble("a.mp4")
		r.stop()
		if n := len(r.keys()); n != 0 {
			t.Errorf("the bucket has %d objects", n)
		}
		r.start(b.Location()) // the operator mends the settings
		r.expect("a.mp4", media)
	})
}

// What arrives changed is noticed, and sent again, before the local copy goes.
func TestStorageLies(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		r.start(b.Location())
		for i, size := range []int{1 << 20, 20 << 20} { // in one request, in parts
			name := []string{"small.mp4", "large.mp4"}[i]
			b.Set(Lie)
			before := r.metric("govidu_storage_failures_total")
			media := noise(size)
			r.write(name, media)
			r.finish(name)
			r.awaitTold()
			r.expect(name, media)
			t.Logf("%s: %v failures, verified by %s", name, r.metric("govidu_storage_failures_total")-before, r.verifiedBy(name))
		}
	})
}

// An object that the bucket loses after it was verified is sent again, if the local
// copy is still there.
func TestStorageLost(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		r.start(b.Location(), func(o *storage.Options) { o.Keep = 3 * time.Second })
		media := noise(6 << 20)
		r.write("a.mp4", media)
		r.finish("a.mp4")
		r.awaitTold()
		bucket, prefix, err := storage.Open(context.Background(), b.Direct())
		if err != nil {
			t.Fatal(err)
		}
		defer bucket.Close()
		if err := bucket.Delete(context.Background(), prefix+"room/a.mp4"); err != nil {
			t.Fatal(err)
		}
		r.expect("a.mp4", media)
	})
}

// Deleting is a promise that outlives a bucket that is down, and the process.
func TestStorageDeletesLater(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		r.start(b.Location())
		media := noise(1 << 20)
		r.write("a.mp4", media)
		r.finish("a.mp4")
		r.awaitTold()
		r.until("the local copy goes", func() bool { return !r.local("a.mp4") })
		b.Kill()
		if err := r.u.Delete("room"); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(r.dir, "room")); err != nil {
			t.Fatal(err)
		}
		r.until("it is tried", func() bool { return r.metric("govidu_storage_failures_total", "remove") > 0 })
		r.stop()
		b.Start()
		r.start(b.Location())
		r.until("the bucket is empty", func() bool { return !r.u.Taken("room") && len(r.keys()) == 0 })
	})
}

// victimSettings are handed to the process that is killed.
type victimSettings struct {
	URL, AccessKey, SecretKey, AzureAccount, AzureKey string
}

// A process that is killed during an upload has another go on.
func TestStorageKilled(t *testing.T) {
	each(t, func(t *testing.T, b *Bucket) {
		r := newRig(t, b)
		media := noise(40 << 20)
		r.write("a.mp4", media)
		r.write(".recording.room", []byte(`{"status":"stopped"}`))
		l := b.Location()
		settings, err := json.Marshal(victimSettings{l.URL, l.AccessKey, l.SecretKey.Reveal(), l.AzureAccount, l.AzureKey.Reveal()})
		if err != nil {
			t.Fatal(err)
		}
		begin := func() *exec.Cmd {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "GOVIDU_STORAGE_VICTIM="+r.dir)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout, cmd.Stderr = r.log, r.log
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := in.Write(settings); err != nil {
				t.Fatal(err)
			}
			_ = in.Close()
			return cmd
		}
		for _, after := range []int64{0, 6 << 20, 20 << 20} {
			b.Pace(10 << 20)
			from := b.Up()
			cmd := begin()
			r.until("some of it is sent", func() bool { return b.Up() > from+after })
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // killed
			if !r.local("a.mp4") {
				t.Fatal("the local copy is gone")
			}
		}
		b.Pace(0)
		cmd := begin()
		r.expect("a.mp4", media)
		r.until("the metadata is there", func() bool { _, ok := r.keys()[".recording.room"]; return ok })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	})
}

// victim uploads until it is killed: the first run orders it, later ones go on.
func victim(dir string) {
	var s victimSettings
	err := json.NewDecoder(os.Stdin).Decode(&s)
	if err == nil {
		err = s.upload(dir)
	}
	_, _ = os.Stderr.WriteString(err.Error() + "\n")
	os.Exit(3)
}

func (s victimSettings) upload(dir string) error {
	l := storage.Location{URL: s.URL, AccessKey: s.AccessKey, SecretKey: newSecret(s.SecretKey), AzureAccount: s.AzureAccount}
	if s.AzureKey != "" {
		l.AzureKey = newSecret(s.AzureKey)
	}
	bucket, prefix, err := storage.Open(context.Background(), l)
	if err != nil {
		return err
	}
	u, err := storage.New(options(dir, bucket, prefix, os.Stderr))
	if err != nil {
		return err
	}
	if !u.Known("room") {
		u.Finish("room", []string{"a.mp4"}, ".recording.room", nil)
	}
	select {} // until it is killed
}
