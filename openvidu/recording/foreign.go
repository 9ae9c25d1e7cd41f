package recording

import (
	"bytes"
	"strings"

	"github.com/govidu/govidu/internal/proof"
)

// marked says whether a recording whose metadata (b) cannot be read is ours: the
// metadata names a schema, or something in the folder is of a kind that no other
// server writes. What is not marked is never moved or changed.
func (s *store) marked(id string, b []byte) bool {
	if bytes.Contains(b, []byte(`"schema"`)) {
		return true
	}
	entries, err := s.names(id)
	if err != nil {
		return false
	}
	for _, e := range entries {
		n := e.Name()
		if n == proof.LogFile || strings.HasPrefix(n, ".") && (strings.HasSuffix(n, manifestName) || strings.HasSuffix(n, proof.LogFile)) {
			return true
		}
	}
	return false
}
