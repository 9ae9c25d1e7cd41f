package kms_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/core"
	"github.com/govidu/govidu/kms"
	"github.com/govidu/govidu/kms/kmstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = kmstest.Deadline

var (
	dialRaw = kmstest.Dial
	newPeer = kmstest.NewPeer
)

func newServer(t testing.TB, edit func(*kms.Config), more ...elements.Type) *kms.Server {
	t.Helper()
	reg, err := elements.NewRegistry(append(append(elements.Types(), core.Types()...), more...)...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := kms.Config{Registry: reg}
	if edit != nil {
		edit(&cfg)
	}
	s, err := kms.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// overSocket serves s over HTTP and gives its WebSocket URL.
func overSocket(t testing.TB, s http.Handler) string {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return "ws" + strings.TrimPrefix(h.URL, "http") + "/kurento"
}
