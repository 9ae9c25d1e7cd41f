package rest

import (
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strings"
)

// serveLayout serves a file of a custom layout (contract §8.1). Hidden names and
// what is no regular file are 404, and no link leads out of the layouts folder.
func (h *Handler) serveLayout(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	f, info, err := openLayout(h.opts.LayoutsDir, name)
	if err != nil {
		writeError(w, r, empty(http.StatusNotFound))
		return
	}
	defer f.Close()
	contentType := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // whatever the machine's table says
	case ".html":
		contentType = "text/html; charset=utf-8"
	case ".js", ".mjs":
		contentType = "text/javascript; charset=utf-8"
	case ".css":
		contentType = "text/css; charset=utf-8"
	}
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, name, info.ModTime(), f)
}

func openLayout(dir, name string) (*os.File, os.FileInfo, error) {
	if dir == "" || !fs.ValidPath(name) || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return nil, nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, nil, fs.ErrNotExist
	}
	f, err := root.Open(name)
	return f, info, err
}
