package ice

import (
	"crypto/sha1" //nolint:gosec // RFC 8489 §14.5 wants it
	"crypto/subtle"
	"encoding/binary"
)

const blockSize = 64

// integrity is the HMAC-SHA1 of a message up to where its MESSAGE-INTEGRITY
// stands or will stand, by the short-term credential pwd (RFC 8489 §14.5). It is
// written out because it runs for each check: crypto/hmac allocates.
func integrity(message []byte, pwd string) [sha1.Size]byte {
	var inner [blockSize + maxMessage]byte
	var outer [blockSize + sha1.Size]byte
	if len(pwd) > blockSize {
		sum := sha1.Sum([]byte(pwd))
		copy(inner[:], sum[:])
	} else {
		copy(inner[:], pwd)
	}
	for i := range blockSize {
		outer[i] = inner[i] ^ 0x5c
		inner[i] ^= 0x36
	}
	n := copy(inner[blockSize:], message)
	// The length counts MESSAGE-INTEGRITY and nothing behind it.
	binary.BigEndian.PutUint16(inner[blockSize+2:], uint16(n-headerSize+4+sha1.Size))
	sum := sha1.Sum(inner[:blockSize+n])
	copy(outer[blockSize:], sum[:])
	return sha1.Sum(outer[:])
}

// authentic tells whether the message was made by somebody who knows pwd.
func (m *message) authentic(pwd string) bool {
	if m.integrity == 0 || pwd == "" {
		return false
	}
	want := integrity(m.raw[:m.integrity], pwd)
	return subtle.ConstantTimeCompare(want[:], m.raw[m.integrity+4:m.integrity+4+sha1.Size]) == 1
}
