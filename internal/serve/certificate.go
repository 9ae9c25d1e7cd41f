package serve

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// certLife is how long a self-signed certificate is valid, certRenew how long
// before its end it is made anew.
const (
	certLife  = 365 * 24 * time.Hour
	certRenew = 30 * 24 * time.Hour
	// certCheck is how often files are looked at for a newer certificate.
	certCheck = 10 * time.Second
)

// tlsConfig is what both kinds of certificate share: TLS 1.2 and up, Go's suites.
func tlsConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get, NextProtos: []string{"h2", "http/1.1"}}
}

// SelfSigned gives TLS with a self-signed ECDSA certificate for hosts (names and
// addresses), kept in dir so that a browser's exception outlives a restart. It is
// made anew when it does not name the hosts or is about to end.
func SelfSigned(dir string, hosts []string) (*tls.Config, error) {
	certPath, keyPath := filepath.Join(dir, "selfsigned.crt"), filepath.Join(dir, "selfsigned.key")
	cert, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil || !covers(cert.Leaf, hosts, time.Now()) {
		if cert, err = makeSelfSigned(certPath, keyPath, hosts); err != nil {
			return nil, fmt.Errorf("make self-signed certificate: %w", err)
		}
	}
	return tlsConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }), nil
}

func covers(leaf *x509.Certificate, hosts []string, now time.Time) bool {
	if leaf == nil || now.Before(leaf.NotBefore) || now.Add(certRenew).After(leaf.NotAfter) {
		return false
	}
	return !slices.ContainsFunc(hosts, func(h string) bool { return leaf.VerifyHostname(h) != nil })
}

func makeSelfSigned(certPath, keyPath string, hosts []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Govidu self-signed"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := os.MkdirAll(filepath.Dir(certPath), 0o700); err != nil {
		return tls.Certificate{}, err
	}
	// The key first: a pair torn by a crash does not match and is made anew.
	if err := errors.Join(replace(keyPath, keyPEM), replace(certPath, certPEM)); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// replace writes a file that only its owner reads, whole or not at all.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// FromFiles gives TLS with the operator's PEM files. A newer certificate is taken
// up without a restart; one that does not load leaves the old one in use.
func FromFiles(certPath, keyPath string) (*tls.Config, error) {
	s := &fileSource{certPath: certPath, keyPath: keyPath}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return tlsConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current(time.Now()), nil }), nil
}

type fileSource struct {
	certPath, keyPath string

	mu      sync.Mutex // held while two small files are read, at most each certCheck
	cert    *tls.Certificate
	raw     []byte
	checked time.Time
}

func (s *fileSource) load() error {
	certPEM, err := os.ReadFile(s.certPath)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (set GOVIDU_CERTIFICATE_FILE and GOVIDU_CERTIFICATE_KEY)", err)
	}
	if err != nil {
		return err
	}
	keyPEM, err := os.ReadFile(s.keyPath)
	if err != nil {
		return err
	}
	raw := slices.Concat(certPEM, keyPEM)
	if s.cert != nil && bytes.Equal(raw, s.raw) {
		return nil
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return err
	}
	s.cert, s.raw = &cert, raw
	return nil
}

func (s *fileSource) current(now time.Time) *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.checked) >= certCheck {
		s.checked = now
		_ = s.load() // half-written files: the old pair serves until the next look
	}
	return s.cert
}
