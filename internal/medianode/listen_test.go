package medianode

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/config"
	"github.com/govidu/govidu/internal/secret"
)

// certificate writes one PEM file with a certificate and its key, signed by
// parent, or by itself.
func certificate(t *testing.T, file string, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: file},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: parent == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	issuer, issuerKey := template, any(key)
	if parent != nil {
		issuer, issuerKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := tls.X509KeyPair(text, text)
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// TestMutualTLS: with a client CA and no token a certificate of that CA opens wss,
// and nothing else does; with a token, either does. That the callers stand on
// loopback must not help them, so they come as through a proxy.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	server, ca := filepath.Join(dir, "server.pem"), filepath.Join(dir, "ca.pem")
	certificate(t, server, nil)
	root := certificate(t, ca, nil)
	mine := certificate(t, filepath.Join(dir, "mine.pem"), root)
	stranger := certificate(t, filepath.Join(dir, "stranger.pem"), nil)
	log := slog.New(slog.DiscardHandler)
	for _, token := range []string{"", "secret-token"} {
		node, err := New(Config{Loopback: true, FileRoots: []string{dir}, Log: log, Token: secret.New(token)})
		if err != nil {
			t.Fatal(err)
		}
		cfg := config.Kurento{}
		cfg.KMSListen, cfg.KMSTLSListen, cfg.KMSCertificate, cfg.KMSClientCA, cfg.KMSToken = "none", "127.0.0.1:0", server, ca, secret.New(token)
		ports, err := Listen(cfg, node.Server, log)
		if err != nil || len(ports) != 1 {
			t.Fatalf("%v, %v", ports, err)
		}
		done := make(chan error, 1)
		go func() { done <- ports[0].Run() }()
		dial := func(c *tls.Certificate, header http.Header) error {
			d := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: 10 * time.Second}
			if c != nil {
				d.TLSClientConfig.Certificates = []tls.Certificate{*c}
			}
			header.Set("X-Forwarded-For", "203.0.113.1")
			ws, _, err := d.Dial(fmt.Sprintf("wss://%s/kurento", ports[0].Addr()), header)
			if err == nil {
				err = ws.Close()
			}
			return err
		}
		if err := dial(mine, http.Header{}); err != nil {
			t.Errorf("token %q: a certified client is refused: %v", token, err)
		}
		if dial(stranger, http.Header{}) == nil {
			t.Errorf("token %q: a certificate of another CA is let in", token)
		}
		if dial(nil, http.Header{}) == nil {
			t.Errorf("token %q: a client without anything is let in", token)
		}
		if err := dial(nil, http.Header{"Authorization": {"Bearer secret-token"}}); (err == nil) != (token != "") {
			t.Errorf("token %q, without a certificate: %v", token, err)
		}
		if err := ports[0].Close(); err != nil {
			t.Error(err)
		}
		<-done
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	}
	if ports, err := Listen(config.Kurento{KMSListen: "none"}, nil, log); err != nil || len(ports) != 0 {
		t.Errorf("without any port: %v, %v", ports, err)
	}
	for _, bad := range []config.Kurento{
		{KMSListen: "127.0.0.1:0", KMSTLSListen: "127.0.0.1:0", KMSCertificate: filepath.Join(dir, "none.pem")},
		{KMSListen: "127.0.0.1:0", KMSTLSListen: "127.0.0.1:0", KMSCertificate: server, KMSClientCA: filepath.Join(dir, "none.pem")},
	} {
		if _, err := Listen(bad, nil, log); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
