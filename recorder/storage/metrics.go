package storage

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the uploader's figures.
type metrics struct {
	u        *Uploader
	registry prometheus.Registerer
	bytes    *prometheus.CounterVec
	failures *prometheus.CounterVec
	up       prometheus.Gauge
	queue    *prometheus.Desc
	waiting  *prometheus.Desc
}

func newMetrics(u *Uploader, r prometheus.Registerer) *metrics {
	m := &metrics{
		u: u, registry: r,
		bytes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "govidu_storage_uploaded_bytes_total", Help: "Bytes uploaded: chunks of growing files, and whole files that were verified."}, []string{"what"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "govidu_storage_failures_total", Help: "Steps that failed and are tried again."}, []string{"step"}),
		up:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "govidu_storage_up", Help: "1 when the last request to the bucket went well."}),
		queue:    prometheus.NewDesc("govidu_storage_recordings", "Recordings by what is to be done for them.", []string{"step"}, nil),
		waiting:  prometheus.NewDesc("govidu_storage_waiting_bytes", "Bytes on the disk that are not in the bucket.", nil, nil),
	}
	m.up.Set(1)
	for p := range phases {
		m.failures.WithLabelValues(p.String())
	}
	for _, what := range []string{"chunk", "file"} {
		m.bytes.WithLabelValues(what)
	}
	if r != nil {
		r.MustRegister(m, m.bytes, m.failures, m.up)
	}
	return m
}

func (m *metrics) unregister() {
	if m.registry != nil {
		for _, c := range []prometheus.Collector{m, m.bytes, m.failures, m.up} {
			m.registry.Unregister(c)
		}
	}
}

func (m *metrics) moved(what string, n int64) {
	m.bytes.WithLabelValues(what).Add(float64(n))
	m.up.Set(1)
}

func (m *metrics) failed(p phase) { m.failures.WithLabelValues(p.String()).Inc() }

func (m *metrics) outcome(err error) {
	if err == nil {
		m.up.Set(1)
	} else {
		m.up.Set(0)
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.queue; ch <- m.waiting }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	var count [phases]float64
	var waiting float64
	m.u.mu.Lock()
	for _, j := range m.u.jobs {
		count[j.phase]++
		waiting += float64(j.waiting)
	}
	m.u.mu.Unlock()
	for p, n := range count {
		ch <- prometheus.MustNewConstMetric(m.queue, prometheus.GaugeValue, n, phase(p).String())
	}
	ch <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, waiting)
}
