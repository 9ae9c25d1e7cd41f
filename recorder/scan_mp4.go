package recorder

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

type indexedSample struct {
	dts  int64
	at   int64
	size uint32
	key  bool
}

// run is a row of samples that lie together.
type run struct {
	at    int64
	count uint32
}

type indexedTrack struct {
	mp4Track
	codec   codec.Name
	samples []indexedSample
	runs    []run
	head    []byte // of the last sample, enough to tell its length
}

type mp4Index struct {
	created time.Time
	tracks  []*indexedTrack
	valid   int64
}

// maxMoof bounds the memory a torn or hostile fragment can ask for.
const maxMoof = 16 << 20

func scanMP4(m io.ReaderAt, size int64) (*mp4Index, error) {
	r := &reader{r: m, size: size}
	free, moovAt, media := mp4Offsets()
	head, err := r.peek(0, int(media))
	if err != nil {
		return nil, err
	}
	if len(head) == 0 {
		return nil, fmt.Errorf("scan: %w", ErrEmpty)
	}
	if typ, n, _ := boxHead(head); typ != "ftyp" || n != free {
		return nil, fmt.Errorf("scan: no file type: %w", errForeign)
	}
	if int64(len(head)) < media {
		return nil, fmt.Errorf("scan: header is torn: %w", ErrEmpty)
	}
	// Its size may be torn: finalising writes it last.
	if typ := string(head[free+4 : free+8]); typ != "free" && typ != "mdat" {
		return nil, fmt.Errorf("scan: box %q: %w", typ, errForeign)
	}
	x := &mp4Index{valid: media}
	if !x.parseMoov(head[moovAt:]) {
		return nil, fmt.Errorf("scan: no tracks: %w", ErrEmpty)
	}
	for at := media; ; at = x.valid {
		b, err := r.peek(at, 16)
		if err != nil {
			return nil, err
		}
		typ, n, hl := boxHead(b)
		if typ != "moof" || hl != 8 || n > maxMoof || at+n+8 > size {
			return x, nil
		}
		moof := make([]byte, n)
		if _, err := m.ReadAt(moof, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read: %w", err)
		}
		if b, err = r.peek(at+n, 16); err != nil {
			return nil, err
		}
		typ, dataLen, hl := boxHead(b)
		if typ != "mdat" || hl != 8 || at+n+dataLen > size {
			return x, nil
		}
		if !x.addFragment(moof[8:], at, at+n+8, at+n+dataLen) {
			return x, nil
		}
		x.valid = at + n + dataLen
	}
}

func (x *mp4Index) parseMoov(b []byte) bool {
	boxes(b, func(typ string, body []byte) {
		if typ != "moov" {
			return
		}
		boxes(body, func(typ string, body []byte) {
			switch {
			case typ == "mvhd" && len(body) >= 12:
				x.created = time.Unix(int64(be.Uint64(body[4:]))-2082844800, 0)
			case typ == "trak":
				if t := parseTrak(body); t != nil {
					x.tracks = append(x.tracks, t)
				}
			}
		})
	})
	return len(x.tracks) > 0
}

func parseTrak(b []byte) *indexedTrack {
	t := &indexedTrack{}
	boxes(b, func(typ string, b []byte) {
		switch {
		case typ == "tkhd" && len(b) >= 96:
			t.id, t.w, t.h = be.Uint32(b[20:]), int(be.Uint32(b[88:])>>16), int(be.Uint32(b[92:])>>16)
		case typ == "mdia":
			boxes(b, func(typ string, b []byte) {
				switch {
				case typ == "mdhd" && len(b) >= 24:
					t.scale = be.Uint32(b[20:])
				case typ == "minf":
					boxes(b, func(typ string, b []byte) {
						if typ != "stbl" {
							return
						}
						boxes(b, func(typ string, b []byte) {
							if typ != "stsd" || len(b) < 16 {
								return
							}
							t.entry = append([]byte(nil), b[8:]...)
							switch entry, _, _ := boxHead(t.entry); entry {
							case "avc1":
								t.video, t.codec = true, codec.H264
							case "Opus":
								t.codec = codec.Opus
							case "mp4a":
								t.codec = codec.AAC
							}
						})
					})
				}
			})
		}
	})
	if t.id == 0 || t.scale == 0 || t.codec == "" {
		return nil
	}
	return t
}

