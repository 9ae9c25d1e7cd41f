package recording

// manifest is `.manifest.json`: what the recording holds, where it has holes, and
// how to check it. Offsets are ms from createdAt; gaps are ms from the start of
// their file.
type manifest struct {
	Schema     int            `json:"schema"`
	ID         string         `json:"id"`
	SessionID  string         `json:"sessionId"`
	CreatedAt  int64          `json:"createdAt"`
	Recovered  bool           `json:"recovered"`
	Incomplete bool           `json:"incomplete"`
	Zip        zipInfo        `json:"zip"`
	Files      []manifestFile `json:"files"`
	Left       []leftTake     `json:"left"`
	// Changes are the pauses and layouts of a composed recording, in ms since 1970.
	Changes []change `json:"changes,omitempty"`
}

type manifestFile struct {
	Name            string  `json:"name"`
	StreamID        string  `json:"streamId"`
	ConnectionID    string  `json:"connectionId"`
	StartTimeOffset int64   `json:"startTimeOffset"`
	EndTimeOffset   int64   `json:"endTimeOffset"`
	Size            int64   `json:"size"`
	SHA256          string  `json:"sha256"`
	RecorderSHA256  string  `json:"recorderSha256,omitempty"`
	Status          string  `json:"status"`
	Reason          string  `json:"reason,omitempty"`
	Tracks          []track `json:"tracks"`
	Gaps            []gap   `json:"gaps"`
}

func newManifest(m *metadata, r *result) manifest {
	out := manifest{
		Schema: schema, ID: m.ID, SessionID: m.SessionID, CreatedAt: m.CreatedAt, Recovered: m.Recovered,
		Incomplete: m.Incomplete || len(r.left) > 0, Zip: r.zip, Files: []manifestFile{}, Left: append([]leftTake{}, r.left...),
		Changes: m.Changes,
	}
	for _, t := range r.takes {
		out.Files = append(out.Files, manifestFile{
			Name: t.Name, StreamID: t.StreamID, ConnectionID: t.ConnectionID,
			StartTimeOffset: t.StartTime - m.CreatedAt, EndTimeOffset: t.EndTime - m.CreatedAt,
			Size: t.Size, SHA256: t.SHA256, RecorderSHA256: t.side.SHA256, Status: t.side.Status,
			Reason: reasonOr(&t, ""), Tracks: append([]track{}, t.side.Tracks...), Gaps: append([]gap{}, t.side.Gaps...),
		})
	}
	return out
}
