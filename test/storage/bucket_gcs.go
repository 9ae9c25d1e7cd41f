//go:build gcs

package storage

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/govidu/govidu/recorder/storage"
)

var startGCS = newGCS

// newGCS starts fake-gcs-server, which knows no credentials. Clients are told of it
// by the environment, so that one test has one at a time, and none runs beside it.
func newGCS(t testing.TB) *Bucket {
	t.Helper()
	b := &Bucket{
		command: func(b *Bucket) *exec.Cmd {
			port := b.backend[strings.LastIndex(b.backend, ":")+1:]
			return exec.Command(tool("fake-gcs-server-v1.56.1/fake-gcs-server"), "-scheme", "http", "-host", "127.0.0.1", "-port", port,
				"-backend", "filesystem", "-filesystem-root", filepath.Join(b.dir, "data"), "-external-url", b.Endpoint(), "-public-host", b.addr, "-log-level", "warn")
		},
		where: func(b *Bucket, _ string) storage.Location {
			setenv(t, "STORAGE_EMULATOR_HOST", b.addr) // it serves objects under one name only
			return storage.Location{URL: "gs://" + Name + "/site"}
		},
	}
	b.open(t)
	return b
}

func setenv(t testing.TB, name, value string) {
	t.Helper()
	t.(interface{ Setenv(name, value string) }).Setenv(name, value)
}
