package layers

import "encoding/binary"

// Out is how a forwarded packet differs from the received one. It is small, to be
// kept beside the packet: a retransmission applies the same Out.
type Out struct {
	Timestamp uint32
	// Patch holds PatchLen bytes, the first in the highest bits, that replace those
	// at PatchAt in the payload; see Apply.
	Patch             uint32
	Seq               uint16
	FrameAdd          uint16 // see PatchDescriptor
	PatchAt, PatchLen uint8
	Marker            bool
	// Empty tells to send Seq without a payload: the packet is of a layer that was
	// cut, but its number had been counted as lost. It must be sent, or the receiver
	// asks for it again and again.
	Empty bool
}

// Apply writes the patch into a copy of the packet's payload, whose length stays.
func (o Out) Apply(payload []byte) {
	n := int(o.PatchLen)
	at := int(o.PatchAt)
	if n == 0 || at+n > len(payload) {
		return
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], o.Patch)
	copy(payload[at:at+n], b[:])
}

// PatchDescriptor puts the frame number of a copied dependency descriptor
// (appendix A.8.2 of the AV1 payload format) in line. Its references are
// relative, and a keyframe brings its own templates: nothing else changes.
func (o Out) PatchDescriptor(descriptor []byte) {
	if o.FrameAdd == 0 || len(descriptor) < 3 {
		return
	}
	binary.BigEndian.PutUint16(descriptor[1:], binary.BigEndian.Uint16(descriptor[1:])+o.FrameAdd)
}
