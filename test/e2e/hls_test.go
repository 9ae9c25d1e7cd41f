package e2e

import (
	"context"
	"fmt"
	"io"
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"github.com/govidu/govidu/kms/client"
)

// viewing is what the page's hls.js shows and what it cost to get there.
type viewing struct {
	spectator
	AudioBytes, Behind float64
}

// watchHLS has a page play a stream with hls.js until it shows what shown wants.
func watchHLS(t testing.TB, url string, shown func(viewing) error) (*page, func() (viewing, error)) {
	t.Helper()
	p := openPage(t, "spectator")
	p.call("watchHLS", map[string]any{"url": url}, nil)
	look := func() (v viewing, err error) { return v, p.try("spectator", nil, &v) }
	eventually(t, broadcastDeadline, "hls.js shows the stream", func() error {
		v, err := look()
		if err != nil {
			return err
		}
		return shown(v)
	})
	return p, look
}

// goesOn waits until a player has played on for so long, with pictures and sound.
func goesOn(t testing.TB, what string, length time.Duration, rate float64, look func() (viewing, error)) (last viewing) {
	t.Helper()
	first, err := look()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, broadcastDeadline, what, func() error {
		if last, err = look(); err != nil {
			return err
		}
		played := last.CurrentTime - first.CurrentTime
		return want(played >= length.Seconds() && last.Frames-first.Frames >= 0.7*rate*length.Seconds() && last.AudioBytes > first.AudioBytes,
			"from %+v to %+v", first, last)
	})
	for _, e := range last.Errors {
		if strings.Contains(e, "fatal") {
			t.Errorf("%s: hls.js: %s", what, e)
		}
	}
	return last
}

// livePlaylist reads the media playlist beside an index, with a reader of another
// make, and holds it to what Safari demands.
func (s *server) livePlaylist(index string) (m playlist.Media, text string) {
	s.t.Helper()
	resp, err := s.client.Do(newRequest(s.t, strings.TrimSuffix(index, "index.m3u8")+"stream.m3u8"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("playlist: %d, %v", resp.StatusCode, err)
	}
	if err := m.Unmarshal(b); err != nil {
		s.t.Fatalf("playlist: %v\n%s", err, b)
	}
	for _, seg := range m.Segments {
		if int(math.Round(seg.Duration.Seconds())) > m.TargetDuration || seg.DateTime == nil {
			s.t.Errorf("a segment of %v, target %d, at %v", seg.Duration, m.TargetDuration, seg.DateTime)
		}
	}
	if !m.IndependentSegments {
		s.t.Error("segments are not said to be independent")
	}
	return m, string(b)
}

// TestHLSThroughFaults: a spectator sees a broadcast go on through the death of the
// media worker; what is kept plays after the death of the server.
func TestHLSThroughFaults(t *testing.T) {
	s := startServer(t)
	session, _, _, _ := onAir(t, s)
	var b aBroadcast
	s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "output": "HLS", "record": true}), &b)
	begun := time.Now()
	_, look := watchHLS(t, *b.URL, func(v viewing) error { return isPublished(v.Color) })
	first := time.Since(begun)
	v := goesOn(t, "hls.js plays on", 4*time.Second, 15, look)
	t.Logf("first picture %.1f s after the start, %.1f s behind the clock (hls.js says %.1f), errors %v", first.Seconds(), v.Behind, v.Latency, v.Errors)

	before, _ := s.livePlaylist(*b.URL)
	for _, pid := range children(t, s.proc.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	v = goesOn(t, "hls.js plays on after the worker's death", 12*time.Second, 15, look)
	t.Logf("after the worker's death %.1f s behind the clock, errors %v", v.Behind, v.Errors)
	if err := isPublished(v.Color); err != nil {
		t.Error(err)
	}
	after, text := s.livePlaylist(*b.URL)
	if after.MediaSequence < before.MediaSequence || after.TargetDuration < before.TargetDuration {
		t.Errorf("the playlist goes back from %d, %d to\n%s", before.MediaSequence, before.TargetDuration, text)
	}

	s.kill9()
	index := filepath.Join(s.recordings, *b.Folder, "index.m3u8")
	plays(t, index)
	p := probe(t, index)
	t.Logf("kept: %v, %v packets", p.Duration, p.Packets)
	if p.Codecs["video"] != "h264" || p.Codecs["audio"] != "aac" {
		t.Errorf("codecs %v", p.Codecs)
	}
	if least := time.Since(begun) - 12*time.Second; p.Duration < min(least, 14*time.Second) || p.Packets["video"] < 0.8*15*p.Duration.Seconds() || p.Packets["audio"] < 40*p.Duration.Seconds() {
		t.Errorf("kept %v, %v packets", p.Duration, p.Packets)
	}
}

