//go:build !linux

package transport

// markDescriptor does nothing: this platform leaves sockets unmarked.
func markDescriptor(uintptr, uint8) {}