// addFragment takes a moof whose data lies in [from, to); at is the moof's own
// offset. It changes nothing and gives false when anything does not fit.
func (x *mp4Index) addFragment(b []byte, at, from, to int64) bool {
	type addition struct {
		t       *indexedTrack
		samples []indexedSample
		at      int64
	}
	var adds []addition
	ok := true
	boxes(b, func(typ string, b []byte) {
		if typ != "traf" {
			return
		}
		var t *indexedTrack
		dts := int64(-1)
		boxes(b, func(typ string, b []byte) {
			switch {
			case typ == "tfhd" && len(b) >= 8:
				for _, candidate := range x.tracks {
					if candidate.id == be.Uint32(b[4:]) {
						t = candidate
					}
				}
			case typ == "tfdt" && len(b) >= 12:
				dts = int64(be.Uint64(b[4:]) & (1<<60 - 1))
			case typ == "trun" && len(b) >= 12:
				n := int(be.Uint32(b[4:]))
				offset := at + int64(int32(be.Uint32(b[8:])))
				entries := b[12:]
				if t == nil || dts < 0 || n <= 0 || n > len(entries)/12 {
					ok = false
					return
				}
				a := addition{t: t, at: offset}
				for i := range n {
					e := entries[i*12:]
					s := indexedSample{dts: dts, at: offset, size: be.Uint32(e[4:]), key: be.Uint32(e[8:])&0x10000 == 0}
					if s.at < from || s.at+int64(s.size) > to {
						ok = false
						return
					}
					a.samples = append(a.samples, s)
					dts += int64(be.Uint32(e))
					offset += int64(s.size)
				}
				adds = append(adds, a)
			}
		})
	})
	if !ok {
		return false
	}
	for _, a := range adds {
		a.t.samples = append(a.t.samples, a.samples...)
		a.t.runs = append(a.t.runs, run{a.at, uint32(len(a.samples))})
	}
	return true
}

// lengths gives each sample's length in ticks: the distance to the next, since
// fragments say when they begin. The last one lasts as long as it says itself,
// or as the one before.
func (t *indexedTrack) lengths() []uint32 {
	out := make([]uint32, len(t.samples))
	for i := range t.samples {
		if i+1 < len(t.samples) {
			out[i] = uint32(min(max(t.samples[i+1].dts-t.samples[i].dts, 0), 1<<31))
		}
	}
	if n := len(out); n > 0 {
		if own := unitLength(t.codec, t.scale, t.head, 0); own > 0 {
			out[n-1] = uint32(timeTicks(own, t.scale))
		} else if n > 1 {
			out[n-1] = min(out[n-2], t.scale)
		} else {
			out[0] = t.scale / 25 // of no length it would not be shown
		}
	}
	return out
}

func (x *mp4Index) summary() (s Summary) {
	for _, t := range x.tracks {
		if len(t.samples) == 0 {
			continue
		}
		lengths := t.lengths()
		first, last := t.samples[0].dts, t.samples[len(t.samples)-1].dts
		kind := pipeline.Audio
		if t.video {
			kind = pipeline.Video
		}
		ts := TrackSummary{
			Kind: kind, Codec: t.codec, Units: int64(len(t.samples)), Width: t.w, Height: t.h,
			First: ticksTime(uint64(first), t.scale), Last: ticksTime(uint64(last), t.scale),
			end: ticksTime(uint64(last)+uint64(lengths[len(lengths)-1]), t.scale),
		}
		s.Tracks = append(s.Tracks, ts)
		s.Duration = max(s.Duration, ts.end)
	}
	return s
}

