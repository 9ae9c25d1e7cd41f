package rtmp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Message types (§5.4, §6, §7.1).
const (
	typeChunkSize  = 1
	typeAbort      = 2
	typeAck        = 3
	typeControl    = 4
	typeWindowAck  = 5
	typeBandwidth  = 6
	typeAudio      = 8
	typeVideo      = 9
	typeDataAMF0   = 18
	typeCommand0   = 20
	typeCommandAMF = 17 // AMF 3 form of a command: a zero byte, then AMF 0

	// firstChunk is the chunk size both sides begin with, ours the one we announce.
	firstChunk = 128
	ourChunk   = 4096

	// maxMessage and maxStreams bound what a server can make us hold.
	maxMessage = 256 << 10
	maxStreams = 16
)

var errProtocol = errors.New("the server breaks the protocol")

type message struct {
	typ    byte
	stream uint32
	body   []byte
}

// appendMessage cuts a message into chunks (§5.3.1): a full header, then headers
// of type 3.
func appendMessage(b []byte, csid byte, ms uint32, typ byte, stream uint32, body []byte) []byte {
	short, extended := ms, ms >= 0xffffff
	if extended {
		short = 0xffffff
	}
	b = append(b, csid, byte(short>>16), byte(short>>8), byte(short),
		byte(len(body)>>16), byte(len(body)>>8), byte(len(body)), typ)
	b = binary.LittleEndian.AppendUint32(b, stream)
	for first := true; first || len(body) > 0; first = false {
		if !first {
			b = append(b, 3<<6|csid)
		}
		if extended {
			b = binary.BigEndian.AppendUint32(b, ms)
		}
		n := min(len(body), ourChunk)
		b = append(b, body[:n]...)
		body = body[n:]
	}
	return b
}

// chunkReader puts the server's chunks together.
type chunkReader struct {
	r       *bufio.Reader
	size    int
	streams map[int]*chunkStream
	read    uint64 // bytes, for acknowledgements
}

type chunkStream struct {
	length   int
	typ      byte
	stream   uint32
	extended bool
	body     []byte
	open     bool // a message is half here
	headed   bool
}

func newChunkReader(r io.Reader) *chunkReader {
	c := &chunkReader{size: firstChunk, streams: map[int]*chunkStream{}}
	c.r = bufio.NewReaderSize(counter{r, &c.read}, 4096)
	return c
}

type counter struct {
	r io.Reader
	n *uint64
}

// Read implements io.Reader.
func (c counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	*c.n += uint64(n)
	return n, err
}

func (c *chunkReader) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(c.r, b)
	return b, err
}

// next gives the next whole message, but for changes of the chunk size, which it
// follows.
func (c *chunkReader) next() (message, error) {
	for {
		m, whole, err := c.chunk()
		switch {
		case err != nil:
			return message{}, err
		case !whole:
		case m.typ == typeChunkSize:
			if len(m.body) < 4 {
				return message{}, errProtocol
			}
			c.size = int(binary.BigEndian.Uint32(m.body) & 0x7fffffff)
			if c.size == 0 {
				return message{}, errProtocol
			}
		case m.typ == typeAbort:
			if len(m.body) >= 4 {
				if s := c.streams[int(binary.BigEndian.Uint32(m.body))]; s != nil {
					s.body, s.open = nil, false
				}
			}
		default:
			return m, nil
		}
	}
}

// chunk reads one chunk; whole tells that it was the last of its message.
func (c *chunkReader) chunk() (m message, whole bool, err error) {
	format, s, err := c.basic()
	if err != nil {
		return m, false, err
	}
	if format != 3 && s.open || format == 3 && !s.headed {
		return m, false, fmt.Errorf("chunk header: %w", errProtocol)
	}
	if format < 3 {
		head, err := c.bytes([]int{11, 7, 3}[format])
		if err != nil {
			return m, false, err
		}
		s.extended = head[0] == 0xff && head[1] == 0xff && head[2] == 0xff
		if format < 2 {
			s.length = int(head[3])<<16 | int(head[4])<<8 | int(head[5])
			s.typ = head[6]
		} else if !s.headed {
			return m, false, fmt.Errorf("chunk header: %w", errProtocol)
		}
		if format == 0 {
			s.stream = binary.LittleEndian.Uint32(head[7:])
		}
		s.headed = true
	}
	if s.extended {
		if _, err := c.bytes(4); err != nil {
			return m, false, err
		}
	}
	if s.length > maxMessage {
		return m, false, fmt.Errorf("message of %d bytes: %w", s.length, errProtocol)
	}
	part, err := c.bytes(min(s.length-len(s.body), c.size))
	if err != nil {
		return m, false, err
	}
	s.body = append(s.body, part...)
	if s.open = len(s.body) < s.length; s.open {
		return m, false, nil
	}
	m = message{s.typ, s.stream, s.body}
	s.body = nil
	return m, true, nil
}

// basic reads a basic header (§5.3.1.1).
func (c *chunkReader) basic() (format int, s *chunkStream, err error) {
	first, err := c.r.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	id := int(first & 0x3f)
	if id < 2 {
		more, err := c.bytes(id + 1)
		if err != nil {
			return 0, nil, err
		}
		id = 64 + int(more[0])
		if len(more) > 1 {
			id += int(more[1]) << 8
		}
	}
	if s = c.streams[id]; s == nil {
		if len(c.streams) >= maxStreams {
			return 0, nil, fmt.Errorf("more than %d chunk streams: %w", maxStreams, errProtocol)
		}
		s = &chunkStream{}
		c.streams[id] = s
	}
	return int(first >> 6), s, nil
}
