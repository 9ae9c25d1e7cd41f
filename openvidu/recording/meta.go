package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"github.com/govidu/govidu/internal/proof"
)

// schema is the version of our metadata.
const schema = 1

// metadata is `.recording.<id>`: the recording object and uniqueSessionId, which
// is all the original writes, and what recovery needs. A file without schema was
// made by another server: it is shown and served, and otherwise left alone.
type metadata struct {
	Recording
	UniqueSessionID string `json:"uniqueSessionId"`

	Schema    int    `json:"schema,omitempty"`
	NodeID    string `json:"nodeId,omitempty"`
	ProcessID string `json:"processId,omitempty"`
	UpdatedAt int64  `json:"updatedAt,omitempty"` // ms
	// Recovered says that the process that recorded died, and a later one finished.
	Recovered bool `json:"recovered,omitempty"`
	// Incomplete says that a stream is missing or failed on the way.
	Incomplete bool   `json:"incomplete,omitempty"`
	Reason     string `json:"reason,omitempty"`
	// Failure says in words why the status is failed.
	Failure string `json:"failure,omitempty"`
	// Retry asks the next start to finish what could not be finished (a full disk).
	Retry bool `json:"retry,omitempty"`
	// Outcome is the status that a stopped recording gets when it is uploaded.
	Outcome Status `json:"outcome,omitempty"`
	// Stored says that the files go, or went, into the bucket.
	Stored bool       `json:"stored,omitempty"`
	Files  []fileMeta `json:"files,omitempty"`
	// Changes are what was done to a composed recording while it ran.
	Changes        []change `json:"changes,omitempty"`
	ChangesLeftOut int      `json:"changesLeftOut,omitempty"`
}

// fileMeta is `.stream.<take>`: one take of one stream (§8). Times are ms since
// 1970, Duration is seconds. SHA256 (hex) is known once the file is final.
type fileMeta struct {
	Name         string  `json:"name"`
	ConnectionID string  `json:"connectionId"`
	StreamID     string  `json:"streamId"`
	ClientData   string  `json:"clientData"`
	ServerData   string  `json:"serverData"`
	StartTime    int64   `json:"startTime"`
	EndTime      int64   `json:"endTime"`
	Duration     float64 `json:"duration"`
	Size         int64   `json:"size"`
	HasAudio     bool    `json:"hasAudio"`
	HasVideo     bool    `json:"hasVideo"`
	TypeOfVideo  string  `json:"typeOfVideo,omitempty"`
	SHA256       string  `json:"sha256,omitempty"`
	// Failure says why the take ended before its stream did.
	Failure string `json:"failure,omitempty"`
}

func metaName(id string) string    { return ".recording." + id }
func metaPath(id string) string    { return path.Join(id, metaName(id)) }
func takePath(id, t string) string { return path.Join(id, takePrefix+t) }

const (
	takePrefix   = ".stream."
	manifestName = ".manifest.json"
)

// foreign says that another server made the recording, or a later version of us.
func (m *metadata) foreign() bool { return m.Schema != schema }

// errMetadata marks a metadata file that cannot be read as one, errForeign one
// that another server wrote and that we cannot show.
var (
	errMetadata = errors.New("metadata is not readable")
	errForeign  = errors.New("metadata of another server is not understood")
)

// parseMeta reads the metadata of the recording in folder id. It refuses what
// would not be safe to show or to follow: another id, names with paths in them.
func parseMeta(id string, b []byte) (*metadata, error) {
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errMetadata, err)
	}
	kind := errMetadata
	if m.Schema != schema {
		kind = errForeign
	}
	if m.foreign() && m.Status == "available" {
		m.Status = Ready // what releases before 2.10 called it
	}
	switch {
	case m.ID != id:
		return nil, fmt.Errorf("%w: id is not that of its folder", kind)
	case !idForm.MatchString(m.Name):
		return nil, fmt.Errorf("%w: bad name", kind)
	case m.Size < 0 || m.Duration < 0:
		return nil, fmt.Errorf("%w: negative size or duration", kind)
	}
	switch m.Status {
	case Starting, Started, Stopped, Ready, Failed:
	default:
		return nil, fmt.Errorf("%w: unknown status", kind)
	}
	m.Object = "recording"
	return &m, nil
}

func (s *store) readMeta(id string) (*metadata, error) {
	b, err := s.read(metaPath(id))
	if err != nil {
		return nil, err
	}
	return parseMeta(id, b)
}

func (s *store) writeMeta(m *metadata) error { return s.writeJSON(metaPath(m.ID), m) }

func (s *store) writeJSON(name string, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	return s.writeAtomic(name, b)
}

func marshal(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	return append(b, '\n'), nil
}

func parseTake(b []byte) (*fileMeta, error) {
	var t fileMeta
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("%w: %w", errMetadata, err)
	}
	if !fileForm.MatchString(t.Name) {
		return nil, fmt.Errorf("%w: bad file name", errMetadata)
	}
	return &t, nil
}

// sidecar is what the media node's recorder keeps beside each file of media
// (`.<file>.manifest.json`); only what is needed of it. Times are ms since 1970.
type sidecar struct {
	Schema     int          `json:"schema"`
	File       string       `json:"file"`
	Status     string       `json:"status"` // recording, final, recovered, failed
	Reason     string       `json:"reason"`
	StartTime  int64        `json:"startTime"`
	EndTime    int64        `json:"endTime"`
	DurationMs int64        `json:"durationMs"`
	Size       int64        `json:"size"`
	SHA256     string       `json:"sha256"`
	Tracks     []track      `json:"tracks"`
	Gaps       []gap        `json:"gaps"`
	Clock      *proof.Clock `json:"clock"`
}

func sidecarPath(id, file string) string { return path.Join(id, "."+file+".manifest.json") }

// closed says that the recorder is done with the file.
func (c *sidecar) closed() bool {
	return c.Status == "final" || c.Status == "recovered" || c.Status == "failed"
}

func (s *store) readSidecar(id, file string) (*sidecar, error) {
	b, err := s.read(sidecarPath(id, file))
	if err != nil {
		return nil, err
	}
	var c sidecar
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", errMetadata, err)
	}
	return &c, nil
}
