package webrtc

import (
	"context"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/internal/kerr"
)

type createChannelParams struct {
	Label             string `json:"label" default:""`
	Ordered           bool   `json:"ordered" default:"true"`
	MaxPacketLifeTime int    `json:"maxPacketLifeTime" default:"-1"`
	MaxRetransmits    int    `json:"maxRetransmits" default:"-1"`
	Protocol          string `json:"protocol" default:""`
}

type closeChannelParams struct {
	ChannelID int `json:"channelId"`
}

// clipped is a limit of reliability on the wire: negative is none, and what
// does not fit its 16 bits is the largest that does.
func clipped(n int) *uint16 {
	if n < 0 {
		return nil
	}
	v := uint16(min(n, 0xffff))
	return &v
}

// CreateDataChannel opens a data channel; DataChannelOpened tells its id. It is
// kerr.MediaObjectOperationNotSupported while none were negotiated, and
// kerr.MediaObjectIllegalParam when both limits of reliability are given.
func (e *Endpoint) CreateDataChannel(_ context.Context, p createChannelParams) (elements.None, error) {
	c := transport.ChannelInit{
		Label: p.Label, Protocol: p.Protocol, Ordered: p.Ordered,
		MaxPacketLifeTime: clipped(p.MaxPacketLifeTime), MaxRetransmits: clipped(p.MaxRetransmits),
	}
	if c.MaxPacketLifeTime != nil && c.MaxRetransmits != nil {
		return elements.None{}, kerr.New(kerr.MediaObjectIllegalParam, "Syntax error")
	}
	return elements.None{}, e.peer.OpenChannel(c)
}

// CloseDataChannel ends a data channel that either side opened.
func (e *Endpoint) CloseDataChannel(_ context.Context, p closeChannelParams) (elements.None, error) {
	return elements.None{}, e.peer.CloseChannel(p.ChannelID)
}
