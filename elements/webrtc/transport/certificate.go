package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"sync"
	"time"
)

// CertificateType is the kind of key behind the DTLS certificate of a Peer.
type CertificateType uint8

// The types of key. ECDSA is the cheaper one by far.
const (
	ECDSA CertificateType = iota
	RSA
)

// processRSA is the process's RSA certificate, one for all Engines: finding the
// primes takes a while.
var processRSA = sync.OnceValues(func() (*certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("generate RSA media key: %w", err)
	}
	return selfSigned(key)
})

// certificate gives the one of a type.
func (e *Engine) certificate(t CertificateType) (*certificate, error) {
	if t != RSA {
		return e.ecdsa, nil
	}
	if e.rsa != nil {
		return e.rsa, nil
	}
	return processRSA()
}

// loadCertificates reads the operator's files, or makes what they do not give.
func (e *Engine) loadCertificates() error {
	var err error
	if name := e.cfg.PEMCertificateRSA; name != "" {
		if e.rsa, err = readPEM(name, RSA); err != nil {
			return err
		}
	}
	if name := e.cfg.PEMCertificateECDSA; name != "" {
		e.ecdsa, err = readPEM(name, ECDSA)
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate media key: %w", err)
	}
	if e.ecdsa, err = selfSigned(key); err != nil {
		return fmt.Errorf("generate media certificate: %w", err)
	}
	return nil
}

// selfSigned makes a DTLS certificate. Peers check its fingerprint, nobody its
// dates, but the library refuses an expired one: ten years outlive the process.
func selfSigned(key crypto.Signer) (*certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "WebRTC"},
		Issuer:       pkix.Name{CommonName: "WebRTC"},
		NotBefore:    time.Now().Add(-24 * time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		Version:      2,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return newCertificate(key, der), nil
}

// certificate is a DTLS certificate with its key, and its fingerprint.
type certificate struct {
	pair  tls.Certificate
	print string
}

func newCertificate(key crypto.PrivateKey, der []byte) *certificate {
	return &certificate{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, fingerprintOf(der)}
}

// maxPEM is how large a certificate file may be, in bytes.
const maxPEM = 1 << 20

// readPEM reads a private key and the first certificate of a file, in any order.
func readPEM(name string, want CertificateType) (*certificate, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read media certificate: %w", err)
	}
	defer f.Close()
	rest, err := io.ReadAll(io.LimitReader(f, maxPEM))
	if err != nil {
		return nil, fmt.Errorf("read media certificate: %w", err)
	}
	var key crypto.PrivateKey
	var cert *x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE" && cert == nil:
			cert, err = x509.ParseCertificate(block.Bytes)
		case block.Type == "CERTIFICATE", block.Type == "EC PARAMETERS":
		default:
			key, err = parseKey(block.Bytes)
		}
		if err != nil {
			return nil, fmt.Errorf("read media certificate %s: %w", name, err)
		}
	}
	if key == nil || cert == nil {
		return nil, fmt.Errorf("read media certificate %s: it needs a private key and a certificate", name)
	}
	if err := matches(key, cert, want); err != nil {
		return nil, fmt.Errorf("read media certificate %s: %w", name, err)
	}
	return newCertificate(key, cert.Raw), nil
}

func parseKey(der []byte) (crypto.PrivateKey, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return nil, errors.New("its private key is of no known form")
}

func matches(key crypto.PrivateKey, cert *x509.Certificate, want CertificateType) error {
	var public interface{ Equal(crypto.PublicKey) bool }
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if want != RSA {
			return errors.New("its key is RSA, not ECDSA")
		}
		public = &k.PublicKey
	case *ecdsa.PrivateKey:
		if want != ECDSA {
			return errors.New("its key is ECDSA, not RSA")
		}
		public = &k.PublicKey
	default:
		return errors.New("its key is neither RSA nor ECDSA")
	}
	if !public.Equal(cert.PublicKey) {
		return errors.New("its key and its certificate do not belong together")
	}
	if time.Now().After(cert.NotAfter) {
		return errors.New("its certificate has expired")
	}
	return nil
}
