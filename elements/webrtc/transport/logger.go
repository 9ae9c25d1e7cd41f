package transport

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLog turns the library's log into slog records at debug level: what it
// warns of is mostly what a remote end did, which is no news for an operator.
type pionLog struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (p pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionScope{p.log.With("scope", scope)}
}

type pionScope struct{ log *slog.Logger }

func (p pionScope) logf(format string, args ...any) {
	if p.log.Enabled(context.Background(), slog.LevelDebug) {
		p.log.Debug(fmt.Sprintf("%.256s", fmt.Sprintf(format, args...)))
	}
}

func (p pionScope) Trace(string)                      {}
func (p pionScope) Tracef(string, ...any)             {}
func (p pionScope) Debug(string)                      {}
func (p pionScope) Debugf(string, ...any)             {}
func (p pionScope) Info(msg string)                   { p.logf("%s", msg) }
func (p pionScope) Infof(format string, args ...any)  { p.logf(format, args...) }
func (p pionScope) Warn(msg string)                   { p.logf("%s", msg) }
func (p pionScope) Warnf(format string, args ...any)  { p.logf(format, args...) }
func (p pionScope) Error(msg string)                  { p.logf("%s", msg) }
func (p pionScope) Errorf(format string, args ...any) { p.logf(format, args...) }
