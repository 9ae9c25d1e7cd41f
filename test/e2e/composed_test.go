package e2e

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// layoutState is the answer of the director's layout calls.
type layoutState struct {
	Layout map[string]any
	Tiles  []layoutTile
}

type layoutTile struct {
	StreamID, Name      string
	X, Y, Width, Height int
	Avatar              bool
}

// TestComposed records two pages into one file through the unmodified
// openvidu-node-client, changes the layout and pauses on the way, and looks at what
// is in the file.
func TestComposed(t *testing.T) {
	s := startServer(t)
	n := newNodeClient(t, s)
	id := s.session(map[string]any{"customSessionId": "studio"})
	annaToken, _ := s.connection(id, "MODERATOR", nil)
	benToken, _ := s.connection(id, "PUBLISHER", map[string]any{"record": false}) // composed recordings show everybody
	anna, ben := openPage(t, "anna"), openPage(t, "ben")
	anna.join(annaToken, `{"clientData":"Anna"}`)
	ben.join(benToken, "")

	// Nobody publishes yet: the picture is the background, and the file grows.
	const width, height, rate = 640, 360, 15
	properties := map[string]any{"name": "film", "outputMode": "COMPOSED", "resolution": "640x360", "frameRate": rate, "recordingLayout": "BEST_FIT"}
	var rec nodeRecording
	asked := time.Now()
	n.ok("startRecording", map[string]any{"session": id, "properties": properties}, &rec)
	begun := time.Now()
	if rec.ID != id || rec.Status != "started" || rec.Properties.Name != "film" || rec.Properties.OutputMode != "COMPOSED" || rec.URL != nil {
		t.Errorf("a recording that starts: %+v", rec)
	}
	n.fails("409", "startRecording", map[string]any{"session": id, "properties": properties})

	annaCam, benCam := anna.publish(small()), ben.publish(small())
	path := "/recordings/" + rec.ID
	var grid layoutState
	eventually(t, eventDeadline, "both pages are in the picture", func() error {
		s.rest(200, "GET", path+"/layout", nil, &grid)
		for _, tile := range grid.Tiles {
			if tile.Avatar {
				return fmt.Errorf("no picture of %s yet", tile.StreamID)
			}
		}
		return want(len(grid.Tiles) == 2, "%d tiles", len(grid.Tiles))
	})
	if streams := []string{grid.Tiles[0].StreamID, grid.Tiles[1].StreamID}; streams[0] != annaCam.StreamID || streams[1] != benCam.StreamID {
		t.Errorf("tiles show %v, want %s and %s", streams, annaCam.StreamID, benCam.StreamID)
	}
	runFor(t, 2*time.Second, "the grid is recorded", func() error { return nil })
	gridEnd := time.Since(begun)

	s.rest(409, "POST", path+"/resume", nil, nil)
	s.rest(200, "POST", path+"/pause", nil, nil)
	paused := time.Since(asked)
	s.rest(409, "POST", path+"/pause", nil, nil)
	runFor(t, 3*time.Second, "the recording is paused", func() error { return nil })
	resuming := time.Now()
	s.rest(200, "POST", path+"/resume", nil, nil)
	resumed := time.Now()

	s.rest(400, "PUT", path+"/layout", map[string]any{"layout": "ROUND"}, nil)
	var big layoutState
	custom := map[string]any{"layout": "CUSTOM", "background": map[string]any{"color": "#00ff00"}, "names": false,
		"tiles": []any{map[string]any{"match": map[string]any{"streamId": benCam.StreamID}, "x": 0.5, "y": 0, "width": 0.5, "height": 1, "fit": "cover"}}}
	s.rest(200, "PUT", path+"/layout", custom, &big)
	if len(big.Tiles) != 1 || big.Tiles[0].StreamID != benCam.StreamID || big.Tiles[0].X != width/2 || big.Tiles[0].Width != width/2 || big.Tiles[0].Height != height {
		t.Errorf("the custom layout is %+v", big)
	}
	runFor(t, 3*time.Second, "the custom layout is recorded", func() error { return nil })
	length := gridEnd + time.Since(resumed)
	n.ok("stopRecording", map[string]any{"recording": rec.ID}, nil)
	most := paused + time.Since(resuming)
	s.rest(409, "GET", path+"/layout", nil, nil)
	ready := s.recordingIs(rec.ID, "ready")
	if ready.URL == nil || !ready.HasAudio || !ready.HasVideo || ready.Size == 0 {
		t.Fatalf("a finished recording: %+v", ready)
	}

	film := s.fetch(rec.ID, "film.mp4")
	p := probe(t, film)
	plays(t, film)
	if p.Codecs["video"] != "h264" || p.Codecs["audio"] != "aac" {
		t.Errorf("codecs %v", p.Codecs)
	}
	t.Logf("%v packets, %d bytes", p.Packets, ready.Size)
	within(t, "duration", p.Duration, length-1500*time.Millisecond, most+1500*time.Millisecond)
	if err := near(p.Duration, time.Duration(ready.Duration*float64(time.Second)), 100*time.Millisecond); err != nil {
		t.Errorf("duration in the API: %v", err)
	}
	if least := 0.9 * rate * p.Duration.Seconds(); p.Packets["video"] < least {
		t.Errorf("%v pictures in %v, want at least %.0f", p.Packets["video"], p.Duration, least)
	}

	before := frameAt(t, film, gridEnd-700*time.Millisecond, width, height)
	for _, tile := range grid.Tiles {
		if d := before.deviation(tile.X, tile.Y, tile.Width, tile.Height); d < 10 {
			t.Errorf("no picture in the tile of %s: deviation %.1f", tile.StreamID, d)
		}
	}
	after := frameAt(t, film, p.Duration-700*time.Millisecond, width, height)
	if d := after.deviation(width/2, 0, width/2, height); d < 10 {
		t.Errorf("no picture of ben in the custom layout: deviation %.1f", d)
	}
	if r, g, b := after.at(width/4, height/2); r > 90 || g < 180 || b > 90 {
		t.Errorf("background of the custom layout is %d %d %d, want green", r, g, b)
	}
	thumbnail, err := os.ReadFile(s.fetch(rec.ID, rec.ID+".jpg"))
	if err != nil || !bytes.HasPrefix(thumbnail, []byte{0xff, 0xd8}) {
		t.Errorf("thumbnail: %d bytes, %v", len(thumbnail), err)
	}
	n.ok("deleteRecording", map[string]any{"recording": rec.ID}, nil)
	if left, _ := filepath.Glob(filepath.Join(s.recordings, rec.ID, "*")); len(left) != 0 {
		t.Errorf("the deleted recording left %v", left)
	}
}

