package workers

import (
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
	}
	m.all = []prometheus.Collector{m.crashes, m.restarts, m.dropped,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "workers_running", Help: "Jobs in media workers."}, func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return float64(len(p.jobs))
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "worker_cores_used", Help: "Processor time that jobs use or have reserved, in cores."}, func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			_, _, all := p.used()
			return all
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
