package recorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Flash Video (Adobe Flash Video File Format 10.1, annex E): a header, a tag of
// metadata that is rewritten in place at Close, then one tag per unit. What has
// been written plays at every moment.
const (
	flvHeader   = 13 // with the first PreviousTagSize
	flvTagHead  = 11
	flvAudio    = 8
	flvVideo    = 9
	flvScript   = 18
	maxFLVTag   = 1<<24 - 1
	flvDuration = "duration"
)

type flv struct {
	m      Media
	tracks []pipeline.Format
	begun  []bool // the configuration is in the file
	end    int64
	tags   []flvTag // not written yet
	sum    Summary
}

type flvTag struct {
	kind byte
	ms   int64
	data []byte
}

func newFLV(m Media) *flv { return &flv{m: m} }

// flvMeta is the tag onMetaData; its numbers stand at fixed places.
func flvMeta(duration, width, height float64) flvTag {
	var b bytes.Buffer
	b.WriteByte(2)
	amfText(&b, "onMetaData")
	b.Write([]byte{8, 0, 0, 0, 3})
	for _, f := range []struct {
		name string
		v    float64
	}{{flvDuration, duration}, {"width", width}, {"height", height}} {
		amfText(&b, f.name)
		b.WriteByte(0)
		b.Write(binary.BigEndian.AppendUint64(nil, math.Float64bits(f.v)))
	}
	b.Write([]byte{0, 0, 9})
	return flvTag{flvScript, 0, b.Bytes()}
}

func amfText(b *bytes.Buffer, s string) {
	b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(s))))
	b.WriteString(s)
}

func (t flvTag) append(b []byte) []byte {
	at := len(b)
	b = append(b, t.kind, byte(len(t.data)>>16), byte(len(t.data)>>8), byte(len(t.data)),
		byte(t.ms>>16), byte(t.ms>>8), byte(t.ms), byte(t.ms>>24), 0, 0, 0)
	b = append(b, t.data...)
	return binary.BigEndian.AppendUint32(b, uint32(len(b)-at))
}

