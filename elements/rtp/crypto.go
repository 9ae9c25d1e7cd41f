package rtp

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/pion/srtp/v3"

	"github.com/govidu/govidu/internal/kerr"
)

// CryptoSuite is a way to encrypt and authenticate (RFC 4568 §6.2, RFC 6188).
type CryptoSuite string

// Values implements the enumeration.
func (CryptoSuite) Values() []string {
	return []string{"AES_128_CM_HMAC_SHA1_32", "AES_128_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80"}
}

// suite is what a CryptoSuite means: the name in a=crypto, and master key and
// salt in bytes.
type suite struct {
	sdp       string
	profile   srtp.ProtectionProfile
	key, salt int
}

var suites = map[CryptoSuite]suite{
	"AES_128_CM_HMAC_SHA1_32": {"AES_CM_128_HMAC_SHA1_32", srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14},
	"AES_128_CM_HMAC_SHA1_80": {"AES_CM_128_HMAC_SHA1_80", srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14},
	"AES_256_CM_HMAC_SHA1_32": {"AES_256_CM_HMAC_SHA1_32", srtp.ProtectionProfileAes256CmHmacSha1_32, 32, 14},
	"AES_256_CM_HMAC_SHA1_80": {"AES_256_CM_HMAC_SHA1_80", srtp.ProtectionProfileAes256CmHmacSha1_80, 32, 14},
}

// SDES are the security descriptions of a constructor (RFC 4568). Without a
// suite media is plain; without a key a random one is made.
type SDES struct {
	Key       *string      `json:"key"`
	KeyBase64 *string      `json:"keyBase64"`
	Crypto    *CryptoSuite `json:"crypto"`
}

// secret is our side of the keys: the suite, and what we send with.
type secret struct {
	suite
	master []byte // key and salt
}

// String keeps keys out of logs.
func (*secret) String() string { return "***" }

// secret checks the parameters; nil means plain RTP. A key of the wrong size is
// kerr.MediaObjectIllegalParam, and so is a key without a suite: silence would
// send in the clear what was meant to be secret.
func (s SDES) secret() (*secret, error) {
	if s.Crypto == nil {
		if s.Key != nil || s.KeyBase64 != nil {
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "A crypto suite is needed to use the master key")
		}
		return nil, nil
	}
	x := &secret{suite: suites[*s.Crypto]}
	size := x.key + x.salt
	switch {
	case s.Key != nil:
		x.master = []byte(*s.Key)
	case s.KeyBase64 != nil:
		b, err := base64.StdEncoding.DecodeString(*s.KeyBase64)
		if err != nil {
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "Master key is not base64")
		}
		x.master = b
	default:
		x.master = make([]byte, size)
		rand.Read(x.master)
	}
	if len(x.master) != size {
		return nil, kerr.New(kerr.MediaObjectIllegalParam, "Master key size is wrong")
	}
	return x, nil
}

// line is our a=crypto with the given tag.
func (x *secret) line(tag string) string {
	return "a=crypto:" + tag + " " + x.sdp + " inline:" + base64.StdEncoding.EncodeToString(x.master)
}

// offeredKey is one usable a=crypto line of a peer.
type offeredKey struct {
	tag    string
	master []byte
	mki    []byte
}

// match finds the peer's first line of our suite. Lines with session parameters
// that weaken or change the suite are passed over (RFC 4568 §6.3).
func (x *secret) match(values []string) (offeredKey, bool) {
	for _, v := range values {
		f := strings.Fields(v)
		if len(f) < 3 || f[1] != x.sdp || len(f[0]) > 9 {
			continue
		}
		if _, err := strconv.ParseUint(f[0], 10, 31); err != nil {
			continue
		}
		if len(f) > 3 && !onlyWindow(f[3:]) {
			continue
		}
		if k, ok := x.parseKey(f[2]); ok {
			k.tag = f[0]
			return k, true
		}
	}
	return offeredKey{}, false
}

func onlyWindow(params []string) bool {
	for _, p := range params {
		if !strings.HasPrefix(p, "WSH=") {
			return false
		}
	}
	return true
}

// parseKey reads "inline:BASE64|lifetime|MKI:length"; one key per line.
func (x *secret) parseKey(text string) (offeredKey, bool) {
	rest, ok := strings.CutPrefix(text, "inline:")
	if !ok || strings.Contains(rest, ";") {
		return offeredKey{}, false
	}
	parts := strings.Split(rest, "|")
	// Some peers leave the padding out.
	master, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(parts[0], "="))
	if err != nil || len(master) != x.key+x.salt || len(parts) > 3 {
		return offeredKey{}, false
	}
	k := offeredKey{master: master}
	for _, p := range parts[1:] {
		if value, length, isMKI := strings.Cut(p, ":"); isMKI {
			if k.mki, ok = parseMKI(value, length); !ok {
				return offeredKey{}, false
			}
		}
	}
	return k, true
}

// parseMKI reads a master key identifier: a number in so many bytes.
func parseMKI(value, length string) ([]byte, bool) {
	n, err := strconv.ParseUint(length, 10, 8)
	if err != nil || n == 0 || n > 128 {
		return nil, false
	}
	v, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return nil, false
	}
	mki := make([]byte, n)
	for i := len(mki) - 1; i >= 0; i-- {
		mki[i] = byte(v)
		v >>= 8
	}
	return mki, v == 0
}
