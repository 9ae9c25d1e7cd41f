package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// RemuxesAtOnce bounds the work of recovery while rooms are served.
	RemuxesAtOnce = 2

	quarantine = "quarantine"
	maxDepth   = 8
)

// RecoverOptions say whose files to recover.
type RecoverOptions struct {
	// ProcessID is ours: its files are being written. ProcessID() when empty.
	ProcessID string
	// NodeID is ours; files of another node are left alone, unless either is empty.
	NodeID string
	// OnFile, when set, hears of each file as it is done; from at most
	// RemuxesAtOnce goroutines at once.
	OnFile func(RecoveredFile)
	// Log may be nil.
	Log *slog.Logger
}

// RecoveredFile is one unfinished file and what became of it.
type RecoveredFile struct {
	Root     string
	Name     string // slash path below Root
	Manifest Manifest
	Err      error // why it could not be finished; nil when it plays
}

// RecoverReport is what Recover found and did.
type RecoverReport struct {
	Scanned     int // sidecars read
	Files       []RecoveredFile
	Quarantined []string // where sidecars that do not parse were moved, root first
	ScanTime    time.Duration
}

// Recover finishes the files that dead processes left below roots: the torn
// tail is cut, duration and index are made, the file gets its name and its
// sidecar says Recovered, or Failed with a reason. Only files with our sidecar
// in state Recording are touched; a sidecar that does not parse is moved to
// quarantine/ under its root. A file that a living process has open is left to
// it, so servers may share folders and roots may overlap. Nothing is deleted, and
// no single file stops the rest: the error is for roots that cannot be read, and
// for ctx.
func Recover(ctx context.Context, roots []string, o RecoverOptions) (RecoverReport, error) {
	if o.ProcessID == "" {
		o.ProcessID = ProcessID()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var report RecoverReport
	var errs []error
	began := time.Now()
	var found []RecoveredFile
	for _, dir := range roots {
		if err := scanRoot(ctx, dir, o, &report, &found); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("scan %s: %w", dir, err))
		}
	}
	report.ScanTime = time.Since(began)

	done := make([]*RecoveredFile, len(found))
	var group errgroup.Group
	group.SetLimit(RemuxesAtOnce)
	for i := range found {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			r := recoverOne(found[i], o)
			if errors.Is(r.Err, errHeld) || errors.Is(r.Err, errSettled) {
				return nil
			}
			done[i] = &r
			if o.OnFile != nil {
				o.OnFile(r)
			}
			return nil
		})
	}
	group.Wait()
	for _, r := range done {
		if r != nil {
			report.Files = append(report.Files, *r)
		}
	}
	return report, errors.Join(append(errs, ctx.Err())...)
}

// scanRoot reads the sidecars below dir.
func scanRoot(ctx context.Context, dir string, o RecoverOptions, report *RecoverReport, found *[]RecoveredFile) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(at string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			o.Log.Debug("recovery cannot read", "root", dir, "path", at, "err", err)
			return nil
		}
		if e.IsDir() {
			if at == quarantine || strings.Count(at, "/") >= maxDepth {
				return fs.SkipDir
			}
			return nil
		}
		name, ok := mediaName(at)
		if !ok || !e.Type().IsRegular() {
			return nil
		}
		report.Scanned++
		m, err := ReadManifest(root, name)
		var denied *fs.PathError
		switch {
		case errors.As(err, &denied):
			o.Log.Warn("recovery cannot read", "root", dir, "path", at, "err", err)
		case err != nil && !ofOurs(root, name):
		case err != nil:
			to, moveErr := moveToQuarantine(root, at)
			if moveErr != nil {
				o.Log.Error("damaged sidecar cannot be put aside", "root", dir, "path", at, "err", errors.Join(err, moveErr))
				return nil
			}
			o.Log.Warn("damaged sidecar put aside", "root", dir, "path", at, "to", to, "err", err)
			report.Quarantined = append(report.Quarantined, path.Join(dir, to))
		case m.Status != Recording || m.ProcessID == o.ProcessID:
		case m.NodeID != "" && o.NodeID != "" && m.NodeID != o.NodeID:
		default:
			*found = append(*found, RecoveredFile{Root: dir, Name: name, Manifest: m})
		}
		return nil
	})
}

// ofOurs tells whether a sidecar that does not parse is likely ours: roots may
// be folders that others use too.
func ofOurs(root *os.Root, name string) bool {
	_, media := ContainerOf(name)
	return media || exists(root, PartName(name))
}

