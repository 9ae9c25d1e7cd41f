package srtp

import "encoding/binary"

// Sizes of RFC 3550 and RFC 3711, in bytes.
const (
	rtpHeader  = 12 // fixed part (RFC 3550 §5.1)
	rtcpHeader = 8  // what SRTCP leaves in the clear (RFC 3711 §3.4)
	indexLen   = 4  // E bit and SRTCP index
	encrypted  = 1 << 31
)

// HeaderLen is the length of an RTP header in bytes: fixed part, contributing
// sources and extension (RFC 3550 §5.1). It is 0 when the packet is not of
// version 2 or ends before its header does.
func HeaderLen(packet []byte) int {
	if len(packet) < rtpHeader || packet[0]>>6 != 2 {
		return 0
	}
	n := rtpHeader + 4*int(packet[0]&0x0f)
	if packet[0]&0x10 != 0 {
		if len(packet) < n+4 {
			return 0
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(packet[n+2:]))
	}
	if n > len(packet) {
		return 0
	}
	return n
}
