package recording

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"

	"github.com/govidu/govidu/internal/proof"
)

// manifest is `.manifest.json` (proof.Manifest), and what was done to a composed
// recording while it ran.
type manifest struct {
	proof.Manifest
	// Changes are the pauses and layouts of a composed recording, in ms since 1970.
	Changes []change `json:"changes,omitempty"`
}

// track and gap are as the recorder notes them.
type (
	track = proof.Track
	gap   = proof.Gap
)

func newManifest(m *metadata, r *result) manifest {
	out := manifest{Changes: m.Changes, Manifest: proof.Manifest{
		Schema: proof.Schema, ID: m.ID, SessionID: m.SessionID, OutputMode: m.OutputMode, CreatedAt: m.CreatedAt, Recovered: m.Recovered,
		Incomplete: m.Incomplete || len(r.left) > 0, Zip: proof.Archive(r.zip), Files: []proof.File{}, Left: []proof.Left{}, Events: []proof.Event{},
	}}
	for _, l := range r.left {
		out.Left = append(out.Left, proof.Left(l))
	}
	for _, t := range r.takes {
		out.Files = append(out.Files, proof.File{
			Name: t.Name, StreamID: t.StreamID, ConnectionID: t.ConnectionID, TypeOfVideo: t.TypeOfVideo,
			StartTimeOffset: t.StartTime - m.CreatedAt, EndTimeOffset: t.EndTime - m.CreatedAt, DurationMs: t.side.DurationMs,
			Size: t.Size, SHA256: t.SHA256, RecorderSHA256: t.side.SHA256, Status: t.side.Status, Clock: t.side.Clock,
			Reason: reasonOr(&t, ""), Tracks: append([]track{}, t.side.Tracks...), Gaps: append([]gap{}, t.side.Gaps...),
			Segments: []proof.Segment{},
		})
	}
	return out
}

// writeManifest completes the manifest of a recording whose files are final, with
// hashes by the second and events, writes it, and signs it into the recording's log.
func (s *store) writeManifest(ctx context.Context, m *metadata, r *result) error {
	out := newManifest(m, r)
	offsets, err := s.zipOffsets(m.ID, r.zip.Name)
	if err != nil {
		return err
	}
	for i := range out.Files {
		f := &out.Files[i]
		f.ZipOffset = offsets[f.Name]
		s.addSegments(m.ID, f)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	out.Events = s.ledgers.events(m.ID)
	b, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	if err := s.writeAtomic(path.Join(m.ID, manifestName), b); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	sealed := proof.Sealed{Name: manifestName, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(b)), Recovered: m.Recovered, Files: []proof.SealedFile{}}
	for _, f := range out.Files {
		sealed.Files = append(sealed.Files, proof.SealedFile{Name: f.Name, SHA256: f.SHA256, Size: f.Size})
	}
	if out.Zip.Name != "" {
		sealed.Files = append(sealed.Files, proof.SealedFile{Name: out.Zip.Name, SHA256: out.Zip.SHA256, Size: out.Zip.Size})
	}
	return s.ledgers.seal(m, sealed)
}

// addSegments takes the hashes by the second from the recorder's log of a file. A
// log that is missing or broken leaves the file with one hash, of the whole.
func (s *store) addSegments(id string, f *proof.File) {
	log, _, err := s.openRegular(path.Join(id, proof.LogName(f.Name)))
	if err != nil {
		return
	}
	defer log.Close()
	c, err := proof.Read(log)
	if err != nil {
		return
	}
	f.LogHead = c.Head.String()
	for _, e := range c.Entries {
		var seg proof.Segment
		if e.Type != proof.TypeSegment || json.Unmarshal(e.Data, &seg) != nil {
			continue
		}
		// After a crash stretches that the disk had lost are written anew.
		for n := len(f.Segments); n > 0 && f.Segments[n-1].To > seg.From; n-- {
			f.Segments = f.Segments[:n-1]
		}
		f.Segments = append(f.Segments, seg)
	}
	for n := len(f.Segments); n > 0 && f.Segments[n-1].To > f.Size; n-- {
		f.Segments = f.Segments[:n-1] // not in the file: its gaps say so
	}
}

// zipOffsets tells where in the zip each file begins; nil without a zip.
func (s *store) zipOffsets(id, name string) (map[string]int64, error) {
	if name == "" {
		return nil, nil
	}
	f, st, err := s.openRegular(path.Join(id, name))
	if err != nil {
		return nil, fmt.Errorf("open zip: %w", err)
	}
	defer f.Close()
	r, err := zip.NewReader(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("open zip: %w", err)
	}
	out := map[string]int64{}
	for _, e := range r.File {
		if out[e.Name], err = e.DataOffset(); err != nil {
			return nil, fmt.Errorf("open zip: %w", err)
		}
	}
	return out, nil
}
