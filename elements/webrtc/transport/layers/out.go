package layers

import "encoding/binary"

// Out is how a forwarded packet differs from the received one. It is small, to be
// kept beside the packet: a retransmission applies the same Out.
type Out struct {
	Timestamp uint32
	// Patch holds PatchLen bytes, the first in the highest bits, that replace those
	// at PatchAt in the payload; see Apply.
	Patch uint32
	// Targets are the decode targets that a forwarded dependency descriptor is to call
	// active, 0 for those that it does: see targetsOf.
	Targets           uint32
	Seq               uint16
	FrameAdd          uint16 // added to its frame number
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
