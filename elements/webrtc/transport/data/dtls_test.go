package data

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/dtls"
)

// secure joins two parties by DTLS, as in a server with both at once.
func secure(t *testing.T, a, b *party) (x, y *dtls.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var ends [2]*dtls.Conn
	var parties = [2]*party{a, b}
	done := make(chan error, 2)
	mu.Lock()
	for i := range ends {
		ends[i], err = dtls.New(dtls.Config{
			Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, Client: i == 0,
			Verify: func([]byte) error { return nil },
			Write: func(b []byte) error {
				mu.Lock()
				to := ends[1-i]
				mu.Unlock()
				to.Handle(b)
				return nil
			},
			Done: func(_ dtls.Keys, err error) {
				if err == nil {
					s, err := ends[i].Stream()
					if err != nil {
						t.Error(err)
						return
					}
					parties[i].Start(s, i == 0)
				}
				done <- err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	mu.Unlock()
	for _, c := range ends {
		c.Start()
		t.Cleanup(func() { _ = c.Close() })
	}
	for range ends {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}

// TestOverDTLS opens from both sides and sends a megabyte each way.
func TestOverDTLS(t *testing.T) {
	a, b := newParty(t), newParty(t)
	for _, p := range []*party{a, b} {
		if err := p.Open(Init{Label: "mine", Ordered: true}); err != nil {
			t.Fatal(err)
		}
	}
	x, _ := secure(t, a, b)
	eventually(t, "both are open at both", func() bool { return len(a.begun()) == 2 && len(b.begun()) == 2 })
	big := bytes.Repeat([]byte("0123456789abcdef"), MaxMessage/16)
	const n = 8
	for range n {
		a.Send(big, false)
		b.Send(big, true)
	}
	eventually(t, "all is there", func() bool { return len(a.heard()) == 2*n && len(b.heard()) == 2*n })
	for _, p := range []*party{a, b} {
		for i, m := range p.heard() {
			if !bytes.Equal(m.b, big) || m.text != (p == a) {
				t.Errorf("message %d: %d bytes, text %v", i, len(m.b), m.text)
			}
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "the other hears it", func() bool { return len(b.ended()) == 2 })
	if err := x.Retire(); err != nil {
		t.Errorf("the stream is not closed: %v", err)
	}
}
