//go:build !linux

package transport

import "net/netip"

// markControl is nil: this platform marks no single datagram.
func markControl(netip.Addr, uint8) []byte { return nil }

func markDescriptor(uintptr, uint8) {}
