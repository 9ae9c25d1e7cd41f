package recorder

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Muxer writes one file. Packets are units (pipeline.Unit) with PTS since the
// file's zero, strictly growing per track by at least a millisecond. After Flush
// returns, everything before it survives kill -9. Close makes the file an
// ordinary seekable one; it does not close what it writes to. Not safe for
// concurrent use.
type Muxer interface {
	// AddTrack adds a track, also after media has been written. f must be
	// complete (see Describe).
	AddTrack(f pipeline.Format) (track int, err error)
	Write(track int, au *pipeline.Packet) error
	Flush() error
	Close() error
}

// Container is a file format.
type Container string

// The containers. WebM takes VP8, VP9, AV1 and opus; Matroska those, H264, AAC,
// PCMU and PCMA; MP4 takes H264, AAC and opus; FLV H264 and AAC.
const (
	WebM     Container = "webm"
	Matroska Container = "mkv"
	MP4      Container = "mp4"
	FLV      Container = "flv"
)

// Codecs are those the container takes; for one kind, in order of preference:
// the first is what raw media is encoded in. What comes in any of them is written
// as it is.
func (c Container) Codecs(kind pipeline.Kind) []codec.Name {
	switch {
	case c == WebM && kind == pipeline.Video:
		return []codec.Name{codec.VP8, codec.VP9, codec.AV1}
	case c == Matroska && kind == pipeline.Video:
		return []codec.Name{codec.H264, codec.VP8, codec.VP9, codec.AV1}
	case (c == MP4 || c == FLV) && kind == pipeline.Video:
		return []codec.Name{codec.H264}
	case c == Matroska && kind == pipeline.Audio:
		return []codec.Name{codec.AAC, codec.Opus, codec.PCMU, codec.PCMA}
	case c == MP4 && kind == pipeline.Audio:
		return []codec.Name{codec.AAC, codec.Opus}
	case c == FLV && kind == pipeline.Audio:
		return []codec.Name{codec.AAC}
	case c == WebM && kind == pipeline.Audio:
		return []codec.Name{codec.Opus}
	}
	return nil
}

// Takes tells whether units of f can be written to the container.
func (c Container) Takes(f *pipeline.Format) bool {
	return f.Framing == pipeline.Unit && slices.Contains(c.Codecs(f.Kind), f.Codec)
}

// ContainerOf tells the container by a file name's extension.
func ContainerOf(name string) (Container, bool) {
	i := strings.LastIndexByte(name, '.')
	for _, c := range []Container{WebM, Matroska, MP4, FLV} {
		if i >= 0 && strings.EqualFold(name[i+1:], string(c)) {
			return c, true
		}
	}
	return "", false
}

// Media is the file a Muxer writes to; *os.File is one.
type Media interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
}

// Errors of this package; callers test for them with errors.Is.
var (
	// ErrFormat: the container does not take this codec.
	ErrFormat = errors.New("format does not fit the container")
	// ErrCodecChanged: a track's codec changed while it was recorded; a file
	// holds one codec per track, so the rest of that track is left out.
	ErrCodecChanged = errors.New("codec changed while recording")
	// ErrEmpty: there is no media in the file.
	ErrEmpty = errors.New("no media")
	// ErrClosed: the file was closed before.
	ErrClosed = errors.New("file is closed")
	// errForeign: the file was not written by this package.
	errForeign = errors.New("not a file of this recorder")
)

// fragmentLength is the longest cluster or fragment: what is not flushed yet is
// at most this old.
const fragmentLength = time.Second

// NewMuxer makes a Muxer that writes to an empty m. created is the instant of
// the file's time zero, for players to show.
func NewMuxer(c Container, m Media, created time.Time) (Muxer, error) {
	return newMuxer(c, m, created)
}

// summingMuxer also tells, after Close, what is in the file.
type summingMuxer interface {
	Muxer
	summary() Summary
}

func newMuxer(c Container, m Media, created time.Time) (summingMuxer, error) {
	switch c {
	case WebM, Matroska:
		return newWebM(c, m, created), nil
	case MP4:
		return newMP4(m, created), nil
	case FLV:
		return newFLV(m), nil
	}
	return nil, fmt.Errorf("mux %q: %w", c, ErrFormat)
}

// Describe completes a track's format from its first unit, which must be a
// keyframe for video: picture size and, where containers need it, the decoder
// configuration (avcC, av1C, OpusHead). ok is false when the unit lacks them.
func Describe(p *pipeline.Packet) (f pipeline.Format, ok bool) {
	f = *p.Format
	switch f.Codec {
	case codec.Opus:
		f.ClockRate, f.Channels = 48000, max(f.Channels, 1)
		if f.Config == nil {
			f.Config = codec.OpusHead(int(f.Channels), 0)
		}
		return f, true
	case codec.PCMU, codec.PCMA:
		f.ClockRate, f.Channels = 8000, max(f.Channels, 1)
		return f, true
	case codec.AAC:
		if f.Config == nil {
			f.Config = aacConfig(f.ClockRate, f.Channels)
		}
		return f, len(f.Config) >= 2
	}
	if !p.Key {
		return f, false
	}
	if w, h, ok := codec.SizeOfUnit(f.Codec, p.Payload); ok {
		f.Width, f.Height = w, h
	}
	switch f.Codec {
	case codec.H264:
		if sps, pps := codec.H264Params(p.Payload); sps != nil && pps != nil {
			f.Config = codec.AVCConfig(sps, pps)
		}
		ok = f.Config != nil
	case codec.AV1:
		if c := codec.AV1Config(p.Payload); c != nil {
			f.Config = c
		}
		ok = f.Config != nil
	default:
		ok = true
	}
	return f, ok && f.Width > 0 && f.Height > 0
}

// TrackSummary is what a scan of a file finds in one track. Times are since the
// file's zero; Last is the start of the last unit.
type TrackSummary struct {
	Kind          pipeline.Kind
	Codec         codec.Name
	First, Last   time.Duration
	Units         int64
	Width, Height int
	rate          uint32 // of an audio track that needs it to tell a unit's length
	end           time.Duration
}

// Summary is what a scan of a file finds.
type Summary struct {
	Duration time.Duration // end of the longest track
	Tracks   []TrackSummary
}

// Repair makes what a Muxer of this package wrote, size bytes of it, an ordinary
// seekable file in place, after cutting off what was torn. It may be repeated
// after a crash at any point, and on a finished file. Errors: ErrEmpty; with a
// Summary that has tracks, the file plays but lacks its index.
func Repair(c Container, m Media, size int64) (Summary, error) {
	switch c {
	case WebM, Matroska:
		return finaliseWebM(m, size)
	case MP4:
		return finaliseMP4(m, size)
	case FLV:
		return finaliseFLV(m, size)
	}
	return Summary{}, fmt.Errorf("repair %q: %w", c, ErrFormat)
}

// unitLength is how long a unit lasts by its own account; 0 when it does not say.
// clockRate is the track's, in Hz.
func unitLength(n codec.Name, clockRate uint32, head []byte, size int) time.Duration {
	switch n {
	case codec.AAC:
		return ticksTime(aacSamples, clockRate)
	case codec.Opus:
		return time.Duration(codec.OpusTicks(head)) * time.Second / 48000
	case codec.PCMU, codec.PCMA:
		return time.Duration(size) * time.Second / 8000
	}
	return 0
}
