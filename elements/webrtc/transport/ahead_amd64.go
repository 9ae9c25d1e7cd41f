//go:build !portable

package transport

import "unsafe"

// prefetch asks for so many bytes to be brought into the nearest cache. It is a hint:
// it waits for nothing, and p may be nil or anything else.
//
//go:noescape
func prefetch(p unsafe.Pointer, size uintptr)
