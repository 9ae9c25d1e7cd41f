package mediaworker

import (
	"fmt"
	"testing"

	"github.com/govidu/govidu/internal/workers/wire"
)

func TestAssemble(t *testing.T) {
	const more, key, gap = wire.More, wire.Key, wire.Gap
	type message struct {
		frame    uint32
		fragment uint8
		flags    uint8
		text     string
	}
	for _, c := range []struct {
		name string
		in   []message
		want []string
	}{
		{"whole frames", []message{{1, 0, key, "a"}, {2, 0, 0, "b"}}, []string{"a key", "b"}},
		{"fragments", []message{{1, 0, more | key, "ab"}, {1, 1, more | key, "cd"}, {1, 2, key, "e"}}, []string{"abcde key"}},
		{"a frame is missing", []message{{1, 0, 0, "a"}, {3, 0, 0, "c"}, {4, 0, 0, "d"}}, []string{"a", "c lost", "d"}},
		{"the sender says so", []message{{1, 0, gap, "a"}, {2, 0, 0, "b"}}, []string{"a lost", "b"}},
		{"gap is in the first fragment only", []message{{1, 0, gap | more, "a"}, {1, 1, 0, "b"}}, []string{"ab lost"}},
		{"a middle fragment is missing", []message{{1, 0, more, "a"}, {1, 2, 0, "c"}, {2, 0, 0, "d"}, {3, 0, 0, "e"}}, []string{"d lost", "e"}},
		{"the end is missing", []message{{1, 0, more, "a"}, {2, 0, 0, "b"}}, []string{"b lost"}},
		{"the beginning is missing", []message{{1, 1, more, "b"}, {1, 2, 0, "c"}, {2, 0, 0, "d"}}, []string{"d lost"}},
		{"numbers wrap", []message{{1<<32 - 1, 0, 0, "a"}, {0, 0, 0, "b"}}, []string{"a", "b"}},
		{"a first fragment twice", []message{{1, 0, more, "a"}, {1, 0, more, "a"}, {1, 1, 0, "b"}, {2, 0, 0, "c"}}, []string{"c lost"}},
		{"empty", []message{{1, 0, key, ""}}, []string{" key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a assembler
			var got []string
			for _, m := range c.in {
				f, ok := a.add(wire.Header{Frame: m.frame, Fragment: m.fragment, Flags: m.flags}, []byte(m.text))
				if !ok {
					continue
				}
				s := string(f.data)
				if f.key {
					s += " key"
				}
				if f.lost {
					s += " lost"
				}
				got = append(got, s)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestAssembleIsBounded sends fragments without end.
func TestAssembleIsBounded(t *testing.T) {
	var a assembler
	part := make([]byte, wire.MaxFragment)
	for i := range 3 * wire.MaxFrame / wire.MaxFragment {
		if _, ok := a.add(wire.Header{Frame: 7, Fragment: uint8(i), Flags: wire.More}, part); ok {
			t.Fatal("a frame without end was given out")
		}
	}
	if cap(a.buf) > 2*wire.MaxFrame {
		t.Errorf("%d bytes are kept", cap(a.buf))
	}
	if f, ok := a.add(wire.Header{Frame: 8}, []byte("x")); !ok || !f.lost {
		t.Errorf("the frame after: %+v %v", f, ok)
	}
}

func FuzzAssemble(f *testing.F) {
	f.Add(uint32(1), uint8(0), uint8(4), []byte("a"), uint32(1), uint8(1), uint8(0), []byte("b"))
	f.Fuzz(func(t *testing.T, f1 uint32, g1, l1 uint8, p1 []byte, f2 uint32, g2, l2 uint8, p2 []byte) {
		var a assembler
		a.add(wire.Header{Frame: f1, Fragment: g1, Flags: l1}, p1)
		got, ok := a.add(wire.Header{Frame: f2, Fragment: g2, Flags: l2}, p2)
		if ok && len(got.data) > len(p1)+len(p2) {
			t.Error("more came out than went in")
		}
	})
}
