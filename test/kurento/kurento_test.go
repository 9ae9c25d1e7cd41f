// Package kurento_test plays conversations recorded from the original media
// server against a whole media node, with every type of this build.
package kurento_test

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/medianode"
	"github.com/govidu/govidu/kms/kmstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newNode(t *testing.T) *medianode.Node { n, _ := newNodeAt(t); return n }

// newNodeAt also gives the folder that files may be written to.
func newNodeAt(t *testing.T) (*medianode.Node, string) {
	t.Helper()
	files := t.TempDir()
	n, err := medianode.New(medianode.Config{
		Loopback: true, FileRoots: []string{files, "/media"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n, files
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("conversations: %v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name+"/memory", func(t *testing.T) {
			n := newNode(t)
			kmstest.Replay(t, file, n.Server.Pipe)
		})
		t.Run(name+"/websocket", func(t *testing.T) {
			h := httptest.NewServer(newNode(t).Server)
			t.Cleanup(h.Close)
			url := "ws" + strings.TrimPrefix(h.URL, "http") + "/kurento"
			kmstest.Replay(t, file, func() jsonrpc.Conn { return kmstest.Dial(t, url, nil) })
		})
	}
}
