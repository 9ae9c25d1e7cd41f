package workers

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// poolMetrics are the pool's figures. kind is one of the few names of jobs in
// the code, never remote data.
type poolMetrics struct {
	registry prometheus.Registerer
	all      []prometheus.Collector
	crashes  *prometheus.CounterVec
	restarts *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	refused  *prometheus.CounterVec
}

func newMetrics(p *Pool, r prometheus.Registerer) *poolMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &poolMetrics{
		registry: r,
		crashes:  counter("worker_crashes_total", "Media workers that died while they had a job, by kind of job.", "kind"),
		restarts: counter("worker_restarts_total", "Media workers started again after a crash, by kind of job.", "kind"),
		dropped:  counter("worker_frames_dropped_total", "Coded frames dropped between server and media workers, by direction.", "direction"),
		refused:  counter("worker_refusals_total", "Jobs, and additions to running ones, refused for want of processor time, by kind of job.", "kind"),
	}
	m.all = []prometheus.Collector{m.crashes, m.restarts, m.dropped, m.refused,
		loads{p},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "worker_cores_limit", Help: "Processor time that jobs may use or reserve together, in cores."}, func() float64 {
			return p.c.Cores
		}),
	}
	for i, c := range m.all {
		if r == nil {
			break
		}
		if err := r.Register(c); err != nil {
			p.log.Warn("metric of workers not registered", "err", err)
			m.all[i] = nil
		}
	}
	return m
}

// loads are the jobs there are and what they use, by kind.
type loads struct{ p *Pool }

var (
	runningDesc = prometheus.NewDesc("workers_running", "Jobs in media workers, by kind of job.", []string{"kind"}, nil)
	coresDesc   = prometheus.NewDesc("worker_cores_used", "Processor time that jobs use or have reserved, in cores, by kind of job.", []string{"kind"}, nil)
)

func (l loads) Describe(to chan<- *prometheus.Desc) { to <- runningDesc; to <- coresDesc }

func (l loads) Collect(to chan<- prometheus.Metric) {
	type load struct{ jobs, cores float64 }
	kinds := map[string]load{}
	now := time.Now()
	l.p.mu.Lock()
	for j := range l.p.jobs {
		k := kinds[j.spec.Kind]
		kinds[j.spec.Kind] = load{k.jobs + 1, k.cores + j.meter.charge(now, l.p.settle)}
	}
	l.p.mu.Unlock()
	for kind, k := range kinds {
		to <- prometheus.MustNewConstMetric(runningDesc, prometheus.GaugeValue, k.jobs, kind)
		to <- prometheus.MustNewConstMetric(coresDesc, prometheus.GaugeValue, k.cores, kind)
	}
}

func (m *poolMetrics) close() {
	if m.registry == nil {
		return
	}
	for _, c := range m.all {
		if c != nil {
			m.registry.Unregister(c)
		}
	}
}

// Directions of dropped frames.
const (
	toWorker   = "to_worker"
	fromWorker = "from_worker"
)
