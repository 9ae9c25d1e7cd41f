package obs

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// PanicsName and PanicsHelp are those of the counter of panics, for packages that
// may not import obs and whose counts are added to it by another.
const (
	PanicsName = "panics_total"
	PanicsHelp = "Panics caught by a guard, by the place that was guarded. Each one is a bug of ours."
)

// panics counts guarded panics by place. It belongs to the process, as panics
// do; NewRegistry exposes it.
var panics = prometheus.NewCounterVec(prometheus.CounterOpts{Name: PanicsName, Help: PanicsHelp}, []string{"where"})

// Guard ends a panic of the deferring goroutine: it logs it with its stack,
// counts it in panics_total{where} and calls onPanic, which ends the one
// connection or object that was being served (nil is allowed). Use it directly
// in a defer, because recover works nowhere else:
//
//	defer obs.Guard(log, "signal.read", socket.Close)
//
// where is one of a small fixed set of names, never remote data. A panic of
// onPanic itself is caught and counted as where+".cleanup". Memory exhaustion
// and concurrent map writes are fatal in Go and pass by any guard.
func Guard(log *slog.Logger, where string, onPanic func()) {
	r := recover()
	if r == nil {
		return
	}
	report(log, where, r)
	if onPanic == nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			report(log, where+".cleanup", r)
		}
	}()
	onPanic()
}

func report(log *slog.Logger, where string, r any) {
	panics.WithLabelValues(where).Inc()
	if log != nil {
		log.Error("panic caught", "where", where, AttrErr, Quote(fmt.Sprint(r)), "stack", string(debug.Stack()))
	}
}
