package elements

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/govidu/govidu/pipeline"
)

// StatsFunc adds a type's own rows to getStats: id → one of the stats structs.
// kind is 0 for all kinds.
type StatsFunc func(ctx context.Context, kind pipeline.Kind) map[string]any

// SetStats sets the hook that getStats asks.
func (e *MediaElement) SetStats(f StatsFunc) {
	e.portMu.Lock()
	defer e.portMu.Unlock()
	e.stats = f
}

// StatsType is the enumeration of Stats.type.
type StatsType string

// Values implements the enumeration.
func (StatsType) Values() []string {
	return []string{"inboundrtp", "outboundrtp", "session", "datachannel", "track", "transport",
		"candidatepair", "localcandidate", "remotecandidate", "element", "endpoint"}
}

// Stats is what every row of getStats has. TimestampMillis is a number, since
// the epoch.
type Stats struct {
	ID              string    `json:"id"`
	Type            StatsType `json:"type"`
	TimestampMillis int64     `json:"timestampMillis"`
}

// MediaLatencyStat is a running mean of latency in ns.
type MediaLatencyStat struct {
	Name string    `json:"name"`
	Type MediaType `json:"type"`
	Avg  float64   `json:"avg"`
}

// ElementStats is the row of the element itself.
type ElementStats struct {
	Stats
	InputLatency []MediaLatencyStat `json:"inputLatency"`
}

// EndpointStats is the row of an endpoint itself.
type EndpointStats struct {
	ElementStats
	E2ELatency []MediaLatencyStat `json:"E2ELatency"`
}

// RTCRTPStreamStats is common to both directions of an RTP stream. NackCount is
// per RTP session; unused texts stay "".
type RTCRTPStreamStats struct {
	Stats
	SSRC             string  `json:"ssrc"`
	AssociateStatsID string  `json:"associateStatsId"`
	IsRemote         bool    `json:"isRemote"`
	MediaTrackID     string  `json:"mediaTrackId"`
	TransportID      string  `json:"transportId"`
	CodecID          string  `json:"codecId"`
	FirCount         int64   `json:"firCount"`
	PliCount         int64   `json:"pliCount"`
	NackCount        int64   `json:"nackCount"`
	SliCount         int64   `json:"sliCount"`
	Remb             int64   `json:"remb"`
	PacketsLost      int64   `json:"packetsLost"`
	FractionLost     float64 `json:"fractionLost"`
}

// RTCInboundRTPStreamStats is what this node receives. Jitter is in seconds.
type RTCInboundRTPStreamStats struct {
	RTCRTPStreamStats
	PacketsReceived int64   `json:"packetsReceived"`
	BytesReceived   int64   `json:"bytesReceived"`
	Jitter          float64 `json:"jitter"`
}

// RTCOutboundRTPStreamStats is what this node sends. TargetBitrate is in bps,
// RoundTripTime in seconds.
type RTCOutboundRTPStreamStats struct {
	RTCRTPStreamStats
	PacketsSent   int64   `json:"packetsSent"`
	BytesSent     int64   `json:"bytesSent"`
	TargetBitrate float64 `json:"targetBitrate"`
	RoundTripTime float64 `json:"roundTripTime"`
}

// RTCPeerConnectionStats counts data channels.
type RTCPeerConnectionStats struct {
	Stats
	DataChannelsOpened int64 `json:"dataChannelsOpened"`
	DataChannelsClosed int64 `json:"dataChannelsClosed"`
}

// RTCDataChannelStats is one data channel; State is connecting, open, closing or closed.
type RTCDataChannelStats struct {
	Stats
	Label            string `json:"label"`
	Protocol         string `json:"protocol"`
	DataChannelID    int64  `json:"datachannelid"`
	State            string `json:"state"`
	MessagesSent     int64  `json:"messagesSent"`
	BytesSent        int64  `json:"bytesSent"`
	MessagesReceived int64  `json:"messagesReceived"`
	BytesReceived    int64  `json:"bytesReceived"`
}

type mediaTypeParams struct {
	MediaType *MediaType `json:"mediaType"`
}

// getStats has a row of the element itself only while latencies are measured, as
// the original has; without any row it is null there and here.
func (e *MediaElement) getStats(ctx context.Context, p mediaTypeParams) (map[string]any, error) {
	var kind pipeline.Kind
	if p.MediaType != nil {
		kind = p.MediaType.Kind()
	}
	out := map[string]any{}
	if mp := e.PipelineObject(); mp != nil && mp.LatencyStats() {
		own := ElementStats{
			Stats:        Stats{ID: e.ID(), Type: "element", TimestampMillis: time.Now().UnixMilli()},
			InputLatency: e.inputLatency(kind),
		}
		out[e.ID()] = own
		if c := e.Class(); c != nil && c.Is("Endpoint") {
			own.Type = "endpoint"
			out[e.ID()] = EndpointStats{ElementStats: own, E2ELatency: e.endLatency(kind)}
		}
	}
	e.portMu.Lock()
	hook := e.stats
	e.portMu.Unlock()
	if hook != nil {
		maps.Copy(out, hook(ctx, kind))
	}
	return out, nil
}

// inputLatency lists, per connected input, the mean time between a packet's
// arrival at the server and its arrival here.
func (e *MediaElement) inputLatency(kind pipeline.Kind) []MediaLatencyStat {
	out := []MediaLatencyStat{}
	for _, c := range e.connections(false) {
		if kind != 0 && c.kind != kind || c.kind == pipeline.Data {
			continue
		}
		c.sink.connectMu.Lock()
		link := c.link
		c.sink.connectMu.Unlock()
		if link == nil {
			continue
		}
		stages := link.Stages()
		out = append(out, latencyStat("sink", c.kind, c.sinkDesc, stages[len(stages)-1]))
	}
	return out
}

// endLatency lists what left the server here, and what entered it here and was
// handed on: an endpoint sends at once what arrives at its inputs.
func (e *MediaElement) endLatency(kind pipeline.Kind) []MediaLatencyStat {
	out := e.inputLatency(kind)
	e.portMu.Lock()
	outputs := slices.Clone(e.outputs)
	e.portMu.Unlock()
	for _, p := range outputs {
		if p.kind != pipeline.Data && (kind == 0 || p.kind == kind) && p.out.Latency() > 0 {
			out = append(out, latencyStat("src", p.kind, p.label, p.out))
		}
	}
	return out
}

func latencyStat(side string, kind pipeline.Kind, label string, o *pipeline.Output) MediaLatencyStat {
	return MediaLatencyStat{
		Name: side + "_" + strings.ToLower(kind.String()) + "_" + label,
		Type: MediaTypeOf(kind), Avg: float64(o.Latency().Nanoseconds()),
	}
}
