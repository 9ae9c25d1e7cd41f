package obs

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGuardEndsOneObjectAndCounts(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	before := testutil.ToFloat64(panics.WithLabelValues("test.read"))
	closed := 0
	func() {
		defer Guard(log, "test.read", func() { closed++; panic("clean-up fails too") })
		var none []int
		_ = none[closed]
	}()
	if closed != 1 {
		t.Fatalf("onPanic ran %d times, want 1", closed)
	}
	if got := testutil.ToFloat64(panics.WithLabelValues("test.read")) - before; got != 1 {
		t.Errorf("panics_total grew by %v, want 1", got)
	}
	for _, want := range []string{"where=test.read", "index out of range", "obs_test.go", "where=test.read.cleanup"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, out.String())
		}
	}
}

func TestGuardIsSilentWithoutPanic(t *testing.T) {
	defer func() {
		if recover() != nil {
			t.Error("guard raised a panic")
		}
	}()
	func() { defer Guard(nil, "test.quiet", func() { t.Error("onPanic ran without a panic") }) }()
	func() { defer Guard(nil, "test.nil", nil); panic(1) }()
}

func TestQuote(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain":       {"alice", `"alice"`},
		"line break":  {"a\nlevel=ERROR", `"a\nlevel=ERROR"`},
		"escape code": {"\x1b[31m", `"\x1b[31m"`},
		"bad utf-8":   {"\xff", `"\xff"`},
		"at limit":    {strings.Repeat("a", 256), `"` + strings.Repeat("a", 256) + `"`},
		"over":        {strings.Repeat("a", 257), `"` + strings.Repeat("a", 256) + `"… (257 bytes)`},
		"rune cut":    {strings.Repeat("a", 255) + "é", `"` + strings.Repeat("a", 255) + `"… (257 bytes)`},
	} {
		if got := Quote(c.in); got != c.want {
			t.Errorf("%s: Quote = %s, want %s", name, got, c.want)
		}
	}
}

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, "WARN", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hidden")
	log.Warn("shown", Remote("name", "a\nb"))
	if s := out.String(); strings.Contains(s, "hidden") || !strings.Contains(s, `"name":"\"a\\nb\""`) {
		t.Errorf("unexpected log: %s", s)
	}
	for _, c := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		if _, err := NewLogger(&out, c[0], c[1]); err == nil {
			t.Errorf("NewLogger(%q, %q) succeeded, want an error", c[0], c[1])
		}
	}
}

func TestMetricsHandler(t *testing.T) {
	rec := httptest.NewRecorder()
	MetricsHandler(NewRegistry("1.2.3"), slog.New(slog.DiscardHandler)).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`govidu_build_info{version="1.2.3"} 1`, "go_goroutines"} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

func TestPprofOnlyOnLoopback(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:6060", "nonsense"} {
		if _, err := NewPprof(addr, log); err == nil {
			t.Errorf("NewPprof(%q) succeeded, want a refusal", addr)
		}
	}
	p, err := NewPprof("127.0.0.1:0", log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	resp, err := http.Get("http://" + p.Addr().String() + "/debug/pprof/cmdline")
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("GET cmdline: %v %v", resp, err)
	}
	if resp != nil {
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}
