package fetch

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestRemote(t *testing.T) {
	data := make([]byte, 3<<20+77)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	var requests atomic.Int32
	version := "one"
	mux := http.NewServeMux()
	mux.HandleFunc("/ranges", func(w http.ResponseWriter, req *http.Request) {
		requests.Add(1)
		w.Header().Set("ETag", `"`+version+`"`)
		http.ServeContent(w, req, "x.bin", time.Time{}, bytes.NewReader(data))
	})
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	p := &Policy{AllowPrivate: true}

	f, err := p.Remote(t.Context(), srv.URL+"/ranges")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Ranges() || f.Size() != int64(len(data)) {
		t.Fatalf("ranges %v size %d", f.Ranges(), f.Size())
	}
	for range 300 {
		off := r.Int64N(int64(len(data)))
		b := make([]byte, r.IntN(200_000))
		n, err := f.ReadAt(b, off)
		want := min(len(b), len(data)-int(off))
		if n != want || !bytes.Equal(b[:n], data[off:off+int64(n)]) || n < len(b) && err != io.EOF || n == len(b) && err != nil {
			t.Fatalf("read %d at %d: %d %v", len(b), off, n, err)
		}
	}
	if len(f.blocks) > keptBlocks {
		t.Errorf("%d blocks kept", len(f.blocks))
	}
	if n := requests.Load(); n > 30 {
		t.Errorf("%d requests: what was read is not kept", n)
	}
	version = "two"
	f.blocks, f.order = map[int64][]byte{}, nil
	f.drop()
	if _, err := f.ReadAt(make([]byte, 10), 2<<20); err == nil {
		t.Error("a changed file is read on")
	}

	g, err := p.Remote(t.Context(), srv.URL+"/plain")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if g.Ranges() {
		t.Error("ranges of a server without")
	}
	if b, err := io.ReadAll(g.Body()); err != nil || !bytes.Equal(b, data) {
		t.Errorf("body: %d bytes, %v", len(b), err)
	}
	if _, err := p.Remote(t.Context(), srv.URL+"/none"); err == nil {
		t.Error("404 is opened")
	}
}
