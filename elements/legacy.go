package elements

import "context"

// legacy are the operations and events that only clients of Kurento 6.x know
// (kurento-protocol §9): 7.x has other names for all of them.
var legacy = map[string]bool{
	"MediaFlowInStateChange": true, "MediaFlowOutStateChange": true, "MediaTranscodingStateChange": true,
	"OnIceCandidate": true, "OnIceGatheringDone": true,
	"OnIceComponentStateChanged": true, "IceComponentStateChange": true,
	"OnDataChannelOpened": true, "DataChannelOpen": true,
	"OnDataChannelClosed": true, "DataChannelClose": true,

	"getChilds":          true,
	"getExternalAddress": true, "setExternalAddress": true,
	"getMinOutputBitrate": true, "setMinOutputBitrate": true, "getMinOuputBitrate": true, "setMinOuputBitrate": true,
	"getMaxOutputBitrate": true, "setMaxOutputBitrate": true, "getMaxOuputBitrate": true, "setMaxOuputBitrate": true,
	"setOutputBitrate": true,
}

// Legacy tells whether an operation or event has a name of Kurento 6.x that 7.x
// refuses. They are registered like all others; who serves them decides for whom,
// and no model or manual of 7.x lists them.
func Legacy(name string) bool { return legacy[name] }

// legacyMember tells the same of a member.
func legacyMember(m *Member) bool {
	if m.kind == propertyMember {
		return legacy["get"+raise(m.Name)]
	}
	return legacy[m.Name]
}

type outputBitrateParams struct {
	Bitrate int `json:"bitrate"`
}

func (e *MediaElement) setOutputBitrate(_ context.Context, p outputBitrateParams) (None, error) {
	return None{}, e.setEncoderBitrate(p.Bitrate)
}
