package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// volume is a small disk in memory.
type volume struct {
	t    testing.TB
	path string
}

// roomy is what a server wants to have free when a recording starts, and more.
const roomy = 600 << 20

// newVolume mounts one; the test is skipped where that is not allowed.
func newVolume(t testing.TB) *volume {
	t.Helper()
	v := &volume{t, filepath.Join(t.TempDir(), "disk")}
	if err := os.Mkdir(v.path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", v.path, "tmpfs", 0, fmt.Sprintf("size=%d", roomy)); err != nil {
		t.Skipf("a small disk cannot be mounted here (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(v.path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return v
}

// resize gives it another size in bytes.
func (v *volume) resize(size int64) {
	v.t.Helper()
	if err := syscall.Mount("tmpfs", v.path, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err != nil {
		v.t.Fatal(err)
	}
}

// fill shrinks it to little more than what is there, and puts a file on the rest.
func (v *volume) fill() {
	v.t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(v.path, &st); err != nil {
		v.t.Fatal(err)
	}
	v.resize(int64(st.Blocks-st.Bfree)*st.Bsize + 1<<20)
	f, err := os.Create(filepath.Join(v.path, "somebody-elses"))
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return // full
		}
	}
}

// clear gives it its size back.
func (v *volume) clear() {
	v.t.Helper()
	v.resize(roomy)
	if err := os.Remove(filepath.Join(v.path, "somebody-elses")); err != nil {
		v.t.Fatal(err)
	}
}
