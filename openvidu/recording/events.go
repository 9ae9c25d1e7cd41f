package recording

import (
	"context"

	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/events"
)

// statusChanged is recordingStatusChanged (§11.2): no reason on started, on which
// timestamp equals startTime.
type statusChanged struct {
	SessionID       string  `json:"sessionId"`
	UniqueSessionID string  `json:"uniqueSessionId"`
	Timestamp       int64   `json:"timestamp"`
	StartTime       int64   `json:"startTime"`
	Duration        float64 `json:"duration"`
	Reason          string  `json:"reason,omitempty"`
	ID              string  `json:"id"`
	Name            string  `json:"name"`
	OutputMode      string  `json:"outputMode"`
	Resolution      *string `json:"resolution,omitempty"`
	FrameRate       *int    `json:"frameRate,omitempty"`
	RecordingLayout *string `json:"recordingLayout,omitempty"`
	CustomLayout    *string `json:"customLayout,omitempty"`
	HasAudio        bool    `json:"hasAudio"`
	HasVideo        bool    `json:"hasVideo"`
	Size            int64   `json:"size"`
	Status          Status  `json:"status"`
}

func (s *Service) emit(ctx context.Context, m metadata, reason openvidu.Reason, at int64) {
	s.opts.Rooms.Emit(ctx, m.SessionID, events.Event{Name: "recordingStatusChanged", SessionID: m.SessionID, Fields: statusChanged{
		SessionID: m.SessionID, UniqueSessionID: m.UniqueSessionID, Timestamp: at, StartTime: m.CreatedAt, Duration: m.Duration,
		Reason: string(reason), ID: m.ID, Name: m.Name, OutputMode: m.OutputMode,
		Resolution: m.Resolution, FrameRate: m.FrameRate, RecordingLayout: m.RecordingLayout, CustomLayout: m.CustomLayout, HasAudio: m.HasAudio, HasVideo: m.HasVideo,
		Size: m.Size, Status: m.Status,
	}})
}
