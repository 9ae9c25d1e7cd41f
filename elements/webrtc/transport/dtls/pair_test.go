package dtls

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/dtls/v3"
)

var (
	ours    = sync.OnceValue(func() tls.Certificate { return newCertificate(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))) })
	theirs  = sync.OnceValue(func() tls.Certificate { return newCertificate(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))) })
	oursRSA = sync.OnceValue(func() tls.Certificate { return newCertificate(must(rsa.GenerateKey(rand.Reader, 2048))) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newCertificate(key crypto.Signer) tls.Certificate {
	x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "WebRTC"}, NotAfter: time.Now().Add(time.Hour)}
	return tls.Certificate{Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, x, x, key.Public(), key))}, PrivateKey: key}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// wire is the library's socket: what it writes goes to a Conn, what the Conn
// writes comes out of it.
type wire struct {
	mu      sync.Mutex
	ready   sync.Cond
	in      [][]byte
	closed  bool
	expired bool
	to      *Conn
	// toUs and toThem may change or drop (nil) a datagram; n counts from 0.
	toUs, toThem func(n int, b []byte) [][]byte
	nUs, nThem   int
	sent         [][]byte // by us
}

func newWire() *wire {
	w := &wire{}
	w.ready.L = &w.mu
	return w
}

func (w *wire) deliver(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	b = slices.Clone(b)
	w.sent = append(w.sent, b)
	list := [][]byte{b}
	if w.toThem != nil {
		list = w.toThem(w.nThem, b)
	}
	w.nThem++
	w.in = append(w.in, list...)
	w.ready.Broadcast()
	return nil
}

// empty throws away what we have sent; false when that was nothing.
func (w *wire) empty() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	some := len(w.in) > 0
	w.in = nil
	return some
}

func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case w.closed:
			return 0, nil, net.ErrClosed
		case w.expired:
			return 0, nil, os.ErrDeadlineExceeded
		case len(w.in) > 0:
			n := copy(b, w.in[0])
			w.in = w.in[1:]
			return n, somewhere{}, nil
		}
		w.ready.Wait()
	}
}

func (w *wire) WriteTo(b []byte, _ net.Addr) (int, error) {
	w.mu.Lock()
	list := [][]byte{b}
	if w.toUs != nil {
		list = w.toUs(w.nUs, slices.Clone(b))
	}
	w.nUs++
	w.mu.Unlock()
	for _, x := range list {
		w.to.Handle(x)
	}
	return len(b), nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.ready.Broadcast()
	return nil
}

func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expired = !t.IsZero()
	w.ready.Broadcast()
	return nil
}
func (w *wire) SetDeadline(t time.Time) error    { return w.SetReadDeadline(t) }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
func (w *wire) LocalAddr() net.Addr              { return somewhere{} }

// outcome is what a Conn's Done told.
type outcome struct {
	keys Keys
	err  error
}

// party is a Conn of ours with what it told.
type party struct {
	*Conn
	wire   *wire
	done   chan outcome
	closed chan struct{}
}

// newParty makes a Conn on a wire; change may alter its Config.
func newParty(t testing.TB, change func(*Config)) *party {
	t.Helper()
	p := &party{wire: newWire(), done: make(chan outcome, 2), closed: make(chan struct{}, 2)}
	cfg := Config{
		Certificate: ours(),
		Verify: func(der []byte) error {
			if !bytes.Equal(der, theirs().Certificate[0]) {
				return errFingerprint
			}
			return nil
		},
		Write:  p.wire.deliver,
		Done:   func(k Keys, err error) { p.done <- outcome{k, err} },
		Closed: func() { p.closed <- struct{}{} },
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if p.Conn, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	p.wire.to = p.Conn
	t.Cleanup(func() { _ = p.Conn.Close() })
	return p
}

var errFingerprint = errors.New("fingerprint does not match")

// await gives what Done tells.
func (p *party) await(t testing.TB) outcome {
	t.Helper()
	select {
	case o := <-p.done:
		return o
	case <-time.After(20 * time.Second):
		t.Fatal("Done was not called within 20 s")
	}
	panic("unreachable")
}

func defaults() []pion.Option {
	return []pion.Option{
		pion.WithCertificates(theirs()), pion.WithInsecureSkipVerify(true), pion.WithExtendedMasterSecret(pion.RequireExtendedMasterSecret),
		pion.WithSRTPProtectionProfiles(pion.SRTP_AES128_CM_HMAC_SHA1_80, pion.SRTP_AEAD_AES_256_GCM, pion.SRTP_AEAD_AES_128_GCM),
	}
}

// peer runs the library as the other end until its handshake is done.
func (p *party) peer(t testing.TB, client bool, options ...pion.Option) (*pion.Conn, error) {
	t.Helper()
	var c *pion.Conn
	var err error
	if client {
		if c, err = p.dial(t, options...); c != nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return c, err
	}
	list := []pion.ServerOption{pion.WithClientAuth(pion.RequireAnyClientCert)}
	for _, o := range append(defaults(), options...) {
		list = append(list, o)
	}
	c, err = pion.ServerWithOptions(p.wire, somewhere{}, list...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return c, c.HandshakeContext(ctx)
}

// dial runs the library as a client, which is the caller's to close.
func (p *party) dial(t testing.TB, options ...pion.Option) (*pion.Conn, error) {
	t.Helper()
	var list []pion.ClientOption
	for _, o := range append(defaults(), options...) {
		list = append(list, o)
	}
	c, err := pion.ClientWithOptions(p.wire, somewhere{}, list...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return c, c.HandshakeContext(ctx)
}

// join is a handshake that succeeds.
func join(t testing.TB, change func(*Config), options ...pion.Option) (*party, *pion.Conn) {
	t.Helper()
	p := newParty(t, change)
	p.Start()
	c, err := p.peer(t, !p.cfg.Client, options...)
	if err != nil {
		t.Fatal(err)
	}
	if o := p.await(t); o.err != nil {
		t.Fatal(o.err)
	}
	return p, c
}
