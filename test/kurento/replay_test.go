package kurento_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/medianode"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/kms/replay"
)

// media makes the folder that stands for file:///media/: twelve seconds of
// picture and tone, as the recording's source was.
func media(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=15:duration=12",
		"-f", "lavfi", "-i", "sine=frequency=440:duration=12", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "30",
		"-b:v", "300k", "-c:a", "libopus", filepath.Join(dir, "src.webm")).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return dir
}

// player plays on a media node of its own, over WebSockets.
func player(t *testing.T, dir string) *replay.Player {
	t.Helper()
	worker, err := filepath.Abs("../../bin/mediaworker")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(worker); err != nil {
		t.Fatalf("%v: run make worker", err)
	}
	node, err := medianode.New(medianode.Config{
		Loopback: true, FileRoots: []string{dir}, STUNPort: -1, Log: slog.New(slog.DiscardHandler), Workers: workers.Config{Binary: worker, Cores: 16},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(node.Server)
	t.Cleanup(func() {
		h.Close()
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	url := "ws" + strings.TrimPrefix(h.URL, "http") + "/kurento"
	return replay.NewPlayer(replay.Options{MediaDir: dir, Dial: func(ctx context.Context) (jsonrpc.Conn, error) {
		ws, _, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
		if err != nil {
			return nil, err
		}
		return jsonrpc.NewSocket(ws, jsonrpc.SocketOptions{MaxMessage: 64 << 20, QueueBytes: 64 << 20}), nil
	}})
}

// TestTranscripts plays every recorded conversation: what differs must be in the
// reviewed list.
func TestTranscripts(t *testing.T) {
	dir := media(t)
	all, err := replay.LoadAll("../../kms/replay/testdata")
	if err != nil || len(all) != 13 {
		t.Fatalf("%d transcripts: %v", len(all), err)
	}
	for i := 0; i < len(all); i++ {
		group := all[i : i+1]
		if all[i].Name == "09-sessions" { // 09b goes on with its objects
			group = all[i : i+2]
			i++
		}
		t.Run(group[0].Name, func(t *testing.T) {
			t.Parallel()
			p := player(t, dir)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			for _, x := range group {
				found, err := p.Play(ctx, x)
				if err != nil {
					t.Error(err)
				}
				open, used := replay.Sort(found, replay.Reviewed)
				for _, d := range open {
					t.Error(d)
				}
				for i, n := range used {
					if n > 0 {
						t.Logf("%d times: %s", n, replay.Reviewed[i].Reason)
					}
				}
			}
		})
	}
}
