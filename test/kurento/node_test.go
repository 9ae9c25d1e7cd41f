package kurento_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestNodeEndpoints runs the unmodified npm kurento-client. KURENTO_CLIENT_DIR
// names a directory whose node_modules holds it.
func TestNodeEndpoints(t *testing.T) {
	dir := os.Getenv("KURENTO_CLIENT_DIR")
	if dir == "" {
		t.Skip("KURENTO_CLIENT_DIR is not set")
	}
	n, files := newNodeAt(t)
	h := httptest.NewServer(n.Server)
	defer h.Close()
	out, err := exec.Command("node", "testdata/node-endpoints.js", dir, "ws"+strings.TrimPrefix(h.URL, "http")+"/kurento", files).CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.HasSuffix(string(out), "done\n") {
		t.Fatalf("client ended with %v before it was done", err)
	}
}
