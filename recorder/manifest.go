package recorder

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/pipeline"
)

// Status is where a file is in its life.
type Status string

// The states of a file.
const (
	Recording Status = "recording"
	Final     Status = "final"     // closed in order
	Recovered Status = "recovered" // finished by Recover after its process died
	Failed    Status = "failed"    // Reason tells why; what was written is kept
)

// Schema is the version of Manifest this package writes.
const Schema = 1

// Manifest is the sidecar of a media file X, kept beside it as
// .X.manifest.json. It is written before the first media byte, each 10 s and at
// the end, always whole (temporary file, fsync, rename, fsync of the directory).
type Manifest struct {
	Schema    int       `json:"schema"`
	File      string    `json:"file"` // X, without folder
	Container Container `json:"container"`
	Status    Status    `json:"status"`
	Reason    string    `json:"reason"`
	ProcessID string    `json:"processId"` // of the process that writes, random per boot
	NodeID    string    `json:"nodeId"`
	// StartTime is the wall clock at the file's zero, EndTime at its end, both in
	// ms since 1970; DurationMs is the file's length. They differ by pauses.
	StartTime  int64           `json:"startTime"`
	EndTime    int64           `json:"endTime"`
	DurationMs int64           `json:"durationMs"`
	Size       int64           `json:"size"`   // bytes
	SHA256     string          `json:"sha256"` // of the whole file, once it is final
	Tracks     []ManifestTrack `json:"tracks"`
	Gaps       []ManifestGap   `json:"gaps"`
	// GapsLeftOut counts gaps beyond MaxGaps that are not listed.
	GapsLeftOut int `json:"gapsLeftOut,omitempty"`
	// Clock ties the file's zero to the wall clock, to the µs; nil before media came.
	Clock *proof.Clock `json:"clock,omitempty"`
	// LogHead is the hash of the last line of the file's log, once it is final.
	LogHead string `json:"logHead,omitempty"`
}

// ManifestTrack sums up a track. Times are in ms since the file's zero and are
// those of the first and the last unit's beginning.
type ManifestTrack struct {
	Kind       string     `json:"kind"` // AUDIO or VIDEO
	Codec      codec.Name `json:"codec"`
	FirstPtsMs int64      `json:"firstPtsMs"`
	LastPtsMs  int64      `json:"lastPtsMs"`
	Units      int64      `json:"units"`
	Width      int        `json:"width"`
	Height     int        `json:"height"`
}

// ManifestGap is a stretch of which media is not in the file, in ms since the
// file's zero.
type ManifestGap struct {
	Kind   string `json:"kind"`
	FromMs int64  `json:"fromMs"`
	ToMs   int64  `json:"toMs"`
	// Cause is empty for what did not reach the server; proof.CauseCrash or
	// proof.CauseDisk for what it had heard and could not keep.
	Cause string `json:"cause,omitempty"`
}

// MaxGaps is how many gaps a manifest lists.
const MaxGaps = 4096

// maxManifest bounds what is read as a sidecar.
const maxManifest = 4 << 20

// ProcessID is random and the same for the life of this process.
var ProcessID = sync.OnceValue(func() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
})

// ManifestName is the sidecar's path for a media file's path.
func ManifestName(name string) string {
	dir, base := path.Split(name)
	return dir + "." + base + ".manifest.json"
}

// mediaName is the reverse of ManifestName; ok is false for other names.
func mediaName(sidecar string) (name string, ok bool) {
	dir, base := path.Split(sidecar)
	base, ok = strings.CutSuffix(base, ".manifest.json")
	if !ok || len(base) < 2 || base[0] != '.' {
		return "", false
	}
	return dir + base[1:], true
}

// ParseManifest reads a sidecar and checks it: its schema is ours, the file is
// a bare name and the status known.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("parse manifest: %w", err)
	}
	switch {
	case m.Schema != Schema:
		return m, fmt.Errorf("parse manifest: schema %d, want %d", m.Schema, Schema)
	case m.File == "" || m.File == "." || m.File == ".." || strings.ContainsAny(m.File, "/\\\x00"):
		return m, fmt.Errorf("parse manifest: file %q is no bare name", m.File)
	}
	switch m.Status {
	case Recording, Final, Recovered, Failed:
	default:
		return m, fmt.Errorf("parse manifest: unknown status %q", m.Status)
	}
	switch m.Container {
	case WebM, Matroska, MP4, FLV:
	default:
		return m, fmt.Errorf("parse manifest: unknown container %q", m.Container)
	}
	return m, nil
}

// ReadManifest reads the sidecar of the media file name (a path below root).
func ReadManifest(root *os.Root, name string) (Manifest, error) {
	f, err := root.Open(ManifestName(name))
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	if len(b) > maxManifest {
		return Manifest{}, errors.New("read manifest: too long")
	}
	m, err := ParseManifest(b)
	if err == nil && m.File != path.Base(name) {
		err = fmt.Errorf("read manifest: it is of %q", m.File)
	}
	return m, err
}

// saveManifest writes the sidecar of the media file name whole or not at all.
func saveManifest(root *os.Root, name string, m Manifest) error {
	if m.Tracks == nil {
		m.Tracks = []ManifestTrack{}
	}
	if m.Gaps == nil {
		m.Gaps = []ManifestGap{}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("save manifest: %w", err)
	}
	sidecar := ManifestName(name)
	temp := strings.TrimSuffix(sidecar, ".json") + ".tmp"
	b = append(b, '\n')
	if err := writeWhole(root, temp, b); err != nil {
		root.Remove(temp)
		// A full disk must still hear why a recording failed: the old sidecar has
		// its block already.
		if errors.Is(err, syscall.ENOSPC) && overwrite(root, sidecar, b) == nil {
			return nil
		}
		return fmt.Errorf("save manifest: %w", err)
	}
	if err := root.Rename(temp, sidecar); err != nil {
		return fmt.Errorf("save manifest: %w", err)
	}
	if err := syncDir(root, path.Dir(name)); err != nil {
		return fmt.Errorf("save manifest: %w", err)
	}
	return nil
}

func writeWhole(root *os.Root, name string, b []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// overwrite writes a file in place, in one call.
func overwrite(root *os.Root, name string, b []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = errors.Join(f.Truncate(int64(len(b))), f.Sync())
	}
	return errors.Join(err, f.Close())
}

// syncDir makes renames in a folder last.
func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func exists(root *os.Root, name string) bool {
	_, err := root.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// fill takes the facts of a scan.
func (m *Manifest) fill(s Summary, paused time.Duration) {
	m.DurationMs = s.Duration.Milliseconds()
	m.EndTime = m.StartTime + (s.Duration + paused).Milliseconds()
	m.Tracks = nil
	for _, t := range s.Tracks {
		m.Tracks = append(m.Tracks, ManifestTrack{
			Kind: t.Kind.String(), Codec: t.Codec, FirstPtsMs: t.First.Milliseconds(), LastPtsMs: t.Last.Milliseconds(),
			Units: t.Units, Width: t.Width, Height: t.Height,
		})
	}
}

// addGap notes a gap.
func (m *Manifest) addGap(kind pipeline.Kind, from, to time.Duration, cause string) {
	g := ManifestGap{Kind: kind.String(), FromMs: from.Milliseconds(), ToMs: to.Milliseconds(), Cause: cause}
	if len(m.Gaps) >= MaxGaps {
		m.GapsLeftOut++
		return
	}
	m.Gaps = append(m.Gaps, g)
}