func moveToQuarantine(root *os.Root, at string) (string, error) {
	if err := root.MkdirAll(quarantine, 0o750); err != nil {
		return "", err
	}
	base := strings.TrimPrefix(path.Base(at), ".")
	to := path.Join(quarantine, base)
	for i := 1; exists(root, to); i++ {
		if i > 10000 {
			return "", errors.New("quarantine is full")
		}
		to = path.Join(quarantine, fmt.Sprintf("%s.%d", base, i))
	}
	return to, root.Rename(at, to)
}

// recoverOne finishes one file.
func recoverOne(r RecoveredFile, o RecoverOptions) (out RecoveredFile) {
	out = r
	defer func() {
		if p := recover(); p != nil {
			o.Log.Error("panic in recovery", "root", r.Root, "path", r.Name, "err", p, "stack", string(debug.Stack()))
			out.Err = fmt.Errorf("recover %s: panic: %v", r.Name, p)
		}
	}()
	root, err := os.OpenRoot(r.Root)
	if err != nil {
		out.Err = fmt.Errorf("recover %s: %w", r.Name, err)
		return out
	}
	defer root.Close()
	out.Manifest, err = recoverFile(root, r.Name, r.Manifest)
	if errors.Is(err, errHeld) || errors.Is(err, errSettled) {
		o.Log.Debug("recording is another process's", "root", r.Root, "path", r.Name, "err", err)
		out.Err = err
		return out
	}
	if err != nil {
		out.Err = fmt.Errorf("recover %s: %w", r.Name, err)
		out.Manifest.Status, out.Manifest.Reason = Failed, reason(err)
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO) {
			// The disk's trouble, not the file's: its sidecar stays as it is and the
			// next start tries again.
			o.Log.Error("recording not recovered yet", "root", r.Root, "path", r.Name, "err", out.Err)
			return out
		}
		if err := saveManifest(root, r.Name, out.Manifest); err != nil {
			out.Err = errors.Join(out.Err, err)
		}
		o.Log.Warn("recording cannot be recovered", "root", r.Root, "path", r.Name, "err", out.Err)
		return out
	}
	o.Log.Info("recording recovered", "root", r.Root, "path", r.Name, "durationMs", out.Manifest.DurationMs)
	return out
}

// errSettled says that somebody else finished the file after it was found.
var errSettled = errors.New("file is finished meanwhile")

func recoverFile(root *os.Root, name string, m Manifest) (Manifest, error) {
	at := PartName(name)
	published := false
	if !exists(root, at) {
		// The process died after the rename and before the last word in the sidecar.
		at, published = name, true
	}
	st, err := root.Lstat(at)
	var disk *os.File
	if err == nil && st.Mode().IsRegular() {
		disk, err = root.OpenFile(at, os.O_RDWR, 0)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !published:
		return m, errSettled // it was there a moment ago
	case disk == nil:
		return m, errors.Join(errors.New("media file is missing"), err)
	}
	defer disk.Close()
	if err := hold(disk); err != nil {
		return m, err
	}
	// Now that nobody else can finish it, see whether anybody has.
	if now, err := ReadManifest(root, name); err != nil || now.Status != Recording {
		return m, errors.Join(errSettled, err)
	}
	if m.SHA256 != "" {
		// It was finished; only the names are open.
		if size, sum, err := sumOf(disk); err != nil {
			return m, err
		} else if size == m.Size && sum == m.SHA256 {
			return settle(root, name, disk, m, Final, published)
		}
	}
	if st, err = disk.Stat(); err != nil {
		return m, err
	}
	paused := time.Duration(max(m.EndTime-m.StartTime-m.DurationMs, 0)) * time.Millisecond
	s, err := Repair(m.Container, disk, st.Size())
	if err != nil {
		return m, err
	}
	m.fill(s, paused)
	if err := proveRecovered(root, name, disk, &m, s); err != nil {
		m.Reason = "its log cannot be finished: " + reason(err) // the file itself is well
	}
	return settle(root, name, disk, m, Recovered, published)
}

func settle(root *os.Root, name string, disk *os.File, m Manifest, status Status, published bool) (Manifest, error) {
	defer root.Remove(heardName(name))
	if !published {
		return publish(root, name, disk, m, status)
	}
	size, sum, err := sumOf(disk)
	if err != nil {
		return m, err
	}
	m.Size, m.SHA256, m.Status = size, sum, status
	return m, saveManifest(root, name, m)
}
