package medianode

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/internal/obs"
)

// collector shows the media port's counters. It describes nothing beforehand, so
// that it may add to panics_total, which belongs to obs: the transport may not
// import that, and counts for itself.
type collector struct{ engine *transport.Engine }

var (
	peersDesc   = prometheus.NewDesc("webrtc_peers", "WebRTC peers that exist.", nil, nil)
	stunDesc    = prometheus.NewDesc("webrtc_stun_answered_total", "Plain STUN requests answered on the media port.", nil, nil)
	fecDesc     = prometheus.NewDesc("webrtc_fec_recovered_total", "Packets of publishers that were lost and recovered from their FlexFEC.", nil, nil)
	refusedDesc = prometheus.NewDesc("webrtc_refused_total", "Datagrams and candidates that were not accepted, by reason.", []string{"reason"}, nil)
	panicsDesc  = prometheus.NewDesc(obs.PanicsName, obs.PanicsHelp, []string{"where"}, nil)
)

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	n := c.engine.Counters()
	out <- prometheus.MustNewConstMetric(peersDesc, prometheus.GaugeValue, float64(c.engine.Peers()))
	out <- prometheus.MustNewConstMetric(stunDesc, prometheus.CounterValue, float64(n.STUNAnswered))
	out <- prometheus.MustNewConstMetric(fecDesc, prometheus.CounterValue, float64(n.Recovered))
	for reason, v := range map[string]uint64{
		"stun_rate": n.STUNRefused, "oversized": n.Oversized, "malformed": n.Malformed, "candidate": n.BadCandidates,
	} {
		out <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(v), reason)
	}
	if n.Panics > 0 {
		out <- prometheus.MustNewConstMetric(panicsDesc, prometheus.CounterValue, float64(n.Panics), "webrtc.transport")
	}
}
