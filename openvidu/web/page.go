package web

import (
	"embed"
	"io/fs"
	"net/http"
)

// dist holds what `make web` built; only .keep is in the repository.
//
//go:embed all:dist
var dist embed.FS

// policy is the page's content policy: nothing from elsewhere, nothing inline.
// blob: and mediastream: are how browsers name live media.
const policy = "default-src 'self'; media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; img-src 'self' data:; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// notBuilt is served when the binary was built without the page.
const notBuilt = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Govidu</title></head>
<body><h1>Govidu is running</h1>
<p>This binary was built without the call page. Run <code>make web build</code> and start it again.</p>
<p>The REST API is at <code>/openvidu/api</code>, signalling at <code>/openvidu</code>.</p></body></html>
`

// Built says whether the page was embedded.
func Built() bool { return built(dist) }

func built(files fs.FS) bool {
	_, err := fs.Stat(files, "dist/index.html")
	return err == nil
}

// registerPage mounts the page's files.
func registerPage(mux *http.ServeMux, files fs.FS) {
	if !built(files) {
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			secure(w)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(notBuilt))
		})
		return
	}
	root, err := fs.Sub(files, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path: cannot happen
	}
	server := http.FileServerFS(root)
	serve := func(cache string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			secure(w)
			w.Header().Set("Cache-Control", cache)
			server.ServeHTTP(w, r)
		}
	}
	mux.Handle("GET /{$}", serve("no-cache"))
	mux.Handle("GET /icon.svg", serve("max-age=86400"))
	// Names in assets carry a hash of their content. The folder itself is not listed.
	mux.Handle("GET /assets/{file}", serve("public, max-age=31536000, immutable"))
}

func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self)")
}
