package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/govidu/govidu/internal/proof"
)

// oldFolder is a recordings folder as OpenVidu leaves it (§8), with what people
// put beside.
var oldFolder = map[string]string{
	"composed/.recording.composed": `{"id":"composed","object":"recording","name":"talk","outputMode":"COMPOSED","resolution":"1280x720","frameRate":25,"recordingLayout":"BEST_FIT","sessionId":"composed","createdAt":1600000000000,"size":12,"duration":12.92,"url":"https://host/openvidu/recordings/composed/talk.mp4","hasAudio":true,"hasVideo":true,"status":"ready","uniqueSessionId":"composed_1600000000000"}`,
	"composed/talk.mp4":            "0123456789ab",
	"composed/composed.jpg":        "jpg",
	"composed/notes.txt":           "who said what",
	"composed/cuts/first.mp4":      "cut",

	"single~1/.recording.single~1": `{"id":"single~1","object":"recording","name":"single~1","outputMode":"INDIVIDUAL","sessionId":"single","createdAt":1600000000001,"size":3,"duration":1.5,"url":null,"hasAudio":true,"hasVideo":true,"status":"ready","uniqueSessionId":"x"}`,
	"single~1/single~1.zip":        "zip",

	// One that was recorded when that server died: its files stay as they are.
	"died/.recording.died":       `{"id":"died","object":"recording","name":"died","outputMode":"INDIVIDUAL","sessionId":"died","createdAt":1600000000002,"size":0,"duration":0,"url":null,"hasAudio":true,"hasVideo":true,"status":"started","uniqueSessionId":"y"}`,
	"died/str_CAM_a.webm":        "half",
	"died/.stream.str_CAM_a":     `{"name":"str_CAM_a.webm"}`,
	"died/died.info":             "{",
	"died/str_CAM_b.webm.part":   "other people have parts too",
	"died/.odd.tmp":              "and temporary files",
	"early/.recording.early":     `{"createdAt":1500000000000,"id":"early","name":"early","hasAudio":true,"hasVideo":true,"sessionId":"early","size":9,"duration":4.2,"url":"https://host:8443/recordings/early.mp4","status":"available","recordingLayout":"BEST_FIT"}`,
	"early/early.mp4":            "mp4",
	"torn/.recording.torn":       `{"id"`,
	"torn/torn.mp4":              "mp4",
	"photos/cat.jpg":             "cat",
	"photos/2024/.recording.cat": "not even JSON",
	".recording.flat":            `{"id":"flat","status":"available"}`,
	"flat.mp4":                   "mp4",
}

// What another server recorded is listed and served, and not one byte, name or
// time of its folder changes.
func TestOldFolderStaysAsItIs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range oldFolder {
		at := filepath.Join(dir, filepath.FromSlash(name))
		must(os.MkdirAll(filepath.Dir(at), 0o750))
		must(os.WriteFile(at, []byte(text), 0o640))
	}
	before := listing(t, dir)
	h := newHouse(t, func(o *Options) { o.Dir = dir })
	if got, want := h.Recover(t.Context()), (Recovery{Foreign: 4}); got != want {
		t.Errorf("recovery %+v, want %+v", got, want)
	}
	list, err := h.List()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID+" "+string(r.Status))
	}
	if got, want := fmt.Sprint(ids), "[early ready composed ready single~1 ready died started]"; got != want {
		t.Errorf("listed %s, want %s", got, want)
	}
	for _, r := range list {
		if err := h.Delete(r.ID); !errors.Is(err, ErrReadOnly) {
			t.Errorf("delete of %s: %v", r.ID, err)
		}
		if _, err := proof.Verify(context.Background(), os.DirFS(filepath.Join(dir, r.ID)), nil); !errors.Is(err, proof.ErrNoProof) {
			t.Errorf("verification of %s: %v", r.ID, err)
		}
	}
	for _, file := range []string{"composed/talk.mp4", "composed/composed.jpg", "composed/notes.txt", "single~1/single~1.zip", "died/str_CAM_a.webm", "early/early.mp4"} {
		id, name := filepath.Split(file)
		f, info, err := h.Open(filepath.Clean(id), name)
		if err != nil {
			t.Errorf("open %s: %v", file, err)
			continue
		}
		// As a range request does.
		if _, err := f.Seek(1, io.SeekStart); err != nil || info.Size() != int64(len(oldFolder[file])) {
			t.Errorf("%s: %v, %d bytes", file, err, info.Size())
		}
		if b, err := io.ReadAll(f); err != nil || string(b) != oldFolder[file][1:] {
			t.Errorf("%s from byte 1: %q, %v", file, b, err)
		}
		f.Close()
	}
	for _, hidden := range []string{"composed/.recording.composed", "died/.stream.str_CAM_a"} {
		id, name := filepath.Split(hidden)
		if _, _, err := h.Open(filepath.Clean(id), name); !errors.Is(err, ErrNotFound) {
			t.Errorf("open %s: %v", hidden, err)
		}
	}
	h.checkAll()
	must(h.Close())
	if after := listing(t, dir); after != before {
		t.Errorf("the folder was\n%s\nand is\n%s", before, after)
	}
}

// Broken metadata that bears a mark of ours is put aside, as ever.
func TestBrokenMetadataOfOurs(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"schema":  {".recording.x": `{"id":"x","schema":1`},
		"sidecar": {".recording.x": `{"id"`, ".a.webm.manifest.json": "{}"},
		"log":     {".recording.x": `{"id"`, proof.LogFile: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			must(os.Mkdir(filepath.Join(h.dir, "x"), 0o750))
			for name, text := range files {
				must(os.WriteFile(filepath.Join(h.dir, "x", name), []byte(text), 0o640))
			}
			if r := h.Recover(t.Context()); r.Quarantined != 1 {
				t.Errorf("recovery %+v", r)
			}
		})
	}
}

// listing is a folder's names, sizes, times and content.
func listing(t *testing.T, dir string) (out string) {
	t.Helper()
	must(filepath.WalkDir(dir, func(at string, e fs.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var b []byte
		if info.Mode().IsRegular() {
			if b, err = os.ReadFile(at); err != nil {
				return err
			}
		}
		out += fmt.Sprintf("%s %v %v %q\n", at, info.Mode(), info.ModTime(), b)
		return nil
	}))
	return out
}
