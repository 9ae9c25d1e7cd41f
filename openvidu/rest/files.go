package rest

import (
	"errors"
	"mime"
	"net/http"
	"path"
	"time"

	"github.com/govidu/govidu/openvidu/recording"
)

// contentTypes of what recordings hold; the rest is sent as bytes.
var contentTypes = map[string]string{
	".mp4": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska",
	".zip": "application/zip", ".jpg": "image/jpeg", ".json": "application/json",
}

// writeIdle is how long a download may stand still: a recording may take hours to
// fetch, so only progress is asked for (robustness §2).
const writeIdle = 60 * time.Second

// serveFile serves one regular, visible file of a recording with ranges (§8).
// Whatever is wrong with the name is 404, so that nothing tells what lies beside.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request) {
	if h.opts.Recordings == nil {
		writeError(w, r, empty(http.StatusNotFound))
		return
	}
	release, ok := h.download(r)
	if !ok {
		writeError(w, r, &Error{Status: http.StatusTooManyRequests, Text: "too many downloads at once", RetryAfter: time.Second})
		return
	}
	defer release()
	name := r.PathValue("file")
	if link := h.opts.Recordings.Link(r.Context(), r.PathValue("recordingId"), name); link != "" {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, link, http.StatusFound)
		return
	}
	f, info, err := h.opts.Recordings.Open(r.PathValue("recordingId"), name)
	if errors.Is(err, recording.ErrUnavailable) {
		writeError(w, r, &Error{Status: http.StatusServiceUnavailable, Text: recording.ErrUnavailable.Error(), RetryAfter: recording.RetryAfter})
		return
	}
	if err != nil {
		writeError(w, r, empty(http.StatusNotFound))
		return
	}
	defer f.Close()
	contentType, disposition := contentTypes[path.Ext(name)], "inline"
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	if contentType == "application/zip" || contentType == "application/octet-stream" {
		disposition = "attachment"
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": name}))
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	http.ServeContent(idleWriter{w, http.NewResponseController(w)}, r, name, info.ModTime(), f)
}

// idleWriter moves the connection's write deadline forward with each write.
type idleWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w idleWriter) Write(b []byte) (int, error) {
	// A writer without deadlines (a test recorder) has none to move.
	_ = w.control.SetWriteDeadline(time.Now().Add(writeIdle))
	return w.ResponseWriter.Write(b)
}

// download takes one of the caller's download slots.
func (h *Handler) download(r *http.Request) (release func(), ok bool) {
	addr := h.clientAddr(r)
	h.downloadMu.Lock()
	defer h.downloadMu.Unlock()
	if h.downloads[addr] >= maxDownloads {
		return nil, false
	}
	h.downloads[addr]++
	return func() {
		h.downloadMu.Lock()
		defer h.downloadMu.Unlock()
		if h.downloads[addr]--; h.downloads[addr] == 0 {
			delete(h.downloads, addr)
		}
	}, true
}
