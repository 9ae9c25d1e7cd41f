package recorder_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

// segmentsIn reads the log of a file and checks each stretch against the file.
func segmentsIn(t *testing.T, dir, name string) (list []proof.Segment, c proof.Chain) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, proof.LogName(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, err = proof.Read(f); err != nil || c.Broken != "" || c.Torn {
		t.Fatalf("log of %s: %q, torn %v, %v", name, c.Broken, c.Torn, err)
	}
	media, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.Entries {
		if e.Type != proof.TypeSegment {
			continue
		}
		var s proof.Segment
		if err := json.Unmarshal(e.Data, &s); err != nil {
			t.Fatalf("entry %s: %v", e.Data, err)
		}
		if s.To > int64(len(media)) {
			t.Fatalf("segment %+v ends behind the file's %d bytes", s, len(media))
		}
		if sum := sha256.Sum256(media[s.From:s.To]); hex.EncodeToString(sum[:]) != s.SHA256 {
			t.Errorf("segment %+v does not have the hash of its bytes", s)
		}
		if n := len(list); n > 0 && (s.From != list[n-1].To || s.FromMs > list[n-1].ToMs+200) {
			t.Errorf("segment %+v does not follow %+v", s, list[n-1])
		}
		if s.ToMs-s.FromMs > 2000 {
			t.Errorf("segment %+v is longer than 2 s", s)
		}
		list = append(list, s)
	}
	return list, c
}

// A closed file's log covers its media with hashes that hold.
func TestSegments(t *testing.T) {
	codectest.NeedFFmpeg(t)
	for _, c := range []muxtest.Case{
		vp8Opus,
		{Container: recorder.Matroska, Video: codec.H264, Audio: codec.Opus},
		{Container: recorder.MP4, Video: codec.H264, Audio: codec.Opus},
		{Container: recorder.WebM, Audio: codec.Opus},
	} {
		t.Run(c.Name(), func(t *testing.T) {
			dir, name := t.TempDir(), "x."+string(c.Container)
			f, err := recorder.Create(dir, name, recorder.Options{})
			if err != nil {
				t.Fatal(err)
			}
			units := muxtest.Units(t, c)
			for round := range 3 {
				for _, u := range shift(units, time.Duration(round)*3*time.Second) {
					if err := f.Write(u); err != nil {
						t.Fatal(err)
					}
				}
			}
			m, err := f.Close()
			if err != nil {
				t.Fatal(err)
			}
			list, chain := segmentsIn(t, dir, name)
			if len(list) < 4 {
				t.Fatalf("%d segments of %d ms", len(list), m.DurationMs)
			}
			near(t, "begin of the first segment", list[0].FromMs, 0, 100)
			near(t, "end of the last segment", list[len(list)-1].ToMs, m.DurationMs, 100)
			if m.LogHead != chain.Head.String() {
				t.Errorf("sidecar's log head is %s, the log's %s", m.LogHead, chain.Head)
			}
			if m.Clock == nil || m.Clock.ZeroUs/1000 != m.StartTime {
				t.Errorf("clock %+v, start %d", m.Clock, m.StartTime)
			}
			if last := chain.Entries[len(chain.Entries)-1]; last.Type != proof.TypeClose {
				t.Errorf("the log ends with %s", last.Type)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*.heard")); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

// What a dead process had heard and not written is a gap of the recovered file,
// to the moment.
func crashGaps(t *testing.T, m recorder.Manifest, last int64) {
	t.Helper()
	missing := m.DurationMs
	for _, g := range m.Gaps {
		if g.Cause == proof.CauseCrash {
			missing = max(missing, g.ToMs)
		}
	}
	// A slow machine may stop between what the writer says and what it does.
	if missing < last-120 || missing > last+1000 {
		t.Errorf("file and what is noted as missing reach %d ms, the writer was at %d", missing, last)
	}
}
