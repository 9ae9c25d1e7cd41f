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
	s.metrics.MustRegister(append(s.load.Gauges(), refused)...)
	s.refused = func(what string) { refused.WithLabelValues(what).Inc() }
	return s.refused
}
