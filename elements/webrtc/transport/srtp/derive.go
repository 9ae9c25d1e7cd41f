package srtp

import (
	"crypto/aes"
	"crypto/cipher"
)

// Labels of session keys (RFC 3711 §4.3.1 and §4.3.2).
const (
	labelRTPKey = iota
	labelRTPAuth
	labelRTPSalt
	labelRTCPKey
	labelRTCPAuth
	labelRTCPSalt
)

// derive makes one session key of n bytes from the master key (RFC 3711 §4.3.3
// with a key derivation rate of zero). A salt of 12 bytes is used as if two zero
// bytes followed it (RFC 7714 §11).
func derive(masterKey, masterSalt []byte, label byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(masterKey)
	if err != nil {
		return nil, err
	}
	var iv [aes.BlockSize]byte
	copy(iv[:], masterSalt)
	iv[7] ^= label
	out := make([]byte, n)
	cipher.NewCTR(block, iv[:]).XORKeyStream(out, out)
	return out, nil
}
