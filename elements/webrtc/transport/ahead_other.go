//go:build !amd64 || portable

package transport

import "unsafe"

// prefetch asks for so many bytes to be brought into the nearest cache: not here.
func prefetch(unsafe.Pointer, uintptr) {}
