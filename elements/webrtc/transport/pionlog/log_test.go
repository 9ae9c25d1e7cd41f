package pionlog

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestFactory wants a library's warnings at debug level, cut, and nothing when
// that level is off.
func TestFactory(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
		var b bytes.Buffer
		l := Factory{slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level}))}.NewLogger("dtls")
		l.Tracef("quiet %d", 1)
		l.Warnf("lost %d %s", 7, strings.Repeat("x", 1000))
		got := b.String()
		if strings.Contains(got, "quiet") || strings.Contains(got, "lost 7") != want || len(got) > 500 || strings.Contains(got, "scope=dtls") != want {
			t.Errorf("level %v: %q", level, got)
		}
	}
	Factory{}.NewLogger("x").Error("nowhere")
}
