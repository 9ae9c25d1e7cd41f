package transport

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// guard ends a panic of the deferring goroutine and then calls onPanic, which
// ends the one object that was being served. Use it directly in a defer.
func guard(log *slog.Logger, where string, onPanic func()) {
	r := recover()
	if r == nil {
		return
	}
	log.Error("panic caught", "where", where, "err", fmt.Sprintf("%.256v", r), "stack", string(debug.Stack()))
	if onPanic != nil {
		onPanic()
	}
}

// logPanic writes what was caught; remote text in it is cut.
func (e *Engine) logPanic(where string, r any) {
	e.log.Error("panic caught", "where", where, "err", fmt.Sprintf("%.256v", r), "stack", string(debug.Stack()))
}
