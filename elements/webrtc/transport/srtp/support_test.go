package srtp

import (
	"encoding/binary"
	"testing"

	pion "github.com/pion/srtp/v3"
)

var profiles = []Profile{AES128CMHMACSHA180, AEADAES128GCM, AEADAES256GCM}

// keys gives a master key and salt that depend on n.
func keys(p Profile, n byte) (key, salt []byte) {
	key, salt = make([]byte, p.KeyLen()), make([]byte, p.SaltLen())
	for i := range key {
		key[i] = byte(i)*7 + n
	}
	for i := range salt {
		salt[i] = byte(i)*13 + n + 100
	}
	return key, salt
}

func pair(t testing.TB, p Profile) (*Sealer, *Opener) {
	t.Helper()
	key, salt := keys(p, 1)
	s, err := NewSealer(p, key, salt)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(p, key, salt, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

// reference is pion's context with the same keys, replay protection on.
func reference(t testing.TB, p Profile) *pion.Context {
	t.Helper()
	key, salt := keys(p, 1)
	c, err := pion.CreateContext(key, salt, pion.ProtectionProfile(p), pion.SRTPReplayProtection(1024), pion.SRTCPReplayProtection(128))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// packet is an RTP packet: a header of 12 bytes and more, as asked, and n bytes
// of payload.
func packet(seq uint16, ssrc uint32, n int, extended bool) []byte {
	b := make([]byte, 12, 64+n)
	b[0], b[1] = 0x80, 96
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], uint32(seq)*3000)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	if extended {
		b[0] = 0x92 // two contributing sources, an extension
		b = append(b, 1, 2, 3, 4, 5, 6, 7, 8)
		b = append(b, 0xbe, 0xde, 0, 2, 0x10, 9, 0x21, 1, 2, 0, 0, 0)
	}
	for i := range n {
		b = append(b, byte(i)+byte(seq))
	}
	return b
}

// receiverReport is the smallest real compound packet: RR and SDES.
func receiverReport(ssrc uint32) []byte {
	b := []byte{0x80, 201, 0, 1, 0, 0, 0, 0, 0x81, 202, 0, 2, 0, 0, 0, 0, 1, 1, 'a', 0}
	binary.BigEndian.PutUint32(b[4:], ssrc)
	binary.BigEndian.PutUint32(b[12:], ssrc)
	return b
}

// seal gives a sealed copy of a packet.
func seal(t testing.TB, s *Sealer, plain []byte, roc uint32) []byte {
	t.Helper()
	hdr := HeaderLen(plain)
	dst := make([]byte, len(plain)+MaxOverhead)
	copy(dst, plain[:hdr])
	out := s.Seal(dst, hdr, plain[hdr:], binary.BigEndian.Uint32(plain[8:]), binary.BigEndian.Uint16(plain[2:]), roc)
	if len(out) != len(plain)+s.Overhead() {
		t.Fatalf("sealed %d bytes to %d", len(plain), len(out))
	}
	return out
}
