package rtp

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// stats are the rows that getStats adds: one per RTP stream of the negotiated
// sections. Inbound is what this node receives; nackCount is of the session and
// so the same in both (kurento-elements §9).
func (e *Endpoint) stats(_ context.Context, kind pipeline.Kind) map[string]any {
	out := map[string]any{}
	for _, l := range e.usedLegs() {
		if kind != 0 && kind != l.kind {
			continue
		}
		l.in.mu.Lock()
		in, asked, told := l.in.stats, l.in.asked, l.in.told
		open := l.in.payloads != nil
		l.in.mu.Unlock()
		l.out.mu.Lock()
		sent := l.out.stats
		l.out.mu.Unlock()
		if !open {
			continue // offered, not answered yet
		}
		nacks := int64(asked.nack + sent.nack)
		ssrc := told
		if in.packets > 0 {
			ssrc = in.ssrc
		}
		if ssrc != 0 {
			row := e.row("inboundrtp", ssrc)
			row.FirCount, row.PliCount, row.NackCount = int64(asked.fir), int64(asked.pli), nacks
			row.Remb = int64(asked.rembBps)
			r := elements.RTCInboundRTPStreamStats{PacketsReceived: int64(in.packets), BytesReceived: int64(in.bytes)}
			if in.packets > 0 {
				row.PacketsLost, row.FractionLost = in.lost(), float64(in.fraction)/256
				r.Jitter = in.jitter / float64(in.rate)
			}
			r.RTCRTPStreamStats = row
			out[row.ID] = r
		}
		row := e.row("outboundrtp", l.out.ssrc)
		row.FirCount, row.PliCount, row.NackCount = int64(sent.fir), int64(sent.pli), nacks
		row.Remb, row.PacketsLost, row.FractionLost = int64(sent.rembBps), sent.lost, sent.fraction
		out[row.ID] = elements.RTCOutboundRTPStreamStats{
			RTCRTPStreamStats: row, PacketsSent: int64(sent.packets), BytesSent: int64(sent.bytes),
			RoundTripTime: sent.rtt.Seconds(),
		}
	}
	return out
}

// row is what both directions share. Its id stays the same between calls.
func (e *Endpoint) row(typ elements.StatsType, ssrc uint32) elements.RTCRTPStreamStats {
	name := fmt.Sprintf("%s %s %d", e.ID(), typ, ssrc)
	return elements.RTCRTPStreamStats{
		Stats: elements.Stats{
			ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String(), Type: typ, TimestampMillis: time.Now().UnixMilli(),
		},
		SSRC: strconv.FormatUint(uint64(ssrc), 10),
	}
}
