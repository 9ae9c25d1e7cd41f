package dtls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
)

// suite is what distinguishes our cipher suites.
type suite struct {
	rsa    bool // the server's certificate
	key    int  // bytes
	digest func() hash.Hash
}

// suites are those we offer and accept, all AES-GCM with forward secrecy:
// RFC 8827 §6.5 makes the first of them a duty of every endpoint.
var suites = map[uint16]suite{
	uint16(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256): {false, 16, sha256.New},
	uint16(dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256):   {true, 16, sha256.New},
	uint16(dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384): {false, 32, sha512.New384},
	uint16(dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384):   {true, 32, sha512.New384},
}

// suiteOrder is our preference.
var suiteOrder = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
}

// profiles is our preference of SRTP profiles: what costs least first.
var profiles = []dtls.SRTPProtectionProfile{
	dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80,
}

const (
	fixedIV  = 4 // of a nonce (RFC 5288 §3); the other 8 are in the record
	explicit = 8
	tagSize  = 16
	overhead = headerSize + explicit + tagSize
)

// half are the record keys of one direction.
type half struct {
	key [32]byte
	iv  [fixedIV]byte
}

// secret is what a connected Conn keeps.
type secret struct {
	size        int // of the keys
	read, write half
}

// parseKeyLog reads the line that the library writes once the master secret is
// known (NSS key log format).
func parseKeyLog(line []byte) (clientRandom, master []byte, err error) {
	f := bytes.Fields(line)
	if len(f) != 3 || string(f[0]) != "CLIENT_RANDOM" {
		return nil, nil, errors.New("dtls: unknown key log line")
	}
	if clientRandom, err = hex.DecodeString(string(f[1])); err != nil {
		return nil, nil, errors.New("dtls: unknown key log line")
	}
	if master, err = hex.DecodeString(string(f[2])); err != nil || len(clientRandom) != 32 || len(master) != 48 {
		return nil, nil, errors.New("dtls: unknown key log line")
	}
	return clientRandom, master, nil
}

// deriveSecret expands a master secret to record keys (RFC 5246 §6.3).
func deriveSecret(client bool, hi serverHi, clientRandom, master []byte) (*secret, error) {
	x, ok := suites[hi.suite]
	if !ok {
		return nil, fmt.Errorf("dtls: cipher suite %#04x is none of ours", hi.suite)
	}
	k, err := prf.GenerateEncryptionKeys(master, clientRandom, hi.random[:], 0, x.key, fixedIV, x.digest)
	if err != nil {
		return nil, fmt.Errorf("dtls: record keys: %w", err)
	}
	s := &secret{size: x.key}
	c, srv := &s.write, &s.read
	if !client {
		c, srv = srv, c
	}
	copy(c.key[:], k.ClientWriteKey)
	copy(c.iv[:], k.ClientWriteIV)
	copy(srv.key[:], k.ServerWriteKey)
	copy(srv.iv[:], k.ServerWriteIV)
	return s, nil
}

// exportKeys makes the SRTP keys (RFC 5764 §4.2).
func exportKeys(client bool, profile uint16, hi serverHi, clientRandom, master []byte) (Keys, error) {
	key, salt := 16, 12
	switch profile {
	case 0:
		return Keys{}, nil
	case AES128CMHMACSHA180:
		salt = 14
	case AEADAES128GCM:
	case AEADAES256GCM:
		key = 32
	default:
		return Keys{}, fmt.Errorf("dtls: SRTP profile %#04x is none of ours", profile)
	}
	seed := append(append([]byte("EXTRACTOR-dtls_srtp"), clientRandom...), hi.random[:]...)
	b, err := prf.PHash(master, seed, 2*(key+salt), suites[hi.suite].digest)
	if err != nil {
		return Keys{}, fmt.Errorf("dtls: SRTP keys: %w", err)
	}
	cut := func(n int) []byte { x := b[:n:n]; b = b[n:]; return x }
	k := Keys{Profile: profile}
	k.WriteKey, k.ReadKey, k.WriteSalt, k.ReadSalt = cut(key), cut(key), cut(salt), cut(salt)
	if !client {
		k.WriteKey, k.ReadKey, k.WriteSalt, k.ReadSalt = k.ReadKey, k.WriteKey, k.ReadSalt, k.WriteSalt
	}
	return k, nil
}

// aead makes the cipher of one direction.
func (s *secret) aead(h *half) (cipher.AEAD, error) {
	b, err := aes.NewCipher(h.key[:s.size])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// additional is the data that a record's tag covers besides its content
// (RFC 5246 §6.2.3.3).
func additional(raw []byte, n int) [headerSize]byte {
	var a [headerSize]byte
	copy(a[:8], raw[3:11])
	copy(a[8:11], raw[:3])
	binary.BigEndian.PutUint16(a[11:], uint16(n))
	return a
}

// open decrypts a record in place and gives its content.
func open(x cipher.AEAD, iv [fixedIV]byte, raw []byte) ([]byte, bool) {
	if len(raw) < overhead {
		return nil, false
	}
	var nonce [fixedIV + explicit]byte
	copy(nonce[:], iv[:])
	copy(nonce[fixedIV:], raw[headerSize:])
	a := additional(raw, len(raw)-overhead)
	b := raw[headerSize+explicit:]
	b, err := x.Open(b[:0], nonce[:], b, a[:])
	return b, err == nil
}

// seal appends a record of epoch 1 to dst. The sequence number is the nonce
// (RFC 9325 §7.2.1), so it must never come twice.
func seal(dst []byte, x cipher.AEAD, iv [fixedIV]byte, kind byte, seq uint64, content []byte) []byte {
	at := len(dst)
	dst = append(dst, kind, 0xfe, 0xfd)
	dst = binary.BigEndian.AppendUint64(dst, 1<<48|seq)
	dst = binary.BigEndian.AppendUint16(dst, uint16(explicit+len(content)+tagSize))
	dst = binary.BigEndian.AppendUint64(dst, 1<<48|seq)
	var nonce [fixedIV + explicit]byte
	copy(nonce[:], iv[:])
	binary.BigEndian.PutUint64(nonce[fixedIV:], 1<<48|seq)
	a := additional(dst[at:], len(content))
	return x.Seal(dst, nonce[:], content, a[:])
}

// window refuses records that came before (RFC 6347 §4.1.2.6).
type window struct {
	next uint64 // one more than the highest
	bits uint64 // of next-1 and those below
}

func (w *window) fresh(seq uint64) bool {
	if seq >= w.next {
		return true
	}
	d := w.next - 1 - seq
	return d < 64 && w.bits>>d&1 == 0
}

func (w *window) mark(seq uint64) {
	if seq < w.next {
		w.bits |= 1 << (w.next - 1 - seq)
		return
	}
	if d := seq + 1 - w.next; d < 64 {
		w.bits <<= d
	} else {
		w.bits = 0
	}
	w.bits |= 1
	w.next = seq + 1
}
