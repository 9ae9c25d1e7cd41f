package recorder

import (
	"fmt"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// A file of ours begins with areas of fixed size:
//
//	ftyp | free (16 bytes) | moov without samples, padded | moof mdat | moof mdat …
//
// which every player reads while it grows. At Close an ordinary moov with the
// sample tables is appended, and then the 16 bytes become the head of one mdat
// that covers everything up to it: one write turns the fragmented file into an
// ordinary one, where it is.
const (
	mp4FreeLen  = 16
	mp4MoovArea = 8192
)

type mp4 struct {
	m       Media
	created time.Time
	formats []pipeline.Format
	tracks  []*mp4Fragment
	header  bool
	end     int64
	seq     uint32
	begin   time.Duration // of the fragment being gathered
	pending int
	sum     Summary
}

// mp4Fragment is what a track has in the fragment being gathered.
type mp4Fragment struct {
	mp4Track
	samples []mp4Sample
	length  uint32 // of the latest whole sample, in ticks
	until   int64  // where the latest sample ends, in ticks; 0 when it is as long as the one before
}

type mp4Sample struct {
	dts  int64 // in ticks
	key  bool
	data []byte
}

func newMP4(m Media, created time.Time) *mp4 { return &mp4{m: m, created: created} }

func mp4Offsets() (free, moov, media int64) {
	free = int64(len(ftyp()))
	moov = free + mp4FreeLen
	return free, moov, moov + mp4MoovArea
}

// AddTrack implements Muxer.
func (w *mp4) AddTrack(f pipeline.Format) (int, error) {
	if !MP4.Takes(&f) || f.Codec == codec.AAC && len(f.Config) > maxAACConfig {
		return 0, fmt.Errorf("add track %s to mp4: %w", f.Codec, ErrFormat)
	}
	t := newMP4Fragment(len(w.tracks)+1, f)
	moov := w.initMoov(append(w.tracks, t))
	rest := mp4MoovArea - len(moov)
	if rest < 8 {
		return 0, fmt.Errorf("add track %s: its configuration is too long", f.Codec)
	}
	moov = append(moov, box("free", make([]byte, rest-8))...)
	_, at, media := mp4Offsets()
	if !w.header {
		moov = append(append(ftyp(), box("free", make([]byte, mp4FreeLen-8))...), moov...)
		at = 0
	}
	if _, err := w.m.WriteAt(moov, at); err != nil {
		return 0, fmt.Errorf("write header: %w", err)
	}
	if !w.header {
		w.header, w.end = true, media
	}
	w.tracks = append(w.tracks, t)
	w.formats = append(w.formats, f)
	return len(w.tracks) - 1, nil
}

func newMP4Fragment(id int, f pipeline.Format) *mp4Fragment {
	return &mp4Fragment{mp4Track: mp4Track{
		id: uint32(id), video: f.Kind == pipeline.Video, w: f.Width, h: f.Height, scale: f.ClockRate, entry: sampleEntry(f),
	}}
}

// initMoov is the moov of the fragmented file.
func (w *mp4) initMoov(tracks []*mp4Fragment) []byte {
	body := [][]byte{mvhd(w.created, 0, len(tracks)+1)}
	var trex [][]byte
	for _, t := range tracks {
		body = append(body, t.trak(w.created))
		trex = append(trex, fullBox("trex", 0, 0, u32(t.id, 1, 0, 0, 0)))
	}
	return box("moov", append(body, box("mvex", trex...))...)
}

// Write implements Muxer: a fragment ends at each video keyframe and after a second.
func (w *mp4) Write(track int, au *pipeline.Packet) error {
	if track < 0 || track >= len(w.tracks) {
		return fmt.Errorf("write to track %d of %d: %w", track, len(w.tracks), ErrFormat)
	}
	if w.pending > 0 && (w.tracks[track].video && au.Key || au.PTS-w.begin >= fragmentLength) {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	w.gather(track, au)
	return nil
}

// gather adds a unit to the fragment.
func (w *mp4) gather(track int, au *pipeline.Packet) {
	t := w.tracks[track]
	if w.pending == 0 {
		w.begin = au.PTS
	}
	data := au.Payload
	switch w.formats[track].Codec {
	case codec.H264:
		data = codec.AVCC(data)
	case codec.AAC:
		data = bareAAC(data)
	}
	t.samples = append(t.samples, mp4Sample{timeTicks(max(au.PTS, 0), t.scale), au.Key || !t.video, data})
	w.pending++
}

// Flush implements Muxer: what is gathered becomes a fragment.
func (w *mp4) Flush() error {
	if w.pending == 0 {
		return nil
	}
	out := w.fragment()
	if _, err := w.m.WriteAt(out, w.end); err != nil {
		return fmt.Errorf("write media: %w", err)
	}
	w.end += int64(len(out))
	w.taken()
	return nil
}

// fragment is what is gathered, as moof and mdat.
func (w *mp4) fragment() []byte {
	// Sizes do not depend on the data offset, so the moof is made twice.
	moof := w.moof(0)
	moof = w.moof(len(moof))
	size := 8
	for _, t := range w.tracks {
		for _, s := range t.samples {
			size += len(s.data)
		}
	}
	out := make([]byte, 0, len(moof)+size)
	out = append(out, moof...)
	out = append(be.AppendUint32(out, uint32(size)), "mdat"...)
	for _, t := range w.tracks {
		for _, s := range t.samples {
			out = append(out, s.data...)
		}
	}
	return out
}

// taken begins to gather the next fragment.
func (w *mp4) taken() {
	w.seq++
	w.pending = 0
	for _, t := range w.tracks {
		clear(t.samples)
		t.samples = t.samples[:0]
		t.until = 0
	}
}

// moof describes the samples gathered; their data begins after moofLen bytes and
// the head of the mdat (§8.8).
func (w *mp4) moof(moofLen int) []byte {
	parts := [][]byte{fullBox("mfhd", 0, 0, u32(w.seq+1))}
	offset := moofLen + 8
	for _, t := range w.tracks {
		if len(t.samples) == 0 {
			continue
		}
		// data-offset, duration, size and flags per sample
		run := u32(uint32(len(t.samples)), uint32(offset))
		for i, s := range t.samples {
			if i+1 < len(t.samples) {
				t.length = uint32(t.samples[i+1].dts - s.dts)
			} else if t.until > s.dts {
				t.length = uint32(t.until - s.dts)
			} else if t.length == 0 {
				t.length = t.scale / 50
			}
			flags := uint32(0x02000000) // depends on no other
			if !s.key {
				flags = 0x01010000 // depends on others, no sync sample
			}
			run = append(run, u32(t.length, uint32(len(s.data)), flags)...)
			offset += len(s.data)
		}
		parts = append(parts, box("traf",
			fullBox("tfhd", 0, 0x020000, u32(t.id)),
			fullBox("tfdt", 1, 0, u64(uint64(t.samples[0].dts))),
			fullBox("trun", 0, 0x000701, run)))
	}
	return box("moof", parts...)
}

// Close implements Muxer.
func (w *mp4) Close() error {
	flushed := w.Flush()
	var err error
	if w.sum, err = finaliseMP4(w.m, w.end); err != nil {
		return err
	}
	return flushed
}

func (w *mp4) summary() Summary { return w.sum }
