//go:build !portable

package udp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxControl holds the control messages of one message, in 8-byte words.
const maxControl = 8

// appendTOS adds IP_TOS or IPV6_TCLASS, for one message (ip(7), ipv6(7)).
func appendTOS(b []byte, tos uint8, v4 bool) []byte {
	level, kind := int32(unix.IPPROTO_IPV6), int32(unix.IPV6_TCLASS)
	if v4 {
		level, kind = unix.IPPROTO_IP, unix.IP_TOS
	}
	b, at := appendControl(b, level, kind, 4)
	binary.NativeEndian.PutUint32(at, uint32(tos))
	return b
}

// appendSegment adds UDP_SEGMENT: the kernel cuts the message into datagrams of
// size bytes, the last may be shorter (udp(7)).
func appendSegment(b []byte, size int) []byte {
	b, at := appendControl(b, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(at, uint16(size))
	return b
}

// appendControl adds a control message and gives its data. b begins at an aligned
// address, or has no room.
func appendControl(b []byte, level, kind int32, n int) (all, data []byte) {
	at := len(b)
	if need := at + unix.CmsgSpace(n); need <= cap(b) {
		b = b[:need]
		clear(b[at:])
	} else {
		b = append(b, make([]byte, unix.CmsgSpace(n))...)
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[at]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return b, b[at+unix.CmsgLen(0):]
}
