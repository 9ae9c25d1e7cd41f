package main

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/recorder"
)

type recordingAlign struct {
	Recording string `arg:"" help:"The zip of an INDIVIDUAL recording, its folder, or its id below --dir."`
	Output    string `short:"o" default:"." placeholder:"DIR" help:"Folder to write to; one CONNECTION.mkv per participant."`
	Dir       string `env:"OPENVIDU_RECORDING_PATH" default:"/opt/openvidu/recordings" placeholder:"DIR" help:"Where recordings are kept."`
	FromStart bool   `help:"Let every file begin when the recording began, instead of when its participant came."`
}

// alignedFile is one file that was written. Offset is where its zero lies in the
// recording.
type alignedFile struct {
	Path         string   `json:"path"`
	ConnectionID string   `json:"connectionId"`
	OffsetMs     int64    `json:"offsetMs"`
	DurationMs   int64    `json:"durationMs"`
	Tracks       int      `json:"tracks"`
	Takes        []string `json:"takes"`
	Problems     []string `json:"problems"`
}

// alignedTake is a take of the recording's list.
type alignedTake struct {
	Name            string `json:"name"`
	ConnectionID    string `json:"connectionId"`
	StreamID        string `json:"streamId"`
	TypeOfVideo     string `json:"typeOfVideo"`
	StartTimeOffset int64  `json:"startTimeOffset"` // ms

	at time.Duration // from createdAt, as exact as is known
}

type alignSource struct {
	createdAt int64
	takes     []alignedTake
	zip       *zip.Reader
	file      *os.File
	close     []func() error
}

func (c recordingAlign) Run(e *env) (err error) {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range s.close {
			err = errors.Join(err, f())
		}
	}()
	if err := os.MkdirAll(c.Output, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	var people []string
	of := map[string][]alignedTake{}
	for _, t := range s.takes {
		if of[t.ConnectionID] == nil {
			people = append(people, t.ConnectionID)
		}
		of[t.ConnectionID] = append(of[t.ConnectionID], t)
	}
	if len(people) == 0 {
		return fmt.Errorf("%s holds no takes", c.Recording)
	}
	out := []alignedFile{}
	for _, id := range people {
		f, err := c.align(e, s, id, of[id])
		if err != nil {
			return fmt.Errorf("align %s: %w", id, err)
		}
		out = append(out, f)
	}
	if e.json {
		return json.NewEncoder(e.out).Encode(out)
	}
	var rows []string
	for _, f := range out {
		rows = append(rows, fmt.Sprintf("%s\t%d\t%d\t%.3f s\t%.3f s", f.Path, f.Tracks, len(f.Takes), float64(f.OffsetMs)/1000, float64(f.DurationMs)/1000))
		for _, p := range f.Problems {
			fmt.Fprintln(os.Stderr, "ovctl:", p)
		}
	}
	e.table("FILE\tTRACKS\tTAKES\tBEGINS\tLENGTH", rows)
	return nil
}

// open finds the zip and, beside it, the manifest, whose clock is exact to the µs;
// the zip's own list has ms.
func (c recordingAlign) open() (*alignSource, error) {
	at := c.Recording
	var m proof.Manifest
	if st, err := os.Stat(at); err != nil || st.IsDir() {
		dir, err := recordingFolder{c.Recording, c.Dir}.path()
		if err != nil {
			return nil, err
		}
		zips, _ := filepath.Glob(filepath.Join(dir, "*.zip"))
		if len(zips) != 1 {
			return nil, fmt.Errorf("%s holds %d zips: only an INDIVIDUAL recording that is ready can be aligned", dir, len(zips))
		}
		at = zips[0]
	}
	if b, err := os.ReadFile(filepath.Join(filepath.Dir(at), proof.ManifestFile)); err == nil {
		if err := json.Unmarshal(b, &m); err != nil || m.Zip.Name != filepath.Base(at) {
			m = proof.Manifest{}
		}
	}
	f, err := os.Open(at)
	if err != nil {
		return nil, err
	}
	s := &alignSource{file: f, close: []func() error{f.Close}}
	st, err := f.Stat()
	if err == nil {
		s.zip, err = zip.NewReader(f, st.Size())
	}
	if err == nil {
		err = s.list(m)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", at, err), f.Close())
	}
	return s, nil
}

