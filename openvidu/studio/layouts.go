package studio

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/govidu/govidu/internal/layout"
)

// Files of a custom layout's folder, and how large they may be: what a node takes
// of an image is 2 MiB.
const (
	layoutFile = "layout.json"
	pageFile   = "index.html"
	maxLayout  = layout.MaxDocument
	maxImage   = 2 << 20
)

// Page is a custom layout that is a web page: below the layouts folder, or
// anywhere. It comes in an *Error of kind ErrPage, as its Err.
type Page struct {
	Folder string // below the layouts folder; "" is that folder itself
	URL    string // absolute, when not in a folder
}

// Error makes Page the cause of a refusal.
func (*Page) Error() string { return ErrPage.Error() }

// Resolve gives the layout of a recording's or broadcast's properties: one of the
// built-in names, or CUSTOM with a folder below the layouts folder that holds a
// layout.json. Images in that file are relative to its folder; in what Resolve
// gives they are relative to the layouts folder, as everywhere else. Errors are
// *Error of kind ErrLayout, or ErrPage for a web page.
func (s *Service) Resolve(name, custom string) (layout.Spec, error) {
	if name != layout.Custom {
		spec := layout.Spec{Layout: name}
		if err := spec.Validate(); err != nil {
			return layout.Spec{}, refuse(ErrLayout, "unknown layout")
		}
		return spec, nil
	}
	if u, err := url.Parse(custom); err == nil && u.IsAbs() {
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return layout.Spec{}, refuse(ErrLayout, "a customLayout that is a URL must be http or https")
		}
		return layout.Spec{}, pageLayout(Page{URL: custom})
	}
	folder := strings.Trim(custom, "/")
	if folder == "" {
		folder = "."
	}
	if !fs.ValidPath(folder) || hidden(folder) {
		return layout.Spec{}, refuse(ErrLayout, "customLayout is no name of a folder")
	}
	b, err := s.readFile(path.Join(folder, layoutFile), maxLayout)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if s.exists(path.Join(folder, pageFile)) {
			return layout.Spec{}, pageLayout(Page{Folder: strings.TrimPrefix(folder, ".")})
		}
		return layout.Spec{}, refuse(ErrLayout, "customLayout has neither "+layoutFile+" nor "+pageFile)
	case err != nil:
		return layout.Spec{}, &Error{Kind: ErrLayout, Text: layoutFile + " of the customLayout cannot be read", Err: err}
	}
	spec, err := layout.Parse(b)
	if err != nil {
		return layout.Spec{}, &Error{Kind: ErrLayout, Text: layoutFile + " of the customLayout: " + err.Error(), Err: err}
	}
	return eachImage(spec, func(image string) (string, error) {
		if isURL(image) {
			return image, nil
		}
		return path.Join(folder, image), nil
	})
}

func pageLayout(p Page) *Error {
	return &Error{Kind: ErrPage, Text: "the customLayout is a web page: those need Chromium, which is not available on this server; use a layout.json", Err: &p}
}

// inline checks a layout and puts the images of the layouts folder into it, since
// the media node may not see that folder.
func (s *Service) inline(spec layout.Spec) (layout.Spec, error) {
	if err := spec.Validate(); err != nil {
		return spec, &Error{Kind: ErrLayout, Text: err.Error(), Err: err}
	}
	return eachImage(spec, func(image string) (string, error) {
		if isURL(image) {
			return image, nil
		}
		if !fs.ValidPath(image) || hidden(image) {
			return "", refuse(ErrLayout, "image of the layout is no name of a file below the layouts folder")
		}
		b, err := s.readFile(image, maxImage)
		if err != nil {
			return "", &Error{Kind: ErrLayout, Text: "image of the layout cannot be read from the layouts folder, or is larger than 2 MiB", Err: err}
		}
		kind := http.DetectContentType(b)
		if kind != "image/png" && kind != "image/jpeg" {
			return "", refuse(ErrLayout, "image of the layout is neither PNG nor JPEG")
		}
		return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(b), nil
	})
}

// eachImage gives a copy of spec with every image replaced.
func eachImage(spec layout.Spec, f func(string) (string, error)) (_ layout.Spec, err error) {
	if b := spec.Background; b != nil && b.Image != "" {
		c := *b
		if c.Image, err = f(b.Image); err != nil {
			return spec, err
		}
		spec.Background = &c
	}
	if l := spec.Logo; l != nil && l.Image != "" {
		c := *l
		if c.Image, err = f(l.Image); err != nil {
			return spec, err
		}
		spec.Logo = &c
	}
	return spec, nil
}

func isURL(image string) bool {
	for _, scheme := range []string{"data:", "http:", "https:"} {
		if len(image) >= len(scheme) && strings.EqualFold(image[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// hidden says that a path leads through a hidden name.
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != "." {
			return true
		}
	}
	return false
}

// readFile reads a file below the layouts folder, never one outside of it.
func (s *Service) readFile(name string, most int64) ([]byte, error) {
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("larger than %d bytes", most)
	}
	return b, err
}

func (s *Service) exists(name string) bool {
	f, err := s.open(name)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

func (s *Service) open(name string) (*os.File, error) {
	if s.opts.LayoutsDir == "" {
		return nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(s.opts.LayoutsDir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, fs.ErrNotExist
	}
	return root.Open(name)
}
