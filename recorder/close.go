package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/govidu/govidu/internal/proof"
)

// Close finishes the file: index, fsync, name, sidecar. It gives the manifest,
// whose status is Final, or Failed when an error ended the recording (what was
// written is then kept and plays) or when no media came at all. A second call
// waits for the first and gives the same.
func (f *File) Close() (Manifest, error) {
	f.closeOnce.Do(func() {
		close(f.stop)
		f.wg.Wait()
		f.mu.Lock()
		if !f.started && len(f.pending) > 0 && f.failed == nil {
			f.fail(f.start())
		}
		f.closed = true
		mux, failed := f.mux, f.failed
		f.mu.Unlock()
		f.result, f.closeErr = f.finish(mux, failed)
		f.disk.Close()
		f.root.Close()
	})
	return f.result, f.closeErr
}

// finish runs when nothing else touches the file any more.
func (f *File) finish(mux summingMuxer, failed error) (Manifest, error) {
	paused := f.cut
	m := f.manifest
	notes := f.proof.notes
	if mux == nil {
		defer f.proof.forget()
		defer f.proof.close(&m)
		m.Status, m.Reason = Failed, ErrEmpty.Error()
		if failed != nil {
			m.Reason = failed.Error()
		}
		err := errors.Join(failed, f.root.Remove(PartName(f.name)), saveManifest(f.root, f.name, m))
		return m, err
	}
	closeErr := mux.Close()
	err := errors.Join(failed, closeErr)
	logErr := f.proof.step(notes, true)
	if errors.Is(closeErr, ErrEmpty) {
		defer f.proof.close(&m)
		m.Status, m.Reason = Failed, reason(err)
		return m, errors.Join(err, saveManifest(f.root, f.name, m))
	}
	status := Final
	if err != nil {
		status, m.Reason = Failed, reason(err)
	}
	m.fill(mux.summary(), paused)
	if status == Failed {
		cause := ""
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO) {
			cause = proof.CauseDisk
		}
		f.proof.missing(&m, mux.summary(), nil, cause)
	}
	// Before the sidecar says that all is done: who waits for that reads the log.
	if logErr = errors.Join(logErr, f.proof.close(&m)); logErr != nil {
		f.log.Warn("log of a recording is not whole", "err", logErr)
	}
	defer f.proof.forget()
	result, publishErr := publish(f.root, f.name, f.disk, m, status)
	return result, errors.Join(err, publishErr)
}

// reason is an error in the words of a manifest.
func reason(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "no space left on device"
	case errors.Is(err, syscall.EIO):
		return "input/output error"
	}
	return err.Error()
}

// publish gives a finished .part its name. The sidecar is saved twice: before,
// with the sum, so that a crash in between is told from damage; and after.
func publish(root *os.Root, name string, disk *os.File, m Manifest, status Status) (Manifest, error) {
	size, sum, err := sumOf(disk)
	if err != nil {
		return m, fmt.Errorf("sum %s: %w", name, err)
	}
	m.Size, m.SHA256 = size, sum
	if err := disk.Sync(); err != nil {
		return m, fmt.Errorf("sync %s: %w", name, err)
	}
	if err := saveManifest(root, name, m); err != nil && status != Failed {
		return m, err
	}
	if err := root.Rename(PartName(name), name); err != nil {
		return m, fmt.Errorf("rename %s: %w", name, err)
	}
	m.Status = status
	return m, saveManifest(root, name, m)
}

func sumOf(disk *os.File) (size int64, sum string, err error) {
	h := sha256.New()
	size, err = io.Copy(h, io.NewSectionReader(disk, 0, 1<<62))
	return size, hex.EncodeToString(h.Sum(nil)), err
}
