package recording

import (
	"errors"
	"regexp"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/openvidu"
)

// Status is where a recording is in its cycle (§7.5).
type Status string

// The cycle: starting → started → stopped → ready or failed. Stopped means that
// the files are being written. Starting is never told by an event.
const (
	Starting Status = "starting"
	Started  Status = "started"
	Stopped  Status = "stopped"
	Ready    Status = "ready"
	Failed   Status = "failed"
)

// Recording is the recording object of the API, in the contract's order (§7.4).
// CreatedAt is in ms since 1970, Size in bytes and Duration in seconds; both are
// 0 until the files are final. URL is nil until ready.
type Recording struct {
	ID              string  `json:"id"`
	Object          string  `json:"object"`
	Name            string  `json:"name"`
	OutputMode      string  `json:"outputMode"`
	Resolution      *string `json:"resolution,omitempty"`
	FrameRate       *int    `json:"frameRate,omitempty"`
	RecordingLayout *string `json:"recordingLayout,omitempty"`
	CustomLayout    *string `json:"customLayout,omitempty"`
	SessionID       string  `json:"sessionId"`
	CreatedAt       int64   `json:"createdAt"`
	Size            int64   `json:"size"`
	Duration        float64 `json:"duration"`
	URL             *string `json:"url"`
	HasAudio        bool    `json:"hasAudio"`
	HasVideo        bool    `json:"hasVideo"`
	Status          Status  `json:"status"`
}

// Refusals of the service. Unknown sessions are openvidu.ErrSessionNotFound.
var (
	ErrNotFound   = errors.New("recording not found")
	ErrStarting   = errors.New("recording is still starting")
	ErrInProgress = errors.New("recording is in progress")
	// ErrConflict: the session is RELAYED, or is being recorded already, or, at a
	// stop, is not marked as recorded.
	ErrConflict = errors.New("session cannot be recorded in its state")
	// ErrNotActive: nobody is connected to the session.
	ErrNotActive = errors.New("session has no participant")
	// ErrNoSpace: less free space than a start needs.
	ErrNoSpace = errors.New("not enough space left for a recording")
	// ErrReadOnly: the recording was made by another server and is only shown.
	ErrReadOnly = errors.New("recording was made by another server and is read-only")
	ErrClosed   = errors.New("recording service is closed")
	// ErrUnavailable: the file is in the bucket, and the bucket does not answer.
	ErrUnavailable = errors.New("the storage of the recording cannot be reached")
)

// StartError is a recording that could not be started; nothing of it goes on.
type StartError struct{ Text string }

// Error gives the contract's text (§7.1).
func (e *StartError) Error() string { return "Error starting recording: " + e.Text }

// UnsupportedError is a recording that this server cannot make at all; nothing of
// it is left.
type UnsupportedError struct{ Text string }

// Error gives the text.
func (e *UnsupportedError) Error() string { return "Error starting recording: " + e.Text }

// CapacityError is a composed recording that the CPU cannot carry now; nothing of it
// is left. RetryAfter is a guess when it may be asked for again.
type CapacityError struct {
	Text       string
	RetryAfter time.Duration
}

// Error gives the text.
func (e *CapacityError) Error() string { return "Error starting recording: " + e.Text }

// RetryAfter is the hint given with refusals for want of CPU: recordings and broadcasts that end free CPU, and how soon
// one will nobody knows.
const RetryAfter = 10 * time.Second

var (
	idForm   = regexp.MustCompile(`^[A-Za-z0-9_~-]{1,160}$`)
	fileForm = regexp.MustCompile(`^[A-Za-z0-9_~-][A-Za-z0-9_~.-]{0,254}$`)
)

// newRecording is the object of a recording that is starting. Picture properties
// belong to composed recordings with video only.
func newRecording(id, sessionID string, createdAt int64, p openvidu.RecordingProperties) Recording {
	r := Recording{
		ID: id, Object: "recording", Name: p.Name, OutputMode: p.OutputMode, SessionID: sessionID,
		CreatedAt: createdAt, HasAudio: p.HasAudio, HasVideo: p.HasVideo, Status: Starting,
	}
	if r.Name == "" {
		r.Name = id
	}
	if p.Composed() && p.HasVideo {
		r.Resolution, r.FrameRate, r.RecordingLayout = &p.Resolution, &p.FrameRate, &p.RecordingLayout
		if p.RecordingLayout == layout.Custom {
			r.CustomLayout = &p.CustomLayout
		}
	}
	return r
}
