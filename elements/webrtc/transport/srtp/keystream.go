package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// chunk is how much keystream is made at a time, in bytes.
const chunk = 256

// keystream is AES in counter mode, started anew for every packet. The standard
// library's CTR allocates half a kilobyte each time it is started, so the blocks
// are made here.
type keystream struct {
	block cipher.Block
	salt  [aes.BlockSize]byte
	iv    [aes.BlockSize]byte
	out   [chunk]byte
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
	k.iv = k.salt
	binary.BigEndian.PutUint32(k.iv[4:], binary.BigEndian.Uint32(k.iv[4:])^ssrc)
	low := binary.BigEndian.Uint64(k.iv[8:]) ^ index<<16
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
