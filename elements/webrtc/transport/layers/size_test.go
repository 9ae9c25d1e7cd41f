package layers

import (
	"testing"
	"unsafe"
)

// TestSize bounds what each subscriber costs.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Selector{}); n > 448 {
		t.Errorf("a Selector has %d bytes", n)
	} else {
		t.Logf("a Selector has %d bytes, with runs %d more, an Info %d, an Out %d", n, unsafe.Sizeof(runs{}), unsafe.Sizeof(Info{}), unsafe.Sizeof(Out{}))
	}
	if n := unsafe.Sizeof(Out{}); n != 20 {
		t.Errorf("an Out has %d bytes", n)
	}
}
