// Package pionlog has pion's libraries log through slog.
package pionlog

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// Factory turns a library's log into slog records at debug level: what it warns
// of is mostly what a remote end did, which is no news for an operator. A nil
// Log discards.
type Factory struct{ Log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (f Factory) NewLogger(scope string) logging.LeveledLogger {
	if f.Log == nil || !f.Log.Enabled(context.Background(), slog.LevelDebug) {
		return logger{}
	}
	return logger{f.Log.With("scope", scope)}
}

// logger is one library's; without a log it is silent and costs nothing.
type logger struct{ log *slog.Logger }

func (l logger) text(format string, args ...any) {
	if l.log != nil {
		l.log.Debug(fmt.Sprintf("%.256s", fmt.Sprintf(format, args...)))
	}
}

// Trace implements logging.LeveledLogger, as the others do.
func (l logger) Trace(string)                      {}
func (l logger) Tracef(string, ...any)             {}
func (l logger) Debug(string)                      {}
func (l logger) Debugf(string, ...any)             {}
func (l logger) Info(msg string)                   { l.text("%s", msg) }
func (l logger) Infof(format string, args ...any)  { l.text(format, args...) }
func (l logger) Warn(msg string)                   { l.text("%s", msg) }
func (l logger) Warnf(format string, args ...any)  { l.text(format, args...) }
func (l logger) Error(msg string)                  { l.text("%s", msg) }
func (l logger) Errorf(format string, args ...any) { l.text(format, args...) }
