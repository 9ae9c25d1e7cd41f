package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// oldRecordings are metadata as OpenVidu 2 writes it, by folder and so by id.
var oldRecordings = map[string]string{
	"talk":    `{"id":"talk","object":"recording","name":"friday","outputMode":"COMPOSED","resolution":"1280x720","frameRate":25,"recordingLayout":"BEST_FIT","sessionId":"talk","createdAt":1600000000001,"size":%d,"duration":2.0,"url":"https://old.example.com/openvidu/recordings/talk/friday.mp4","hasAudio":true,"hasVideo":true,"status":"ready","uniqueSessionId":"talk_1600000000000"}`,
	"talk~1":  `{"id":"talk~1","object":"recording","name":"talk~1","outputMode":"INDIVIDUAL","sessionId":"talk","createdAt":1600000000002,"size":%d,"duration":2.0,"url":"https://old.example.com/openvidu/recordings/talk~1/talk~1.zip","hasAudio":true,"hasVideo":true,"status":"ready","uniqueSessionId":"talk_1600000000000"}`,
	"voices":  `{"id":"voices","object":"recording","name":"voices","outputMode":"COMPOSED","sessionId":"voices","createdAt":1600000000003,"size":%d,"duration":2.0,"url":"https://old.example.com/openvidu/recordings/voices/voices.webm","hasAudio":true,"hasVideo":false,"status":"ready","uniqueSessionId":"voices_1"}`,
	"crashed": `{"id":"crashed","object":"recording","name":"crashed","outputMode":"INDIVIDUAL","sessionId":"crashed","createdAt":1600000000004,"size":0,"duration":0,"url":null,"hasAudio":true,"hasVideo":true,"status":"started","uniqueSessionId":"crashed_1"}`,
}

