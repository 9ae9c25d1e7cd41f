package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"reflect"
	"sync"
	"unsafe"
)

// seeker is a CTR stream that can be read from any place. The standard library's
// AES has the method, for its random number generator; what NewCTR gives only
// wraps it. Reading eight blocks at a time from there is several times faster than
// asking for single blocks.
type seeker interface {
	XORKeyStreamAt(dst, src []byte, offset uint64)
}

// newSeeker gives the stream behind NewCTR's wrapper, or nil when this Go version
// builds it in another way or it does not do what its name says.
func newSeeker(block cipher.Block, iv []byte) seeker {
	if !canSeek() {
		return nil
	}
	return unwrap(cipher.NewCTR(block, iv))
}

// unwrap looks into a struct that is nothing but a pointer to a seeker. An
// interface holds such a struct as the pointer itself.
func unwrap(s cipher.Stream) seeker {
	t := reflect.TypeOf(s)
	if t.Kind() != reflect.Struct || t.NumField() != 1 || t.Field(0).Type.Kind() != reflect.Pointer ||
		!t.Field(0).Type.Implements(reflect.TypeFor[seeker]()) {
		return nil
	}
	type face struct{ tab, data unsafe.Pointer }
	found, _ := reflect.NewAt(t.Field(0).Type.Elem(), (*face)(unsafe.Pointer(&s)).data).Interface().(seeker)
	return found
}

// canSeek compares a seeker with single blocks, once in a process.
var canSeek = sync.OnceValue(func() bool {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return false
	}
	var iv, want, got, zero [aes.BlockSize]byte
	s := unwrap(cipher.NewCTR(block, iv[:]))
	if s == nil {
		return false
	}
	for _, at := range []uint64{0, 1, 0x1234_0000, 1<<60 - 1} {
		for i := range 8 {
			iv[15-i] = byte(at >> (8 * i))
		}
		block.Encrypt(want[:], iv[:])
		s.XORKeyStreamAt(got[:], zero[:], at*aes.BlockSize)
		if got != want {
			return false
		}
	}
	return true
})
