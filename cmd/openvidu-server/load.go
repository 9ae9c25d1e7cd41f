package main

import "github.com/prometheus/client_golang/prometheus"

// loadMetrics registers how busy the process is, and gives what counts newcomers
// that were refused for it.
func (s *server) loadMetrics() func(what string) {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "govidu_refused_total", Help: "Sessions, participants and requests refused because the server was overloaded.",
	}, []string{"what"})
	for _, what := range []string{"session", "participant", "request"} {
		refused.WithLabelValues(what)
	}
	s.metrics.MustRegister(
		refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "govidu_cpu_ratio", Help: "Share of the processors used by the server and its children over the last five seconds.",
		}, s.load.CPU),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "govidu_overloaded", Help: "1 while newcomers are refused because processors or memory are used up.",
		}, func() float64 {
			if s.load.Busy() != "" {
				return 1
			}
			return 0
		}),
	)
	s.refused = func(what string) { refused.WithLabelValues(what).Inc() }
	return s.refused
}
