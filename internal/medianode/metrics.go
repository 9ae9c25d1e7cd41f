package medianode

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
	"github.com/govidu/govidu/internal/obs"
)

// collector shows what the media port does. It describes nothing beforehand, so
// that it may add to panics_total, which belongs to obs: the transport may not
// import that, and counts for itself.
type collector struct{ engine *transport.Engine }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	peersDesc   = desc("webrtc_peers", "WebRTC peers that exist.")
	stunDesc    = desc("webrtc_stun_answered_total", "Plain STUN requests answered on the media port.")
	refusedDesc = desc("webrtc_refused_total", "Datagrams and candidates that were not accepted, by reason.", "reason")
	fecDesc     = desc("webrtc_fec_recovered_total", "Packets of publishers that were lost and recovered from their FlexFEC.")
	panicsDesc  = desc(obs.PanicsName, obs.PanicsHelp, "where")

	packetsInDesc  = desc("webrtc_received_packets_total", "Datagrams that came from peers.")
	bitsInDesc     = desc("webrtc_received_bytes_total", "Bytes in datagrams that came from peers.")
	packetsOutDesc = desc("webrtc_sent_packets_total", "Datagrams sent to peers, checks of connectivity not counted.")
	bitsOutDesc    = desc("webrtc_sent_bytes_total", "Bytes in datagrams sent to peers.")
	messagesDesc   = desc("webrtc_sent_messages_total", "Messages in which datagrams left the media port, of several each where the kernel segments.")
	callsDesc      = desc("webrtc_send_calls_total", "System calls by which those messages left.")
	readsDesc      = desc("webrtc_read_batch_packets", "Datagrams that were read at once.")
	writesDesc     = desc("webrtc_send_batch_packets", "Datagrams that were sent at once.")
	droppedDesc    = desc("webrtc_send_dropped_total", "Packets for peers that were not sent, by reason.", "reason")
	overrunDesc    = desc("webrtc_overrun_total", "What was lost because the server was too slow: datagrams nobody read in time (socket), batches that a shard had no room for (inbox).", "where")
	nackedDesc     = desc("webrtc_nacked_packets_total", "Packets that peers asked for again.")
	resendsDesc    = desc("webrtc_resends_total", "What became of packets that were asked for again: sent, missing (not kept any more), budget, repeated (sent a moment ago, or often).", "result")
	resentDesc     = desc("webrtc_resent_bytes_total", "Bytes in datagrams that were sent again.")
	askedDesc      = desc("webrtc_nacked_to_peers_packets_total", "Packets that publishers were asked for again.")
	repairedDesc   = desc("webrtc_repaired_packets_total", "Packets that publishers sent again.")
	probesDesc     = desc("webrtc_probe_bytes_total", "Bytes of padding that were sent to find bandwidth.")
	pacedDesc      = desc("webrtc_paced_packets_total", "Packets that waited for their turn because the peer's way is narrow.")
	keysDesc       = desc("webrtc_keyframe_requests_total", "Requests for keyframes: received from subscribers, sent to publishers.", "direction", "kind")
	estimatesDesc  = desc("webrtc_estimated_bandwidth_bps", "Bit/s that subscribers of video can receive now, of those for which it is measured.")
	layersDesc     = desc("webrtc_layer_subscribers", "Subscribers of video in layers, by the layer they are sent now.", "spatial", "temporal")
	shedDesc       = desc("webrtc_shed_step", "Steps by which video in layers is sent smaller because of overload; 0 is none.")
	loadDesc       = desc("webrtc_load_ratio", "Share of the processors, or of the busiest shard's time, in use over the latest second.")
	shardPeersDesc = desc("webrtc_shard_peers", "WebRTC peers by shard.", "shard")
	inboxDesc      = desc("webrtc_shard_inbox_length", "Batches and datagrams of other shards that wait for this one.", "shard")
	queueDesc      = desc("webrtc_shard_socket_queue_bytes", "Memory of datagrams that wait to be read.", "shard")
	busyDesc       = desc("webrtc_shard_busy_seconds_total", "Time that a shard has spent on datagrams.", "shard")
)

// estimateBounds are the classes of estimates, in bit/s.
var estimateBounds = []float64{100e3, 200e3, 300e3, 500e3, 750e3, 1e6, 1.5e6, 2.5e6, 4e6, 8e6, 16e6}

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {}

