package workers

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// What a worker writes to stderr is bounded: GStreamer can complain per frame.
const (
	maxLogLine  = 512
	linesBurst  = 100
	linesPerSec = 5
)

// lines is an io.Writer that turns what a process prints into log lines.
type lines struct {
	log *slog.Logger

	mu      sync.Mutex
	part    []byte
	cut     bool // the line is longer than part
	last    string
	fatal   bool // last is what the process died of
	tokens  float64
	at      time.Time
	dropped int
}

func newLines(log *slog.Logger) *lines { return &lines{log: log, tokens: linesBurst, at: time.Now()} }

// Write implements io.Writer; it never fails.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			l.take(b)
			return n, nil
		}
		l.take(b[:i])
		l.flush()
		b = b[i+1:]
	}
}

func (l *lines) take(b []byte) {
	room := maxLogLine - len(l.part)
	if len(b) > room {
		b, l.cut = b[:room], true
	}
	l.part = append(l.part, b...)
}

func (l *lines) flush() {
	text := strings.TrimSpace(strings.ToValidUTF8(string(l.part), "�"))
	if l.cut {
		text += "…"
	}
	l.part, l.cut = l.part[:0], false
	if text == "" {
		return
	}
	if !l.fatal {
		l.last, l.fatal = text, isFatal(text)
	}
	now := time.Now()
	l.tokens = min(l.tokens+now.Sub(l.at).Seconds()*linesPerSec, linesBurst)
	l.at = now
	if l.tokens < 1 {
		l.dropped++
		return
	}
	l.tokens--
	if l.dropped > 0 {
		l.log.Warn("media worker says more than is logged", "lines", l.dropped)
		l.dropped = 0
	}
	l.log.Warn("media worker says", "text", text)
}

// isFatal tells whether a line begins the report of Go's runtime on why the
// process dies; stacks and registers follow it.
func isFatal(text string) bool {
	for _, begin := range []string{"SIG", "panic:", "fatal error:", "runtime:"} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	return false
}

// Last is the last line that was not empty, or the one that says why the
// process died.
func (l *lines) Last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
