package recorder

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/pipeline"
)

const (
	// segmentLength is from where on a segment is long enough. A fragment is at
	// most a second, so a segment is at most two.
	segmentLength = time.Second
	// maxFragment bounds what is read of one fragment.
	maxFragment = 64 << 20
)

// segmenter follows a file of ours that grows, and hashes each stretch of whole
// clusters (WebM) or fragments (MP4) once nothing will change it any more. It
// reads what was written, which is in the page cache, so that the writer neither
// waits for it nor keeps copies. FLV has no such stretches: its files have one
// hash, of the whole. Not safe for concurrent use.
type segmenter struct {
	r         io.ReaderAt
	container Container
	at        int64 // everything before is in a segment, given out or open
	buf       []byte
	mp4       *mp4Index // of the moov as last read
	open      proof.Segment
	sum       hash.Hash // of open; nil when there is none
}

// fragment is a stretch that is complete; times are since the file's zero.
type fragment struct {
	from, to   int64
	begin, end time.Duration
}

// begin finds where media begins; false while the header is not there.
func (s *segmenter) begin(size int64) (bool, error) {
	if s.at > 0 {
		return true, nil
	}
	switch s.container {
	case MP4:
		_, _, s.at = mp4Offsets()
	case WebM, Matroska:
		head := make([]byte, 64)
		n, err := s.r.ReadAt(head, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("read: %w", err)
		}
		id, length, hl := parseElement(head[:n])
		if id != idEBML || length < 0 || length > 128 {
			return false, nil
		}
		s.at = layoutWebM(hl + int(length)).clusters
	default:
		return false, nil
	}
	return s.at <= size, nil
}

// next gives the segments that became whole; last gives the remainder too, which
// is shorter. size is that of the file now.
func (s *segmenter) next(size int64, last bool) (out []proof.Segment, err error) {
	ok, err := s.begin(size)
	if !ok || err != nil {
		return nil, err
	}
	for {
		f, ok, err := s.fragment(size)
		if err != nil {
			return out, err
		}
		if !ok {
			break
		}
		if s.sum == nil {
			s.sum = sha256.New()
			s.open = proof.Segment{From: f.from, To: f.to, FromMs: f.begin.Milliseconds()}
		}
		s.sum.Write(s.buf)
		s.open.To, s.at = f.to, f.to
		s.open.FromMs = min(s.open.FromMs, f.begin.Milliseconds())
		s.open.ToMs = max(s.open.ToMs, s.open.FromMs, f.end.Milliseconds())
		if s.open.ToMs-s.open.FromMs >= segmentLength.Milliseconds() {
			out = append(out, s.closed())
		}
	}
	if last && s.sum != nil {
		out = append(out, s.closed())
	}
	return out, nil
}

func (s *segmenter) closed() proof.Segment {
	s.open.SHA256 = hex.EncodeToString(s.sum.Sum(nil))
	s.sum = nil
	return s.open
}

