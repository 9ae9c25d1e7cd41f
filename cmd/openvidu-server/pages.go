package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/openvidu/webpage"
)

// startPages starts what shows custom layouts that are web pages. It needs no
// Chromium before somebody asks for one.
func (s *server) startPages() error {
	s.layouts = secret.New(rand.Text())
	policy := &fetch.Policy{AllowPrivate: !s.cfg.Media.DenyPrivateURLs}
	var err error
	s.pages, err = webpage.New(webpage.Options{
		Rooms: s.manager, Log: s.log, Chromium: s.cfg.Chromium,
		BaseURL:         cmp.Or(s.cfg.RecordingComposedURL, s.cfg.PublicURL(s.port())),
		LayoutsPassword: s.layouts, TrustedKey: s.trusted, Dial: policy.DialContext,
	})
	if err != nil {
		return fmt.Errorf("start web page layouts: %w", err)
	}
	s.down.Add("web pages", func(context.Context) error { return s.pages.Close() })
	return s.metrics.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "web_pages", Help: "Custom layouts that are web pages and are shown now, each by a Chromium.",
	}, func() float64 { return float64(s.pages.Count()) }))
}

// publicKey is the hash of our certificate's key, by which a browser of ours knows
// us whether or not an authority vouches for it; "" without TLS.
func publicKey(c *tls.Config) string {
	if c == nil || c.GetCertificate == nil {
		return ""
	}
	cert, err := c.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil || cert == nil || cert.Leaf == nil {
		return ""
	}
	sum := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
