package rest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/secret"
)

// TestLayoutFiles: custom layouts are served to who has the server's secret, or the
// password of pages, which opens nothing else.
func TestLayoutFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"wall/index.html": "<p>", "wall/a.js": "x()", "wall/.secret": "no", ".git/config": "no", "wall/b.mjs": "y()", "wall/c.css": "p{}",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(outside, []byte("no"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "wall/link")); err != nil {
		t.Fatal(err)
	}
	d := newDoor(t, func(o *Options) { o.LayoutsDir, o.LayoutsPassword = dir, secret.New("pages-only") })
	pages := "Basic T1BFTlZJRFVBUFA6cGFnZXMtb25seQ==" // OPENVIDUAPP:pages-only
	for _, c := range []struct {
		path, authorization string
		status              int
		contentType, body   string
	}{
		{"/openvidu/layouts/wall/index.html?sessionId=s&secret=x", pages, 200, "text/html", "<p>"},
		{"/openvidu/layouts/wall/", pages, 403, "", ""},
		{"/layouts/custom/wall/a.js", pages, 200, "text/javascript", "x()"},
		{"/openvidu/layouts/wall/b.mjs", pages, 200, "text/javascript", "y()"},
		{"/openvidu/layouts/wall/c.css", pages, 200, "text/css", "p{}"},
		{"/openvidu/layouts/wall/c.css", "Basic T1BFTlZJRFVBUFA6d3Jvbmc=", 401, "", ""},
		{"/openvidu/layouts/wall/index.html", "-", 401, "", ""},
		{"/openvidu/layouts/wall/.secret", pages, 404, "", ""},
		{"/openvidu/layouts/.git/config", pages, 404, "", ""},
		{"/openvidu/layouts/wall/link", pages, 404, "", ""},
		{"/openvidu/layouts/wall", pages, 404, "", ""},
		{"/openvidu/layouts/absent/index.html", pages, 404, "", ""},
		{"/openvidu/layouts/../api/sessions", pages, 403, "", ""},
		{"/openvidu/api/sessions", pages, 401, "", ""},
		{"/openvidu/recordings/a/a.mp4", pages, 401, "", ""},
	} {
		header := c.authorization
		if header == "-" {
			header = ""
		}
		w := d.call("GET", c.path, "", "Authorization", header)
		if w.Code != c.status || !strings.HasPrefix(w.Header().Get("Content-Type"), c.contentType) || c.body != "" && w.Body.String() != c.body {
			t.Errorf("GET %s: %d %s %q, want %d %s %q", c.path, w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.contentType, c.body)
		}
	}
	if w := d.call("GET", "/openvidu/layouts/wall/a.js", ""); w.Code != 200 {
		t.Errorf("with the server's secret: %d", w.Code)
	}
	if w := newDoor(t, nil).call("GET", "/openvidu/layouts/wall/a.js", ""); w.Code != 404 {
		t.Errorf("without a folder: %d", w.Code)
	}
}
