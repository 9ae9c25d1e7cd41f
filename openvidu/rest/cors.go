package rest

import (
	"net/http"
	"slices"
	"strings"
)

// cors writes the CORS headers and reports whether the request's Origin may go
// on. Any origin may, without credentials mode, because the API knows no cookies;
// with AllowedOrigins set, only these (amendments 1). A request without Origin is
// no browser's cross-site call and passes.
func (h *Handler) cors(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	allow := w.Header()
	if len(h.opts.AllowedOrigins) == 0 {
		allow.Set("Access-Control-Allow-Origin", "*")
	} else {
		allow.Add("Vary", "Origin")
		if origin == "" {
			return true
		}
		if !slices.ContainsFunc(h.opts.AllowedOrigins, func(o string) bool { return strings.EqualFold(strings.TrimSuffix(o, "/"), origin) }) {
			return false
		}
		allow.Set("Access-Control-Allow-Origin", origin)
	}
	allow.Set("Access-Control-Expose-Headers", "Content-Disposition, Content-Length, Content-Range, Retry-After, X-Request-Id")
	return true
}

// preflight answers OPTIONS, which needs no credentials.
func preflight(w http.ResponseWriter, r *http.Request) {
	allow := w.Header()
	allow.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	// "*" would not cover Authorization, so the wish itself comes back.
	headers := "Authorization, Content-Type"
	if want := r.Header.Get("Access-Control-Request-Headers"); want != "" && len(want) <= 1024 && isHeaderList(want) {
		headers = want
	}
	allow.Set("Access-Control-Allow-Headers", headers)
	allow.Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusOK)
}

func isHeaderList(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		return !letter && (c < '0' || c > '9') && !strings.ContainsRune("-_, ", c)
	})
}
