package dtls

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/protocol/alert"
)

// clientHello makes one with these cipher suites and SRTP profiles, in one
// record; random tells them apart.
func clientHello(random byte, ciphers, srtp []uint16) []byte {
	body := append([]byte{0xfe, 0xfd}, slices.Repeat([]byte{random}, 32)...)
	body = append(body, 0, 0)
	body = binary.BigEndian.AppendUint16(body, uint16(2*len(ciphers)))
	for _, c := range ciphers {
		body = binary.BigEndian.AppendUint16(body, c)
	}
	ext := []byte{0, 10, 0, 4, 0, 2, 0, 29}
	ext = append(ext, 0, 14, 0, byte(3+2*len(srtp)), 0, byte(2*len(srtp)))
	for _, p := range srtp {
		ext = binary.BigEndian.AppendUint16(ext, p)
	}
	ext = append(ext, 0)
	body = append(body, 1, 0)
	body = binary.BigEndian.AppendUint16(body, uint16(len(ext)))
	body = append(body, ext...)
	return inRecord(0, fragment(1, 0, len(body), 0, body))
}

// fragment is one of a handshake message.
func fragment(kind byte, seq uint16, size, at int, body []byte) []byte {
	b := make([]byte, messageSize)
	b[0] = kind
	putUint24(b[1:], size)
	binary.BigEndian.PutUint16(b[4:], seq)
	putUint24(b[6:], at)
	putUint24(b[9:], len(body))
	return append(b, body...)
}

