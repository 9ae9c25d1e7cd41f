package dtls

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
)

// Limits of a handshake. A flight of browsers has five messages of some hundred
// bytes; a certificate chain with RSA keys has two or three thousand.
const (
	maxMessage  = 7000 // bytes of one message
	maxSequence = 15   // message_seq
	maxPartial  = 4    // messages in fragments at once
)

// screen lets only whole and sane messages of the first epoch pass to the
// library. It puts fragments together itself, bounded by the limits above: the
// library would keep megabytes and can be made to look at a fragment that is
// not there.
type screen struct {
	client   bool // we are
	rsa      bool // our key is
	answered bool // as the server, with a ServerHello
	partial  map[uint16]*partial
	reason   string // why the last message was refused
}

// partial is a message of which fragments have come.
type partial struct {
	kind    byte
	body    []byte
	have    []bool
	missing int
}

// seen is what passed of one record.
type seen struct {
	out    []byte    // the record as the library may see it, nil for none
	hello  bool      // it holds a ClientHello …
	random [32]byte  // … of this random
	later  bool      // it holds what follows the server's flight
	server *serverHi // it holds a ServerHello
}

// serverHi is what a ServerHello chose.
type serverHi struct {
	random [32]byte
	suite  uint16
}

// accepts tells the messages of the peer in the clear (RFC 6347 §4.2.4). A
// client goes on only when it has our answer: the library would keep what comes
// earlier in the place of what is meant.
func (s *screen) accepts(t handshake.Type, seq uint16) bool {
	switch t {
	case handshake.TypeClientHello:
		return !s.client && seq == 0
	case handshake.TypeClientKeyExchange, handshake.TypeCertificateVerify:
		return !s.client && s.answered && seq > 0
	case handshake.TypeServerHello, handshake.TypeHelloVerifyRequest, handshake.TypeServerKeyExchange,
		handshake.TypeCertificateRequest, handshake.TypeServerHelloDone:
		return s.client
	case handshake.TypeCertificate:
		return (s.client || s.answered) && seq > 0
	}
	return false
}

// plain screens a handshake record of epoch 0.
func (s *screen) plain(r record) seen {
	var v seen
	for b := r.body(); len(b) >= messageSize; {
		n := messageSize + uint24(b[9:])
		if n > len(b) {
			s.reason = "a message is cut off"
			break
		}
		if m := s.message(b[:n]); m != nil {
			s.take(&v, r, m)
		}
		b = b[n:]
	}
	if v.out != nil {
		binary.BigEndian.PutUint16(v.out[11:], uint16(len(v.out)-headerSize))
	}
	return v
}

// message gives a whole message back, or nil while fragments are missing or
// when it is not sane.
func (s *screen) message(b []byte) []byte {
	kind, size, at := handshake.Type(b[0]), uint24(b[1:]), uint24(b[6:])
	seq, body := binary.BigEndian.Uint16(b[4:]), b[messageSize:]
	switch {
	case !s.accepts(kind, seq):
		s.reason = fmt.Sprintf("message %d of type %d came unasked", seq, kind)
		return nil
	case size > maxMessage || seq > maxSequence:
		s.reason = fmt.Sprintf("message %d announces %d bytes", seq, size)
		return nil
	case at+len(body) > size || len(body) == 0 && size > 0:
		s.reason = "a fragment lies outside of its message"
		return nil
	case at == 0 && len(body) == size:
		return b
	}
	// Fragments that do not fit make room: whoever is serious sends his again.
	p := s.partial[seq]
	if p == nil || p.kind != b[0] || len(p.have) != size {
		if s.partial == nil {
			s.partial = make(map[uint16]*partial)
		}
		if p == nil && len(s.partial) >= maxPartial {
			clear(s.partial)
		}
		p = &partial{b[0], make([]byte, messageSize+size), make([]bool, size), size}
		copy(p.body, b[:messageSize])
		s.partial[seq] = p
	}
	copy(p.body[messageSize+at:], body)
	for i := at; i < at+len(body); i++ {
		if !p.have[i] {
			p.have[i] = true
			p.missing--
		}
	}
	if p.missing > 0 {
		return nil
	}
	delete(s.partial, seq)
	putUint24(p.body[6:], 0)
	putUint24(p.body[9:], size)
	return p.body
}

// take adds a whole message to what passes, when it can be read.
func (s *screen) take(v *seen, r record, b []byte) {
	m, err := decode(b)
	if err != nil {
		s.reason = "a message cannot be read: " + err.Error()
		return
	}
	if len(v.out)+len(b) > maxDatagram-headerSize {
		return
	}
	switch m := m.(type) {
	case *handshake.MessageClientHello:
		if s.reason = s.hello(m); s.reason != "" {
			return
		}
		v.hello, v.random = true, m.Random.MarshalFixed()
	case *handshake.MessageServerHello:
		if m.CipherSuiteID == nil {
			s.reason = "the server chose no cipher suite"
			return
		}
		v.server = &serverHi{m.Random.MarshalFixed(), *m.CipherSuiteID}
	case *handshake.MessageCertificate, *handshake.MessageClientKeyExchange, *handshake.MessageCertificateVerify:
		v.later = true
	}
	if v.out == nil {
		v.out = slices.Clone(r.raw[:headerSize])
	}
	v.out = append(v.out, b...)
}

// decode reads a message as the library will; a panic of its parsers is an
// error here, and would be the end of the process there.
func decode(b []byte) (m handshake.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("parser: %.100v", r)
		}
	}()
	h := handshake.Handshake{KeyExchangeAlgorithm: dtls.CipherSuiteKeyExchangeAlgorithmEcdhe}
	if err := h.Unmarshal(b); err != nil {
		return nil, err
	}
	return h.Message, nil
}

// hello tells why a ClientHello is no use, "" for a good one: with a bad one
// the library would end the association, and anybody can send one.
func (s *screen) hello(m *handshake.MessageClientHello) string {
	if m.Version != protocol.Version1_2 {
		return "the peer does not know DTLS 1.2"
	}
	if !slices.ContainsFunc(m.CipherSuiteIDs, func(id uint16) bool {
		suite, ok := suites[id]
		return ok && suite.rsa == s.rsa
	}) {
		return "there is no cipher suite in common"
	}
	for _, e := range m.Extensions {
		switch e := e.(type) {
		case *extension.SupportedEllipticCurves:
			if len(e.EllipticCurves) == 0 {
				return "there is no curve in common"
			}
		case *extension.UseSRTP:
			if !slices.ContainsFunc(e.ProtectionProfiles, func(p dtls.SRTPProtectionProfile) bool {
				return slices.Contains(profiles, p)
			}) {
				return "there is no SRTP profile in common"
			}
		}
	}
	return ""
}
