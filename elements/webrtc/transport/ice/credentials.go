package ice

import (
	"crypto/rand"
	"errors"
	"strings"
)

// ErrCredentials: a user fragment or password that RFC 8839 §5.4 does not allow.
var ErrCredentials = errors.New("invalid ICE credentials")

type credentials struct{ ufrag, pwd string }

// valid is lenient about short ones: old clients exist, and the peer's credential
// protects the peer.
func (c credentials) valid() bool {
	return c.ufrag != "" && c.pwd != "" && len(c.ufrag) <= 256 && len(c.pwd) <= 256 && !strings.Contains(c.ufrag, ":")
}

// generation is what one ICE restart replaces.
type generation struct{ local, remote credentials }

// NewCredentials makes a user fragment of 8 and a password of 32 ice-chars (RFC
// 8445 §5.3) from the system's random source.
func NewCredentials() (ufrag, pwd string) {
	// 64 characters: a byte's low bits choose without bias.
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var b [40]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	for i, x := range b {
		b[i] = chars[x&63]
	}
	return string(b[:8]), string(b[8:])
}
