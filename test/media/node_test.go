package media

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/govidu/govidu/internal/medianode"
	"github.com/govidu/govidu/internal/workers"
)

// worker is the binary under test.
func worker(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/mediaworker")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make worker", err)
	}
	return path
}

// node is a media node in this process; its workers are children of it.
type node struct {
	*medianode.Node
	url   string // of /kurento
	jobs  string // URL of the kinds of the running jobs, as JSON
	files string // the folder that file URIs may name
}

func startNode(t testing.TB) *node { t.Helper(); return startNodeIn(t, t.TempDir()) }

func startNodeIn(t testing.TB, files string) *node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	n, err := medianode.New(medianode.Config{
		Loopback: true, FileRoots: []string{files}, Log: log, STUNPort: -1,
		Workers: workers.Config{Binary: worker(t), Cores: 16}, // a small machine is slow here, but refuses nothing
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", n.Server)
	mux.HandleFunc("/jobs", func(w http.ResponseWriter, _ *http.Request) {
		kinds := []string{}
		for _, j := range n.Workers.Jobs() {
			kinds = append(kinds, j.Kind)
		}
		_ = json.NewEncoder(w).Encode(kinds)
	})
	h := httptest.NewServer(mux)
	t.Cleanup(func() {
		h.Close()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return &node{n, "ws" + strings.TrimPrefix(h.URL, "http") + "/kurento", h.URL + "/jobs", files}
}

// install puts the clients into node_modules of js and js/six, once.
var install = sync.OnceValues(func() (string, error) {
	for _, dir := range []string{"js", "js/six"} {
		cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	return "", nil
})

// script runs a program of js; it passes when its last line is "done".
func script(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := install(); err != nil {
		t.Fatalf("install the clients: %v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{name}, args...)...)
	cmd.Dir = "js"
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := ""
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		last = lines.Text()
		t.Log(last)
	}
	if err := cmd.Wait(); err != nil || last != "done" {
		t.Fatalf("%s ended with %v before it was done", name, err)
	}
}

// TestTranscoding: Chromium on both sides of codecs that do not fit.
func TestTranscoding(t *testing.T) {
	n := startNode(t)
	script(t, "transcode.mjs", n.url, n.jobs)
}
