//go:build !unix

package recording

import "errors"

// freeBytes is not known on this system; recordings start without the check.
func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
