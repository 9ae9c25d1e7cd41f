package uri

import (
	"testing"
)

func TestComplete(t *testing.T) {
	for in, want := range map[string]string{
		"file:///tmp/a.webm":      "file:///tmp/a.webm",
		"file:///tmp%2Fb%2fa.mp4": "file:///tmp/b/a.mp4",
		"a.webm":                  "file:///var/lib/kurento/a.webm",
		"/a/b.webm":               "file:///var/lib/kurento/a/b.webm",
		"https://host/a.webm":     "https://host/a.webm",
		"a?x=file://b":            "file:///var/lib/kurento/a?x=file://b",
	} {
		if got := complete(in, "file:///var/lib/kurento"); got != want {
			t.Errorf("complete(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFileTarget(t *testing.T) {
	roots := []string{"/var/rec", "/var/rec/deep", "/tmp"}
	for _, row := range []struct{ uri, root, name string }{
		{"file:///var/rec/a/b.webm", "/var/rec", "a/b.webm"},
		{"file:///var/rec/deep/b.webm", "/var/rec/deep", "b.webm"},
		{"file:///var/rec/deeper/b.webm", "/var/rec", "deeper/b.webm"},
		{"file://localhost/tmp/x%20y.mkv", "/tmp", "x y.mkv"},
		{"file:///var/rec/../etc/passwd", "", ""},
		{"file:///var/record/x.webm", "", ""},
		{"file:///var/rec", "", ""},
		{"file:///tmp/x/", "", ""},
		{"file://elsewhere/tmp/x", "", ""},
		{"https://host/tmp/x", "", ""},
		{"file:relative", "", ""},
		{"file:///tmp/%zz", "", ""},
	} {
		root, name, err := fileTarget(row.uri, roots)
		if (err == nil) != (row.root != "") || err == nil && (root != row.root || name != row.name) {
			t.Errorf("%s: %q %q %v, want %q %q", row.uri, root, name, err, row.root, row.name)
		}
	}
}
