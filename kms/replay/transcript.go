package replay

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Directions of a Frame. Notes are remarks of the recorder; a close is the end of
// the socket, code 1006 when the server dropped it.
const (
	fromClient = "c->s"
	fromServer = "s->c"
	closed     = "close"
)

// Frame is one frame of a transcript, in the order seen. TMs counts from the
// recording's start.
type Frame struct {
	Dir  string `json:"dir"`
	Raw  string `json:"raw"`
	TMs  int    `json:"t_ms"`
	Code int    `json:"code"`
	Text string `json:"text"`
}

// Transcript is one recorded conversation on one socket.
type Transcript struct {
	Name   string  `json:"name"`
	Note   string  `json:"note"`
	Server string  `json:"server"`
	Frames []Frame `json:"frames"`
}

// Load reads a transcript; its Name is the file's without .json.
func Load(file string) (*Transcript, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read transcript: %w", err)
	}
	t := &Transcript{}
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("read transcript %s: %w", file, err)
	}
	t.Name = strings.TrimSuffix(filepath.Base(file), ".json")
	return t, nil
}

// LoadAll reads the transcripts of a folder, sorted by name.
func LoadAll(dir string) ([]*Transcript, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no transcripts in %s", dir)
	}
	sort.Strings(files)
	var out []*Transcript
	for _, f := range files {
		t, err := Load(f)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// Media are the files below file:///media/ that players of the transcripts read.
const Media = "file:///media/"
