package recorder

import (
	"encoding/binary"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Boxes are written by hand: the library at hand reads every SPS it is given in
// full, and lets its VUI choose how much memory that takes.

var be = binary.BigEndian

func box(typ string, body ...[]byte) []byte {
	n := 8
	for _, b := range body {
		n += len(b)
	}
	out := make([]byte, 0, n)
	out = append(be.AppendUint32(out, uint32(n)), typ...)
	for _, b := range body {
		out = append(out, b...)
	}
	return out
}

func fullBox(typ string, version byte, flags uint32, body ...[]byte) []byte {
	head := be.AppendUint32(nil, uint32(version)<<24|flags)
	return box(typ, append([][]byte{head}, body...)...)
}

func u16(vs ...uint16) (b []byte) {
	for _, v := range vs {
		b = be.AppendUint16(b, v)
	}
	return b
}

func u32(vs ...uint32) (b []byte) {
	for _, v := range vs {
		b = be.AppendUint32(b, v)
	}
	return b
}

func u64(v uint64) []byte { return be.AppendUint64(nil, v) }

// matrix is the unity transformation (ISO/IEC 14496-12 §6.2.2).
var matrix = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)

// movieScale is the movie's timescale; tracks run on their codec's clock.
const movieScale = 1000

// mp4Epoch is seconds since 1904 (§8.2.2.3).
func mp4Time(t time.Time) uint64 { return uint64(t.Unix() + 2082844800) }

func mvhd(created time.Time, duration time.Duration, nextTrack int) []byte {
	return fullBox("mvhd", 1, 0, u64(mp4Time(created)), u64(mp4Time(created)), u32(movieScale), u64(uint64(duration.Milliseconds())),
		u32(0x10000), u16(0x0100, 0), u32(0, 0), matrix, make([]byte, 24), u32(uint32(nextTrack)))
}

func ftyp() []byte {
	return box("ftyp", []byte("isom"), u32(512), []byte("isomiso5iso6mp41"))
}

// mp4Track is what a track's headers are made of; entry is its sample entry.
type mp4Track struct {
	id       uint32
	video    bool
	w, h     int
	scale    uint32
	entry    []byte
	duration uint64 // in ticks of scale, of media; 0 in a fragmented file
	delay    time.Duration
}

// trak is a whole track box around the sample tables given.
func (t *mp4Track) trak(created time.Time, tables ...[]byte) []byte {
	at := u64(mp4Time(created))
	length := t.delay.Milliseconds() + int64(ticksTime(t.duration, t.scale)/time.Millisecond)
	volume, handler, header := uint16(0x0100), "soun", fullBox("smhd", 0, 0, u32(0))
	if t.video {
		volume, handler, header = 0, "vide", fullBox("vmhd", 0, 1, make([]byte, 8))
	}
	tkhd := fullBox("tkhd", 1, 3, at, at, u32(t.id, 0), u64(uint64(length)), u32(0, 0), u16(0, 0, volume, 0), matrix, u32(uint32(t.w)<<16, uint32(t.h)<<16))
	mdhd := fullBox("mdhd", 1, 0, at, at, u32(t.scale), u64(t.duration), u16(0x55c4, 0))
	hdlr := fullBox("hdlr", 0, 0, u32(0), []byte(handler), make([]byte, 12), []byte(appName+"\x00"))
	dinf := box("dinf", fullBox("dref", 0, 0, u32(1), fullBox("url ", 0, 1)))
	stsd := fullBox("stsd", 0, 0, u32(1), t.entry)
	if len(tables) == 0 {
		tables = [][]byte{fullBox("stts", 0, 0, u32(0)), fullBox("stsc", 0, 0, u32(0)), fullBox("stsz", 0, 0, u32(0, 0)), fullBox("stco", 0, 0, u32(0))}
	}
	parts := [][]byte{tkhd}
	if t.delay > 0 { // the track begins later than the file (§8.6.6)
		parts = append(parts, box("edts", fullBox("elst", 1, 0, u32(2),
			u64(uint64(t.delay.Milliseconds())), u64(^uint64(0)), u32(0x10000),
			u64(uint64(ticksTime(t.duration, t.scale)/time.Millisecond)), u64(0), u32(0x10000))))
	}
	stbl := box("stbl", append([][]byte{stsd}, tables...)...)
	parts = append(parts, box("mdia", mdhd, hdlr, box("minf", header, dinf, stbl)))
	return box("trak", parts...)
}

// sampleEntry describes the codec (§8.5.2; ISO/IEC 14496-15 §5.4.2; 14496-14 §5.6; Opus in ISOBMFF §4.3).
func sampleEntry(f pipeline.Format) []byte {
	if f.Codec == codec.Opus {
		dops := box("dOps", []byte{0, byte(f.Channels)}, u16(0), u32(48000), u16(0), []byte{0})
		return box("Opus", make([]byte, 6), u16(1), u32(0, 0), u16(f.Channels, 16, 0, 0), u32(48000<<16), dops)
	}
	if f.Codec == codec.AAC {
		rate := f.ClockRate << 16
		if f.ClockRate > 0xffff { // does not fit; readers take it from the configuration
			rate = 0
		}
		return box("mp4a", make([]byte, 6), u16(1), u32(0, 0), u16(f.Channels, 16, 0, 0), u32(rate), esds(f.Config))
	}
	return box("avc1", make([]byte, 6), u16(1), make([]byte, 16), u16(uint16(f.Width), uint16(f.Height)),
		u32(0x480000, 0x480000, 0), u16(1), make([]byte, 32), u16(24, 0xffff), box("avcC", f.Config))
}

// timeTicks rounds to the nearest tick: a length in whole ticks that went through
// nanoseconds comes back as it was.
func timeTicks(d time.Duration, scale uint32) int64 {
	return int64(d/time.Second)*int64(scale) + (int64(d%time.Second)*int64(scale)+int64(time.Second)/2)/int64(time.Second)
}

func ticksTime(ticks uint64, scale uint32) time.Duration {
	if scale == 0 {
		return 0
	}
	return time.Duration(ticks/uint64(scale))*time.Second + time.Duration(ticks%uint64(scale))*time.Second/time.Duration(scale)
}

// boxHead reads a box's type and whole size; n is the header's length, 0 when b
// does not begin with one.
func boxHead(b []byte) (typ string, size int64, n int) {
	if len(b) < 8 {
		return "", 0, 0
	}
	size, typ, n = int64(be.Uint32(b)), string(b[4:8]), 8
	if size == 1 {
		if len(b) < 16 || b[8]&0x80 != 0 {
			return "", 0, 0
		}
		size, n = int64(be.Uint64(b[8:])), 16
	}
	if size < int64(n) {
		return "", 0, 0
	}
	return typ, size, n
}

// boxes calls f for each whole box in b.
func boxes(b []byte, f func(typ string, body []byte)) {
	for {
		typ, size, n := boxHead(b)
		if n == 0 || size > int64(len(b)) {
			return
		}
		f(typ, b[n:size])
		b = b[size:]
	}
}
