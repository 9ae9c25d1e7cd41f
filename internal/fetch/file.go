package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Target finds where a file URI leads: the root it lies below, the deepest one
// if several fit, and the slash path from there. Nothing is opened; symbolic
// links are for os.Root to judge.
func (p *Policy) Target(uri string) (root, name string, err error) {
	if len(uri) > MaxURI || strings.ContainsRune(uri, 0) {
		return "", "", fmt.Errorf("file URI of %d bytes: %w", len(uri), ErrRefused)
	}
	u, err := url.Parse(uri)
	if err != nil { // url.Error repeats the text
		return "", "", fmt.Errorf("file URI cannot be read: %w", ErrRefused)
	}
	if u.Scheme != "file" {
		return "", "", fmt.Errorf("%s: %w", clip(u.Scheme), ErrScheme)
	}
	if u.Host != "" && u.Host != "localhost" || u.User != nil {
		return "", "", fmt.Errorf("file URI names another host: %w", ErrRefused)
	}
	if strings.ContainsRune(u.Path, 0) {
		return "", "", fmt.Errorf("file URI with a zero byte: %w", ErrRefused)
	}
	path := filepath.Clean(filepath.FromSlash(u.Path))
	if !filepath.IsAbs(path) || strings.HasSuffix(u.Path, "/") {
		return "", "", fmt.Errorf("file URI is not the path of a file: %w", ErrRefused)
	}
	for _, r := range p.FileRoots {
		abs, err := filepath.Abs(r)
		if err != nil {
			continue
		}
		rel, err := filepath.Rel(abs, path)
		if err != nil || !filepath.IsLocal(rel) || rel == "." {
			continue
		}
		if len(abs) > len(root) {
			root, name = abs, filepath.ToSlash(rel)
		}
	}
	if root == "" {
		return "", "", fmt.Errorf("file is outside the folders that may be used (file roots): %w", ErrRefused)
	}
	return root, name, nil
}

// File opens a file URI for reading; only regular files. A missing file is
// fs.ErrNotExist; what leads out of its root is ErrRefused.
func (p *Policy) File(uri string) (*os.File, error) {
	folder, name, err := p.Target(uri)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, plain("open file root", err)
	}
	defer root.Close()
	// Not blocking, or a named pipe would hold us here.
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, plain("open file", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("not a regular file: %w", ErrRefused)
	}
	if err != nil {
		f.Close()
		return nil, plain("open file", err)
	}
	return f, nil
}

// plain drops the path from a file error: it is the machine's business.
func plain(what string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		if _, sys := pe.Err.(syscall.Errno); !sys { // os.Root's "path escapes from parent"
			return fmt.Errorf("%s: %w: %w", what, pe.Err, ErrRefused)
		}
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", what, err)
}
