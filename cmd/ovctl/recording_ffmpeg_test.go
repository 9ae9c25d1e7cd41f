package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

const createdAt = 1_700_000_000_000

// madeTake is a real file of three seconds and where it stands in the recording.
type madeTake struct {
	alignedTake
	c muxtest.Case
}

func takeOf(stream, name, kind string, offset int64, c muxtest.Case) madeTake {
	return madeTake{alignedTake{Name: name, ConnectionID: "con_A", StreamID: stream, TypeOfVideo: kind, StartTimeOffset: offset}, c}
}

// individual makes the folder of an INDIVIDUAL recording, signed, with real media.
func individual(t *testing.T, keys *proof.Keys, takes ...madeTake) string {
	t.Helper()
	dir := t.TempDir()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	add := func(name string, data []byte) {
		e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = e.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m := proof.Manifest{Schema: proof.Schema, ID: "room", CreatedAt: createdAt, Left: []proof.Left{}, Events: []proof.Event{}}
	var list []alignedTake
	for _, take := range takes {
		f, err := recorder.Create(dir, take.Name, recorder.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range muxtest.Units(t, take.c) {
			if err := f.Write(u); err != nil {
				t.Fatal(err)
			}
		}
		side, err := f.Close()
		if err != nil {
			t.Fatal(err)
		}
		media, err := os.ReadFile(filepath.Join(dir, take.Name))
		if err != nil {
			t.Fatal(err)
		}
		log, err := os.Open(filepath.Join(dir, proof.LogName(take.Name)))
		if err != nil {
			t.Fatal(err)
		}
		chain, err := proof.Read(log)
		log.Close()
		if err != nil {
			t.Fatal(err)
		}
		file := proof.File{Name: take.Name, ConnectionID: take.ConnectionID, Size: side.Size, SHA256: side.SHA256, DurationMs: side.DurationMs,
			Tracks: []proof.Track{}, Gaps: []proof.Gap{}, Clock: &proof.Clock{ZeroUs: (createdAt + take.StartTimeOffset) * 1000}}
		for _, e := range chain.Entries {
			var s proof.Segment
			if e.Type == proof.TypeSegment && json.Unmarshal(e.Data, &s) == nil {
				file.Segments = append(file.Segments, s)
			}
		}
		m.Files = append(m.Files, file)
		list = append(list, take.alignedTake)
		add(take.Name, media)
		for _, name := range []string{take.Name, recorder.ManifestName(take.Name), proof.LogName(take.Name)} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	index, err := json.Marshal(map[string]any{"createdAt": createdAt, "id": "room", "name": "room", "files": list})
	if err != nil {
		t.Fatal(err)
	}
	add("room.json", index)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Files {
		if m.Files[i].ZipOffset, err = r.File[i].DataOffset(); err != nil {
			t.Fatal(err)
		}
	}
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	m.Zip = proof.Archive{Name: "room.zip", Size: int64(b.Len()), SHA256: sum(b.Bytes())}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var logText bytes.Buffer
	l := proof.NewLog(&logText)
	err = errors.Join(l.Append(proof.TypeOpen, proof.Opened{ID: "room"}),
		l.Append(proof.TypeManifest, proof.Sealed{Name: proof.ManifestFile, SHA256: sum(text), Size: int64(len(text)), Files: []proof.SealedFile{}}), keys.Sign(l))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"room.zip": b.Bytes(), proof.ManifestFile: text, proof.LogFile: logText.Bytes(), ".recording.room": []byte(`{"id":"room","schema":1}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var vp8Opus = muxtest.Case{Container: recorder.WebM, Video: codec.VP8, Audio: codec.Opus}

func testKeys(t *testing.T) (*proof.Keys, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state", "recording-keys")
	keys, err := proof.OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return keys, dir
}

func code(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return 1
}

func TestVerifyRecording(t *testing.T) {
	codectest.NeedFFmpeg(t)
	keys, keyDir := testKeys(t)
	dir := individual(t, keys, takeOf("s", "s.webm", "CAMERA", 0, vp8Opus))
	server := &api{answers: map[string]string{"GET /openvidu/api/recording-keys": fmt.Sprintf(`{"items":[{"pem":%q}]}`, keys.Current().PEM())}}
	if out, err := ovctl(t, server, "recording", "verify", dir); err != nil || !strings.HasPrefix(out, "true: 1 files") {
		t.Errorf("with the server's key: %v, %s", err, out)
	}
	if out, err := ovctl(t, &api{}, "recording", "verify", "room", "--dir", filepath.Dir(dir)); code(err) != cannotTell {
		t.Errorf("an id without a folder: %v, %s", err, out)
	}
	if out, err := ovctl(t, &api{}, "recording", "verify", dir); code(err) != 1 || !strings.Contains(out, proof.UnknownKey) {
		t.Errorf("without a key: %v, %s", err, out)
	}
	other, _ := testKeys(t)
	pem := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(pem, other.Current().PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := ovctl(t, &api{}, "recording", "verify", dir, "--key", pem); code(err) != 1 || !strings.Contains(out, proof.UnknownKey) {
		t.Errorf("with another key: %v, %s", err, out)
	}
	// The byte in the middle of the file is in its second second.
	at := filepath.Join(dir, "room.zip")
	b, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(at, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := ovctl(t, &api{}, "--json", "recording", "verify", dir, "--key", keyDir)
	var r proof.Report
	if json.Unmarshal([]byte(out), &r) != nil || code(err) != 1 || len(r.Findings) != 1 {
		t.Fatalf("a flipped byte: %v, %s", err, out)
	}
	if f := r.Findings[0]; f.Kind != proof.Changed || f.File != "s.webm" || !f.Timed || f.ToMs-f.FromMs > 2000 || f.FromMs > 1700 || f.ToMs < 1300 {
		t.Errorf("a flipped byte in the middle is found as %v", f)
	}
	// In progress: the log has no end yet.
	going := t.TempDir()
	for name, text := range map[string]string{".recording.x": `{"id":"x","status":"started","schema":1}`, proof.LogFile: ""} {
		if err := os.WriteFile(filepath.Join(going, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ovctl(t, &api{}, "recording", "verify", going, "--key", keyDir); code(err) != cannotTell || !strings.Contains(err.Error(), "not final") {
		t.Errorf("a recording in progress: %v", err)
	}
	// Not ours.
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, ".recording.x"), []byte(`{"id":"x","status":"ready"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ovctl(t, &api{}, "recording", "verify", foreign); code(err) != cannotTell || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a recording of another server: %v", err)
	}
}

func TestKeyOfRecordings(t *testing.T) {
	_, dir := testKeys(t)
	state := filepath.Dir(dir)
	one, err := ovctl(t, &api{}, "recording", "key", "--state-dir", state)
	if err != nil || strings.Count(one, "BEGIN PUBLIC KEY") != 1 {
		t.Fatalf("%v: %s", err, one)
	}
	if _, err := ovctl(t, &api{}, "recording", "key", "--rotate"); err == nil {
		t.Error("a key of nowhere is rotated")
	}
	if _, err := ovctl(t, &api{}, "recording", "key", "--rotate", "--state-dir", state); err != nil {
		t.Fatal(err)
	}
	if two, err := ovctl(t, &api{}, "recording", "key", "--state-dir", state); err != nil || strings.Count(two, "BEGIN PUBLIC KEY") != 2 {
		t.Errorf("after a rotation %v: %s", err, two)
	}
}

type probedStream struct {
	CodecType string `json:"codec_type"`
	CodecName string `json:"codec_name"`
}

// firstTimes are the times of a track's packets, in seconds.
func times(t *testing.T, path string, track int) (list []float64) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", fmt.Sprint(track), "-show_entries", "packet=pts_time", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Fields(string(out)) {
		var at float64
		if _, err := fmt.Sscan(strings.Trim(l, ","), &at); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		list = append(list, at)
	}
	return list
}

func TestAlign(t *testing.T) {
	codectest.NeedFFmpeg(t)
	keys, _ := testKeys(t)
	h264 := muxtest.Case{Container: recorder.Matroska, Video: codec.H264}
	for _, c := range []struct {
		name   string
		second muxtest.Case
		file   string
		offset int64
	}{
		{"reconnected later", vp8Opus, "s-1.webm", 5000},
		{"overlapping", vp8Opus, "s-1.webm", 2000},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := individual(t, keys, takeOf("s", "s.webm", "CAMERA", 500, vp8Opus), takeOf("s", c.file, "CAMERA", c.offset+500, c.second),
				takeOf("d", "d.mkv", "SCREEN", 1741, h264))
			to := t.TempDir()
			out, err := ovctl(t, &api{}, "--json", "recording", "align", dir, "-o", to)
			if err != nil {
				t.Fatal(err)
			}
			var list []alignedFile
			if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			f := list[0]
			if f.Path != filepath.Join(to, "con_A.mkv") || f.OffsetMs != 500 || f.Tracks != 3 || len(f.Takes) != 3 || len(f.Problems) != 0 {
				t.Fatalf("%+v", f)
			}
			if d := f.DurationMs - c.offset - 3000; d < -60 || d > 60 {
				t.Errorf("length %d ms, want %d", f.DurationMs, c.offset+3000)
			}
			codectest.MustPlay(t, f.Path)
			probe, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "stream=codec_type,codec_name", "-of", "json", f.Path).Output()
			var p struct{ Streams []probedStream }
			if err != nil || json.Unmarshal(probe, &p) != nil || len(p.Streams) != 3 {
				t.Fatalf("%v: %s", err, probe)
			}
			for i, s := range p.Streams {
				at := times(t, f.Path, i)
				for n := 1; n < len(at); n++ {
					if at[n] <= at[n-1] {
						t.Fatalf("track %d goes back from %f to %f", i, at[n-1], at[n])
					}
				}
				begin, second := 0.0, float64(c.offset)/1000
				if s.CodecName == "h264" {
					begin, second = 1.241, 1.241
				}
				if math.Abs(at[0]-begin) > 0.002 {
					t.Errorf("%s %s begins at %f, want %f", s.CodecType, s.CodecName, at[0], begin)
				}
				near := math.Inf(1)
				for _, x := range at {
					near = min(near, math.Abs(x-second))
				}
				if near > 0.002 {
					t.Errorf("%s: no unit at %f, where the second take begins", s.CodecType, second)
				}
				if n := len(at); s.CodecName == "vp8" && n != map[int64]int{5000: 150, 2000: 125}[c.offset] {
					t.Errorf("%d pictures", n)
				}
			}
		})
	}
	if _, err := ovctl(t, &api{}, "recording", "align", t.TempDir()); err == nil {
		t.Error("an empty folder is aligned")
	}
}
