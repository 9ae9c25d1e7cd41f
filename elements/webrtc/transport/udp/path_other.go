//go:build !linux || portable

package udp

// pathSystem is empty: package net makes the address anew for each datagram.
type pathSystem struct{}

func (p *Path) prepare() {}
