//go:build unix

package recording

import (
	"errors"
	"testing"
)

// Two services never share a folder: each would take the other's recordings for
// those of a dead process.
func TestOneProcessPerFolder(t *testing.T) {
	h := newHouse(t, nil, "room")
	o := Options{Dir: h.dir, Rooms: h.rooms, Log: testLog(t)}
	if s, err := New(o); !errors.Is(err, errInUse) {
		t.Errorf("a second service in the folder: %v, %v", s, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := New(o)
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
