package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Elements that files of others have, and ours do not (RFC 9559 §5.1).
const (
	idBlockGroup     = 0xA0
	idBlock          = 0xA1
	idReferenceBlock = 0xFB
)

// maxBlock bounds one block of a file that is read.
const maxBlock = 64 << 20

// Reader reads the units of a WebM or Matroska file one after the other, in the
// order of the file: of ours, and of other recorders', finished or not. Tracks of
// codecs that the product does not know are left out. Not safe for concurrent use.
type Reader struct {
	r      *reader
	at     int64
	unit   time.Duration // of timestamps
	start  int64         // of the cluster, in units
	tracks []pipeline.Format
	number map[uint64]int // by the file's track number
}

// NewReader reads the head of a file of size bytes.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	x := &Reader{r: &reader{r: r, size: size}, unit: time.Millisecond, number: map[uint64]int{}}
	b, err := x.r.peek(0, 64)
	if err != nil {
		return nil, err
	}
	id, length, n := parseElement(b)
	if id != idEBML || length < 0 || length > 4096 {
		return nil, fmt.Errorf("read: no EBML header: %w", ErrFormat)
	}
	x.at = int64(n) + length
	if b, err = x.r.peek(x.at, 16); err != nil {
		return nil, err
	}
	if id, _, n = parseElement(b); id != idSegment {
		return nil, fmt.Errorf("read: no segment: %w", ErrFormat)
	}
	x.at += int64(n)
	for {
		id, body, err := x.element()
		if err != nil {
			return nil, fmt.Errorf("read head: %w", err)
		}
		switch id {
		case idInfo:
			children(body, func(id uint32, v []byte) {
				if id == idTimestampUnit {
					x.unit = time.Duration(min(max(parseUint(v), 1), uint64(time.Hour)))
				}
			})
		case idTracks:
			x.readTracks(body)
			if len(x.tracks) == 0 {
				return nil, fmt.Errorf("read: no track of a known codec: %w", ErrFormat)
			}
			return x, nil
		case idCluster:
			return nil, fmt.Errorf("read: media before tracks: %w", ErrFormat)
		}
	}
}

// Tracks are the formats of the tracks, by the number that Next gives.
func (x *Reader) Tracks() []pipeline.Format { return x.tracks }

// element reads the next one of the segment or of the open cluster. Of a cluster
// only the head is read, of what is not needed nothing.
func (x *Reader) element() (id uint32, body []byte, err error) {
	for {
		b, err := x.r.peek(x.at, 16)
		if err != nil {
			return 0, nil, err
		}
		id, size, n := parseElement(b)
		switch {
		case n == 0:
			return 0, nil, io.EOF
		case id == idCluster:
			x.at += int64(n)
			return id, nil, nil
		case size < 0 || size > x.r.size-x.at-int64(n):
			return 0, nil, io.ErrUnexpectedEOF // torn
		}
		at := x.at + int64(n)
		x.at = at + size
		switch id {
		case idInfo, idTracks, idTimestamp, idSimpleBlock, idBlockGroup:
			if size > maxBlock {
				return 0, nil, fmt.Errorf("element of %d bytes: %w", size, ErrFormat)
			}
			body := make([]byte, size)
			if _, err := x.r.r.ReadAt(body, at); err != nil && !errors.Is(err, io.EOF) {
				return 0, nil, fmt.Errorf("read: %w", err)
			}
			return id, body, nil
		}
	}
}

// Next gives the next unit and its track: io.EOF at the end, io.ErrUnexpectedEOF
// where a file is cut off.
func (x *Reader) Next() (track int, p *pipeline.Packet, err error) {
	for {
		id, body, err := x.element()
		if err != nil {
			return 0, nil, err
		}
		block, key := body, false
		switch id {
		case idTimestamp:
			x.start = int64(parseUint(body) & (1<<48 - 1))
			continue
		case idSimpleBlock:
			key = len(body) > 3 && body[3]&0x80 != 0
			if v, _ := vint(body); v > 0x7f && len(body) > 4 {
				key = body[4]&0x80 != 0
			}
		case idBlockGroup:
			block, key = nil, true
			children(body, func(id uint32, v []byte) {
				switch id {
				case idBlock:
					block = v
				case idReferenceBlock:
					key = false
				}
			})
		default:
			continue
		}
		number, n := vint(block)
		t, known := x.number[number]
		if n == 0 || len(block) < n+3 || !known {
			continue
		}
		if block[n+2]&0x06 != 0 {
			return 0, nil, fmt.Errorf("laced blocks: %w", ErrFormat)
		}
		f := &x.tracks[t]
		at := x.start + int64(int16(binary.BigEndian.Uint16(block[n:])))
		if at < 0 || at > math.MaxInt64/int64(x.unit) {
			continue
		}
		p := &pipeline.Packet{Format: f, Payload: block[n+3:], PTS: time.Duration(at) * x.unit, Key: key || f.Kind == pipeline.Audio}
		if f.Codec == codec.H264 {
			if p.Payload = annexB(p.Payload, f.Config, p.Key); p.Payload == nil {
				continue
			}
		}
		return t, p, nil
	}
}

