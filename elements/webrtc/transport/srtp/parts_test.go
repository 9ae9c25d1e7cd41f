package srtp

import "testing"

// TestParts: what may be fetched ahead is known for GCM, and nothing is claimed of
// other profiles.
func TestParts(t *testing.T) {
	for _, p := range []Profile{AEADAES128GCM, AEADAES256GCM, AES128CMHMACSHA180} {
		s, err := NewSealer(p, make([]byte, p.KeyLen()), make([]byte, p.SaltLen()))
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range s.Parts() {
			if known := part.At != nil && part.Size >= 64 && part.Size < 4096; known != (p != AES128CMHMACSHA180) {
				t.Errorf("%v, part %d: %+v", p, i, part)
			}
		}
	}
}
