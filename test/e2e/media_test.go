package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// probed is what ffprobe says about a file.
type probed struct {
	Duration time.Duration
	Codecs   map[string]string  // by kind: "video", "audio"
	Packets  map[string]float64 // counted by reading the file
}

// probe reads a media file as any player would, without repair.
func probe(t testing.TB, path string) probed {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-count_packets",
		"-show_entries", "format=duration:stream=codec_type,codec_name,nb_read_packets", "-of", "json", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe %s: %v\n%s", filepath.Base(path), err, out)
	}
	var said struct {
		Format  struct{ Duration string }
		Streams []struct {
			CodecType   string `json:"codec_type"`
			CodecName   string `json:"codec_name"`
			ReadPackets string `json:"nb_read_packets"`
		}
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("ffprobe %s said: %s", filepath.Base(path), out)
	}
	seconds, err := strconv.ParseFloat(said.Format.Duration, 64)
	if err != nil {
		t.Fatalf("%s has no duration: %s", filepath.Base(path), out)
	}
	p := probed{Duration: time.Duration(seconds * float64(time.Second)), Codecs: map[string]string{}, Packets: map[string]float64{}}
	for _, s := range said.Streams {
		p.Codecs[s.CodecType] = s.CodecName
		p.Packets[s.CodecType], _ = strconv.ParseFloat(s.ReadPackets, 64)
	}
	return p
}

// plays decodes the whole file; a player that has nothing to complain about
// prints nothing. Frames keep the file's own timestamps: rounded to a frame rate
// that ffmpeg guesses from the first ones, two frames of a camera that a busy
// machine served unevenly could fall together, which is no fault of the file.
func plays(t testing.TB, path string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", path,
		"-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) != 0 {
		t.Errorf("%s does not play clean: %v\n%s", filepath.Base(path), err, out)
	}
}

// unzip writes the files of an archive into a fresh folder, returns their paths by name.
func unzip(t testing.TB, archive []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatalf("the recording is no zip: %v", err)
	}
	folder, files := t.TempDir(), map[string]string{}
	for _, f := range z.File {
		if f.Name != filepath.Base(f.Name) || strings.HasPrefix(f.Name, ".") {
			t.Errorf("the zip holds %q", f.Name)
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r) // checks the CRC
		_ = r.Close()
		if err != nil {
			t.Fatalf("%s in the zip: %v", f.Name, err)
		}
		files[f.Name] = filepath.Join(folder, f.Name)
		if err := os.WriteFile(files[f.Name], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if keep := os.Getenv("GOVIDU_KEEP"); keep != "" { // to look at what a failed test recorded
		if err := os.CopyFS(filepath.Join(keep, filepath.Base(filepath.Dir(folder))), os.DirFS(folder)); err != nil {
			t.Log(err)
		}
	}
	return files
}

func near(got, want, tolerance time.Duration) error {
	if d := got - want; d < -tolerance || d > tolerance {
		return fmt.Errorf("%v, want %v ± %v", got.Round(time.Millisecond), want.Round(time.Millisecond), tolerance)
	}
	return nil
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// TestHarnessReadsMedia proves probe and plays: on a good file, and on the
// same file with its middle spoilt.
func TestHarnessReadsMedia(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sample.webm")
	out, err := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=20", "-f", "lavfi", "-i", "sine",
		"-t", "3", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus", path).CombinedOutput()
	if err != nil {
		t.Fatalf("make a sample: %v\n%s", err, out)
	}
	p := probe(t, path)
	if err := near(p.Duration, 3*time.Second, 50*time.Millisecond); err != nil {
		t.Errorf("duration: %v", err)
	}
	if p.Codecs["video"] != "vp8" || p.Codecs["audio"] != "opus" || p.Packets["video"] != 60 {
		t.Errorf("probed %+v", p)
	}
	plays(t, path)

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 3; i < len(data)*2/3; i++ {
		data[i] ^= 0x5a
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "null", "-").CombinedOutput(); err == nil && len(out) == 0 {
		t.Error("ffmpeg has nothing to say about a spoilt file: the probe proves nothing")
	}
}
