package recorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

type cue struct {
	ms      int64
	track   uint64
	cluster int64 // offset in the file
}

type cluster struct{ at, end int64 }

// webmIndex is what a scan of a file of ours finds.
type webmIndex struct {
	layout   webmLayout
	tracks   map[uint64]*TrackSummary
	order    []uint64
	clusters []cluster
	cues     []cue
	valid    int64 // end of the last whole element
}

// reader reads forward through an io.ReaderAt with a buffer.
type reader struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	at   int64 // offset of buf[0]
}

const readAhead = 256 << 10

// peek gives up to n bytes (n is far smaller than readAhead) at an offset.
func (r *reader) peek(at int64, n int) ([]byte, error) {
	if at >= r.size {
		return nil, nil
	}
	if at < r.at || at+int64(n) > r.at+int64(len(r.buf)) {
		want := min(int64(max(readAhead, n)), r.size-at)
		if int64(cap(r.buf)) < want {
			r.buf = make([]byte, want)
		}
		r.buf = r.buf[:want]
		got, err := r.r.ReadAt(r.buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read: %w", err)
		}
		r.buf, r.at = r.buf[:got], at
	}
	b := r.buf[at-r.at:]
	return b[:min(len(b), n)], nil
}

func scanWebM(m io.ReaderAt, size int64) (*webmIndex, error) {
	r := &reader{r: m, size: size}
	head, err := r.peek(0, 256)
	if err != nil {
		return nil, err
	}
	id, n, hl := parseElement(head)
	if id != idEBML || n < 0 || n > 128 {
		if len(head) == 0 {
			return nil, fmt.Errorf("scan: %w", ErrEmpty)
		}
		return nil, fmt.Errorf("scan: no EBML header: %w", errForeign)
	}
	x := &webmIndex{layout: layoutWebM(hl + int(n)), tracks: map[uint64]*TrackSummary{}}
	if size < x.layout.clusters {
		return nil, fmt.Errorf("scan: header is torn: %w", ErrEmpty)
	}
	for _, area := range []struct {
		at  int64
		ids [2]uint32
	}{{x.layout.segmentSize - 4, [2]uint32{idSegment, idSegment}}, {x.layout.seekHead, [2]uint32{idVoid, idSeekHead}}, {x.layout.info, [2]uint32{idInfo, idInfo}}} {
		b, err := r.peek(area.at, 12)
		if err != nil {
			return nil, err
		}
		if id, _, _ := parseElement(b); id != area.ids[0] && id != area.ids[1] {
			return nil, fmt.Errorf("scan: element %x at %d: %w", id, area.at, errForeign)
		}
	}
	tracks, err := r.peek(x.layout.tracks, tracksArea)
	if err != nil {
		return nil, err
	}
	x.parseTracks(tracks)
	if len(x.tracks) == 0 {
		return nil, fmt.Errorf("scan: no tracks: %w", ErrEmpty)
	}
	return x, x.scanClusters(r)
}

// children calls f for each whole child element in b.
func children(b []byte, f func(id uint32, body []byte)) {
	for len(b) > 0 {
		id, size, n := parseElement(b)
		if n == 0 || size < 0 || size > int64(len(b)-n) {
			return
		}
		f(id, b[n:n+int(size)])
		b = b[n+int(size):]
	}
}

func (x *webmIndex) parseTracks(area []byte) {
	children(area, func(id uint32, body []byte) {
		if id != idTracks {
			return
		}
		children(body, func(id uint32, entry []byte) {
			if id != idTrackEntry {
				return
			}
			t := &TrackSummary{Kind: pipeline.Audio}
			var number uint64
			children(entry, func(id uint32, v []byte) {
				switch id {
				case idTrackNumber:
					number = parseUint(v)
				case idTrackType:
					if parseUint(v) == 1 {
						t.Kind = pipeline.Video
					}
				case idCodecID:
					t.Codec = webmCodecs[string(v)]
				case idCodecPrivate:
					if t.Codec == "" && len(v) > 2 {
						t.Codec = map[byte]codec.Name{7: codec.PCMU, 6: codec.PCMA}[v[0]]
					}
				case idVideo:
					children(v, func(id uint32, v []byte) {
						switch id {
						case idPixelWidth:
							t.Width = int(parseUint(v))
						case idPixelHeight:
							t.Height = int(parseUint(v))
						}
					})
				case idAudio:
					children(v, func(id uint32, v []byte) {
						if id == idSamplingRate {
							t.rate = uint32(min(max(parseFloat(v), 0), 1<<20))
						}
					})
				}
			})
			if number > 0 && number < 127 && x.tracks[number] == nil {
				x.tracks[number] = t
				x.order = append(x.order, number)
			}
		})
	})
}

