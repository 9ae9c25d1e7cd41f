package webrtc

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/pipeline"
)

// stats are the rows that getStats adds: one per RTP stream. Inbound is what
// this node receives (kurento-elements §9).
func (e *Endpoint) stats(_ context.Context, kind pipeline.Kind) map[string]any {
	s := e.peer.Stats(kind)
	out := make(map[string]any, len(s.Inbound)+len(s.Outbound))
	for _, in := range s.Inbound {
		row := e.row("inboundrtp", in)
		out[row.ID] = elements.RTCInboundRTPStreamStats{
			RTCRTPStreamStats: row, PacketsReceived: int64(in.Packets), BytesReceived: int64(in.Bytes),
			Jitter: in.Jitter.Seconds(),
		}
	}
	for _, o := range s.Outbound {
		row := e.row("outboundrtp", o)
		out[row.ID] = elements.RTCOutboundRTPStreamStats{
			RTCRTPStreamStats: row, PacketsSent: int64(o.Packets), BytesSent: int64(o.Bytes),
			RoundTripTime: o.RoundTrip.Seconds(),
		}
	}
	return out
}

// row is what both directions share. Its id stays the same between calls.
func (e *Endpoint) row(typ elements.StatsType, s transport.Stream) elements.RTCRTPStreamStats {
	name := fmt.Sprintf("%s %s %d", e.ID(), typ, s.SSRC)
	return elements.RTCRTPStreamStats{
		Stats: elements.Stats{
			ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String(), Type: typ, TimestampMillis: time.Now().UnixMilli(),
		},
		SSRC: strconv.FormatUint(uint64(s.SSRC), 10), FirCount: int64(s.FIR), PliCount: int64(s.PLI),
		NackCount: int64(s.NACK), Remb: int64(s.REMBbps), PacketsLost: s.Lost, FractionLost: s.FractionLost,
	}
}
