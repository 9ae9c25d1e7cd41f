package gather

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

// maxFrame bounds one message of a TURN server to us.
const maxFrame = 4096

var errFrame = errors.New("neither a STUN message nor channel data")

// stream cuts the byte stream of a TURN server into its messages (RFC 8656 §3.7,
// §12.5). Writes that take longer than a moment fail: a stuck server must not hold
// anybody.
type stream struct {
	net.Conn
	in *bufio.Reader
}

func newStream(c net.Conn) *stream { return &stream{c, bufio.NewReaderSize(c, maxFrame)} }

// ReadFrom implements net.PacketConn. It fails for good when the stream cannot be
// understood any more.
func (s *stream) ReadFrom(b []byte) (int, net.Addr, error) {
	head, err := s.in.Peek(4)
	if err != nil {
		return 0, nil, err
	}
	size, pad := int(binary.BigEndian.Uint16(head[2:])), 0
	switch {
	case head[0] < 4:
		size += 20
	case head[0] >= 0x40 && head[0] < 0x50:
		size += 4
		pad = -size & 3
	default:
		return 0, nil, errFrame
	}
	if size > len(b) || size > maxFrame {
		return 0, nil, errFrame
	}
	if _, err := io.ReadFull(s.in, b[:size]); err != nil {
		return 0, nil, err
	}
	_, err = s.in.Discard(pad)
	return size, s.RemoteAddr(), err
}

// WriteTo implements net.PacketConn.
func (s *stream) WriteTo(b []byte, _ net.Addr) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return 0, err
	}
	return s.Write(b)
}