// inRecord is a handshake record in the clear.
func inRecord(seq uint64, messages ...[]byte) []byte {
	b := []byte{typeHandshake, 0xfe, 0xfd}
	b = binary.BigEndian.AppendUint64(b, seq)
	body := slices.Concat(messages...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

// hostile are datagrams of somebody who wants the association to end, or worse.
func hostile() map[string][]byte {
	good, gcm := []uint16{0xc02b}, []uint16{7}
	plain := func(kind byte, body ...byte) []byte {
		b := []byte{kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, byte(len(body))}
		return append(b, body...)
	}
	return map[string][]byte{
		"NULL cipher":        clientHello(1, []uint16{0x0001, 0xc006}, gcm),
		"no cipher":          clientHello(1, nil, gcm),
		"RSA only":           clientHello(1, []uint16{0xc02f}, gcm),
		"unknown profile":    clientHello(1, good, []uint16{0x7777}),
		"fatal alert":        plain(typeAlert, 2, 40),
		"close_notify":       plain(typeAlert, 1, 0),
		"long alert":         plain(typeAlert, 2, 40, 1),
		"application data":   plain(typeData, 1, 2, 3),
		"unknown type":       plain(63, 1),
		"empty record":       plain(typeHandshake),
		"odd change":         plain(typeChange, 2),
		"HelloRequest":       inRecord(5, fragment(0, 0, 0, 0, nil)),
		"ServerHello":        inRecord(5, fragment(2, 0, 4, 0, []byte{1, 2, 3, 4})),
		"16 MB":              inRecord(5, fragment(1, 0, 1<<24-1, 0, make([]byte, 500))),
		"sequence":           inRecord(5, fragment(1, 60000, 100, 0, make([]byte, 100))),
		"outside":            inRecord(5, fragment(1, 0, 10, 8, make([]byte, 4))),
		"zero length":        inRecord(5, fragment(1, 0, 100, 50, nil)),
		"nothing of nothing": inRecord(5, fragment(1, 0, 0, 7, nil)), // the library looks at a fragment that is not there
		"cut off":            inRecord(5, fragment(1, 0, 100, 0, make([]byte, 50)))[:40],
		"no version":         {22, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0},
		"epoch":              {22, 0xfe, 0xfd, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0},
		"a half hello":       inRecord(5, fragment(1, 0, 3000, 0, make([]byte, 1000))),
		"another hello":      clientHello(9, good, gcm),
		"key exchange":       inRecord(5, fragment(16, 2, 3, 0, []byte{2, 1, 1})),
		"signature":          inRecord(5, fragment(15, 1, 6, 0, []byte{4, 3, 0, 2, 1, 1})),
		"second hello":       inRecord(5, fragment(1, 1, len(clientHello(9, good, gcm))-25, 0, clientHello(9, good, gcm)[25:])),
		"garbage":            slices.Repeat([]byte{22}, 1000),
		"nothing":            {},
		"long":               make([]byte, 1<<16),
	}
}

// TestHostile has a stranger's datagram come before a good handshake, and in
// the middle of it, and wants it to succeed all the same.
func TestHostile(t *testing.T) {
	for name, b := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParty(t, nil)
			if name == "another hello" { // its answer goes to the one who asked
				p.wire.toThem = func(n int, x []byte) [][]byte {
					if n == 0 {
						return nil
					}
					return [][]byte{x}
				}
			}
			p.Handle(b)
			p.Start()
			p.wire.toUs = func(n int, x []byte) [][]byte {
				if name == "another hello" { // which changes nothing once the client has gone on
					if n == 0 {
						return [][]byte{b, x}
					}
					return [][]byte{x, b}
				}
				// Once the server has answered, the client's messages are believed:
				// only signatures tell whose they are.
				if name == "key exchange" || name == "signature" {
					if n > 0 {
						return [][]byte{x}
					}
					return [][]byte{b, x}
				}
				return [][]byte{b, x, b}
			}
			c, err := p.peer(t, true)
			if err != nil {
				t.Fatal(err)
			}
			o := p.await(t)
			if o.err != nil {
				t.Fatal(o.err)
			}
			same(t, o.keys, c, false)
			p.Handle(b)
			s, err := p.Stream()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("alive")); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Read(make([]byte, 10)); n != 5 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

// TestFlood sends many hostile datagrams to a Conn and wants its memory flat.
func TestFlood(t *testing.T) {
	p := newParty(t, nil)
	p.Start()
	all := hostile()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 20000 {
		for seq := range uint16(6) {
			p.Handle(inRecord(uint64(i), fragment(1, seq, maxMessage, 6000, make([]byte, 900))))
		}
		if i%1000 == 0 {
			for _, b := range all {
				p.Handle(b)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 512<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// TestFingerprint refuses a certificate for good, in both roles.
func TestFingerprint(t *testing.T) {
	for _, client := range []bool{false, true} {
		p := newParty(t, func(c *Config) {
			c.Client = client
			c.Verify = func([]byte) error { return errFingerprint }
		})
		p.Start()
		if _, err := p.peer(t, !client); err == nil {
			t.Error("the peer is content")
		}
		if o := p.await(t); !errors.Is(o.err, errFingerprint) {
			t.Errorf("error %v", o.err)
		}
		if _, err := p.Stream(); !errors.Is(err, ErrNotConnected) {
			t.Errorf("stream: %v", err)
		}
	}
}

// TestVerifyPanics ends one handshake, not the process.
func TestVerifyPanics(t *testing.T) {
	p := newParty(t, func(c *Config) { c.Verify = func([]byte) error { panic("verify") } })
	p.Start()
	if _, err := p.peer(t, true); err == nil {
		t.Error("the peer is content")
	}
	if o := p.await(t); o.err == nil {
		t.Error("no error")
	}
}

// TestNoCertificate refuses a client that shows none.
func TestNoCertificate(t *testing.T) {
	p := newParty(t, func(c *Config) { c.Timeout = time.Second })
	p.Start()
	list := []pion.ClientOption{pion.WithInsecureSkipVerify(true), pion.WithSRTPProtectionProfiles(pion.SRTP_AEAD_AES_128_GCM)}
	c, err := pion.ClientWithOptions(p.wire, somewhere{}, list...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.HandshakeContext(t.Context()); err == nil {
		t.Error("the client is content")
	}
	if o := p.await(t); !errors.Is(o.err, ErrTimeout) || !strings.Contains(o.err.Error(), "client verification") {
		t.Errorf("error %v", o.err)
	}
}

// TestTimeout hears nothing, or nothing of use, and says which.
func TestTimeout(t *testing.T) {
	for _, x := range []struct {
		name   string
		client bool
		what   []byte
		text   string
	}{
		{"silence", false, nil, ""},
		{"silence, client", true, nil, ""},
		{"NULL cipher", false, hostile()["NULL cipher"], "no cipher suite in common"},
		{"profile", false, hostile()["unknown profile"], "no SRTP profile in common"},
		{"alert", false, hostile()["fatal alert"], `alert "HandshakeFailure"`},
		{"alert, client", true, hostile()["fatal alert"], `alert "HandshakeFailure"`},
		{"half", false, clientHello(1, []uint16{0xc02b}, []uint16{7}), ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p := newParty(t, func(c *Config) { c.Client, c.Timeout = x.client, 50*time.Millisecond })
			p.Start()
			p.Handle(x.what)
			o := p.await(t)
			if !errors.Is(o.err, ErrTimeout) || !strings.Contains(o.err.Error(), x.text) {
				t.Errorf("error %v", o.err)
			}
			if err := p.Close(); err != nil || len(p.done) != 0 {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestLoss loses the first datagrams of either side in turn, and 30 %, sends all of them twice, and turns pairs around.
func TestLoss(t *testing.T) {
	first := func(lost int) func(int, []byte) [][]byte {
		return func(n int, b []byte) [][]byte {
			if n < lost {
				return nil
			}
			return [][]byte{b}
		}
	}
	third := func() func(int, []byte) [][]byte {
		random := rand.New(rand.NewPCG(1, 2))
		return func(_ int, b []byte) [][]byte {
			if random.IntN(100) < 30 {
				return nil
			}
			return [][]byte{b}
		}
	}
	twice := func(_ int, b []byte) [][]byte { return [][]byte{b, slices.Clone(b)} }
	turned := func() func(int, []byte) [][]byte {
		var kept []byte
		return func(n int, b []byte) [][]byte {
			if n%2 == 0 {
				kept = b
				return nil
			}
			return [][]byte{b, kept}
		}
	}
	keep := first(0)
	for _, x := range []struct {
		name         string
		client       bool
		toUs, toThem func(int, []byte) [][]byte
	}{
		{"hello", false, first(1), keep},
		{"flight 4", false, keep, first(1)},
		{"flight 5", false, func(n int, b []byte) [][]byte {
			if n == 1 {
				return nil
			}
			return [][]byte{b}
		}, keep},
		{"thirds", false, third(), third()},
		{"thirds, client", true, third(), third()},
		{"twice", false, twice, twice},
		{"twice, client", true, twice, twice},
		{"turned", false, turned(), turned()},
		{"turned, client", true, turned(), turned()},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p := newParty(t, func(c *Config) { c.Client = x.client })
			p.wire.toUs, p.wire.toThem = x.toUs, x.toThem
			p.Start()
			c, err := p.peer(t, !x.client, pion.WithFlightInterval(50*time.Millisecond), pion.WithMTU(200))
			if err != nil {
				t.Fatal(err)
			}
			o := p.await(t)
			if o.err != nil {
				t.Fatal(o.err)
			}
			same(t, o.keys, c, x.client)
		})
	}
}

// TestLateFlight loses our last flight and wants it again from a Conn that has
// long let the library go.
func TestLateFlight(t *testing.T) {
	p := newParty(t, nil)
	var done bool // guarded by the wire's mu
	p.wire.toThem = func(_ int, b []byte) [][]byte {
		if b[0] == typeChange && !done {
			return nil
		}
		return [][]byte{b}
	}
	p.Start()
	failed := make(chan error, 1)
	client := make(chan *pion.Conn, 1)
	go func() {
		list := []pion.ClientOption{pion.WithFlightInterval(20 * time.Millisecond), pion.WithDisableRetransmitBackoff(true)}
		for _, o := range defaults() {
			list = append(list, o)
		}
		c, err := pion.ClientWithOptions(p.wire, somewhere{}, list...)
		if err == nil {
			err = c.HandshakeContext(context.Background())
		}
		failed <- err
		client <- c
	}()
	if o := p.await(t); o.err != nil {
		t.Fatal(o.err)
	}
	if err := p.Retire(); err != nil {
		t.Fatal(err)
	}
	p.wire.mu.Lock()
	done = true
	p.wire.mu.Unlock()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	c := <-client
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-p.closed
}

// TestAlert ends the association by an authenticated fatal alert, not by a
// warning.
func TestAlert(t *testing.T) {
	p, _ := join(t, nil)
	x := must(p.secret.aead(&p.secret.read))
	send := func(seq uint64, b ...byte) { p.Handle(seal(nil, x, p.secret.read.iv, typeAlert, seq, b)) }
	send(10, byte(alert.Warning), byte(alert.UserCanceled))
	send(11, byte(alert.Fatal), byte(alert.InternalError), 1)
	eventually(t, "both are looked at", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return !p.working })
	if len(p.closed) != 0 {
		t.Fatal("a warning ended the association")
	}
	send(12, byte(alert.Fatal), byte(alert.InternalError))
	<-p.closed
}

// TestShardLock calls everything that may be called with a lock that Write and
// the callbacks take.
func TestShardLock(t *testing.T) {
	var shard sync.Mutex
	closed := make(chan struct{})
	p := newParty(t, func(c *Config) {
		write, done := c.Write, c.Done
		c.Write = func(b []byte) error { shard.Lock(); defer shard.Unlock(); return write(b) }
		c.Done = func(k Keys, err error) { shard.Lock(); defer shard.Unlock(); done(k, err) }
		c.Closed = func() { shard.Lock(); defer shard.Unlock(); close(closed) }
	})
	p.wire.toUs = func(_ int, b []byte) [][]byte {
		shard.Lock()
		defer shard.Unlock()
		p.Handle(b)
		return nil
	}
	shard.Lock()
	p.Start()
	shard.Unlock()
	c, err := p.peer(t, true)
	if err != nil {
		t.Fatal(err)
	}
	if o := p.await(t); o.err != nil {
		t.Fatal(o.err)
	}
	shard.Lock()
	if err := p.Retire(); err != nil {
		t.Error(err)
	}
	_, err = p.Stream()
	shard.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-closed
}

// TestNoSRTP lets a peer in that wants data channels only.
func TestNoSRTP(t *testing.T) {
	p := newParty(t, nil)
	p.Start()
	c, err := pion.ClientWithOptions(p.wire, somewhere{}, pion.WithCertificates(theirs()), pion.WithInsecureSkipVerify(true))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o := p.await(t); o.err != nil || o.keys.Profile != 0 || o.keys.ReadKey != nil {
		t.Errorf("%+v", o)
	}
}
