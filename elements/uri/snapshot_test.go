package uri_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/internal/workers/workerstest"
)

// photographer is a fake worker's job "still": its picture is the file's text,
// unless that says what goes wrong.
func photographer(w *workerstest.Worker, method string, params json.RawMessage, files []*os.File) (any, error) {
	var p wire.StillParams
	if err := json.Unmarshal(params, &p); err != nil || method != wire.MethodStill || len(files) != 1 {
		return nil, errors.New("no still")
	}
	text, err := io.ReadAll(files[0])
	switch {
	case err != nil:
		return nil, err
	case string(text) == "sound":
		return nil, kerr.New(kerr.UnsupportedMediaType, "The file has no pictures")
	case string(text) == "crash":
		w.Crash()
	case string(text) == "empty":
		return wire.StillResult{}, nil
	}
	return wire.StillResult{Image: text, Width: p.Width, Height: int(p.AtMs) + 100}, nil
}

type darkroom struct {
	*elementtest.World
	farm *workerstest.Farm
	dir  string
}

func newDarkroom(t *testing.T) *darkroom {
	t.Helper()
	d := &darkroom{dir: t.TempDir(), farm: workerstest.New(t, workerstest.Script{Call: photographer})}
	d.World = elementtest.New(t, uri.Types(uri.Deps{Fetch: &fetch.Policy{FileRoots: []string{d.dir}}, Workers: d.farm.Pool})...)
	return d
}

// put writes a file below the root and gives its URI.
func (d *darkroom) put(name, text string) string {
	file := filepath.Join(d.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.T.Fatal(err)
	}
	return "file://" + file
}

