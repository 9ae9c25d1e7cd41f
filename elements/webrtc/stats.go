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
	if e.dataChannels && (kind == 0 || kind == pipeline.Data) {
		e.channelStats(out)
	}
	return out
}

// channelStats adds the rows of data channels.
func (e *Endpoint) channelStats(out map[string]any) {
	list, opened, closed := e.peer.Channels()
	session := e.statsRow("session", "")
	out[session.ID] = elements.RTCPeerConnectionStats{
		Stats: session, DataChannelsOpened: int64(opened), DataChannelsClosed: int64(closed),
	}
	for _, c := range list {
		row := e.statsRow("datachannel", strconv.Itoa(c.Serial))
		out[row.ID] = elements.RTCDataChannelStats{
			Stats: row, Label: c.Label, Protocol: c.Protocol, DataChannelID: int64(c.ID), State: c.State,
			MessagesSent: int64(c.MessagesSent), BytesSent: int64(c.BytesSent),
			MessagesReceived: int64(c.MessagesReceived), BytesReceived: int64(c.BytesReceived),
		}
	}
}

// statsRow is what all rows share. Its id stays the same between calls.
func (e *Endpoint) statsRow(typ elements.StatsType, name string) elements.Stats {
	id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s %s %s", e.ID(), typ, name)).String()
	return elements.Stats{ID: id, Type: typ, TimestampMillis: time.Now().UnixMilli()}
}

// row is what both directions of RTP share.
func (e *Endpoint) row(typ elements.StatsType, s transport.Stream) elements.RTCRTPStreamStats {
	ssrc := strconv.FormatUint(uint64(s.SSRC), 10)
	return elements.RTCRTPStreamStats{
		Stats: e.statsRow(typ, ssrc), SSRC: ssrc, FirCount: int64(s.FIR), PliCount: int64(s.PLI),
		NackCount: int64(s.NACK), Remb: int64(s.REMBbps), PacketsLost: s.Lost, FractionLost: s.FractionLost,
	}
}
