package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// movedAway says that the media of a recording is in a bucket and no more in its
// folder, which is no loss, but nothing can be compared here; nil when it is here.
func movedAway(at string) error {
	b, err := os.ReadFile(filepath.Join(at, ".upload.json"))
	if err != nil {
		return nil
	}
	var s struct {
		Trimmed bool `json:"trimmed"`
	}
	if json.Unmarshal(b, &s) != nil || !s.Trimmed {
		return nil
	}
	return fmt.Errorf("the media of %s is in the bucket: fetch the recording's folder from there and verify that", at)
}