// AddTrack implements Muxer.
func (w *flv) AddTrack(f pipeline.Format) (int, error) {
	if !FLV.Takes(&f) {
		return 0, fmt.Errorf("add track %s to %s: %w", f.Codec, FLV, ErrFormat)
	}
	w.tracks, w.begun = append(w.tracks, f), append(w.begun, false)
	var flags byte
	var width, height float64
	for _, t := range w.tracks {
		if t.Kind == pipeline.Video {
			flags |= 1
			width, height = float64(t.Width), float64(t.Height)
		} else {
			flags |= 4
		}
	}
	head := flvMeta(0, width, height).append([]byte{'F', 'L', 'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0})
	if _, err := w.m.WriteAt(head, 0); err != nil {
		return 0, fmt.Errorf("write header: %w", err)
	}
	w.end = max(w.end, int64(len(head)))
	return len(w.tracks) - 1, nil
}

// Write implements Muxer.
func (w *flv) Write(track int, au *pipeline.Packet) error {
	if track < 0 || track >= len(w.tracks) {
		return fmt.Errorf("write to track %d of %d: %w", track, len(w.tracks), ErrFormat)
	}
	f := &w.tracks[track]
	ms := au.PTS.Milliseconds()
	kind, body := FLVBody(au)
	if !w.begun[track] {
		w.begun[track] = true
		w.tags = append(w.tags, flvTag{kind, ms, FLVConfig(f)})
	}
	if len(body) > maxFLVTag {
		return fmt.Errorf("unit of %d bytes: %w", len(body), ErrFormat)
	}
	w.tags = append(w.tags, flvTag{kind, ms, body})
	return nil
}

// Flush implements Muxer. Players want the tags of all tracks in order of time.
func (w *flv) Flush() error {
	if len(w.tags) == 0 {
		return nil
	}
	slices.SortStableFunc(w.tags, func(a, b flvTag) int { return int(a.ms - b.ms) })
	var b []byte
	for _, t := range w.tags {
		b = t.append(b)
	}
	if _, err := w.m.WriteAt(b, w.end); err != nil {
		return fmt.Errorf("write media: %w", err)
	}
	w.tags, w.end = w.tags[:0], w.end+int64(len(b))
	return nil
}

// Close implements Muxer.
func (w *flv) Close() error {
	flushed := w.Flush()
	if flushed != nil {
		if err := w.m.Truncate(w.end); err != nil { // half of it may be there
			return errors.Join(flushed, err)
		}
	}
	var err error
	if w.sum, err = finaliseFLV(w.m, w.end); err != nil {
		return errors.Join(flushed, err)
	}
	return flushed
}

func (w *flv) summary() Summary { return w.sum }

// flvScan goes through the tags of a file and gives where the last whole one
// ends. visit sees each tag's first bytes, at most 64.
func flvScan(m Media, size int64, visit func(at int64, kind byte, ms int64, head []byte)) (end int64, err error) {
	var first [flvHeader]byte
	if _, err := m.ReadAt(first[:], 0); err != nil && size < flvHeader || !bytes.Equal(first[:4], []byte("FLV\x01")) || first[8] != 9 {
		return 0, errForeign
	}
	end = flvHeader
	var b [flvTagHead + 64]byte
	for {
		n, err := m.ReadAt(b[:min(int64(len(b)), max(size-end, 0))], end)
		if err != nil && err != io.EOF {
			return end, fmt.Errorf("read at %d: %w", end, err)
		}
		if n < flvTagHead {
			return end, nil
		}
		length := int64(b[1])<<16 | int64(b[2])<<8 | int64(b[3])
		next := end + flvTagHead + length + 4
		kind := b[0]
		if next > size || kind != flvAudio && kind != flvVideo && kind != flvScript {
			return end, nil
		}
		var tail [4]byte
		if _, err := m.ReadAt(tail[:], next-4); err != nil && err != io.EOF {
			return end, fmt.Errorf("read at %d: %w", next-4, err)
		}
		if int64(binary.BigEndian.Uint32(tail[:])) != flvTagHead+length {
			return end, nil
		}
		ms := int64(b[7])<<24 | int64(b[4])<<16 | int64(b[5])<<8 | int64(b[6])
		visit(end, kind, ms, b[flvTagHead:min(int64(n), flvTagHead+length)])
		end = next
	}
}

// finaliseFLV cuts off what is torn and writes the duration.
func finaliseFLV(m Media, size int64) (Summary, error) {
	tracks := map[byte]*TrackSummary{}
	steps := map[byte]time.Duration{}
	meta := int64(-1)
	var width, height int
	end, err := flvScan(m, size, func(at int64, kind byte, ms int64, head []byte) {
		if kind == flvScript {
			if i := bytes.Index(head, []byte(flvDuration)); meta < 0 && i > 0 && len(head) >= i+len(flvDuration)+9 {
				meta = at + flvTagHead + int64(i) + int64(len(flvDuration)) + 1
			}
			return
		}
		if len(head) < 3 || head[1] == 0 { // a configuration
			return
		}
		at2 := time.Duration(ms) * time.Millisecond
		t := tracks[kind]
		if t == nil {
			t = &TrackSummary{Kind: pipeline.Audio, Codec: codec.AAC, First: at2}
			if kind == flvVideo {
				t.Kind, t.Codec = pipeline.Video, codec.H264
			}
			tracks[kind] = t
		} else if d := at2 - t.Last; d > 0 {
			steps[kind] = min(d, fragmentLength)
		}
		t.Last = max(t.Last, at2)
		t.Units++
		t.end = t.Last + steps[kind]
	})
	if err != nil {
		return Summary{}, err
	}
	var s Summary
	for _, kind := range []byte{flvVideo, flvAudio} {
		if t := tracks[kind]; t != nil {
			s.Duration = max(s.Duration, t.end)
			s.Tracks = append(s.Tracks, *t)
		}
	}
	if len(s.Tracks) == 0 {
		return s, ErrEmpty
	}
	if end < size {
		if err := m.Truncate(end); err != nil {
			return s, fmt.Errorf("cut at %d: %w", end, err)
		}
	}
	if meta >= 0 {
		if width, height, err = flvPatch(m, meta, s.Duration); err != nil {
			return s, err
		}
	}
	for i := range s.Tracks {
		if s.Tracks[i].Kind == pipeline.Video {
			s.Tracks[i].Width, s.Tracks[i].Height = width, height
		}
	}
	return s, nil
}

// flvPatch writes the duration and reads the picture's size behind it.
func flvPatch(m Media, at int64, d time.Duration) (width, height int, err error) {
	if _, err := m.WriteAt(binary.BigEndian.AppendUint64(nil, math.Float64bits(d.Seconds())), at); err != nil {
		return 0, 0, fmt.Errorf("write duration: %w", err)
	}
	var b [35]byte // width: 2+5+1+8, height: 2+6+1+8
	if _, err := m.ReadAt(b[:33], at+8); err != nil {
		return 0, 0, nil // not ours: no size
	}
	if string(b[2:7]) != "width" || string(b[18:24]) != "height" {
		return 0, 0, nil
	}
	number := func(p []byte) int {
		v := math.Float64frombits(binary.BigEndian.Uint64(p))
		if v < 0 || v > 1<<16 || v != v {
			return 0
		}
		return int(v)
	}
	return number(b[8:16]), number(b[25:33]), nil
}