// vint is a number of one or two bytes (RFC 8794 §4), as of tracks.
func vint(b []byte) (uint64, int) {
	switch {
	case len(b) > 0 && b[0]&0x80 != 0:
		return uint64(b[0] & 0x7f), 1
	case len(b) > 1 && b[0]&0x40 != 0:
		return uint64(b[0]&0x3f)<<8 | uint64(b[1]), 2
	}
	return 0, 0
}

func (x *Reader) readTracks(body []byte) {
	children(body, func(id uint32, entry []byte) {
		if id != idTrackEntry || len(x.tracks) >= 64 {
			return
		}
		f := pipeline.Format{Framing: pipeline.Unit}
		var number uint64
		children(entry, func(id uint32, v []byte) {
			switch id {
			case idTrackNumber:
				number = parseUint(v)
			case idTrackType:
				f.Kind = map[uint64]pipeline.Kind{1: pipeline.Video, 2: pipeline.Audio}[parseUint(v)]
			case idCodecID:
				f.Codec = webmCodecs[string(v)]
			case idCodecPrivate:
				f.Config = append([]byte(nil), v...)
			case idVideo:
				f.ClockRate = 90000
				children(v, func(id uint32, v []byte) {
					switch id {
					case idPixelWidth:
						f.Width = int(min(parseUint(v), 1<<16))
					case idPixelHeight:
						f.Height = int(min(parseUint(v), 1<<16))
					}
				})
			case idAudio:
				children(v, func(id uint32, v []byte) {
					switch id {
					case idSamplingRate:
						rate := parseFloat(v)
						if len(v) == 4 {
							rate = float64(math.Float32frombits(binary.BigEndian.Uint32(v)))
						}
						f.ClockRate = uint32(min(max(rate, 0), 1<<20))
					case idChannels:
						f.Channels = uint16(min(parseUint(v), 8))
					}
				})
			}
		})
		if f.Codec == "" && len(f.Config) > 2 && f.Kind == pipeline.Audio {
			f.Codec = map[byte]codec.Name{7: codec.PCMU, 6: codec.PCMA}[f.Config[0]]
		}
		if f.Codec == "" || f.Kind == 0 || number == 0 {
			return
		}
		if f.Kind == pipeline.Audio {
			f.Channels = max(f.Channels, 1)
			if f.Codec == codec.Opus {
				f.ClockRate = 48000
			}
		}
		x.number[number] = len(x.tracks)
		x.tracks = append(x.tracks, f)
	})
}

// annexB turns NAL units with lengths (ISO/IEC 14496-15) into start codes; keys
// that lack their parameters get those of avcC. nil when it does not fit.
func annexB(b, avcC []byte, key bool) []byte {
	if len(avcC) < 7 {
		return nil
	}
	width := int(avcC[4]&3) + 1
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		if len(b) < width {
			return nil
		}
		n := 0
		for _, c := range b[:width] {
			n = n<<8 | int(c)
		}
		b = b[width:]
		if n > len(b) {
			return nil
		}
		out = append(append(out, 0, 0, 0, 1), b[:n]...)
		b = b[n:]
	}
	if sps, _ := codec.H264Params(out); key && sps == nil {
		out = append(avcParams(avcC), out...)
	}
	return out
}

// avcParams are the parameter sets of an avcC, with start codes.
func avcParams(b []byte) (out []byte) {
	at := 5
	for _, mask := range []byte{0x1f, 0xff} {
		if at >= len(b) {
			return out
		}
		count := int(b[at] & mask)
		at++
		for range count {
			if at+2 > len(b) {
				return out
			}
			n := int(binary.BigEndian.Uint16(b[at:]))
			at += 2
			if at+n > len(b) {
				return out
			}
			out = append(append(out, 0, 0, 0, 1), b[at:at+n]...)
			at += n
		}
	}
	return out
}