// TestHLSOverKurento: HlsEndpoints made over the Kurento protocol, served beside it,
// play with low latency, and with sound or pictures alone.
func TestHLSOverKurento(t *testing.T) {
	s := startServer(t)
	file := filepath.Join(s.home, "film.mp4")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=0xd02030:s=320x240:r=25:d=120", "-f", "lavfi", "-i", "sine=440:d=120",
		"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-c:a", "aac", "-ar", "48000", file).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), broadcastDeadline)
	defer cancel()
	node, err := client.Dial(ctx, fmt.Sprintf("ws://127.0.0.1:%d/kurento", s.ports.KMS), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = node.Close() }()
	create := func(typ string, params map[string]any) client.ID {
		t.Helper()
		id, err := node.Create(ctx, typ, params)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	invoke := func(id client.ID, op string, params map[string]any, result any) {
		t.Helper()
		if err := node.Invoke(ctx, id, op, params, result); err != nil {
			t.Fatal(err)
		}
	}
	pipeline := create("MediaPipeline", nil)
	player := create("PlayerEndpoint", map[string]any{"mediaPipeline": pipeline, "uri": "file://" + file})
	hls := create("HlsEndpoint", map[string]any{"mediaPipeline": pipeline, "lowLatency": true})
	invoke(player, "connect", map[string]any{"sink": hls}, nil)
	invoke(player, "play", nil, nil)
	invoke(hls, "start", nil, nil)
	var path string
	invoke(hls, "getPath", nil, &path)
	url := fmt.Sprintf("http://127.0.0.1:%d%s", s.ports.KMS, path)
	_, look := watchHLS(t, url, func(v viewing) error { return isPublished(v.Color) })
	v := goesOn(t, "hls.js plays on", 6*time.Second, 25, look)
	t.Logf("%.1f s behind the clock (hls.js says %.1f), errors %v", v.Behind, v.Latency, v.Errors)
	if m, text := s.livePlaylist(url); m.PartInf == nil || m.PreloadHint == nil {
		t.Errorf("no parts:\n%s", text)
	}
	invoke(hls, "stop", nil, nil)
	if m, text := s.livePlaylist(url); !m.Endlist || m.PreloadHint != nil {
		t.Errorf("after stop:\n%s", text)
	}
	for kind, here := range map[string]func(a, b viewing) bool{
		"AUDIO": func(a, b viewing) bool { return b.AudioBytes > a.AudioBytes && b.Width == 0 },
		"VIDEO": func(a, b viewing) bool {
			return b.Frames >= a.Frames+40 && b.AudioBytes == 0 && isPublished(b.Color) == nil
		},
	} {
		one := create("HlsEndpoint", map[string]any{"mediaPipeline": pipeline, "segmentSeconds": 1})
		invoke(player, "connect", map[string]any{"sink": one, "mediaType": kind}, nil)
		invoke(one, "start", nil, nil)
		invoke(one, "getPath", nil, &path)
		_, look := watchHLS(t, fmt.Sprintf("http://127.0.0.1:%d%s", s.ports.KMS, path), func(v viewing) error {
			return want(v.CurrentTime > 0.5, "it does not play: %+v", v)
		})
		from, err := look()
		if err != nil {
			t.Fatal(err)
		}
		var to viewing
		eventually(t, broadcastDeadline, kind+" alone plays on", func() (err error) {
			if to, err = look(); err != nil {
				return err
			}
			return want(to.CurrentTime >= from.CurrentTime+3 && here(from, to), "from %+v to %+v", from, to)
		})
		t.Logf("%s alone: %.1f s behind the clock, errors %v", kind, to.Behind, to.Errors)
	}
	if err := node.Release(ctx, pipeline); err != nil {
		t.Error(err)
	}
}