// oldFolder makes a recordings folder as OpenVidu 2 leaves it, with real media.
func oldFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	film, sound := filepath.Join(dir, "film.mp4"), filepath.Join(dir, "sound.webm")
	for _, args := range [][]string{
		{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi", "-i", "sine", "-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", film},
		{"-f", "lavfi", "-i", "sine", "-t", "2", "-c:a", "libopus", sound},
	} {
		if out, err := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	for name, b := range map[string][]byte{"str_CAM_a.webm": read(sound), "talk~1.json": []byte(`{"createdAt":1600000000002,"id":"talk~1","name":"talk~1","sessionId":"talk","files":[]}`)} {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"talk/friday.mp4": read(film), "talk/talk.jpg": []byte("\xff\xd8 no real picture"), "talk~1/talk~1.zip": packed.Bytes(), "voices/voices.webm": read(sound),
		"crashed/str_CAM_b.webm": read(sound), "crashed/.stream.str_CAM_b": []byte(`{"name":"str_CAM_b.webm"}`), "crashed/crashed.info": []byte("{"),
		"torn/.recording.torn": []byte(`{"id":"to`), "torn/torn.mp4": read(film), "holidays/beach.jpg": []byte("sand"), "readme.txt": []byte("ours"),
	}
	for id, text := range oldRecordings {
		size := 0
		for name, b := range files {
			if strings.HasPrefix(name, id+"/") {
				size = max(size, len(b))
			}
		}
		if strings.Contains(text, "%d") {
			text = fmt.Sprintf(text, size)
		}
		files[id+"/.recording."+id] = []byte(text)
	}
	root := filepath.Join(t.TempDir(), "recordings")
	for name, b := range files {
		at := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if err == nil {
			err = os.WriteFile(at, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// inventory is every name, size, time and byte below a folder.
func inventory(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
		if err != nil || at == root {
			return err
		}
		info, err := e.Info()
		var b []byte
		if err == nil && info.Mode().IsRegular() {
			b, err = os.ReadFile(at)
		}
		name, _ := filepath.Rel(root, at)
		all[name] = fmt.Sprintf("%v %v %x", info.Mode(), info.ModTime(), b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestForeignFolder: what OpenVidu recorded is listed and served as it is, through
// its own client too, and not a byte of it changes: at starts, after a crash, when
// somebody wants it deleted, when the same session is recorded again.
func TestForeignFolder(t *testing.T) {
	root := oldFolder(t)
	before := inventory(t, root)
	home := t.TempDir()
	for start := range 2 {
		s := startServerIn(t, home, "--recording-path="+root)
		var list struct {
			Count int
			Items []json.RawMessage
		}
		s.rest(200, "GET", "/recordings", nil, &list)
		var ids []string
		for _, item := range list.Items {
			var shown, written map[string]any
			var r recording
			if err := errors.Join(json.Unmarshal(item, &shown), json.Unmarshal(item, &r)); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.ID+" "+r.Status)
			b, err := os.ReadFile(filepath.Join(root, r.ID, ".recording."+r.ID))
			if err = errors.Join(err, json.Unmarshal(b, &written)); err != nil {
				t.Fatal(err)
			}
			delete(written, "uniqueSessionId")
			if a, b := fmt.Sprint(shown), fmt.Sprint(written); a != b {
				t.Errorf("start %d: shown as %s, want %s", start, a, b)
			}
		}
		if got := fmt.Sprint(list.Count, ids); got != "4 [talk ready talk~1 ready voices ready crashed started]" {
			t.Errorf("start %d: listed %s", start, got)
		}
		for file, kind := range map[string]string{
			"talk/friday.mp4": "video/mp4", "talk/talk.jpg": "image/jpeg", "talk~1/talk~1.zip": "application/zip", "voices/voices.webm": "video/webm", "crashed/str_CAM_b.webm": "video/webm",
		} {
			whole, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.try("GET", "/openvidu/recordings/"+file, nil)
			if err != nil || r.Status != 200 || !bytes.Equal(r.Body, whole) || !strings.HasPrefix(r.Header.Get("Content-Type"), kind) {
				t.Errorf("GET %s: %d, %d bytes of %s, want %d of %s, %v", file, r.Status, len(r.Body), r.Header.Get("Content-Type"), len(whole), kind, err)
			}
			req := newRequest(t, s.url("/openvidu/recordings/"+file))
			req.SetBasicAuth("OPENVIDUAPP", secret)
			req.Header.Set("Range", "bytes=3-7")
			part, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = part.Body.Close()
			if part.StatusCode != http.StatusPartialContent || part.ContentLength != 5 {
				t.Errorf("bytes 3-7 of %s: %d, %d bytes", file, part.StatusCode, part.ContentLength)
			}
		}
		for _, hidden := range []string{"talk/.recording.talk", "crashed/.stream.str_CAM_b", "holidays/../readme.txt", "readme.txt"} {
			if r, err := s.try("GET", "/openvidu/recordings/"+hidden, nil); err != nil || r.Status != 404 && r.Status != 403 {
				t.Errorf("GET %s: %v, %v", hidden, r, err)
			}
		}
		s.rest(409, "DELETE", "/recordings/talk", nil, nil)
		s.rest(404, "GET", "/recordings/torn", nil, nil)
		s.rest(404, "GET", "/recordings/holidays", nil, nil)
		n := newNodeClient(t, s)
		var old nodeRecording
		n.ok("getRecording", map[string]any{"recording": "talk"}, &old)
		if old.Status != "ready" || old.Duration != 2 || old.Properties.Name != "friday" {
			t.Errorf("the client reads %+v", old)
		}
		if start == 0 {
			s.kill9()
			continue
		}
		// A new recording of a session that has old ones gets a folder of its own.
		s.session(map[string]any{"customSessionId": "talk"})
		token, _ := s.connection("talk", "PUBLISHER", nil)
		dialWire(t, s).join("talk", token)
		var rec recording
		s.rest(200, "POST", "/recordings/start", map[string]any{"session": "talk", "outputMode": "INDIVIDUAL"}, &rec)
		if rec.ID != "talk~2" {
			t.Errorf("the new recording is %s", rec.ID)
		}
		s.rest(200, "POST", "/recordings/stop/"+rec.ID, nil, nil)
		s.recordingIs(rec.ID, "ready")
		s.rest(204, "DELETE", "/recordings/"+rec.ID, nil, nil)
		s.healthy()
	}
	after := inventory(t, root)
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s was changed", name)
		}
		delete(after, name)
	}
	for name := range after {
		t.Errorf("%s came in addition", name)
	}
	// Nobody signed it, and ovctl says so.
	out, err := exec.Command(filepath.Join(filepath.Dir(bin), "ovctl"), "recording", "verify", filepath.Join(root, "talk")).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !bytes.Contains(out, []byte("another server")) {
		t.Errorf("ovctl recording verify: %v: %s", err, out)
	}
}
