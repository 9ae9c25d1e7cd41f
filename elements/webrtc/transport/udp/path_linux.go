//go:build !portable

package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// pathSystem is the destination as the kernel reads it.
type pathSystem struct {
	name    unix.RawSockaddrInet6 // or RawSockaddrInet4 in its place
	nameLen uint32
	mark    []byte // control message with the mark, if any
}

func (p *Path) prepare() {
	port := p.to.Port()
	port = hostOrder(port) // the same swap in the other direction
	if a := p.to.Addr(); a.Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&p.name)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.As4()}
		p.nameLen = unix.SizeofSockaddrInet4
	} else if a.Is6() {
		p.name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: a.As16(), Scope_id: scope(a.Zone())}
		p.nameLen = unix.SizeofSockaddrInet6
	}
	if p.tos != 0 {
		p.mark = appendTOS(nil, p.tos, p.to.Addr().Is4())
	}
}
