// Package kurento_test drives a whole media node, with every type of this build,
// as Kurento clients do: with the conversations recorded from the original media
// server (kms/replay), and with the unmodified npm clients of both lines.
package kurento_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/medianode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
