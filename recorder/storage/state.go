package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// stateName is the file beside a recording that says how far its upload is.
const (
	stateName   = ".upload.json"
	stateSchema = 1
	maxState    = 1 << 20
	// livePrefix is the folder of chunks below a recording's.
	livePrefix = ".live/"
	// goneName marks, in the recordings folder, recordings to be deleted from the
	// bucket.
	goneName   = ".delete-remote."
	partSuffix = ".part"
	tmpSuffix  = ".tmp"
)

// state is `.upload.json`. Times are ms since 1970.
type state struct {
	Schema int    `json:"schema"`
	ID     string `json:"id"`
	Files  []file `json:"files"`
	// Last is the file that goes when all others are verified.
	Last string `json:"last"`
	// VerifiedAt is when the last file was found whole in the bucket.
	VerifiedAt int64 `json:"verifiedAt,omitempty"`
	// Done says that nothing is left to upload, Trimmed that the local copies of
	// media are removed.
	Done    bool `json:"done,omitempty"`
	Trimmed bool `json:"trimmed,omitempty"`
	// Failure says why the upload was given up.
	Failure string `json:"failure,omitempty"`
}

// file is one file of a finished recording. Size, Modified (ns) and SHA256 are of
// what was uploaded; How tells by what it was verified: md5, etag or readback.
type file struct {
	Name     string `json:"name"`
	Size     int64  `json:"size,omitempty"`
	Modified int64  `json:"modified,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	How      string `json:"verifiedBy,omitempty"`
}

func (f *file) verified() bool { return f.How != "" }

// readState reads the state of a recording; fs.ErrNotExist when it has none.
func (u *Uploader) readState(id string) (*state, error) {
	f, err := u.root.Open(path.Join(id, stateName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("parse state of upload: %w", err)
	}
	if s.Schema != stateSchema || s.ID != id {
		return nil, errors.New("state of upload is not of this recording")
	}
	for _, f := range s.Files {
		if !plain(f.Name) {
			return nil, errors.New("state of upload names a path")
		}
	}
	return &s, nil
}

// writeState puts the state on the disk for good.
func (u *Uploader) writeState(s *state) error {
	b, err := marshal(s)
	if err != nil {
		return err
	}
	return u.writeAtomic(path.Join(s.ID, stateName), b)
}

func marshal(s *state) ([]byte, error) { return json.MarshalIndent(s, "", "  ") }

func (u *Uploader) writeAtomic(name string, b []byte) error {
	tmp := name + tmpSuffix
	f, err := u.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("write %s: %w", path.Base(name), err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync())
	if err = errors.Join(err, f.Close()); err == nil {
		err = u.root.Rename(tmp, name)
	}
	if err == nil {
		err = u.syncDir(path.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path.Base(name), err)
	}
	return nil
}

func (u *Uploader) syncDir(dir string) error {
	f, err := u.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// names lists the regular files of a recording's folder.
func (u *Uploader) names(id string) ([]fs.DirEntry, error) {
	f, err := u.root.Open(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	out := all[:0]
	for _, e := range all {
		if e.Type().IsRegular() {
			out = append(out, e)
		}
	}
	return out, nil
}

// plain says that a name is that of a file in one folder.
func plain(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, `/\`) && len(name) < 512
}
