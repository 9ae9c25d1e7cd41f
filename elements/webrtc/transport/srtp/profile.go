package srtp

import (
	"errors"
	"fmt"
)

// Profile is a protection profile by its number in the use_srtp extension
// (RFC 5764 §4.1.2, RFC 7714 §14.2).
type Profile uint16

// The profiles that browsers speak. The short tag of AES128_CM_HMAC_SHA1_32 is
// left out: 32 bits are few, and its SRTCP has 80 anyway.
const (
	AES128CMHMACSHA180 Profile = 0x0001
	AEADAES128GCM      Profile = 0x0007
	AEADAES256GCM      Profile = 0x0008
)

// What a Seal or SealRTCP adds at most, in bytes, whatever the profile.
const (
	MaxOverhead     = gcmTag
	MaxOverheadRTCP = gcmTag + indexLen
)

// Errors are fixed values: a flood of bad packets costs no memory.
var (
	// ErrProfile is for a profile that this package does not speak.
	ErrProfile = errors.New("srtp: unknown protection profile")
	// ErrKey is for a master key or salt that has not the profile's length.
	ErrKey = errors.New("srtp: wrong length of master key or salt")
	// ErrShort is for a packet that cannot hold its header and tag.
	ErrShort = errors.New("srtp: packet too short")
	// ErrHeader is for a header length that the packet cannot have.
	ErrHeader = errors.New("srtp: malformed header")
	// ErrAuth is for a packet that was not sealed with the peer's key, or was
	// changed on its way.
	ErrAuth = errors.New("srtp: authentication failed")
	// ErrReplay is for a packet that came before, or is older than the window.
	ErrReplay = errors.New("srtp: replayed or too old")
	// ErrTooManyStreams is for the first packet of one SSRC more than an Opener
	// keeps account of.
	ErrTooManyStreams = errors.New("srtp: too many synchronization sources")
	// ErrNotEncrypted is for SRTCP whose E bit is not set: WebRTC has no profile
	// that sends it in the clear.
	ErrNotEncrypted = errors.New("srtp: SRTCP is not encrypted")
)

// Supported tells whether keys of this profile can be used.
func (p Profile) Supported() bool { return p.KeyLen() != 0 }

// KeyLen is the length of a master key in bytes, 0 for an unknown profile.
func (p Profile) KeyLen() int {
	switch p {
	case AES128CMHMACSHA180, AEADAES128GCM:
		return 16
	case AEADAES256GCM:
		return 32
	}
	return 0
}

// SaltLen is the length of a master salt in bytes, 0 for an unknown profile.
func (p Profile) SaltLen() int {
	switch p {
	case AES128CMHMACSHA180:
		return 14
	case AEADAES128GCM, AEADAES256GCM:
		return 12
	}
	return 0
}

// String is the profile's name in the IANA registry.
func (p Profile) String() string {
	switch p {
	case AES128CMHMACSHA180:
		return "SRTP_AES128_CM_HMAC_SHA1_80"
	case AEADAES128GCM:
		return "SRTP_AEAD_AES_128_GCM"
	case AEADAES256GCM:
		return "SRTP_AEAD_AES_256_GCM"
	}
	return fmt.Sprintf("%#04x", uint16(p))
}

// suite is what a profile does with session keys of one direction. The caller
// has checked lengths: the header is whole, and there is room for overhead.
type suite interface {
	overhead() int
	// seal encrypts plain behind dst[:hdr].
	seal(dst []byte, hdr int, plain []byte, id packetID) []byte
	// open decrypts in place; the payload begins at hdr.
	open(packet []byte, hdr int, id packetID) ([]byte, bool)
	// sealRTCP encrypts a compound and appends tag and index word.
	sealRTCP(dst, compound []byte, index uint32) []byte
	// indexWord is the E bit and index of an SRTCP packet.
	indexWord(packet []byte) uint32
	// openRTCP is the reverse of sealRTCP, in place.
	openRTCP(packet []byte, index uint32) ([]byte, bool)
}

// packetID is what a packet's initialization vector is made of (RFC 3711
// §4.1.1, RFC 7714 §8.1).
type packetID struct {
	ssrc, roc uint32
	seq       uint16
}

// newSuite derives the session keys of one direction.
func newSuite(p Profile, masterKey, masterSalt []byte) (suite, error) {
	if !p.Supported() {
		return nil, fmt.Errorf("%w: %v", ErrProfile, p)
	}
	if len(masterKey) != p.KeyLen() || len(masterSalt) != p.SaltLen() {
		return nil, fmt.Errorf("%w: %d and %d bytes for %v", ErrKey, len(masterKey), len(masterSalt), p)
	}
	if p == AES128CMHMACSHA180 {
		return newCM(masterKey, masterSalt)
	}
	return newGCM(masterKey, masterSalt)
}
