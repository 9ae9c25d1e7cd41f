package dtls

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	pion "github.com/pion/dtls/v3"
)

// same wants the keys of both ends to be each other's (RFC 5764 §4.2).
func same(t *testing.T, k Keys, c *pion.Conn, weAreClient bool) {
	t.Helper()
	profile, _ := c.SelectedSRTPProtectionProfile()
	if uint16(profile) != k.Profile {
		t.Fatalf("profile %#x, the peer's %#x", k.Profile, profile)
	}
	state, ok := c.ConnectionState()
	if !ok {
		t.Fatal("the peer has no state")
	}
	kl, sl := len(k.ReadKey), len(k.ReadSalt)
	b, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(kl+sl))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{b[:kl], b[kl : 2*kl], b[2*kl : 2*kl+sl], b[2*kl+sl:]}
	got := [][]byte{k.ReadKey, k.WriteKey, k.ReadSalt, k.WriteSalt}
	if weAreClient {
		got = [][]byte{k.WriteKey, k.ReadKey, k.WriteSalt, k.ReadSalt}
	}
	for i := range want {
		if len(want[i]) == 0 || !bytes.Equal(want[i], got[i]) {
			t.Errorf("key %d differs", i)
		}
	}
}

// TestHandshake shakes hands in both roles, with both kinds of key, every
// cipher suite and SRTP profile, and wants equal keys.
func TestHandshake(t *testing.T) {
	for _, x := range []struct {
		name    string
		client  bool
		rsa     bool
		options []pion.Option
		profile uint16
	}{
		{"server", false, false, nil, AEADAES128GCM},
		{"client", true, false, nil, AES128CMHMACSHA180}, // the server's order counts
		{"RSA", false, true, nil, AEADAES128GCM},
		{"AES-256", false, false, []pion.Option{pion.WithCipherSuites(pion.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)}, AEADAES128GCM},
		{"RSA, AES-256", false, true, []pion.Option{pion.WithCipherSuites(pion.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)}, AEADAES128GCM},
		{"client, AES-256", true, false, []pion.Option{pion.WithCipherSuites(pion.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)}, AES128CMHMACSHA180},
		{"GCM-256", false, false, []pion.Option{pion.WithSRTPProtectionProfiles(pion.SRTP_AES128_CM_HMAC_SHA1_80, pion.SRTP_AEAD_AES_256_GCM)}, AEADAES256GCM},
		{"CM", false, false, []pion.Option{pion.WithSRTPProtectionProfiles(pion.SRTP_AES128_CM_HMAC_SHA1_80)}, AES128CMHMACSHA180},
		{"client, GCM-256", true, false, []pion.Option{pion.WithSRTPProtectionProfiles(pion.SRTP_AEAD_AES_256_GCM)}, AEADAES256GCM},
		{"no EMS", false, false, []pion.Option{pion.WithExtendedMasterSecret(pion.DisableExtendedMasterSecret)}, AEADAES128GCM},
		{"small fragments", false, false, []pion.Option{pion.WithMTU(100)}, AEADAES128GCM},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := newParty(t, func(c *Config) {
				c.Client = x.client
				if x.rsa {
					c.Certificate = oursRSA()
				}
			})
			p.Start()
			c, err := p.peer(t, !x.client, x.options...)
			if err != nil {
				t.Fatal(err)
			}
			o := p.await(t)
			if o.err != nil {
				t.Fatal(o.err)
			}
			if o.keys.Profile != x.profile {
				t.Errorf("profile %#x", o.keys.Profile)
			}
			same(t, o.keys, c, x.client)
			p.wire.mu.Lock()
			defer p.wire.mu.Unlock()
			for _, b := range p.wire.sent {
				if len(b) > 1200 {
					t.Errorf("a datagram of %d bytes", len(b))
				}
			}
		})
	}
}