// maxIndex bounds the list in a zip.
const maxIndex = 64 << 20

func (s *alignSource) list(m proof.Manifest) error {
	for _, e := range s.zip.File {
		if !strings.HasSuffix(e.Name, ".json") || strings.Contains(e.Name, "/") {
			continue
		}
		r, err := e.Open()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(io.LimitReader(r, maxIndex))
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		var x struct {
			CreatedAt int64         `json:"createdAt"`
			Files     []alignedTake `json:"files"`
		}
		if err := json.Unmarshal(b, &x); err != nil || x.CreatedAt == 0 {
			continue
		}
		s.createdAt, s.takes = x.CreatedAt, x.Files
		for i := range s.takes {
			t := &s.takes[i]
			t.at = time.Duration(t.StartTimeOffset) * time.Millisecond
			for _, f := range m.Files {
				if f.Name == t.Name && f.Clock != nil && m.CreatedAt == s.createdAt {
					t.at = time.Duration(f.Clock.ZeroUs-m.CreatedAt*1000) * time.Microsecond
				}
			}
		}
		return nil
	}
	return errors.New("there is no list of files in it: not the zip of an INDIVIDUAL recording")
}

var unsafeName = regexp.MustCompile(`[^A-Za-z0-9_~.-]`)

func (c recordingAlign) align(e *env, s *alignSource, id string, takes []alignedTake) (alignedFile, error) {
	out := alignedFile{ConnectionID: id, Takes: []string{}, Problems: []string{}}
	zero := slices.MinFunc(takes, func(a, b alignedTake) int { return int(a.at - b.at) }).at
	if c.FromStart {
		zero = min(zero, 0) // what began before stays in the file
	}
	var list []recorder.Take
	for _, t := range takes {
		r, size, err := s.entry(t.Name)
		if err != nil {
			out.Problems = append(out.Problems, fmt.Sprintf("%s: %v", t.Name, err))
			continue
		}
		group := "camera"
		if t.TypeOfVideo == "SCREEN" {
			group = "screen"
		}
		list = append(list, recorder.Take{Name: t.Name, R: r, Size: size, At: t.at - zero, Group: group})
		out.Takes = append(out.Takes, t.Name)
	}
	name := strings.TrimLeft(unsafeName.ReplaceAllString(id, "_"), ".")
	if name == "" {
		name = "participant"
	}
	out.Path = filepath.Join(c.Output, name+".mkv")
	part := out.Path + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return out, err
	}
	last := time.Now()
	report, err := recorder.Join(e.ctx, f, time.UnixMilli(s.createdAt).Add(zero), list, func(at time.Duration) {
		if time.Since(last) > time.Second {
			last = time.Now()
			fmt.Fprintf(os.Stderr, "%s: %s\n", name, at.Truncate(time.Second))
		}
	})
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, out.Path)
	}
	if err != nil {
		_ = os.Remove(part)
		return out, err
	}
	out.Problems = append(out.Problems, report.Problems...)
	out.OffsetMs, out.DurationMs, out.Tracks = zero.Milliseconds(), report.Summary.Duration.Milliseconds(), len(report.Summary.Tracks)
	return out, nil
}

// entry opens a file in the zip for reading at any place: where it lies, when it
// is stored, else unpacked into a temporary file.
func (s *alignSource) entry(name string) (io.ReaderAt, int64, error) {
	i := slices.IndexFunc(s.zip.File, func(f *zip.File) bool { return f.Name == name })
	if i < 0 {
		return nil, 0, fs.ErrNotExist
	}
	f := s.zip.File[i]
	if f.Method == zip.Store {
		offset, err := f.DataOffset()
		return io.NewSectionReader(s.file, offset, int64(f.UncompressedSize64)), int64(f.UncompressedSize64), err
	}
	r, err := f.Open()
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	t, err := os.CreateTemp("", "ovctl-*")
	if err != nil {
		return nil, 0, err
	}
	s.close = append(s.close, func() error { return errors.Join(t.Close(), os.Remove(t.Name())) })
	n, err := io.Copy(t, r)
	return t, n, err
}