// shower sends figures to the registry.
type shower chan<- prometheus.Metric

func (s shower) count(d *prometheus.Desc, n uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (s shower) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s shower) reasons(d *prometheus.Desc, list map[string]uint64) {
	for reason, n := range list {
		s.count(d, n, reason)
	}
}

// batches shows a histogram of sizes of batches, which make so many packets.
func (s shower) batches(d *prometheus.Desc, list [udp.Batches]uint64, packets uint64) {
	buckets, sum := map[float64]uint64{}, uint64(0)
	for i, n := range list {
		sum += n
		if i < len(list)-1 {
			buckets[float64(int(1)<<i)] = sum
		}
	}
	s <- prometheus.MustNewConstHistogram(d, sum, float64(packets), buckets)
}

// estimates shows a histogram of what there is now.
func (s shower) estimates(list []int) {
	buckets, sum := map[float64]uint64{}, 0.0
	for _, bound := range estimateBounds {
		buckets[bound] = 0
	}
	for _, bps := range list {
		sum += float64(bps)
		for _, bound := range estimateBounds {
			if float64(bps) <= bound {
				buckets[bound]++
			}
		}
	}
	s <- prometheus.MustNewConstHistogram(estimatesDesc, uint64(len(list)), sum, buckets)
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s, n, x := shower(out), c.engine.Counters(), c.engine.Capacity()
	s.gauge(peersDesc, float64(c.engine.Peers()))
	s.count(stunDesc, n.STUNAnswered)
	s.count(fecDesc, n.Recovered)
	s.reasons(refusedDesc, map[string]uint64{
		"stun_rate": n.STUNRefused, "oversized": n.Oversized, "malformed": n.Malformed, "candidate": n.BadCandidates,
	})
	s.reasons(refusedDesc, x.Refused)
	if n.Panics > 0 {
		s.count(panicsDesc, n.Panics, "webrtc.transport")
	}
	s.count(packetsInDesc, x.Received)
	s.count(bitsInDesc, x.ReceivedBytes)
	s.count(packetsOutDesc, x.Sent)
	s.count(bitsOutDesc, x.SentBytes)
	s.count(messagesDesc, x.Messages)
	s.count(callsDesc, x.Calls)
	s.batches(readsDesc, x.Reads, x.Read)
	s.batches(writesDesc, x.Writes, x.Written)
	s.reasons(droppedDesc, x.Dropped)
	s.reasons(overrunDesc, x.Overrun)
	c.feedback(s, &x)
	s.estimates(x.Estimates)
	for layer, n := range x.Layers {
		s.gauge(layersDesc, float64(n), layerName(layer.Spatial), layerName(layer.Temporal))
	}
	s.gauge(shedDesc, float64(x.ShedStep))
	s.gauge(loadDesc, x.Load)
	for i, shard := range x.Shards {
		name := strconv.Itoa(i)
		s.gauge(shardPeersDesc, float64(shard.Peers), name)
		s.gauge(inboxDesc, float64(shard.Inbox), name)
		s.gauge(queueDesc, float64(shard.QueueBytes), name)
		s <- prometheus.MustNewConstMetric(busyDesc, prometheus.CounterValue, shard.Busy.Seconds(), name)
	}
}

// feedback shows what peers and we asked of each other.
func (collector) feedback(s shower, x *transport.Capacity) {
	s.count(nackedDesc, x.Nacked)
	s.reasons(resendsDesc, x.Resends)
	s.count(resentDesc, x.ResentBytes)
	s.count(askedDesc, x.Asked)
	s.count(repairedDesc, x.Repaired)
	s.count(probesDesc, x.ProbeBytes)
	s.count(pacedDesc, x.PacedPackets)
	s.count(keysDesc, x.PLIReceived, "received", "pli")
	s.count(keysDesc, x.FIRReceived, "received", "fir")
	s.count(keysDesc, x.PLISent, "sent", "pli")
	s.count(keysDesc, x.FIRSent, "sent", "fir")
}

// layerName is a label's value: of a number, "none" or "best".
func layerName(layer int) string {
	switch {
	case layer < 0:
		return "none"
	case layer >= transport.Best:
		return "best"
	}
	return strconv.Itoa(layer)
}
