package transport

import "golang.org/x/sys/unix"

// markDescriptor marks all that leaves by a socket (RFC 2474 §3).
func markDescriptor(fd uintptr, dscp uint8) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(dscp)<<2)
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(dscp)<<2)
}
