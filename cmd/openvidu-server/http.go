package main

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"path"
	"strings"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/internal/serve"
)

// certificate gives the TLS of the HTTPS port, nil for plain HTTP.
func (s *server) certificate() (*tls.Config, error) {
	switch {
	case s.cfg.ForcePlainHTTP:
		return nil, nil
	case s.cfg.CertificateType == "owncert":
		return serve.FromFiles(s.cfg.CertificateFile, s.cfg.CertificateKey)
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if h := s.cfg.PublicHost(); h != "localhost" {
		hosts = append(hosts, h)
	}
	return serve.SelfSigned(s.cfg.StateDir, hosts)
}

// gate stands before every handler: a stopping or overloaded server makes no new
// sessions, tokens of the page, recordings or broadcasts.
func (s *server) gate(next http.Handler) http.Handler {
	strict := s.cfg.CertificateType == "owncert" && !s.cfg.ForcePlainHTTP
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strict {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		why, retry := s.load.Busy(), "5"
		if s.draining.Load() {
			why, retry = "server is stopping", "1"
		}
		if why != "" && startsSomething(r) {
			if !s.draining.Load() {
				s.refused("request")
			}
			w.Header().Set("Retry-After", retry)
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// startsSomething says whether a request would make a session, a recording or a broadcast.
func startsSomething(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	p := path.Clean(r.URL.Path)
	if rest, ok := strings.CutPrefix(p, "/openvidu"); ok {
		p = rest
	}
	switch p {
	case "/api/sessions", "/api/recordings/start", "/api/broadcast/start", "/demo/token", "/demo/recording/start":
		return true
	}
	return false
}

// registerProbes mounts what orchestrators and Prometheus ask for. Health is about
// the process, readiness about taking new work. Metrics are for callers on this
// machine and for holders of the secret.
func (s *server) registerProbes(mux *http.ServeMux) {
	answer := func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"status": text})
	}
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "UP") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.draining.Load():
			answer(w, http.StatusServiceUnavailable, "STOPPING")
		case !s.ready.Load():
			answer(w, http.StatusServiceUnavailable, "STARTING")
		default:
			answer(w, http.StatusOK, "UP")
		}
	})
	metrics, user := obs.MetricsHandler(s.metrics, s.log), secret.New("OPENVIDUAPP")
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		name, pass, _ := r.BasicAuth()
		nameOK, passOK := user.Equal(name), s.cfg.Secret.Equal(pass)
		if !serve.IsLocal(r) && (!nameOK || !passOK) {
			w.Header().Set("WWW-Authenticate", `Basic realm="metrics"`)
			http.Error(w, "credentials are missing or wrong", http.StatusUnauthorized)
			return
		}
		metrics.ServeHTTP(w, r)
	})
}
