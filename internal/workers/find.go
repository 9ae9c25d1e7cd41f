package workers

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

// BinaryName is the worker's file name.
const BinaryName = "mediaworker"

// remedy says what an operator does about a missing worker.
const remedy = "build it with `make worker`, put mediaworker beside the server or in PATH or name it with --mediaworker; it needs GStreamer 1.22 or later with the packages gstreamer1.0-plugins-base, -good, -bad, -ugly and gstreamer1.0-libav"

// A look at the disk is good for so long; a miss is short, since the binary may
// be built at this moment.
const (
	foundFor  = 5 * time.Second
	missedFor = time.Second
)

// finder looks for the binary and remembers for a moment what it saw.
type finder struct {
	binary string

	mu   sync.Mutex
	at   time.Time
	path string
	err  error
}

func (f *finder) find() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	good := foundFor
	if f.err != nil {
		good = missedFor
	}
	if f.at.IsZero() || time.Since(f.at) > good {
		f.path, f.err = look(f.binary)
		f.at = time.Now()
	}
	return f.path, f.err
}

// look finds the binary: where it was configured, or beside the executable, or
// in PATH.
func look(binary string) (string, error) {
	if binary != "" {
		path, err := exec.LookPath(binary)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			return "", kerr.New(kerr.MediaObjectNotAvailable, "This needs the media worker, and %s is none: %s", binary, remedy)
		}
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), BinaryName)); err == nil {
			return path, nil
		}
	}
	if path, err := exec.LookPath(BinaryName); err == nil {
		if path, err = filepath.Abs(path); err == nil {
			return path, nil
		}
	}
	return "", kerr.New(kerr.MediaObjectNotAvailable, "This needs the media worker, which is not installed here: %s", remedy)
}
