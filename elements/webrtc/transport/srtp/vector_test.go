package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDerivation: RFC 3711 appendix B.3.
func TestDerivation(t *testing.T) {
	key, salt := unhex(t, "e1f97a0d3e018be0d64fa32c06de4139"), unhex(t, "0ec675ad498afeebb6960b3aabe6")
	for _, c := range []struct {
		label byte
		want  string
	}{
		{labelRTPKey, "c61e7a93744f39ee10734afe3ff7a087"},
		{labelRTPSalt, "30cbbc08863d8c85d49db34a9ae1"},
		{labelRTPAuth, "cebe321f6ff7716b6fd4ab49af256a156d38baa4"},
	} {
		got, err := derive(key, salt, c.label, len(c.want)/2)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("label %d gives %x, %v, want %s", c.label, got, err, c.want)
		}
	}
}

// TestCounterMode: RFC 3711 appendix B.2, the first and the last blocks.
func TestCounterMode(t *testing.T) {
	var k keystream
	if err := k.init(unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"), unhex(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfd")); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 0xff02*16)
	k.xor(out, out, 0, 0)
	for _, c := range []struct {
		block int
		want  string
	}{
		{0, "e03ead0935c95e80e166b16dd92b4eb4"}, {1, "d23513162b02d0f72a43a2fe4a5f97ab"}, {2, "41e95b3bb0a2e8dd477901e4fca894c0"},
		{0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"}, {0xff00, "362b7c3c6773516318a077d7fc5073ae"}, {0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"},
	} {
		if got := hex.EncodeToString(out[c.block*16:][:16]); got != c.want {
			t.Errorf("block %#x is %s, want %s", c.block, got, c.want)
		}
	}
}

// TestGCMVector: RFC 7714 §16.1.1 and §16.2.1, whose keys are session keys.
func TestGCMVector(t *testing.T) {
	for _, c := range []struct{ name, key, want string }{
		{
			"128", "000102030405060708090a0b0c0d0e0f",
			"8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
		},
		{
			"256", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			"8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			block, err := aes.NewCipher(unhex(t, c.key))
			if err != nil {
				t.Fatal(err)
			}
			g := &gcm{}
			if g.rtp, err = cipher.NewGCM(block); err != nil {
				t.Fatal(err)
			}
			copy(g.saltRTP[:], unhex(t, "517569642070726f2071756f"))
			plain := append(unhex(t, "8040f17b8041f8d35501a0b2"), "Gallia est omnis divisa in partes tres"...)
			s := &Sealer{suite: g}
			if got := seal(t, s, plain, 0); !bytes.Equal(got, unhex(t, c.want)) {
				t.Errorf("sealed to %x, want %s", got, c.want)
			}
		})
	}
}