// fetch downloads a file of a recording and gives its path here.
func (s *server) fetch(id, file string) string {
	s.t.Helper()
	r, err := s.try("GET", "/openvidu/recordings/"+id+"/"+file, nil)
	if err != nil || r.Status != 200 {
		s.t.Fatalf("GET %s of %s: %d %v", file, id, r.Status, err)
	}
	path := filepath.Join(s.t.TempDir(), file)
	if err := os.WriteFile(path, r.Body, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// frame is a picture as RGB.
type frame struct {
	width, height int
	rgb           []byte
}

// frameAt decodes the picture of a file at a time.
func frameAt(t testing.TB, path string, at time.Duration, width, height int) frame {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-ss", fmt.Sprintf("%.3f", at.Seconds()), "-i", path,
		"-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-").Output()
	if err != nil || len(out) != width*height*3 {
		t.Fatalf("picture at %v: %d bytes, want %d: %v", at, len(out), width*height*3, err)
	}
	return frame{width, height, out}
}

func (f frame) at(x, y int) (r, g, b byte) {
	i := 3 * (y*f.width + x)
	return f.rgb[i], f.rgb[i+1], f.rgb[i+2]
}

// deviation is the standard deviation of the green within a part of the picture.
func (f frame) deviation(x, y, width, height int) float64 {
	var sum, squares, n float64
	for j := y; j < y+height; j++ {
		for i := x; i < x+width; i++ {
			_, g, _ := f.at(i, j)
			sum, squares, n = sum+float64(g), squares+float64(g)*float64(g), n+1
		}
	}
	return math.Sqrt(max(0, squares/n-sum*sum/n/n))
}

// startFilm has one page publish into a composed recording for a while.
func startFilm(t *testing.T, s *server) (id string, begun time.Time) {
	t.Helper()
	id = s.session(map[string]any{"customSessionId": "crash"})
	token, _ := s.connection(id, "PUBLISHER", nil)
	anna := openPage(t, "anna")
	anna.join(token, "Anna")
	anna.publish(small())
	var rec recording
	s.rest(200, "POST", "/recordings/start", map[string]any{"session": id, "resolution": "320x240", "frameRate": 15}, &rec)
	begun = time.Now()
	eventually(t, eventDeadline, "the page is in the picture", func() error {
		var now layoutState
		s.rest(200, "GET", "/recordings/"+rec.ID+"/layout", nil, &now)
		return want(len(now.Tiles) == 1 && !now.Tiles[0].Avatar, "tiles %+v", now.Tiles)
	})
	runFor(t, 3*time.Second, "the page is recorded", func() error { return nil })
	return rec.ID, begun
}

// A media worker that dies costs a gap, and the same file goes on.
func TestComposedWorkerDies(t *testing.T) {
	s := startServer(t)
	id, begun := startFilm(t, s)
	workers := children(t, s.proc.cmd.Process.Pid)
	if len(workers) == 0 {
		t.Fatal("nothing composes")
	}
	for _, pid := range workers {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	killed := time.Now()
	runFor(t, 5*time.Second, "the recording goes on", func() error {
		var r recording
		s.rest(200, "GET", "/recordings/"+id, nil, &r)
		return want(r.Status == "started", "it is %s", r.Status)
	})
	eventually(t, 2*eventDeadline, "the page is in the picture again", func() error { // a busy machine's next worker begins late
		var now layoutState
		s.rest(200, "GET", "/recordings/"+id+"/layout", nil, &now)
		return want(len(now.Tiles) == 1 && !now.Tiles[0].Avatar, "tiles %+v", now.Tiles)
	})
	length := time.Since(begun)
	s.rest(200, "POST", "/recordings/stop/"+id, nil, nil)
	most := time.Since(begun)
	s.recordingIs(id, "ready")
	film := s.fetch(id, id+".mp4")
	p := probe(t, film)
	plays(t, film)
	t.Logf("killed %d workers, %v after that: %v, %v packets", len(workers), time.Since(killed), p.Duration, p.Packets)
	within(t, "duration", p.Duration, length-3*time.Second, most+2*time.Second)
	if missing := p.Duration.Seconds() - p.Packets["video"]/15; missing > 2 {
		t.Errorf("%.1f s of pictures are missing", missing)
	}
	if d := frameAt(t, film, p.Duration-500*time.Millisecond, 320, 240).deviation(0, 0, 320, 240); d < 10 {
		t.Errorf("no picture after the crash: deviation %.1f", d)
	}
}

// A server that dies leaves a file that the next one finishes.
func TestComposedServerDies(t *testing.T) {
	s := startServer(t)
	id, _ := startFilm(t, s)
	s.kill9()
	next := startServerIn(t, s.home)
	ready := next.recordingIs(id, "ready")
	film := next.fetch(id, id+".mp4")
	p := probe(t, film)
	plays(t, film)
	if p.Duration < time.Second || ready.Duration == 0 || ready.Size == 0 {
		t.Errorf("recovered %+v, file of %v", ready, p.Duration)
	}
}

// children are the processes that a process has started.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, _ := os.ReadFile(f) // a thread may have ended meanwhile
		for _, field := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, n)
		}
	}
	return pids
}
