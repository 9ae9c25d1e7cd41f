package proof

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Names of the files of a proof in a recording's folder.
const (
	ManifestFile = ".manifest.json"
	LogFile      = ".proof.jsonl"
)

// LogName is the name of a media file's own log, beside it.
func LogName(file string) string { return "." + file + ".proof.jsonl" }

// Types of entries. A recording's log begins with TypeOpen and ends with
// TypeManifest and a signature. TypeCheckpoint and TypeSegment are those of
// recordings in progress: heads of the files' logs, and their stretches.
const (
	TypeOpen       = "open"
	TypeEvent      = "event"
	TypeCheckpoint = "checkpoint"
	TypeManifest   = "manifest"
	TypeSignature  = "signature"
	TypeSegment    = "segment"
	TypeClock      = "clock"
	TypeGap        = "gap"
	TypeClose      = "close"
)

// Schema is the version of Manifest that is written; 1 had no segments and no log.
const Schema = 2

// Manifest is `.manifest.json`: what a recording holds, where it has holes, what
// happened while it was made, and how to check it. Offsets are ms from CreatedAt
// (ms since 1970); times of gaps and segments are ms from the zero of their file.
type Manifest struct {
	Schema     int     `json:"schema"`
	ID         string  `json:"id"`
	SessionID  string  `json:"sessionId"`
	OutputMode string  `json:"outputMode,omitempty"`
	CreatedAt  int64   `json:"createdAt"`
	Recovered  bool    `json:"recovered"`
	Incomplete bool    `json:"incomplete"`
	Zip        Archive `json:"zip"`
	Files      []File  `json:"files"`
	Left       []Left  `json:"left"`
	Events     []Event `json:"events"`
}

// Archive is the zip of a recording that has one; its name is empty otherwise.
type Archive struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Left is a take that could not be taken in, and why.
type Left struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Event is something that happened while the recording was made: started, paused,
// resumed, stopped, layoutChanged, streamJoined, streamLeft, workerRestarted,
// picturesBack, recovered, failed. At is in ms since 1970.
type Event struct {
	At     int64  `json:"at"`
	Event  string `json:"event"`
	Stream string `json:"stream,omitempty"`
	File   string `json:"file,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// File is one media file. SHA256 is that of the file as delivered, RecorderSHA256
// what the recorder noted when it closed it.
type File struct {
	Name            string `json:"name"`
	StreamID        string `json:"streamId"`
	ConnectionID    string `json:"connectionId"`
	TypeOfVideo     string `json:"typeOfVideo,omitempty"`
	StartTimeOffset int64  `json:"startTimeOffset"`
	EndTimeOffset   int64  `json:"endTimeOffset"`
	DurationMs      int64  `json:"durationMs"`
	Size            int64  `json:"size"`
	SHA256          string `json:"sha256"`
	RecorderSHA256  string `json:"recorderSha256,omitempty"`
	// ZipOffset is where the file's first byte lies in the zip (stored, not
	// compressed); 0 without a zip.
	ZipOffset int64     `json:"zipOffset,omitempty"`
	Status    string    `json:"status"`
	Reason    string    `json:"reason,omitempty"`
	Clock     *Clock    `json:"clock,omitempty"`
	Tracks    []Track   `json:"tracks"`
	Gaps      []Gap     `json:"gaps"`
	Segments  []Segment `json:"segments"`
	// LogHead is the hash of the last line of the recorder's own log of the file.
	LogHead string `json:"logHead,omitempty"`
}

// Clock maps a file's time to the wall clock: the file's zero was ZeroUs µs after
// the beginning of 1970, and is the pipeline's PTS PtsUs. Streams of one node with
// the same mapping are in step.
type Clock struct {
	ZeroUs int64 `json:"zeroUs"`
	PtsUs  int64 `json:"ptsUs"`
}

// Track sums up one track; times are ms from the file's zero.
type Track struct {
	Kind       string `json:"kind"`
	Codec      string `json:"codec"`
	FirstPtsMs int64  `json:"firstPtsMs"`
	LastPtsMs  int64  `json:"lastPtsMs"`
	Units      int64  `json:"units"`
	Width      int    `json:"width,omitempty"`
	Height     int    `json:"height,omitempty"`
}

// Gap is a stretch that is not in the file. Cause is empty for what was lost on
// its way to the server; the causes below are for what the server had heard and
// could not keep.
type Gap struct {
	Kind   string `json:"kind"`
	FromMs int64  `json:"fromMs"`
	ToMs   int64  `json:"toMs"`
	Cause  string `json:"cause,omitempty"`
}

// Causes of gaps.
const (
	CauseCrash  = "crash"  // the server ended
	CauseDisk   = "disk"   // the disk was full, or broken
	CauseWorker = "worker" // the process that composes ended
	CauseLoad   = "load"   // the machine did not keep up
)

// Segment is a stretch of a file: the bytes [From, To), which hold the media of
// [FromMs, ToMs), and their SHA-256 in hex. It is written as the array
// [from, to, fromMs, toMs, sha256], since there are thousands.
type Segment struct {
	From, To     int64
	FromMs, ToMs int64
	SHA256       string
}

// MarshalJSON implements json.Marshaler.
func (s Segment) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `[%d,%d,%d,%d,%q]`, s.From, s.To, s.FromMs, s.ToMs, s.SHA256), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Segment) UnmarshalJSON(b []byte) error {
	parts := []any{&s.From, &s.To, &s.FromMs, &s.ToMs, &s.SHA256}
	n := len(parts)
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if len(parts) != n || s.From < 0 || s.To < s.From || s.ToMs < s.FromMs || len(s.SHA256) != 64 {
		return errors.New("segment is not [from, to, fromMs, toMs, sha256]")
	}
	return nil
}

// Sealed is the data of an entry of type "manifest": the manifest file and, in case
// that is lost, the media files.
type Sealed struct {
	Name      string       `json:"name"`
	SHA256    string       `json:"sha256"`
	Size      int64        `json:"size"`
	Recovered bool         `json:"recovered"`
	Files     []SealedFile `json:"files"`
}

// SealedFile is one file and its hash.
type SealedFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Opened is the data of the first entry.
type Opened struct {
	ID              string `json:"id"`
	SessionID       string `json:"sessionId"`
	UniqueSessionID string `json:"uniqueSessionId"`
	CreatedAt       int64  `json:"createdAt"`
	NodeID          string `json:"nodeId"`
}

// Checkpoint is the data of an entry of its type: how far the files' own logs were.
type Checkpoint struct {
	Files []CheckpointFile `json:"files"`
}

// CheckpointFile is the state of one file's log.
type CheckpointFile struct {
	Name    string `json:"name"`
	Head    string `json:"head"`
	Entries int64  `json:"entries"`
	Bytes   int64  `json:"bytes"` // of media that its segments cover
}