// read puts n bytes at s.at into s.buf.
func (s *segmenter) read(n int64) error {
	if int64(cap(s.buf)) < n {
		s.buf = make([]byte, n, n+n/4)
	}
	s.buf = s.buf[:n]
	if _, err := s.r.ReadAt(s.buf, s.at); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// fragment reads the next whole one into s.buf.
func (s *segmenter) fragment(size int64) (fragment, bool, error) {
	if size-s.at < 16 {
		return fragment{}, false, nil
	}
	var head [16]byte
	if _, err := s.r.ReadAt(head[:], s.at); err != nil {
		return fragment{}, false, fmt.Errorf("read: %w", err)
	}
	if s.container == MP4 {
		return s.moof(head[:], size)
	}
	return s.cluster(head[:], size)
}

func (s *segmenter) cluster(head []byte, size int64) (f fragment, ok bool, err error) {
	id, length, n := parseElement(head)
	if id != idCluster || length < 0 || length > maxFragment || s.at+int64(n)+length > size {
		return f, false, nil // still open, or the index
	}
	if err := s.read(int64(n) + length); err != nil {
		return f, false, err
	}
	f = fragment{from: s.at, to: s.at + int64(len(s.buf)), begin: -1}
	var start int64
	tracks := map[byte]*TrackSummary{}
	children(s.buf[n:], func(id uint32, v []byte) {
		switch {
		case id == idTimestamp && len(v) <= 8:
			start = int64(parseUint(v) & (1<<48 - 1))
		case id == idSimpleBlock && len(v) >= 4:
			t := tracks[v[0]]
			if t == nil {
				t = &TrackSummary{}
				tracks[v[0]] = t
			}
			t.add(time.Duration(start+int64(int16(binary.BigEndian.Uint16(v[1:]))))*time.Millisecond, 0)
		}
	})
	for _, t := range tracks {
		f.cover(t.First, t.end)
	}
	f.begin = max(f.begin, 0)
	return f, true, nil
}

func (f *fragment) cover(begin, end time.Duration) {
	if f.begin < 0 || begin < f.begin {
		f.begin = begin
	}
	f.end = max(f.end, end)
}

func (s *segmenter) moof(head []byte, size int64) (f fragment, ok bool, err error) {
	typ, n, hl := boxHead(head)
	if typ != "moof" || hl != 8 || n > maxMoof || s.at+n+8 > size {
		return f, false, nil
	}
	var data [8]byte
	if _, err := s.r.ReadAt(data[:], s.at+n); err != nil {
		return f, false, fmt.Errorf("read: %w", err)
	}
	typ, length, hl := boxHead(append(data[:], make([]byte, 8)...))
	if typ != "mdat" || hl != 8 || length > maxFragment || s.at+n+length > size {
		return f, false, nil
	}
	if err := s.read(n + length); err != nil {
		return f, false, err
	}
	f = fragment{from: s.at, to: s.at + n + length, begin: -1}
	// A track may have come since the moov was read.
	if !s.times(&f, n) {
		if err := s.readMoov(); err != nil {
			return f, false, err
		}
		s.times(&f, n)
	}
	f.begin = max(f.begin, 0)
	return f, true, nil
}

// times reads when the samples of the fragment in s.buf are; false when a track
// is not known.
func (s *segmenter) times(f *fragment, moof int64) bool {
	if s.mp4 == nil {
		return false
	}
	for _, t := range s.mp4.tracks {
		t.samples, t.runs = t.samples[:0], t.runs[:0]
	}
	known := map[uint32]bool{}
	for _, t := range s.mp4.tracks {
		known[t.id] = true
	}
	all := true
	boxes(s.buf[8:moof], func(typ string, b []byte) {
		if typ != "traf" {
			return
		}
		boxes(b, func(typ string, b []byte) {
			if typ == "tfhd" && len(b) >= 8 {
				all = all && known[be.Uint32(b[4:])]
			}
		})
	})
	if !all || !s.mp4.addFragment(s.buf[8:moof], f.from, f.from+moof+8, f.to) {
		return false
	}
	for _, t := range s.mp4.tracks {
		if n := len(t.samples); n > 0 {
			last := t.samples[n-1].dts
			end := last
			if n > 1 {
				end += last - t.samples[n-2].dts
			}
			f.cover(ticksTime(uint64(t.samples[0].dts), t.scale), ticksTime(uint64(end), t.scale))
		}
	}
	return true
}

func (s *segmenter) readMoov() error {
	area := make([]byte, mp4MoovArea)
	_, at, _ := mp4Offsets()
	if _, err := s.r.ReadAt(area, at); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	s.mp4 = &mp4Index{}
	s.mp4.parseMoov(area)
	return nil
}

// kinds are those that a file's sidecar tells apart.
var kinds = []pipeline.Kind{pipeline.Audio, pipeline.Video}