// files are the names in a folder below the root.
func (d *darkroom) files(dir string) (names []string) {
	list, err := os.ReadDir(filepath.Join(d.dir, dir))
	if err != nil {
		d.T.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

func TestSnapshot(t *testing.T) {
	d := newDarkroom(t)
	source := d.put("a.mp4", "first")
	s := d.Create("Snapshot", map[string]any{"uri": source, "target": "file://" + filepath.Join(d.dir, "deep", "er", "a.jpg")})
	defer d.Release(s)
	take := func(want string) {
		t.Helper()
		size := d.Call(s, "take", nil).(map[string]any)
		if size["width"] != int64(480) || size["height"] != int64(99) {
			t.Errorf("size %v", size)
		}
		if b, err := os.ReadFile(filepath.Join(d.dir, "deep", "er", "a.jpg")); err != nil || string(b) != want {
			t.Errorf("picture %q, %v; want %q", b, err, want)
		}
	}
	take("first")
	d.put("a.mp4", "second")
	take("second")
	d.put("a.mp4", "sound")
	_, err := d.Invoke(s, "take", nil)
	elementtest.Code(t, err, kerr.UnsupportedMediaType, "no pictures")
	if names := d.files("deep/er"); len(names) != 1 || names[0] != "a.jpg" {
		t.Errorf("files %v, want the picture alone", names)
	}
	elementtest.Eventually(t, "no job is left", func() bool { return len(d.farm.Pool.Jobs()) == 0 })
}

func TestSnapshotRefuses(t *testing.T) {
	d := newDarkroom(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(d.dir, "way")); err != nil {
		t.Fatal(err)
	}
	good, target := d.put("a.mp4", "x"), "file://"+filepath.Join(d.dir, "a.jpg")
	for name, c := range map[string]struct {
		params map[string]any
		code   kerr.Code
		text   string
	}{
		"remote file":        {map[string]any{"uri": "http://127.0.0.1/a.mp4", "target": target}, kerr.MediaObjectIllegalParam, "file URI"},
		"remote target":      {map[string]any{"uri": good, "target": "https://127.0.0.1/a.jpg"}, kerr.MediaObjectIllegalParam, "file URI"},
		"file elsewhere":     {map[string]any{"uri": "file:///etc/passwd", "target": target}, kerr.URIPathFileNotFound, "outside"},
		"target elsewhere":   {map[string]any{"uri": good, "target": "file://" + outside + "/a.jpg"}, kerr.URIPathFileNotFound, "outside"},
		"too wide":           {map[string]any{"uri": good, "target": target, "width": 5000}, kerr.MediaObjectIllegalParam, "5000"},
		"negative width":     {map[string]any{"uri": good, "target": target, "width": -1}, kerr.MediaObjectIllegalParam, "-1"},
		"text for a number":  {map[string]any{"uri": good, "target": target, "atMs": "soon"}, kerr.MarshallError, "atMs"},
		"climbs out of root": {map[string]any{"uri": "file://" + d.dir + "/../x.mp4", "target": target}, kerr.URIPathFileNotFound, "outside"},
	} {
		_, err := d.TryCreate("Snapshot", c.params)
		t.Run(name, func(t *testing.T) { elementtest.Code(t, err, c.code, c.text) })
	}
	for name, c := range map[string]struct {
		uri, target string
		code        kerr.Code
		text        string
	}{
		"missing file":     {"file://" + d.dir + "/none.mp4", target, kerr.URIPathFileNotFound, "no such file"},
		"folder":           {"file://" + d.dir, target, kerr.URIPathFileNotFound, ""},
		"crash":            {d.put("crash", "crash"), target, kerr.UnexpectedError, ""},
		"empty picture":    {d.put("empty", "empty"), target, kerr.UnexpectedError, "empty"},
		"target is folder": {good, "file://" + filepath.Join(d.dir, "way"), kerr.URIPathFileNotFound, ""},
		"link out of root": {good, "file://" + filepath.Join(d.dir, "way", "a.jpg"), kerr.URIPathFileNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := d.TryCreate("Snapshot", map[string]any{"uri": c.uri, "target": c.target})
			if err == nil {
				_, err = d.Invoke(o, "take", nil)
			}
			if name == "target is folder" && err == nil { // a link is replaced, its end is not
				if st, e := os.Lstat(filepath.Join(d.dir, "way")); e != nil || !st.Mode().IsRegular() {
					t.Errorf("%v, %v", st, e)
				}
				if e := errors.Join(os.Remove(filepath.Join(d.dir, "way")), os.Symlink(outside, filepath.Join(d.dir, "way"))); e != nil {
					t.Fatal(e)
				}
				return
			}
			elementtest.Code(t, err, c.code, c.text)
			if err != nil && strings.Contains(err.Error(), outside) {
				t.Errorf("%v names a path", err)
			}
		})
	}
	if list, err := os.ReadDir(outside); err != nil || len(list) != 0 {
		t.Errorf("outside lies %v, %v", list, err)
	}
	for _, f := range d.files(".") {
		if strings.HasSuffix(f, ".part") {
			t.Errorf("%s is left", f)
		}
	}
}

// A release ends a picture that is being taken; afterwards there is none.
func TestSnapshotRelease(t *testing.T) {
	block, began := make(chan struct{}), make(chan struct{}, 1)
	farm := workerstest.New(t, workerstest.Script{Call: func(*workerstest.Worker, string, json.RawMessage, []*os.File) (any, error) {
		began <- struct{}{}
		<-block
		return nil, errors.New("too late")
	}})
	dir := t.TempDir()
	w := elementtest.New(t, uri.Types(uri.Deps{Fetch: &fetch.Policy{FileRoots: []string{dir}}, Workers: farm.Pool})...)
	if err := os.WriteFile(filepath.Join(dir, "a.mp4"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := w.Create("Snapshot", map[string]any{"uri": "file://" + dir + "/a.mp4", "target": "file://" + dir + "/a.jpg"})
	done := make(chan error, 1)
	go func() { _, err := w.Invoke(s, "take", nil); done <- err }()
	<-began
	go func() { // unlike a process, a fake that hangs cannot be killed
		farm.Worker(t, 0).Crash()
		close(block)
	}()
	elementtest.Within(t, "release", func() { w.Release(s) })
	if err := <-done; err == nil {
		t.Error("a released snapshot took a picture")
	}
	if _, err := s.(*uri.Snapshot).Take(t.Context(), elements.None{}); err == nil {
		t.Error("a released snapshot takes a picture")
	}
}

func TestSnapshotNeedsWorkers(t *testing.T) {
	w := elementtest.New(t, uri.Types(uri.Deps{})...)
	_, err := w.TryCreate("Snapshot", map[string]any{"uri": "file:///tmp/a", "target": "file:///tmp/b"})
	elementtest.Code(t, err, kerr.MediaObjectNotAvailable, "worker")
}