// TestStream sends records both ways, also after Retire, and ends with EOF.
func TestStream(t *testing.T) {
	for _, client := range []bool{false, true} {
		p, c := join(t, func(cfg *Config) { cfg.Client = client })
		if _, err := c.Write([]byte("early")); err != nil {
			t.Fatal(err)
		}
		s, err := p.Stream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Stream(); !errors.Is(err, ErrStreamOpen) {
			t.Errorf("a second stream: %v", err)
		}
		if err := p.Retire(); !errors.Is(err, ErrStreamOpen) {
			t.Errorf("retired: %v", err)
		}
		b := make([]byte, 2000)
		if n, err := s.Read(b); err != nil || string(b[:n]) != "early" {
			t.Fatalf("%q, %v", b[:n], err)
		}
		big := bytes.Repeat([]byte{7}, 1100)
		for range 100 {
			if _, err := s.Write(big); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(b); err != nil || !bytes.Equal(b[:n], big) {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(big); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing on: %v", err)
		}
		if err := p.Retire(); err != nil {
			t.Fatal(err)
		}
		if s, err = p.Stream(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("again")); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(b); err != nil || string(b[:n]) != "again" {
			t.Fatalf("%q, %v", b[:n], err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(b); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
		<-p.closed
		if _, err := p.Stream(); !errors.Is(err, ErrNotConnected) {
			t.Errorf("a stream after the end: %v", err)
		}
	}
}

// TestStreamDeadline ends a Read in time, and lets another follow.
func TestStreamDeadline(t *testing.T) {
	p, c := join(t, nil)
	s, err := p.Stream()
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	var timeout net.Error
	if _, err := s.Read(make([]byte, 10)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("error %v", err)
	}
	_ = s.SetReadDeadline(time.Time{})
	if _, err := c.Write([]byte("twelve bytes")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 10)); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("error %v", err)
	}
}

// TestReplay sends a record of application data three times, and wants it once.
func TestReplay(t *testing.T) {
	p, c := join(t, nil)
	p.wire.mu.Lock()
	p.wire.toUs = func(_ int, b []byte) [][]byte {
		broken := bytes.Clone(b)
		broken[len(broken)-1]++
		return [][]byte{broken, b, bytes.Clone(b), bytes.Clone(b)}
	}
	p.wire.mu.Unlock()
	s, err := p.Stream()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"one", "two", "end"} {
		if _, err := c.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	b := make([]byte, 100)
	for len(got) == 0 || got[len(got)-1] != "end" {
		n, err := s.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b[:n]))
	}
	if len(got) != 3 || got[0] != "one" || got[1] != "two" {
		t.Errorf("got %q", got)
	}
}

// TestWindow tells what came before apart (RFC 6347 §4.1.2.6).
func TestWindow(t *testing.T) {
	var w window
	for i, x := range []struct {
		seq  uint64
		want bool
	}{{0, true}, {0, false}, {5, true}, {3, true}, {3, false}, {68, true}, {5, false}, {4, false}, {6, true}, {1 << 40, true}, {68, false}, {1<<40 - 63, true}, {1<<40 - 64, false}} {
		got := w.fresh(x.seq)
		if got != x.want {
			t.Errorf("step %d: %d is fresh: %v", i, x.seq, got)
		}
		if got {
			w.mark(x.seq)
		}
	}
}

// TestClose tells the peer, and is not told itself.
func TestClose(t *testing.T) {
	p, c := join(t, nil)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer reads on: %v", err)
	}
	_ = c.Close()
	if err := p.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if len(p.closed) != 0 {
		t.Error("Closed was called")
	}
	p.Handle([]byte{22, 0xfe, 0xfd})
}

// TestCloseNotify hears the peer's end, before and after Retire, and in a
// stream of junk.
func TestCloseNotify(t *testing.T) {
	for _, retire := range []bool{false, true} {
		p, c := join(t, nil)
		if retire {
			if err := p.Retire(); err != nil {
				t.Fatal(err)
			}
		}
		junk := seal(nil, must(p.secret.aead(&half{})), [4]byte{}, typeAlert, 9, []byte{2, 0})
		for range 100 {
			p.Handle(junk)
		}
		eventually(t, "junk is looked at", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return !p.working })
		if len(p.closed) != 0 {
			t.Fatal("junk ended the association")
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		<-p.closed
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCloseEarly ends a handshake before and while it runs; Done hears it.
func TestCloseEarly(t *testing.T) {
	p := newParty(t, nil)
	if err := p.Close(); err != nil || len(p.done) != 0 {
		t.Errorf("before Start: %v, %d", err, len(p.done))
	}
	for _, client := range []bool{false, true} {
		p = newParty(t, func(c *Config) { c.Client = client })
		p.Start()
		if _, err := p.Stream(); !errors.Is(err, ErrNotConnected) {
			t.Errorf("stream: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if o := p.await(t); !errors.Is(o.err, net.ErrClosed) {
			t.Errorf("error %v", o.err)
		}
	}
}

// TestNew refuses what cannot work.
func TestNew(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no certificate")
	}
	if _, err := New(Config{Certificate: ours()}); err == nil {
		t.Error("no callbacks")
	}
}
