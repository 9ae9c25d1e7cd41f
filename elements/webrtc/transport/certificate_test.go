package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// keyFile writes a key and a certificate of it; it gives the file's name and
// the certificate's fingerprint.
func keyFile(t *testing.T, key crypto.Signer, end time.Time) (name, print string) {
	t.Helper()
	c := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(t.TempDir(), "media.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, b := range sha256.Sum256(der) {
		parts = append(parts, fmt.Sprintf("%02X", b))
	}
	return name, strings.Join(parts, ":")
}

func newRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newEC(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestCertificates gives peers the operator's certificates by type, and connects.
func TestCertificates(t *testing.T) {
	later := time.Now().Add(time.Hour)
	rsaFile, rsaPrint := keyFile(t, newRSA(t), later)
	ecFile, ecPrint := keyFile(t, newEC(t), later)
	e := newEngine(t, func(c *Config) { c.PEMCertificateRSA, c.PEMCertificateECDSA = rsaFile, ecFile })
	for typ, want := range map[CertificateType]string{RSA: rsaPrint, ECDSA: ecPrint} {
		c := newClientOf(t, e, webrtctest.Options{}, PeerConfig{Certificate: typ})
		c.Receive()
		c.negotiate()
		if !strings.Contains(c.answer, "a=fingerprint:sha-256 "+want+"\r\n") {
			t.Errorf("type %d: answer\n%s", typ, c.answer)
		}
		c.connected()
	}
}

// TestOwnCertificates wants one of each type in the process.
func TestOwnCertificates(t *testing.T) {
	e := newEngine(t, nil)
	prints := map[CertificateType]string{}
	for range 2 {
		for _, typ := range []CertificateType{RSA, ECDSA} {
			c := newClientOf(t, e, webrtctest.Options{}, PeerConfig{Certificate: typ})
			c.Receive()
			c.negotiate()
			c.connected()
			_, print, _ := strings.Cut(c.answer, "a=fingerprint:")
			print, _, _ = strings.Cut(print, "\r\n")
			if prints[typ] != "" && prints[typ] != print {
				t.Error("another certificate of the same type")
			}
			prints[typ] = print
		}
	}
	if prints[RSA] == prints[ECDSA] {
		t.Error("one certificate for both types")
	}
}

// TestBadCertificates refuses files that would fail every handshake later.
func TestBadCertificates(t *testing.T) {
	later := time.Now().Add(time.Hour)
	rsaFile, _ := keyFile(t, newRSA(t), later)
	ecFile, _ := keyFile(t, newEC(t), later)
	expired, _ := keyFile(t, newEC(t), time.Now().Add(-time.Minute))
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edFile, _ := keyFile(t, edKey, later)
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "bad.pem")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cert, _, _ := strings.Cut(read(ecFile), "-----BEGIN PRIVATE")
	other, _ := keyFile(t, newEC(t), later)
	_, key, _ := strings.Cut(read(other), "-----BEGIN PRIVATE")
	for what, cfg := range map[string]Config{
		"no file":           {PEMCertificateRSA: filepath.Join(t.TempDir(), "none")},
		"wrong type":        {PEMCertificateRSA: ecFile},
		"other wrong type":  {PEMCertificateECDSA: rsaFile},
		"neither type":      {PEMCertificateECDSA: edFile},
		"expired":           {PEMCertificateECDSA: expired},
		"no key":            {PEMCertificateECDSA: write(cert)},
		"not of each other": {PEMCertificateECDSA: write(cert + "-----BEGIN PRIVATE" + key)},
		"garbage":           {PEMCertificateECDSA: write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
	} {
		cfg.ListenIPs = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		e, err := NewEngine(cfg)
		if err == nil {
			t.Errorf("%s was taken", what)
			e.Close()
		} else if !strings.Contains(err.Error(), "media certificate") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
