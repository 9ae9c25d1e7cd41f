package transport

import "github.com/govidu/govidu/elements/webrtc/transport/layers"

// describe adds the dependency descriptor to a header of n bytes, the last of its
// extensions; it gives the new length.
func (s *Sender) describe(dst []byte, n int, descriptor []byte, out *layers.Out) int {
	var value [layers.MaxDescriptor]byte
	size := out.Describe(value[:], descriptor)
	if size == 0 {
		return n
	}
	return s.element(dst, n, s.ext.descriptor, value[:size])
}
