package dtls

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/govidu/govidu/elements/webrtc/transport/pionlog"
)

const (
	// mtu keeps the datagrams of a handshake below what every path carries.
	mtu = 1150
	// flightInterval is when a lost flight is sent again first, doubling from
	// there: media waits for it, so RFC 6347's second is too long.
	flightInterval = 250 * time.Millisecond
	// finishedSize is the length of an encrypted Finished (RFC 5246 §7.4.9).
	finishedSize = overhead + messageSize + 12
	maxQueue     = 32 // datagrams that wait for the library
	maxHeld      = 8  // records that wait for the keys
)

// attempt is one run of the library's handshake. It is the socket the library
// believes in, and sees what it needs pass by. Guarded by the Conn's mu.
type attempt struct {
	conn   *Conn
	ready  sync.Cond
	screen screen
	queue  [][]byte // screened, for the library
	held   [][]byte // ChangeCipherSpec and Finished, before the keys

	ended   bool // no more reading
	muted   bool // no more writing
	expired bool // the library's read deadline has passed

	hello        bool // a ClientHello passed
	clientRandom [32]byte
	later        bool // the client has gone on since
	server       *serverHi
	master       []byte
	secret       *secret
	next         uint64 // sequence number of our next record of epoch 1
	last         []byte // our ChangeCipherSpec and Finished, as they were sent
	verified     bool
	refused      error // what Verify gave
}

func newAttempt(c *Conn) *attempt {
	a := &attempt{conn: c, screen: screen{client: c.cfg.Client, rsa: c.rsa}}
	a.ready.L = &c.mu
	return a
}

// run shakes hands. It returns when the library has let go of everything, but
// for an error-free end, where finish is still to be called.
func (a *attempt) run(ctx context.Context) (*dtls.Conn, error) {
	c := a.conn
	options := []dtls.Option{
		dtls.WithCertificates(c.cfg.Certificate),
		dtls.WithCipherSuites(suiteOrder...),
		dtls.WithSRTPProtectionProfiles(profiles...),
		dtls.WithInsecureSkipVerify(true), // the fingerprint in the SDP is what counts
		dtls.WithVerifyPeerCertificate(a.verify),
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		dtls.WithFlightInterval(flightInterval),
		dtls.WithMTU(mtu),
		dtls.WithKeyLogWriter(keyLog{a}),
		dtls.WithLoggerFactory(pionlog.Factory{Log: c.cfg.Log}),
	}
	var p *dtls.Conn
	var err error
	if c.cfg.Client {
		client := make([]dtls.ClientOption, len(options))
		for i, o := range options {
			client[i] = o
		}
		p, err = dtls.ClientWithOptions(a, somewhere{}, client...)
	} else {
		// The address has passed a connectivity check: a cookie proves nothing new.
		server := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerifyHello(true)}
		for _, o := range options {
			server = append(server, o)
		}
		p, err = dtls.ServerWithOptions(a, somewhere{}, server...)
	}
	if err != nil {
		return nil, fmt.Errorf("dtls: %w", err)
	}
	if err = p.HandshakeContext(ctx); err == nil {
		return p, nil
	}
	_ = p.Close()
	return nil, fmt.Errorf("dtls: %w", err)
}

// offer takes a record from the network; mu is held.
func (a *attempt) offer(r record) {
	switch {
	case r.epoch == 0 && r.kind == typeHandshake:
		v := a.screen.plain(r)
		if v.out == nil {
			return
		}
		if v.hello {
			if a.hello && v.random != a.clientRandom {
				a.conn.again(v)
				return
			}
			a.hello, a.clientRandom = true, v.random
		}
		if v.server != nil {
			a.server = v.server
		}
		a.later = a.later || v.later
		a.push(v.out)
	case r.epoch == 0 && r.kind == typeChange:
		if len(r.raw) == headerSize+1 && r.raw[headerSize] == 1 {
			a.hold(r.raw)
		}
	case r.epoch == 1 && r.kind == typeHandshake:
		if len(r.raw) == finishedSize {
			a.hold(r.raw)
		}
	}
}

// hold keeps a record until the keys are there: the library would keep it too,
// in a buffer that it has given back to its pool.
func (a *attempt) hold(raw []byte) {
	if a.secret == nil {
		again := raw[0] == typeChange && slices.ContainsFunc(a.held, func(b []byte) bool { return b[0] == typeChange })
		if len(a.held) < maxHeld && !again {
			a.held = append(a.held, slices.Clone(raw))
		}
		return
	}
	if raw[0] == typeChange || a.finished(raw) {
		a.push(slices.Clone(raw))
	}
}

// finished looks into an encrypted Finished before the library does.
func (a *attempt) finished(raw []byte) bool {
	x, err := a.secret.aead(&a.secret.read)
	if err != nil {
		return false
	}
	b, ok := open(x, a.secret.read.iv, slices.Clone(raw))
	return ok && len(b) == messageSize+12 && b[0] == 20 && uint24(b[1:]) == 12 && uint24(b[6:]) == 0 && uint24(b[9:]) == 12 &&
		binary.BigEndian.Uint16(b[4:]) <= maxSequence
}

func (a *attempt) push(b []byte) {
	if len(a.queue) < maxQueue && !a.ended {
		a.queue = append(a.queue, b)
		a.ready.Broadcast()
	}
}

// verify is called by the library once the peer has proved to hold its key.
func (a *attempt) verify(chain [][]byte, _ [][]*x509.Certificate) error {
	err := func() (err error) {
		defer a.conn.caught("dtls.verify", &err)
		if len(chain) == 0 {
			return errors.New("dtls: the peer has no certificate")
		}
		return a.conn.cfg.Verify(chain[0])
	}()
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	a.verified, a.refused = err == nil, err
	return err
}

// keyLog hears the master secret.
type keyLog struct{ a *attempt }

// Write implements io.Writer for one line of a key log.
func (k keyLog) Write(line []byte) (n int, err error) {
	a := k.a
	defer a.conn.caught("dtls.keys", &err)
	random, master, err := parseKeyLog(line)
	if err != nil {
		return 0, err
	}
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	if a.server == nil {
		return 0, errors.New("dtls: keys before ServerHello")
	}
	s, err := deriveSecret(a.conn.cfg.Client, *a.server, random, master)
	if err != nil {
		return 0, err
	}
	copy(a.clientRandom[:], random)
	a.secret, a.master = s, master
	held := a.held
	a.held = nil
	for _, raw := range held {
		a.hold(raw)
	}
	return len(line), nil
}

// sent looks at a datagram of the library; mu is held.
func (a *attempt) sent(b []byte) {
	for rest := b; ; {
		r, more, ok := nextRecord(rest)
		if !ok {
			return
		}
		switch {
		case r.epoch == 1:
			a.next = max(a.next, r.seq+1)
		case r.kind == typeChange:
			a.last = slices.Clone(rest)
		case r.kind == typeHandshake && !a.conn.cfg.Client:
			s := screen{client: true}
			if v := s.plain(r); v.server != nil {
				a.server, a.screen.answered = v.server, true
			}
		}
		rest = more
	}
}

// end lets the library go; mu is held.
func (a *attempt) end() {
	a.ended, a.muted = true, true
	a.queue, a.held = nil, nil
	a.ready.Broadcast()
}
