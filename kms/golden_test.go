package kms_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/kms/kmstest"
)

// TestGolden replays conversations recorded from the original server (testdata,
// ids as placeholders) over memory and over a WebSocket: each reply must be the
// same, member for member.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("conversations in testdata: %v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name+"/memory", func(t *testing.T) {
			s := newServer(t, nil)
			kmstest.Replay(t, file, s.Pipe)
		})
		t.Run(name+"/websocket", func(t *testing.T) {
			url := overSocket(t, newServer(t, nil))
			kmstest.Replay(t, file, func() jsonrpc.Conn { return dialRaw(t, url, nil) })
		})
	}
}