// readHeads reads what the last audio samples say of their length.
func (x *mp4Index) readHeads(m io.ReaderAt) error {
	for _, t := range x.tracks {
		n := len(t.samples)
		if n == 0 || t.video {
			continue
		}
		t.head = make([]byte, min(2, t.samples[n-1].size))
		if _, err := m.ReadAt(t.head, t.samples[n-1].at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read: %w", err)
		}
	}
	return nil
}

// finaliseMP4 cuts the torn tail and makes an ordinary MP4. An error with a
// Summary means that the file plays, as a fragmented one.
func finaliseMP4(m Media, size int64) (Summary, error) {
	x, err := scanMP4(m, size)
	if err != nil {
		return Summary{}, err
	}
	if err := x.readHeads(m); err != nil {
		return Summary{}, err
	}
	s := x.summary()
	if len(s.Tracks) == 0 {
		return s, fmt.Errorf("finalise: %w", ErrEmpty)
	}
	free, _, _ := mp4Offsets()
	// Fragmented again first: what is appended is then trailing rubbish at worst.
	if err := patchAt(m, free, box("free", make([]byte, mp4FreeLen-8))); err != nil {
		return s, err
	}
	if err := m.Truncate(x.valid); err != nil {
		return s, fmt.Errorf("truncate: %w", err)
	}
	moov := x.moov(s.Duration)
	if _, err := m.WriteAt(moov, x.valid); err != nil {
		err = fmt.Errorf("write moov: %w", err)
		return s, errors.Join(err, m.Truncate(x.valid))
	}
	// The index is on disk before the file is turned over to it.
	if err := m.Sync(); err != nil {
		return s, fmt.Errorf("sync: %w", err)
	}
	if err := patchAt(m, free, append(append(u32(1), "mdat"...), u64(uint64(x.valid-free))...)); err != nil {
		return s, err
	}
	if err := m.Sync(); err != nil {
		return s, fmt.Errorf("sync: %w", err)
	}
	return s, nil
}

// moov is the ordinary one, with sample tables (§8.6.1, §8.7).
func (x *mp4Index) moov(duration time.Duration) []byte {
	body := [][]byte{mvhd(x.created, duration, len(x.tracks)+1)}
	for _, t := range x.tracks {
		if len(t.samples) == 0 {
			continue
		}
		track := t.mp4Track
		track.delay = ticksTime(uint64(t.samples[0].dts), t.scale)
		var stts, stsz, stss []byte
		nTimes, nKeys := uint32(0), uint32(0)
		last := uint32(0)
		count := uint32(0)
		for i, length := range t.lengths() {
			track.duration += uint64(length)
			if count > 0 && length != last {
				stts = append(stts, u32(count, last)...)
				nTimes++
				count = 0
			}
			last = length
			count++
			stsz = be.AppendUint32(stsz, t.samples[i].size)
			if t.samples[i].key {
				stss = be.AppendUint32(stss, uint32(i)+1)
				nKeys++
			}
		}
		stts = append(stts, u32(count, last)...)
		nTimes++
		var stsc, co64 []byte
		nChunks := uint32(0)
		for i, r := range t.runs {
			co64 = be.AppendUint64(co64, uint64(r.at))
			if i == 0 || r.count != t.runs[i-1].count {
				stsc = append(stsc, u32(uint32(i)+1, r.count, 1)...)
				nChunks++
			}
		}
		tables := [][]byte{
			fullBox("stts", 0, 0, u32(nTimes), stts),
			fullBox("stsc", 0, 0, u32(nChunks), stsc),
			fullBox("stsz", 0, 0, u32(0, uint32(len(t.samples))), stsz),
			fullBox("co64", 0, 0, u32(uint32(len(t.runs))), co64),
		}
		if t.video {
			tables = append(tables, fullBox("stss", 0, 0, u32(nKeys), stss))
		}
		body = append(body, track.trak(x.created, tables...))
	}
	return box("moov", body...)
}
