package process

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Load watches the memory of the process, and the processor time that it and its
// children take, so that a server takes nobody more before it becomes slow or dies.
// What else runs on the machine does not count. Run samples; the rest is cheap and
// safe for concurrent use. The zero value does not judge the processors.
type Load struct {
	// CPULimit is the share of all processors that this process may use, 0.9 for
	// instance, over some seconds; 0 is no limit. Set it before Run.
	CPULimit float64

	busy    atomic.Pointer[string]
	share   atomic.Int64 // of the processors, in millionths
	samples []float64    // the last ones
	high    bool
}

// When new sessions are refused: memory above this share of the soft limit, or the
// mean of the processors' use over cpuSamples samples at the limit; until it is
// slack below that.
const (
	memoryShare = 0.85
	cpuSlack    = 0.05
	cpuSamples  = 5
	loadEvery   = time.Second
)

// Busy gives why nobody more should be taken, "" when there is room.
func (l *Load) Busy() string {
	if s := l.busy.Load(); s != nil {
		return *s
	}
	return ""
}

// CPU is the share of all processors used over the last seconds.
func (l *Load) CPU() float64 { return float64(l.share.Load()) / 1e6 }

// Gauges tell Prometheus of the load.
func (l *Load) Gauges() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "govidu_cpu_ratio", Help: "Share of the processors used by the server and its children over the last five seconds.",
		}, l.CPU),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "govidu_overloaded", Help: "1 while newcomers are refused because processors or memory are used up.",
		}, func() float64 {
			if l.Busy() != "" {
				return 1
			}
			return 0
		}),
	}
}

// Run samples until ctx ends.
func (l *Load) Run(ctx context.Context) error {
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	before, at := cpuTime(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			used := cpuTime()
			// A child that was not waited for takes its time with it.
			share := max(float64(used-before), 0) / float64(now.Sub(at)) / float64(runtime.GOMAXPROCS(0))
			before, at = used, now
			l.judge(share, memoryInUse(), debug.SetMemoryLimit(-1))
		}
	}
}

func (l *Load) judge(cpu float64, memory, limit int64) {
	if l.samples = append(l.samples, cpu); len(l.samples) > cpuSamples {
		l.samples = l.samples[1:]
	}
	var mean float64
	for _, s := range l.samples {
		mean += s / cpuSamples
	}
	l.share.Store(int64(mean * 1e6))
	switch {
	case l.CPULimit <= 0:
		l.high = false
	case l.high:
		l.high = mean >= l.CPULimit-cpuSlack
	default:
		l.high = mean >= l.CPULimit
	}
	var why string
	switch {
	case float64(memory) > memoryShare*float64(limit):
		why = "memory is nearly used up"
	case l.high:
		why = "processors are busy"
	}
	l.busy.Store(&why)
}

// memoryInUse is what Go counts towards its soft limit, in bytes.
func memoryInUse() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}
