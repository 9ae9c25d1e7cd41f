package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

const (
	// chunk is how much keystream is made at a time, in bytes.
	chunk = 256
	// maxSeekers is how many sources a keystream remembers a seeker for. Others
	// are served too, only slower.
	maxSeekers = 32
	// seekable are the indices that a seeker reaches: it is 60 bits of blocks wide,
	// of which a packet has 16.
	seekable = 1 << 44
)

// keystream is AES in counter mode, started anew for every packet. The standard
// library's CTR allocates half a kilobyte each time it is started. So one is kept
// for each source where it can be started anywhere (see seek.go), and otherwise
// the blocks are made here, one at a time.
type keystream struct {
	block   cipher.Block
	salt    [aes.BlockSize]byte
	iv      [aes.BlockSize]byte
	out     [chunk]byte
	seek    bool // worth it: RTP, not RTCP, which is short and seldom
	seekers []sourceSeeker
}

type sourceSeeker struct {
	ssrc uint32
	seeker
}

func (k *keystream) init(key, salt []byte) (err error) {
	copy(k.salt[:], salt)
	k.block, err = aes.NewCipher(key)
	return err
}

// xor encrypts or decrypts src to dst, which is src or does not overlap it. The
// initialization vector is salt·2^16 ⊕ SSRC·2^64 ⊕ index·2^16 (RFC 3711 §4.1.1);
// the last 16 bits count blocks.
func (k *keystream) xor(dst, src []byte, ssrc uint32, index uint64) {
	low := binary.BigEndian.Uint64(k.salt[8:]) ^ index<<16
	if index < seekable {
		if s := k.seeker(ssrc); s != nil {
			s.XORKeyStreamAt(dst, src, low<<4)
			return
		}
	}
	k.iv = k.salt
	binary.BigEndian.PutUint32(k.iv[4:], binary.BigEndian.Uint32(k.iv[4:])^ssrc)
	for len(src) > 0 {
		n := min(len(src), chunk)
		for i := 0; i < n; i += aes.BlockSize {
			binary.BigEndian.PutUint64(k.iv[8:], low)
			k.block.Encrypt(k.out[i:i+aes.BlockSize], k.iv[:])
			low++
		}
		subtle.XORBytes(dst[:n], src[:n], k.out[:n])
		dst, src = dst[n:], src[n:]
	}
}

// seeker is the one whose keystream begins where index and block are zero, but
// for the salt's upper four bits of the lower half, which offsets do not reach;
// nil when there is none.
func (k *keystream) seeker(ssrc uint32) seeker {
	if !k.seek {
		return nil
	}
	for i := range k.seekers {
		if k.seekers[i].ssrc == ssrc {
			return k.seekers[i].seeker
		}
	}
	if len(k.seekers) == maxSeekers {
		return nil
	}
	iv := k.salt
	binary.BigEndian.PutUint32(iv[4:], binary.BigEndian.Uint32(iv[4:])^ssrc)
	iv[8] &= 0xf0
	clear(iv[9:])
	s := newSeeker(k.block, iv[:])
	if s == nil {
		k.seek = false
		return nil
	}
	k.seekers = append(k.seekers, sourceSeeker{ssrc, s})
	return s
}
