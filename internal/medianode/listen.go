package medianode

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/govidu/govidu/internal/config"
	"github.com/govidu/govidu/internal/serve"
)

// ControlPort is one bound control port: the Name kms is ws, kmsTls is wss.
type ControlPort struct {
	*serve.Server
	Name, scheme string
}

// Listen binds the control ports: plain, unless it is switched off, and TLS when
// there is a certificate. Without either there are none.
func Listen(cfg config.Kurento, handler http.Handler, log *slog.Logger) (out []ControlPort, err error) {
	defer func() {
		if err != nil {
			for _, l := range out {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	if cfg.KMSListen != "none" {
		s, err := serve.New(serve.Options{Addr: cfg.KMSListen, Handler: handler, Log: log})
		if err != nil {
			return out, err
		}
		out = append(out, ControlPort{s, "kms", "ws"})
	}
	if cfg.KMSCertificate != "" {
		key := cfg.KMSKey
		if key == "" {
			key = cfg.KMSCertificate
		}
		tls, err := serve.FromFiles(cfg.KMSCertificate, key)
		if err != nil {
			return out, err
		}
		if cfg.KMSClientCA != "" {
			if err := serve.AskClients(tls, cfg.KMSClientCA, cfg.KMSToken.Len() == 0); err != nil {
				return out, err
			}
		}
		s, err := serve.New(serve.Options{Addr: cfg.KMSTLSListen, TLS: tls, Handler: handler, Log: log})
		if err != nil {
			return out, err
		}
		out = append(out, ControlPort{s, "kmsTls", "wss"})
	}
	return out, nil
}

// URL is where clients connect.
func (p ControlPort) URL(path string) string {
	return p.scheme + "://" + p.Addr().String() + "/" + path
}
