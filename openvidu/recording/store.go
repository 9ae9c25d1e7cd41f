package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// store is the recordings folder. Every change of the disk goes through it, so
// that each is atomic or repeatable, and so that a test can stop the world before
// any of them. Paths are relative to the root and cannot leave it (os.Root).
type store struct {
	root *os.Root
	held *os.File // the folder itself, locked: see errInUse
	dir  string   // absolute, for URIs given to media nodes
	// step is called before each change; an error stands for the end of the
	// process there. nil outside tests.
	step func(op string) error
	// ledgers keep the logs of recordings that are not final.
	ledgers *ledgers
}

// errInUse refuses a folder in which another process records: to each of two
// servers the other's recordings would be those of a dead process, to be finished.
var errInUse = errors.New("another process records there, give this one a folder of its own (OPENVIDU_RECORDING_PATH)")

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make recordings folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open recordings folder: %w", err)
	}
	held, err := root.Open(".")
	if err == nil && !lock(held) {
		err = errors.Join(errInUse, held.Close())
	}
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("open recordings folder %s: %w", dir, err)
	}
	return &store{root: root, held: held, dir: dir}, nil
}

func (s *store) close() error { return errors.Join(s.root.Close(), s.held.Close()) }

func (s *store) at(op string) error {
	if s.step == nil {
		return nil
	}
	return s.step(op)
}

// tmpSuffix and partSuffix mark files that are not what they will be.
const (
	tmpSuffix  = ".tmp"
	partSuffix = ".part"
)

// writeAtomic puts b into a file so that a reader, or the next start after a
// crash, sees the old content or the new, never a mixture: temporary file, fsync,
// rename, fsync of the folder.
func (s *store) writeAtomic(name string, b []byte) error {
	tmp := name + tmpSuffix
	if err := s.at("write " + path.Base(name)); err != nil {
		// What a process that ends here leaves: a part of the temporary file.
		_ = s.root.WriteFile(tmp, b[:len(b)/2], 0o640)
		return err
	}
	f, err := s.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Sync())
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		_ = s.root.Remove(tmp)
		// A full disk must still hear what became of a recording: the old text has
		// its blocks.
		if errors.Is(err, syscall.ENOSPC) && s.overwrite(name, b) == nil {
			return nil
		}
		return fmt.Errorf("write %s: %w", path.Base(name), err)
	}
	return s.rename(tmp, name)
}

// blockBytes is what a file of a few bytes has on the disk, at least.
const blockBytes = 4096

// overwrite puts b in place of a file's text, where no more blocks are needed.
func (s *store) overwrite(name string, b []byte) error {
	info, err := s.root.Lstat(name)
	if err != nil {
		return err
	}
	if blocks := (info.Size() + blockBytes - 1) / blockBytes; !info.Mode().IsRegular() || int64(len(b)) > blocks*blockBytes {
		return syscall.ENOSPC
	}
	f, err := s.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Truncate(int64(len(b)))
	}
	err = errors.Join(err, f.Sync())
	return errors.Join(err, f.Close())
}

// rename moves within one folder and makes it last.
func (s *store) rename(from, to string) error {
	if err := s.at("rename " + path.Base(to)); err != nil {
		return err
	}
	if err := s.root.Rename(from, to); err != nil {
		return fmt.Errorf("rename to %s: %w", path.Base(to), err)
	}
	return s.syncDir(path.Dir(to))
}

func (s *store) syncDir(dir string) error {
	f, err := s.root.Open(dir)
	if err != nil {
		return fmt.Errorf("open folder to sync: %w", err)
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

func (s *store) remove(name string) error {
	if err := s.at("remove " + path.Base(name)); err != nil {
		return err
	}
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path.Base(name), err)
	}
	return nil
}

// newPrefix and deletedPrefix mark folders that are not recordings yet or any
// more; Recover clears them away.
const (
	newPrefix     = ".new-"
	deletedPrefix = ".deleted-"
)

// createFolder makes a recording's folder together with its metadata: the folder
// appears under its name only when the metadata is in it.
func (s *store) createFolder(id string, meta []byte) error {
	tmp := newPrefix + id
	if err := s.at("mkdir " + id); err != nil {
		return err
	}
	if err := s.root.RemoveAll(tmp); err != nil {
		return fmt.Errorf("clear folder: %w", err)
	}
	if err := s.root.Mkdir(tmp, 0o750); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := s.writeAtomic(path.Join(tmp, metaName(id)), meta); err != nil {
		return err
	}
	return s.rename(tmp, id)
}

// deleteFolder removes a recording: first from sight, at once, then from the disk.
func (s *store) deleteFolder(id string) error {
	gone := deletedPrefix + id
	if err := s.at("clear " + gone); err != nil {
		return err
	}
	if err := s.root.RemoveAll(gone); err != nil {
		return fmt.Errorf("clear folder: %w", err)
	}
	if err := s.rename(id, gone); err != nil {
		return err
	}
	if err := s.at("delete " + gone); err != nil {
		return err
	}
	if err := s.root.RemoveAll(gone); err != nil {
		return fmt.Errorf("delete folder: %w", err)
	}
	return nil
}

func (s *store) exists(name string) bool {
	_, err := s.root.Lstat(name)
	return err == nil
}

// names lists a folder, sorted.
func (s *store) names(dir string) ([]fs.DirEntry, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("list folder: %w", err)
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// maxMeta is the most that is read of a metadata file.
const maxMeta = 8 << 20

func (s *store) read(name string) ([]byte, error) {
	info, err := s.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMeta+1))
	if err == nil && len(b) > maxMeta {
		err = errors.New("larger than 8 MiB")
	}
	return b, err
}

// openRegular opens a regular file, never a link, pipe or folder.
func (s *store) openRegular(name string) (*os.File, fs.FileInfo, error) {
	info, err := s.root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fs.ErrNotExist
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}
