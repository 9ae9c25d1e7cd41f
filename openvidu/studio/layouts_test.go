package studio

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/layout"
)

func TestName(t *testing.T) {
	for data, want := range map[string]string{
		"":                                  "con_A",
		`{"clientData":"Ann"}`:              "Ann",
		`{"clientData":{"nickname":"Ann"}}`: "Ann",
		`{"clientData":"{\"clientName\":\"Ann\"}"}`: "Ann",
		`{"name":"Ann","userName":"x"}`:             "Ann",
		`{"colour":"red"}`:                          "con_A",
		`[1]`:                                       "con_A",
		`"Ann"`:                                     "Ann",
		"  Ann\n\tB ":                               "Ann B",
		"{broken":                                   "{broken",
		strings.Repeat("ä", 60):                     strings.Repeat("ä", 39) + "…",
		"\x00\x1b[31m":                              "[31m",
		`{"clientData":` + strings.Repeat(`{"clientData":`, 50) + `"deep"` + strings.Repeat("}", 51): "con_A",
	} {
		if got := Name(data, "con_A"); got != want {
			t.Errorf("name of %q is %q, want %q", data, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	s := New(Options{LayoutsDir: filepath.Join(dir, "layouts")})
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"layouts/mine/layout.json":    `{"layout":"CUSTOM","background":{"image":"back.png"},"logo":{"image":"https://x/l.png","x":0,"y":0,"width":0.1},"tiles":[{"x":0,"y":0,"width":1,"height":1}]}`,
		"layouts/mine/back.png":       picture.String(),
		"layouts/page/index.html":     "<html>",
		"layouts/broken/layout.json":  `{"layot":"BEST_FIT"}`,
		"layouts/lost/layout.json":    `{"background":{"image":"gone.png"}}`,
		"layouts/text/layout.json":    `{"background":{"image":"layout.json"}}`,
		"layouts/out/layout.json":     `{"background":{"image":"../../secret.png"}}`,
		"layouts/.hidden/layout.json": `{}`,
		"secret.png":                  picture.String(),
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret.png"), filepath.Join(dir, "layouts/mine/link.png")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, custom string
		want         error
	}{
		{"BEST_FIT", "", nil},
		{"PICTURE_IN_PICTURE", "ignored", nil},
		{"ROUND", "", ErrLayout},
		{"CUSTOM", "mine", nil},
		{"CUSTOM", "/mine/", nil},
		{"CUSTOM", "page", ErrPage},
		{"CUSTOM", "https://example.org/layout?x=1", ErrPage},
		{"CUSTOM", "ftp://example.org/layout", ErrLayout},
		{"CUSTOM", "file:///etc/passwd", ErrLayout},
		{"CUSTOM", "broken", ErrLayout},
		{"CUSTOM", "absent", ErrLayout},
		{"CUSTOM", "", ErrLayout},
		{"CUSTOM", "../layouts/mine", ErrLayout},
		{"CUSTOM", ".hidden", ErrLayout},
	} {
		if _, err := s.Resolve(c.name, c.custom); !errors.Is(err, c.want) {
			t.Errorf("%s %q: %v, want %v", c.name, c.custom, err, c.want)
		}
	}
	mine, err := s.Resolve("CUSTOM", "mine")
	if err != nil || mine.Background.Image != "mine/back.png" || mine.Logo.Image != "https://x/l.png" {
		t.Fatalf("custom layout is %+v, %v", mine, err)
	}
	full, err := s.inline(mine)
	if err != nil || !strings.HasPrefix(full.Background.Image, "data:image/png;base64,") || full.Logo.Image != mine.Logo.Image {
		t.Errorf("with its images: %v", err)
	}
	if mine.Background.Image != "mine/back.png" {
		t.Error("the layout given was changed")
	}
	for _, image := range []string{"absent.png", "mine/link.png", "mine/layout.json", "../secret.png", "/etc/passwd", "mine"} {
		if _, err := s.inline(layout.Spec{Background: &layout.Background{Image: image}}); !errors.Is(err, ErrLayout) || strings.Contains(err.Error(), dir) {
			t.Errorf("image %q: %v", image, err)
		}
	}
	for _, custom := range []string{"lost", "text", "out"} {
		spec, err := s.Resolve("CUSTOM", custom)
		if err == nil {
			_, err = s.inline(spec)
		}
		if !errors.Is(err, ErrLayout) {
			t.Errorf("%s: %v", custom, err)
		}
	}
}
