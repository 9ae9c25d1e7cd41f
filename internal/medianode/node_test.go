package medianode

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/obs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMetricsOfTheMediaPort(t *testing.T) {
	reg := obs.NewRegistry("v0")
	n, err := New(Config{Loopback: true, FileRoots: []string{t.TempDir()}, Log: slog.New(slog.DiscardHandler), Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	// A guard's panic and the transport's share one metric without a conflict.
	func() { defer obs.Guard(nil, "test", nil); panic("x") }()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range families {
		switch f.GetName() {
		case "webrtc_peers", "webrtc_refused_total", "webrtc_stun_answered_total", obs.PanicsName:
			found++
		}
	}
	if found != 4 {
		t.Errorf("%d of 4 metrics are there", found)
	}
	problems, err := testutil.GatherAndLint(reg, "webrtc_peers", "webrtc_refused_total", "webrtc_stun_answered_total", obs.PanicsName)
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
}

func TestBadAnnouncedAddress(t *testing.T) {
	if _, err := New(Config{AnnouncedIPs: []string{"here"}, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "announced") {
		t.Errorf("error = %v", err)
	}
}
