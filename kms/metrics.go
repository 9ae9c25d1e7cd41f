package kms

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics never carry ids as labels: type is a class, op a method or a known
// operation.
type metrics struct {
	objects *prometheus.GaugeVec
	rpc     *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		objects: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kms_objects", Help: "Living media objects by type.",
		}, []string{"type"}),
		rpc: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kms_rpc_seconds", Help: "Time to serve a Kurento request, by object type and operation.",
			Buckets: []float64{.0002, .001, .005, .02, .1, .5, 2, 10},
		}, []string{"type", "op"}),
	}
	if reg == nil {
		return m, nil
	}
	if err := reg.Register(m.objects); err != nil {
		return nil, err
	}
	return m, reg.Register(m.rpc)
}

func (m *metrics) observe(typ, op string, since time.Time) {
	m.rpc.WithLabelValues(typ, op).Observe(time.Since(since).Seconds())
}
