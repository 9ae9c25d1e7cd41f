//go:build !linux

package recorder

import "os"

// dataSync brings the data of f to the disk.
func dataSync(f *os.File) error { return f.Sync() }
