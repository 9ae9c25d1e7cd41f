package openvidu

import "encoding/json"

// Output modes of a recording.
const (
	OutputComposed           = "COMPOSED"
	OutputComposedQuickStart = "COMPOSED_QUICK_START"
	OutputIndividual         = "INDIVIDUAL"
)

// RecordingProperties are a session's recording defaults, and the merged
// properties of one recording (REST contract §7.2). Resolution is "WxH" in
// pixels, FrameRate frames per second, ShmSize bytes.
type RecordingProperties struct {
	Name                string
	HasAudio, HasVideo  bool
	OutputMode          string
	RecordingLayout     string
	CustomLayout        string
	Resolution          string
	FrameRate           int
	ShmSize             int64
	IgnoreFailedStreams bool
	// MediaNodeID is kept and returned as given; this server ignores it.
	MediaNodeID string
}

// DefaultRecordingProperties are the contract's defaults (§7.2).
func DefaultRecordingProperties() RecordingProperties {
	return RecordingProperties{
		HasAudio: true, HasVideo: true, OutputMode: OutputComposed, RecordingLayout: "BEST_FIT",
		Resolution: "1280x720", FrameRate: 25, ShmSize: 536870912,
	}
}

// Composed says whether the output mode is one of the composed ones.
func (p RecordingProperties) Composed() bool {
	return p.OutputMode == OutputComposed || p.OutputMode == OutputComposedQuickStart
}

// MarshalJSON writes the keys that apply to the output mode (§2.2): picture
// properties only when composed with video, customLayout only for CUSTOM,
// ignoreFailedStreams only for INDIVIDUAL.
func (p RecordingProperties) MarshalJSON() ([]byte, error) {
	type node struct {
		ID string `json:"id"`
	}
	var out struct {
		Name                string  `json:"name"`
		HasAudio            bool    `json:"hasAudio"`
		HasVideo            bool    `json:"hasVideo"`
		OutputMode          string  `json:"outputMode"`
		RecordingLayout     *string `json:"recordingLayout,omitempty"`
		CustomLayout        *string `json:"customLayout,omitempty"`
		Resolution          *string `json:"resolution,omitempty"`
		FrameRate           *int    `json:"frameRate,omitempty"`
		ShmSize             *int64  `json:"shmSize,omitempty"`
		IgnoreFailedStreams *bool   `json:"ignoreFailedStreams,omitempty"`
		MediaNode           *node   `json:"mediaNode,omitempty"`
	}
	out.Name, out.HasAudio, out.HasVideo, out.OutputMode = p.Name, p.HasAudio, p.HasVideo, p.OutputMode
	if p.Composed() && p.HasVideo {
		out.RecordingLayout, out.Resolution, out.FrameRate, out.ShmSize = &p.RecordingLayout, &p.Resolution, &p.FrameRate, &p.ShmSize
		if p.RecordingLayout == "CUSTOM" {
			out.CustomLayout = &p.CustomLayout
		}
	}
	if p.OutputMode == OutputIndividual {
		out.IgnoreFailedStreams = &p.IgnoreFailedStreams
	}
	if p.MediaNodeID != "" {
		out.MediaNode = &node{p.MediaNodeID}
	}
	return json.Marshal(out)
}
