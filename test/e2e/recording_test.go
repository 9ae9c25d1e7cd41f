package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// contents is the JSON that an INDIVIDUAL recording's zip holds.
type contents struct {
	CreatedAt int64
	ID        string
	Name      string
	SessionID string `json:"sessionId"`
	Files     []struct {
		Name, ConnectionID, StreamID   string
		ClientData, ServerData         string
		Size                           int64
		HasAudio, HasVideo             bool
		TypeOfVideo                    string
		StartTimeOffset, EndTimeOffset int64
	}
}

// download fetches a finished recording by its own URL and unpacks it.
func (s *server) download(r recording) (contents, map[string]string) {
	s.t.Helper()
	if r.URL == nil {
		s.t.Fatalf("recording %s is %s without a URL", r.ID, r.Status)
	}
	u, err := url.Parse(*r.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.try("GET", u.EscapedPath(), nil)
	if err != nil || answer.Status != 200 {
		s.t.Fatalf("GET %s: %d %v", *r.URL, answer.Status, err)
	}
	files := unzip(s.t, answer.Body)
	path, ok := files[r.Name+".json"]
	if !ok {
		s.t.Fatalf("the zip has no %s.json but %v", r.Name, files)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	var c contents
	if err := json.Unmarshal(data, &c); err != nil {
		s.t.Fatalf("%s.json: %v in %s", r.Name, err, data)
	}
	delete(files, r.Name+".json")
	if len(files) != len(c.Files) {
		s.t.Errorf("the JSON names %d files, the zip holds %d", len(c.Files), len(files))
	}
	return c, files
}

// TestRecording records two pages, of which one joins while the recording is
// on, stops publishing, and publishes again.
//
// What is a fair "time published"? For a publication inside the recording: from
// the first packet that left the page to the last. For one that was there
// before: from the recording's start to its stop. Each of these moments is
// known between two looks at a clock, which a busy machine moves apart; beyond
// that, 200 ms are allowed at either end.
func TestRecording(t *testing.T) {
	s := startServer(t)
	id := s.session(nil)
	annaToken, annaID := s.connection(id, "PUBLISHER", map[string]any{"data": "room 1"})
	benToken, benID := s.connection(id, "PUBLISHER", nil)
	quietToken, _ := s.connection(id, "PUBLISHER", map[string]any{"record": false})

	anna, ben, quiet := openPage(t, "anna"), openPage(t, "ben"), openPage(t, "quiet")
	anna.join(annaToken, "I am Anna")
	annaCam := anna.publish(small())
	quiet.join(quietToken, "")
	quiet.publish(map[string]any{"publishVideo": true, "videoSource": false}) // sound only, not to be recorded

	clean := watchMetadata(t, s.recordings)
	asked := time.Now()
	var rec recording
	s.rest(200, "POST", "/recordings/start", map[string]any{"session": id, "outputMode": "INDIVIDUAL", "name": "two_calls"}, &rec)
	started := time.Now()
	if rec.Status != "started" || rec.ID != id || rec.Name != "two_calls" || rec.Object != "recording" {
		t.Errorf("a recording that starts: %+v", rec)
	}

	ben.join(benToken, "")
	ben.publish(small())
	runFor(t, 5*time.Second, "ben publishes", func() error { return nil })
	var first, second publication
	ben.call("unpublish", nil, &first)
	ben.publish(small())
	runFor(t, 2*time.Second, "ben publishes again", func() error { return nil })
	ben.call("unpublish", nil, &second)

	stopping := time.Now()
	var stopped recording
	s.rest(200, "POST", "/recordings/stop/"+rec.ID, nil, &stopped)
	over := time.Now()
	s.rest(404, "POST", "/recordings/stop/"+rec.ID, nil, nil)
	ready := s.recordingIs(rec.ID, "ready")
	clean()
	for path, value := range metadata(t, s.recordings) {
		if filepath.Base(path) == ".manifest.json" {
			text, _ := json.Marshal(value)
			t.Logf("manifest: %s", text)
		}
	}

	c, files := s.download(ready)
	if c.ID != rec.ID || c.SessionID != id || c.Name != "two_calls" || c.CreatedAt != ready.CreatedAt {
		t.Errorf("the JSON says %+v", c)
	}
	if len(c.Files) != 3 {
		t.Fatalf("%d files recorded, want 3: %+v", len(c.Files), c.Files)
	}
	createdAt := time.UnixMilli(ready.CreatedAt)
	if createdAt.Before(asked.Add(-time.Second)) || createdAt.After(started.Add(time.Second)) {
		t.Errorf("createdAt %v is not between %v and %v", createdAt, asked, started)
	}

	var size int64
	const tolerance = 200 * time.Millisecond
	for _, f := range c.Files {
		t.Run(f.StreamID, func(t *testing.T) {
			path, ok := files[f.Name]
			if !ok || f.Name != f.StreamID+".webm" {
				t.Fatalf("file %q of stream %s is not in the zip", f.Name, f.StreamID)
			}
			info, err := os.Stat(path)
			if err != nil || info.Size() != f.Size {
				t.Errorf("size %d in the JSON, %v %v on disk", f.Size, info.Size(), err)
			}
			size += f.Size
			if !f.HasAudio || !f.HasVideo || f.TypeOfVideo != "CAMERA" {
				t.Errorf("the JSON says %+v", f)
			}
			p := probe(t, path)
			plays(t, path)
			if p.Codecs["video"] != "vp8" || p.Codecs["audio"] != "opus" {
				t.Errorf("codecs %v", p.Codecs)
			}
			t.Logf("duration %v, offsets %d to %d ms, %v packets", p.Duration, f.StartTimeOffset, f.EndTimeOffset, p.Packets)
			if err := near(p.Duration, millis(float64(f.EndTimeOffset-f.StartTimeOffset)), tolerance); err != nil {
				t.Errorf("duration against its offsets: %v", err)
			}
			begin := createdAt.Add(millis(float64(f.StartTimeOffset)))
			switch f.StreamID {
			case annaCam.StreamID:
				if f.ConnectionID != annaID || f.ClientData != "I am Anna" || f.ServerData != "room 1" {
					t.Errorf("anna's file: %+v", f)
				}
				// The picture begins with a keyframe, which the page has to make first.
				key := tolerance
				if !strictTimes() {
					key = 10 * tolerance
				}
				within(t, "begin after the start was asked for", begin.Sub(asked), -tolerance, started.Sub(asked)+key)
				end := createdAt.Add(millis(float64(f.EndTimeOffset)))
				within(t, "end after the stop was asked for", end.Sub(stopping), -tolerance, over.Sub(stopping)+tolerance)
			case first.StreamID, second.StreamID:
				pub := first
				if f.StreamID == second.StreamID {
					pub = second
				}
				if f.ConnectionID != benID {
					t.Errorf("ben's file: %+v", f)
				}
				within(t, "duration", p.Duration, millis(pub.Last-pub.First)-tolerance, millis(pub.After-pub.Before)+tolerance)
				zero := float64(asked.UnixMicro()) / 1000
				within(t, "begin after the start of the recording", begin.Sub(asked), millis(pub.Before-zero)-tolerance, millis(pub.First-zero)+tolerance)
				if p.Packets["video"] < 0.9*pub.Frames {
					t.Errorf("%v frames of video in the file, %v left the page", p.Packets["video"], pub.Frames)
				}
			default:
				t.Errorf("stream %s was not to be recorded", f.StreamID)
			}
		})
	}
	if ready.Size != size {
		t.Errorf("the recording's size is %d, its files have %d", ready.Size, size)
	}
	checkSums(t, s.recordings, files)
	checkDoors(t, s, ready)
	s.rest(204, "DELETE", "/recordings/"+rec.ID, nil, nil)
	s.rest(404, "GET", "/recordings/"+rec.ID, nil, nil)
	if left, _ := filepath.Glob(filepath.Join(s.recordings, rec.ID, "*")); len(left) != 0 {
		t.Errorf("the deleted recording left %v", left)
	}
	s.healthy()
}

func within(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	t.Logf("%s: %v, between %v and %v", what, got.Round(time.Millisecond), least.Round(time.Millisecond), most.Round(time.Millisecond))
	if got < least || got > most {
		t.Errorf("%s: %v, want between %v and %v", what, got, least, most)
	}
}

// checkSums compares each file's SHA-256 in whatever manifest names it with
// the bytes that a user downloads.
func checkSums(t *testing.T, root string, files map[string]string) {
	t.Helper()
	sums := map[string]string{}
	for path, value := range metadata(t, root) {
		collectSums(value, sums, path)
	}
	for name, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got := sha256.Sum256(data)
		if sums[name] == "" {
			t.Errorf("no manifest gives a SHA-256 of %s", name)
		} else if sums[name] != hex.EncodeToString(got[:]) {
			t.Errorf("the manifest gives %s SHA-256 %s, it has %x", name, sums[name], got)
		}
	}
}

// collectSums finds objects that name a file and its sha256.
func collectSums(v any, sums map[string]string, path string) {
	switch v := v.(type) {
	case map[string]any:
		name, _ := v["file"].(string)
		if name == "" {
			name, _ = v["name"].(string)
		}
		if sum, _ := v["sha256"].(string); sum != "" && name != "" {
			sums[name] = sum
		}
		for _, inner := range v {
			collectSums(inner, sums, path)
		}
	case []any:
		for _, inner := range v {
			collectSums(inner, sums, path)
		}
	}
}

// checkDoors tries the recording's URL with and without credentials, in parts,
// and names that must not be served.
func checkDoors(t *testing.T, s *server, r recording) {
	t.Helper()
	u, err := url.Parse(*r.URL)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, user, part string) int {
		t.Helper()
		req := newRequest(t, s.url(path))
		if user != "" {
			req.SetBasicAuth(user, secret)
		}
		if part != "" {
			req.Header.Set("Range", part)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	base := "/openvidu/recordings/" + r.ID
	for _, c := range []struct {
		path, user, part string
		want             int
	}{
		{u.EscapedPath(), "", "", 401},
		{u.EscapedPath(), "OPENVIDUAPP", "bytes=0-99", 206},
		{base + "/.recording." + r.ID, "OPENVIDUAPP", "", 404},
		{base + "/nothing.zip", "OPENVIDUAPP", "", 404},
		{base + "/..%2f..%2fetc%2fpasswd", "OPENVIDUAPP", "", 404},
		{base + "/", "OPENVIDUAPP", "", 404},
	} {
		if got := get(c.path, c.user, c.part); got != c.want {
			t.Errorf("GET %s as %q %s: %d, want %d", c.path, c.user, c.part, got, c.want)
		}
	}
}

// isMetadata tells the files that must parse at every moment. A name with
// ".tmp" is a file that is being written before its atomic rename.
func isMetadata(name string) bool {
	if strings.Contains(name, ".tmp") {
		return false
	}
	return strings.HasSuffix(name, ".json") || strings.HasPrefix(name, ".recording.") || strings.HasPrefix(name, ".stream.")
}

// metadata reads and parses every metadata file below root.
func metadata(t testing.TB, root string) map[string]any {
	t.Helper()
	found := map[string]any{}
	if err := readMetadata(root, func(path string, v any) { found[path] = v }); err != nil {
		t.Error(err)
	}
	return found
}

func readMetadata(root string, each func(path string, v any)) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // renamed or deleted meanwhile
		}
		if err != nil || entry.IsDir() || !isMetadata(entry.Name()) {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			return fmt.Errorf("torn metadata in %s: %w: %.200q", path, err, data)
		}
		each(path, v)
		return nil
	})
}

// watchMetadata reads all metadata again and again until the returned function
// is called, which fails the test when a single file was ever torn or when
// there was nothing to read.
func watchMetadata(t testing.TB, root string) (stop func()) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan struct{})
	var torn error
	reads := 0
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for torn == nil {
			torn = readMetadata(root, func(string, any) { reads++ })
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	ended := false
	stop = func() {
		t.Helper()
		if ended {
			return
		}
		ended = true
		close(quit)
		<-done
		if torn != nil {
			t.Error(torn)
		}
		if reads == 0 {
			t.Error("there was no metadata to read")
		}
	}
	t.Cleanup(func() {
		if !ended {
			ended = true
			close(quit)
			<-done
		}
	})
	return stop
}
