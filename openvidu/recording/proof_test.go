package recording

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/govidu/govidu/internal/proof"
)

// proven demands that a final recording verifies with the server's keys.
func (h *house) proven(id string) proof.Report {
	h.t.Helper()
	r, err := proof.Verify(context.Background(), os.DirFS(filepath.Join(h.dir, id)), h.keys.Public())
	if err != nil || !r.True || r.ID != id || r.Key != h.keys.Current().ID {
		h.t.Errorf("verification of %s: %+v, %v", id, r, err)
	}
	return r
}

// The log of a recording names what happened in the order it did, and the
// manifest repeats it.
func TestEventsAreProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil, "room")
		a := stream(h.node, "room", "con_A")
		h.publish(a)
		h.mustStart("room", individual())
		h.store.ledgers.checkpoint(&metadata{Recording: Recording{ID: "room"}}, []string{a.StreamID + ".webm"})
		h.mustStop("room")
		h.proven("room")
		var events []string
		f, err := os.Open(filepath.Join(h.dir, "room", proof.LogFile))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := proof.Read(f)
		if err != nil || len(c.Entries) == 0 || c.Entries[0].Type != proof.TypeOpen {
			t.Fatalf("log %+v, %v", c, err)
		}
		for _, e := range c.Entries {
			events = append(events, e.Type)
		}
		if n := len(events); events[n-2] != proof.TypeManifest || events[n-1] != proof.TypeSignature {
			t.Errorf("the log is %v", events)
		}
		var m manifest
		if b, err := h.store.read("room/" + proof.ManifestFile); err != nil || json.Unmarshal(b, &m) != nil {
			t.Fatalf("manifest %s: %v", b, err)
		}
		var got []string
		for _, e := range m.Events {
			got = append(got, e.Event)
		}
		if want := "started streamJoined streamLeft stopped"; strings.Join(got, " ") != want {
			t.Errorf("events %q, want %q", strings.Join(got, " "), want)
		}
	})
}
