package uri

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Names below a stream's path, and in the folder that keeps it.
const (
	hlsRoot  = "/hls/"
	hlsIndex = "index.m3u8"  // the multivariant playlist
	hlsMedia = "stream.m3u8" // the media playlist
)

func hlsInitName(period int) string       { return "init" + strconv.Itoa(period) + ".mp4" }
func hlsSegmentName(number uint64) string { return "seg" + strconv.FormatUint(number, 10) + ".m4s" }
func hlsPartName(number uint64, i int) string {
	return "part" + strconv.FormatUint(number, 10) + "." + strconv.Itoa(i) + ".m4s"
}

// hlsPartsFor is how many whole segments are listed with their parts: those of the
// last three target durations (draft-pantos-hls-rfc8216bis §4.4.4.9).
const hlsPartsFor = 3

// multivariant is the playlist that names the stream's codecs.
func (x hlsSum) multivariant(formats [2]*pipeline.Format) []byte {
	var codecs []string
	extra := ""
	if f := formats[1]; f != nil {
		codecs = append(codecs, hlsCodec(f))
		extra = fmt.Sprintf(",RESOLUTION=%dx%d", f.Width, f.Height)
		if x.rate > 0 {
			extra += fmt.Sprintf(",FRAME-RATE=%.3f", x.rate)
		}
	}
	if f := formats[0]; f != nil {
		codecs = append(codecs, hlsCodec(f))
	}
	mean := x.peak
	if x.length > 0 {
		mean = 8 * float64(x.bytes) / x.length.Seconds()
	}
	return fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"+
		"#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=\"%s\"%s,CLOSED-CAPTIONS=NONE\n%s\n",
		int64(max(x.peak, mean))+1, int64(mean)+1, strings.Join(codecs, ","), extra, hlsMedia)
}

// hlsCodec is a format's name in CODECS (RFC 6381 §3.3).
func hlsCodec(f *pipeline.Format) string {
	if f.Codec == codec.AAC {
		kind := 2
		if len(f.Config) > 0 {
			kind = int(f.Config[0] >> 3)
		}
		return "mp4a.40." + strconv.Itoa(kind)
	}
	if len(f.Config) < 4 {
		return "avc1"
	}
	return fmt.Sprintf("avc1.%02x%02x%02x", f.Config[1], f.Config[2], f.Config[3])
}

// media is the live playlist. The caller holds l.mu; the text is shared.
func (l *hlsList) media() []byte {
	if l.text != nil {
		return l.text
	}
	list := l.listed()
	b := hlsHead(l.target, l.part)
	number, breaks := l.next, l.breaks
	if len(list) > 0 {
		number, breaks = list[0].number, list[0].breaks
		if list[0].first {
			breaks--
		}
	}
	b = fmt.Appendf(b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", number, breaks)
	period := -1
	parts := l.part > 0 && !l.ended
	for i, s := range list {
		b = s.head(b, period)
		period = s.period
		if parts && i >= len(list)-hlsPartsFor {
			b = s.pieces(b)
		}
		b = s.line(b)
	}
	switch s := l.building; {
	case l.ended:
		b = append(b, hlsEnd...)
	case parts && s != nil && (len(list) == 0 || s.kinds() == list[len(list)-1].kinds()):
		if len(s.parts) > 0 {
			b = s.head(b, period)
			b = s.pieces(b)
		}
		b = fmt.Appendf(b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s\"\n", hlsPartName(s.number, len(s.parts)))
	}
	l.text = b
	return b
}

const hlsEnd = "#EXT-X-ENDLIST\n"

// hlsHead begins a media playlist.
func hlsHead(target int, part time.Duration) []byte {
	version := 7
	if part > 0 {
		version = 9
	}
	b := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:%d\n", version, target)
	if part > 0 {
		b = fmt.Appendf(b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%.3f\n#EXT-X-PART-INF:PART-TARGET=%.3f\n", 3*part.Seconds(), part.Seconds())
	}
	return b
}

// head is what stands before a segment that follows one of a period.
func (s *hlsSegment) head(b []byte, period int) []byte {
	if s.first {
		b = append(b, "#EXT-X-DISCONTINUITY\n"...)
	}
	if s.period != period {
		b = fmt.Appendf(b, "#EXT-X-MAP:URI=\"%s\"\n", hlsInitName(s.period))
	}
	return append(b, "#EXT-X-PROGRAM-DATE-TIME:"+s.at.UTC().Format("2006-01-02T15:04:05.000Z")+"\n"...)
}

// pieces are the segment's parts.
func (s *hlsSegment) pieces(b []byte) []byte {
	for i, p := range s.parts {
		b = fmt.Appendf(b, "#EXT-X-PART:DURATION=%.5f,URI=\"%s\"", p.length.Seconds(), hlsPartName(s.number, i))
		if p.key {
			b = append(b, ",INDEPENDENT=YES"...)
		}
		b = append(b, '\n')
	}
	return b
}

// line names the segment.
func (s *hlsSegment) line(b []byte) []byte {
	return fmt.Appendf(b, "#EXTINF:%.5f,\n%s\n", s.length.Seconds(), hlsSegmentName(s.number))
}
