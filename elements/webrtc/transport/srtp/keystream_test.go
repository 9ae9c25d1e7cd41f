package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"math/rand/v2"
	"testing"
)

// TestKeystream compares both ways with the standard library, for indices up to
// the last, and for more sources than are remembered.
func TestKeystream(t *testing.T) {
	key, salt := keys(AES128CMHMACSHA180, 200)
	salt[8] = 0xfe // the bits that a seeker's offset does not reach
	var fast, slow keystream
	for _, k := range []*keystream{&fast, &slow} {
		if err := k.init(key, salt); err != nil {
			t.Fatal(err)
		}
	}
	fast.seek = true
	if !canSeek() {
		t.Log("this Go version has no seekable CTR: single blocks are made instead")
	}
	for i := range 2000 {
		ssrc, index := rand.Uint32N(2*maxSeekers), rand.Uint64N(1<<48)
		switch i % 4 {
		case 0:
			index = rand.Uint64N(1 << 20)
		case 1:
			index = seekable - 2 + rand.Uint64N(4)
		case 2:
			index = 1<<48 - 1 - rand.Uint64N(3)
		}
		src := make([]byte, rand.IntN(1500))
		for j := range src {
			src[j] = byte(rand.Uint32())
		}
		var iv [aes.BlockSize]byte
		copy(iv[:], salt)
		for j := range 4 {
			iv[4+j] ^= byte(ssrc >> (24 - 8*j))
		}
		for j := range 6 {
			iv[8+j] ^= byte(index >> (40 - 8*j))
		}
		want := make([]byte, len(src))
		cipher.NewCTR(fast.block, iv[:]).XORKeyStream(want, src)
		for name, k := range map[string]*keystream{"seeking": &fast, "single blocks": &slow} {
			got := make([]byte, len(src))
			k.xor(got, src, ssrc, index)
			if !bytes.Equal(got, want) {
				t.Fatalf("%s, source %d, index %#x, %d bytes: wrong keystream", name, ssrc, index, len(src))
			}
		}
	}
	if canSeek() && len(fast.seekers) != maxSeekers || len(slow.seekers) != 0 {
		t.Errorf("%d and %d sources are remembered", len(fast.seekers), len(slow.seekers))
	}
}

// plain is a Stream that is built in another way.
type plain struct{ _, _ int }

func (plain) XORKeyStream(_, _ []byte) {}

type pointing struct{ p *int }

func (pointing) XORKeyStream(_, _ []byte) {}

func TestOtherStreamsAreNotUnwrapped(t *testing.T) {
	for _, s := range []cipher.Stream{plain{}, &plain{}, pointing{new(int)}, &pointing{}} {
		if unwrap(s) != nil {
			t.Errorf("%T is taken for a seekable stream", s)
		}
	}
}
