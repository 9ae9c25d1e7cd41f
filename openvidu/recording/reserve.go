package recording

import (
	"errors"
	"os"
	"path"
)

// reserveBytes is the space that a running recording keeps for its end: metadata,
// manifest and signature have to be written when the disk is full, too. A manifest
// has about a hundred bytes per second and file.
const reserveBytes = 256 << 10

// reserveName is that of a temporary file: a start after a crash removes it, before
// it writes anything.
const reserveName = ".reserve" + tmpSuffix

// reserve takes the space. Without it a recording is as good, as long as the disk is.
func (s *store) reserve(id string) error {
	f, err := s.root.OpenFile(path.Join(id, reserveName), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, reserveBytes)) // not by a hole: those have no blocks
	return errors.Join(err, f.Close())
}

// unreserve gives the space to what has to be written now.
func (s *store) unreserve(id string) { _ = s.root.Remove(path.Join(id, reserveName)) }