// scanClusters walks blocks until the end, the Cues, or the first torn element.
func (x *webmIndex) scanClusters(r *reader) error {
	at := x.layout.clusters
	x.valid = at
	open := false
	var start int64 // timestamp of the open cluster, ms
	hasVideo := false
	for _, t := range x.tracks {
		hasVideo = hasVideo || t.Kind == pipeline.Video
	}
	cued := false
	for {
		b, err := r.peek(at, 32)
		if err != nil {
			return err
		}
		id, size, n := parseElement(b)
		if n == 0 {
			break
		}
		if id == idCluster {
			open, start, cued = true, 0, false
			x.clusters = append(x.clusters, cluster{at: at, end: at + int64(n)})
			at += int64(n)
			continue
		}
		if !open || size < 0 || size > r.size-at-int64(n) || id != idTimestamp && id != idSimpleBlock {
			break
		}
		body := b[n:]
		switch id {
		case idTimestamp:
			if int(size) > len(body) {
				return nil
			}
			start = int64(parseUint(body[:size]) & (1<<48 - 1))
		case idSimpleBlock:
			if len(body) < 5 || size < 4 || body[0] < 0x81 {
				return nil
			}
			number := uint64(body[0] & 0x7f)
			t := x.tracks[number]
			if t == nil {
				return nil
			}
			ms := start + int64(int16(binary.BigEndian.Uint16(body[1:])))
			t.add(time.Duration(ms)*time.Millisecond, unitLength(t.Codec, t.rate, body[4:min(6, 4+int(size-4))], int(size)-4))
			key := body[3]&0x80 != 0
			if hasVideo && t.Kind == pipeline.Video && key || !hasVideo && !cued {
				cued = true
				x.cues = append(x.cues, cue{ms: max(ms, 0), track: number, cluster: x.clusters[len(x.clusters)-1].at})
			}
		}
		at += int64(n) + size
		x.valid = at
		x.clusters[len(x.clusters)-1].end = at
	}
	return nil
}

// add counts a unit that lasts as long as it says, or as the one before did.
func (t *TrackSummary) add(at, length time.Duration) {
	at = max(at, 0)
	if t.Units == 0 {
		t.First = at
	} else if length == 0 {
		length = min(max(at-t.Last, 0), fragmentLength)
	}
	t.Last = at
	t.Units++
	t.end = max(t.end, at+length)
}

func (x *webmIndex) summary() Summary {
	var s Summary
	for _, n := range x.order {
		t := x.tracks[n]
		s.Tracks = append(s.Tracks, *t)
		s.Duration = max(s.Duration, t.end)
	}
	return s
}

// finaliseWebM cuts the torn tail, writes Cues, SeekHead, Duration and sizes. An
// error with a Summary means that the file plays but lacks its index.
func finaliseWebM(m Media, size int64) (Summary, error) {
	x, err := scanWebM(m, size)
	if err != nil {
		return Summary{}, err
	}
	s := x.summary()
	if s.Duration == 0 && len(x.cues) == 0 {
		return s, fmt.Errorf("finalise: %w", ErrEmpty)
	}
	if n := len(x.clusters); x.clusters[n-1].end > x.valid { // its head alone was written
		x.clusters = x.clusters[:n-1]
	}
	if err := m.Truncate(x.valid); err != nil {
		return s, fmt.Errorf("truncate: %w", err)
	}
	end := x.valid
	var cueErr error
	cues := x.cuesElement()
	if _, cueErr = m.WriteAt(cues, end); cueErr != nil {
		cueErr = fmt.Errorf("write cues: %w", cueErr)
		if err := m.Truncate(end); err != nil {
			return s, errors.Join(cueErr, err)
		}
		cues = nil
	}
	// The index is on disk before anything points to it.
	if err := m.Sync(); err != nil {
		return s, fmt.Errorf("sync: %w", err)
	}
	type patch struct {
		at int64
		b  []byte
	}
	patches := []patch{
		{x.layout.duration, floatElement(idDuration, float64(s.Duration)/float64(time.Millisecond))},
		{x.layout.segmentSize, size8(end + int64(len(cues)) - x.layout.segment)},
		{x.layout.seekHead, x.seekHead(len(cues) > 0)},
	}
	for _, c := range x.clusters {
		patches = append(patches, patch{c.at + 4, size8(c.end - c.at - 12)})
	}
	for _, p := range patches {
		if err := patchAt(m, p.at, p.b); err != nil {
			return s, err
		}
	}
	if err := m.Sync(); err != nil {
		return s, fmt.Errorf("sync: %w", err)
	}
	return s, cueErr
}

// patchAt writes b over what is there, unless it is there already.
func patchAt(m Media, at int64, b []byte) error {
	was := make([]byte, len(b))
	if _, err := m.ReadAt(was, at); err == nil && bytes.Equal(was, b) {
		return nil
	}
	if _, err := m.WriteAt(b, at); err != nil {
		return fmt.Errorf("patch at %d: %w", at, err)
	}
	return nil
}

func (x *webmIndex) cuesElement() []byte {
	var body []byte
	for _, c := range x.cues {
		body = appendElement(body, idCuePoint, uintElement(idCueTime, uint64(c.ms)), element(idCuePositions,
			uintElement(idCueTrack, c.track), uintElement(idCueCluster, uint64(c.cluster-x.layout.segment))))
	}
	return element(idCues, body)
}

func (x *webmIndex) seekHead(cues bool) []byte {
	seek := func(id uint32, at int64) []byte {
		return element(idSeek, element(idSeekID, appendID(nil, id)),
			element(idSeekPosition, binary.BigEndian.AppendUint64(nil, uint64(at-x.layout.segment))))
	}
	body := append(seek(idInfo, x.layout.info), seek(idTracks, x.layout.tracks)...)
	if cues {
		body = append(body, seek(idCues, x.valid)...)
	}
	b, _ := padded(element(idSeekHead, body), seekHeadArea)
	return b
}
