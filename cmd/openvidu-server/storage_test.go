package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/config"
)

// A server starts though its bucket is down, and closes it after the recordings.
func TestStorageStartsWithoutItsBucket(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	// A recording of an earlier process, which is in the bucket only.
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "room"), 0o750); err != nil {
		t.Fatal(err)
	}
	meta := `{"id":"room","object":"recording","name":"room","outputMode":"COMPOSED","sessionId":"room","status":"ready","url":"https://h/room.mp4","schema":1,"stored":true}`
	if err := os.WriteFile(filepath.Join(dir, "room", ".recording.room"), []byte(meta), 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, "--recording-path="+dir, "--recording-storage=s3", "--s3-bucket=rec/site", "--s3-endpoint=http://"+nobody, "--s3-access-key=a", "--s3-secret-key=hunter2")
	names := r.s.down.Names()
	if i := slices.Index(names, "recordings"); i < 0 || names[i+1] != "storage" {
		t.Errorf("closing order is %v", names)
	}
	if status, body := r.call("GET", "/metrics", ""); status != 200 || !strings.Contains(body, "govidu_storage_up 1") {
		t.Errorf("metrics: %d", status)
	}
	for path, want := range map[string]int{"/openvidu/api/recordings/room": 200, "/openvidu/recordings/room/room.mp4": 503} {
		if status, body := r.call("GET", path, ""); status != want {
			t.Errorf("GET %s: %d %.200s, want %d", path, status, body, want)
		}
	}
	r.signal()
	r.end()
	if strings.Contains(r.log.String(), "hunter2") {
		t.Error("the log shows the secret")
	}
}

// Settings that can never work end the start with a sentence.
func TestStorageThatCannotWork(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	nowhere := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", nowhere)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", nowhere)
	for url, want := range map[string]string{
		"s3://rec":              "region",
		"s3://rec?nothing=1":    "nothing",
		"ftp://rec":             "must begin with",
		"azblob://rec?nothing=": "", // an error of either build
	} {
		dir := t.TempDir()
		cfg, err := config.Load(config.Input{
			Args: []string{"--dev", "--https-port=0", "--cpu-limit=0", "--kms-listen=127.0.0.1:0", "--media-port=0", "--stun-port=0", "--recording-path=" + filepath.Join(dir, "recordings"),
				"--state-dir=" + filepath.Join(dir, "state"), "--dotenv-path=" + dir, "--recording-storage-url=" + url},
			Out: io.Discard, Home: dir,
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := newServer(context.Background(), cfg, "v0", slog.New(slog.DiscardHandler))
		if err == nil {
			_ = s.down.CloseWithin(context.Background(), hardEnd)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", url, err, want)
		}
	}
}
