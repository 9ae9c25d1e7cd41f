package storage

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/recorder/storage"
)

// Name is the bucket that every server here has.
const Name = "recordings"

// Bucket is a bucket's server on this machine, and the proxy before it.
type Bucket struct {
	*Proxy
	t       testing.TB
	dir     string
	backend string // host:port
	command func(b *Bucket) *exec.Cmd
	where   func(b *Bucket, addr string) storage.Location
	make    func(ctx context.Context, b *Bucket) error // makes the bucket, when starting does not

	mu  sync.Mutex
	cmd *exec.Cmd
	log bytes.Buffer
}

// Wanted skips a test unless make test-storage runs it.
func Wanted(t testing.TB) {
	t.Helper()
	if os.Getenv("GOVIDU_BUCKETS") != "1" {
		t.Skip("make test-storage runs it")
	}
}

// tool is a file that scripts/install.sh buckets has installed.
func tool(path string) string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../.tools", path)
}

// The user of the S3 server.
const (
	S3AccessKey = "govidu"
	S3SecretKey = "not-a-real-secret-0123456789"
)

// StartS3 starts versitygw. It ends with the test.
func StartS3(t testing.TB) *Bucket {
	t.Helper()
	b := &Bucket{
		command: func(b *Bucket) *exec.Cmd {
			return exec.Command(tool("versitygw-v1.8.0/versitygw"), "--quiet", "--access", S3AccessKey, "--secret", S3SecretKey, "--port", b.backend,
				"posix", "--sidecar", filepath.Join(b.dir, "meta"), filepath.Join(b.dir, "data"))
		},
		where: func(_ *Bucket, addr string) storage.Location {
			return storage.Location{
				URL:       "s3://" + Name + "/site?use_path_style=true&endpoint=http://" + addr,
				AccessKey: S3AccessKey, SecretKey: secret.New(S3SecretKey),
			}
		},
	}
	b.open(t)
	return b
}

func (b *Bucket) open(t testing.TB) {
	t.Helper()
	b.t, b.dir = t, t.TempDir()
	for _, d := range []string{"data/" + Name, "meta"} {
		if err := os.MkdirAll(filepath.Join(b.dir, d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.backend = ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	b.Proxy = startProxy(t, b.backend)
	t.Cleanup(func() {
		b.Kill()
		if t.Failed() {
			t.Logf("the bucket's server said:\n%.4000s", b.log.String())
		}
	})
	b.Start()
}

// Endpoint is the address of the proxy, without a path.
func (b *Bucket) Endpoint() string { return "http://" + b.addr }

// Location is the bucket behind the proxy, Direct the same without it.
func (b *Bucket) Location() storage.Location { return b.where(b, b.addr) }

// Direct is the bucket without the proxy.
func (b *Bucket) Direct() storage.Location { return b.where(b, b.backend) }

// Start starts the server, on the port and the folder it had before.
func (b *Bucket) Start() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd != nil {
		return
	}
	cmd := b.command(b)
	cmd.Stdout, cmd.Stderr = &b.log, &b.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.t.Fatalf("start %s: %v (make test-storage installs it)", strings.Join(cmd.Args, " "), err)
	}
	b.cmd = cmd
	err := reachable(b.t.Context(), b.backend)
	if err == nil && b.make != nil {
		err = b.make(b.t.Context(), b)
	}
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", filepath.Base(cmd.Path), err, b.log.String())
	}
}

// Kill ends the server at once, as a crash does; what it stored stays.
func (b *Bucket) Kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd == nil {
		return
	}
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	_ = b.cmd.Wait() // killed
	b.cmd = nil
}

// Env are settings of openvidu-server for this bucket.
func (b *Bucket) Env() []string {
	return []string{
		"OPENVIDU_PRO_RECORDING_STORAGE=s3", "OPENVIDU_PRO_AWS_S3_BUCKET=" + Name + "/site", "OPENVIDU_PRO_AWS_S3_SERVICE_ENDPOINT=" + b.Endpoint(),
		"OPENVIDU_PRO_AWS_S3_WITH_PATH_STYLE_ACCESS=true", "OPENVIDU_PRO_AWS_ACCESS_KEY=" + S3AccessKey, "OPENVIDU_PRO_AWS_SECRET_KEY=" + S3SecretKey,
		`OPENVIDU_PRO_AWS_S3_HEADERS={"x-amz-meta-site":"one"}`,
	}
}

// providers start one server each; one that the build tags left out is nil.
var providers = map[string]func(testing.TB) *Bucket{"s3": StartS3, "gcs": startGCS, "azure": startAzure}

// Wrong is the location with a secret that the server does not know.
func (b *Bucket) Wrong() storage.Location {
	l := b.Location()
	l.SecretKey = secret.New("wrong-secret")
	if l.AzureKey.Len() > 0 {
		l.AzureKey = secret.New("d3Jvbmctc2VjcmV0")
	}
	return l
}

// refuses says whether the server checks credentials at all.
func (b *Bucket) refuses() bool { return !strings.HasPrefix(b.Location().URL, "gs:") }

// String names the bucket in failures.
func (b *Bucket) String() string { return fmt.Sprintf("%s behind %s", b.backend, b.addr) }
