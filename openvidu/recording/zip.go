package recording

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path"
	"time"
)

// zipInfo is the finished archive.
type zipInfo struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// index is `<name>.json` in the zip, exactly the contract's (§8). Offsets are ms
// from createdAt.
type index struct {
	CreatedAt int64       `json:"createdAt"`
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	SessionID string      `json:"sessionId"`
	Files     []indexFile `json:"files"`
}

type indexFile struct {
	Name            string `json:"name"`
	ConnectionID    string `json:"connectionId"`
	StreamID        string `json:"streamId"`
	Size            int64  `json:"size"`
	ClientData      string `json:"clientData"`
	ServerData      string `json:"serverData"`
	HasAudio        bool   `json:"hasAudio"`
	HasVideo        bool   `json:"hasVideo"`
	TypeOfVideo     string `json:"typeOfVideo,omitempty"`
	StartTimeOffset int64  `json:"startTimeOffset"`
	EndTimeOffset   int64  `json:"endTimeOffset"`
}

func newIndex(m *metadata, takes []finalTake) index {
	x := index{CreatedAt: m.CreatedAt, ID: m.ID, Name: m.Name, SessionID: m.SessionID, Files: []indexFile{}}
	for _, t := range takes {
		f := indexFile{
			Name: t.Name, ConnectionID: t.ConnectionID, StreamID: t.StreamID, Size: t.Size, ClientData: t.ClientData, ServerData: t.ServerData,
			HasAudio: t.HasAudio, HasVideo: t.HasVideo, StartTimeOffset: t.StartTime - m.CreatedAt, EndTimeOffset: t.EndTime - m.CreatedAt,
		}
		if t.HasVideo {
			f.TypeOfVideo = t.TypeOfVideo
		}
		x.Files = append(x.Files, f)
	}
	return x
}

// writeZip packs the takes and their index into `<name>.zip`: as `.part`, flushed
// to the disk, read back and compared with the hashes of the loose files, and only
// then renamed. Entries are stored, since media does not shrink, with sizes and
// checksums before the data, because streaming readers cannot skip stored
// entries without.
func (s *store) writeZip(ctx context.Context, m *metadata, takes []finalTake) (zipInfo, error) {
	final := path.Join(m.ID, m.Name+".zip")
	part := final + partSuffix
	if err := s.at("zip " + m.Name); err != nil {
		return zipInfo{}, err
	}
	f, err := s.root.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return zipInfo{}, fmt.Errorf("make zip: %w", err)
	}
	defer f.Close()
	want := map[string]string{}
	w := zip.NewWriter(f)
	for _, t := range takes {
		if err := s.addTake(ctx, w, m.ID, t); err != nil {
			return zipInfo{}, fmt.Errorf("add %s to zip: %w", t.Name, err)
		}
		want[t.Name] = t.SHA256
	}
	b, err := json.Marshal(newIndex(m, takes))
	if err != nil {
		return zipInfo{}, fmt.Errorf("encode index: %w", err)
	}
	sum := sha256.Sum256(b)
	want[m.Name+".json"] = hex.EncodeToString(sum[:])
	err = addEntry(w, m.Name+".json", int64(len(b)), crc32.ChecksumIEEE(b), time.Now(), bytes.NewReader(b))
	if err = errors.Join(err, w.Close()); err != nil {
		return zipInfo{}, fmt.Errorf("write zip: %w", err)
	}
	if err := f.Sync(); err != nil {
		return zipInfo{}, fmt.Errorf("flush zip: %w", err)
	}
	info, err := verifyZip(ctx, f, want)
	if err != nil {
		return zipInfo{}, fmt.Errorf("verify zip: %w", err)
	}
	info.Name = m.Name + ".zip"
	return info, s.rename(part, final)
}

func (s *store) addTake(ctx context.Context, w *zip.Writer, id string, t finalTake) error {
	f, _, err := s.openRegular(path.Join(id, t.Name))
	if err != nil {
		return err
	}
	defer f.Close()
	return addEntry(w, t.Name, t.Size, t.crc, time.UnixMilli(t.EndTime), &ctxReader{ctx, f})
}

func addEntry(w *zip.Writer, name string, size int64, crc uint32, at time.Time, r io.Reader) error {
	date, clock := dosTime(at)
	e, err := w.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, Flags: 1 << 11, CRC32: crc, // bit 11: the name is UTF-8
		//lint:ignore SA1019 CreateRaw writes the header as it is and does not derive these from Modified
		ModifiedDate: date, ModifiedTime: clock,
		CompressedSize64: uint64(size), UncompressedSize64: uint64(size),
	})
	if err != nil {
		return err
	}
	n, err := io.Copy(e, io.LimitReader(r, size+1))
	if err == nil && n != size {
		err = errors.New("file changed while it was packed")
	}
	return err
}

// dosTime is a moment in UTC as zip writes it, in steps of two seconds.
func dosTime(t time.Time) (date, clock uint16) {
	t = t.UTC()
	return uint16(t.Day() + int(t.Month())<<5 + max(0, t.Year()-1980)<<9), uint16(t.Second()/2 + t.Minute()<<5 + t.Hour()<<11)
}

// verifyZip reads the whole archive back: it holds exactly the entries wanted.
func verifyZip(ctx context.Context, f *os.File, want map[string]string) (zipInfo, error) {
	if err := verifyEntries(ctx, f, want); err != nil {
		return zipInfo{}, err
	}
	st, err := f.Stat()
	if err != nil {
		return zipInfo{}, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, &ctxReader{ctx, io.NewSectionReader(f, 0, st.Size())}); err != nil {
		return zipInfo{}, err
	}
	return zipInfo{Size: st.Size(), SHA256: sumOf(h)}, nil
}

// verifyEntries checks that each wanted entry is there with its hash
// (archive/zip checks the CRC of every byte besides).
func verifyEntries(ctx context.Context, f *os.File, want map[string]string) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := zip.NewReader(f, st.Size())
	if err != nil {
		return err
	}
	found := 0
	for _, e := range r.File {
		sum, ok := want[e.Name]
		if !ok {
			continue
		}
		rc, err := e.Open()
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, &ctxReader{ctx, rc})
		if err = errors.Join(err, rc.Close()); err != nil {
			return err
		}
		if sumOf(h) != sum {
			return fmt.Errorf("entry %s differs from its file", e.Name)
		}
		found++
	}
	if found != len(want) {
		return fmt.Errorf("%d of %d entries are there", found, len(want))
	}
	return nil
}

func sumOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// sums of one file; modTime in ms since 1970.
type sums struct {
	size    int64
	sha256  string
	crc     uint32
	modTime int64
}

func (s *store) hashFile(ctx context.Context, name string) (sums, error) {
	f, info, err := s.openRegular(name)
	if err != nil {
		return sums{}, err
	}
	defer f.Close()
	h, c := sha256.New(), crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(h, c), &ctxReader{ctx, f})
	return sums{n, sumOf(h), c.Sum32(), info.ModTime().UnixMilli()}, err
}

// ctxReader ends a long copy when the service closes.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
