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
