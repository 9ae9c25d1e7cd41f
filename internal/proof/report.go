package proof

import "fmt"

// Kinds of findings.
const (
	Missing    = "missing"    // a file, or seconds of it
	Changed    = "changed"    // bytes are not those that were recorded
	BadChain   = "chain"      // the log was changed, cut or reordered
	Unsigned   = "unsigned"   // nothing signs what the log says in the end
	BadSign    = "signature"  // a signature does not fit
	UnknownKey = "unknownKey" // signed with a key that nobody vouched for
	Lost       = "lost"       // a note: did not reach the server
	Uncovered  = "uncovered"  // a note: no hash of its own, only that of the whole file
)

// Finding is one thing that is not as it should be. With Timed it concerns the ms
// [FromMs, ToMs) of the file, counted from the file's zero.
type Finding struct {
	Kind   string `json:"kind"`
	File   string `json:"file,omitempty"`
	Timed  bool   `json:"timed"`
	FromMs int64  `json:"fromMs"`
	ToMs   int64  `json:"toMs"`
	Text   string `json:"text"`
}

// String is the finding as a line for people, times in seconds.
func (f Finding) String() string {
	s := f.Kind
	if f.File != "" {
		s += " " + f.File
	}
	if f.Timed {
		s += fmt.Sprintf(" %.3f–%.3f s", float64(f.FromMs)/1000, float64(f.ToMs)/1000)
	}
	return s + ": " + f.Text
}

// Report is what Verify found. True says that every file is there, byte by byte as
// it was recorded, that nothing the server had heard is missing, and that a known
// key signed it. Notes do not count against it.
type Report struct {
	ID        string    `json:"id"`
	True      bool      `json:"true"`
	Key       string    `json:"key"` // of the last good signature, empty without one
	SignedAt  int64     `json:"signedAt"`
	Recovered bool      `json:"recovered"`
	Files     int       `json:"files"`
	Segments  int       `json:"segments"` // compared one by one
	Findings  []Finding `json:"findings"`
	Notes     []Finding `json:"notes"`
}

func (r *Report) find(kind, file, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Kind: kind, File: file, Text: fmt.Sprintf(format, args...)})
}

// span adds a stretch of a file; one that goes on where the one before ended, for
// the same reason, makes that longer.
func span(list []Finding, f Finding) []Finding {
	f.Timed = true
	if n := len(list); n > 0 {
		last := &list[n-1]
		if last.Timed && last.Kind == f.Kind && last.File == f.File && last.Text == f.Text && f.FromMs <= last.ToMs+joinMs && f.FromMs >= last.FromMs {
			last.ToMs = max(last.ToMs, f.ToMs)
			return list
		}
	}
	return append(list, f)
}

// joinMs: segments this near belong together; the last unit of one has no exact end.
const joinMs = 100
