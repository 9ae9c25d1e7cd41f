package codec

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// NAL unit types (ITU-T H.264 table 7-1) and RTP aggregation types (RFC 6184 §5.2).
const (
	nalSlice = 1
	nalIDR   = 5
	nalSPS   = 7
	nalPPS   = 8
	nalSTAPA = 24
	nalFUA   = 28
	nalFUB   = 29
)

func h264Starts(nal byte) bool {
	t := nal & 0x1f
	return t == nalIDR || t == nalSPS
}

func h264KeyRTP(p []byte) bool {
	switch p[0] & 0x1f {
	case nalSTAPA:
		for rest := p[1:]; len(rest) >= 3; {
			n := int(binary.BigEndian.Uint16(rest))
			if n == 0 || len(rest) < 2+n {
				return false
			}
			if h264Starts(rest[2]) {
				return true
			}
			rest = rest[2+n:]
		}
		return false
	case nalFUA, nalFUB:
		return len(p) > 1 && p[1]&0x80 != 0 && h264Starts(p[1])
	}
	return h264Starts(p[0])
}

func h264StartRTP(p []byte) bool {
	if t := p[0] & 0x1f; t == nalFUA || t == nalFUB {
		return len(p) > 1 && p[1]&0x80 != 0
	}
	return true
}

// NALUnits yields the NAL units of an Annex B access unit, without start codes
// and trailing zeros (ITU-T H.264 Annex B). Bytes before the first start code
// are skipped.
func NALUnits(unit []byte) iter.Seq[[]byte] {
	code := []byte{0, 0, 1}
	return func(yield func([]byte) bool) {
		i := bytes.Index(unit, code)
		for i >= 0 {
			rest := unit[i+3:]
			j := bytes.Index(rest, code)
			nal := rest
			if j >= 0 {
				nal = rest[:j]
			}
			nal = bytes.TrimRight(nal, "\x00")
			if len(nal) > 0 && !yield(nal) {
				return
			}
			if j < 0 {
				return
			}
			unit, i = rest, j
		}
	}
}

func h264Key(u []byte) bool {
	for nal := range NALUnits(u) {
		if nal[0]&0x1f == nalIDR {
			return true
		}
	}
	return false
}

func h264Size(u []byte) (w, h int, ok bool) {
	sps, _ := H264Params(u)
	if sps == nil {
		return 0, 0, false
	}
	f, ok := parseSPS(sps)
	return f.width, f.height, ok
}

// H264Params finds the first SPS and PPS of an Annex B access unit; either may
// be nil. They point into unit.
func H264Params(unit []byte) (sps, pps []byte) {
	for nal := range NALUnits(unit) {
		switch nal[0] & 0x1f {
		case nalSPS:
			if sps == nil {
				sps = nal
			}
		case nalPPS:
			if pps == nil {
				pps = nal
			}
		case nalSlice, nalIDR:
			return sps, pps
		}
	}
	return sps, pps
}

// AVCC turns an Annex B unit into NAL units with 4-byte lengths, as MP4 and
// Matroska hold it (ISO/IEC 14496-15 §5.3). Delimiters and filler are left out.
func AVCC(unit []byte) []byte {
	out := make([]byte, 0, len(unit)+16)
	for nal := range NALUnits(unit) {
		if t := nal[0] & 0x1f; t == 9 || t == 12 {
			continue
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(nal)))
		out = append(out, nal...)
	}
	return out
}

// AVCConfig is the AVCDecoderConfigurationRecord (avcC, ISO/IEC 14496-15
// §5.3.3.1) of one SPS and one PPS; nil when they are too short or too long.
func AVCConfig(sps, pps []byte) []byte {
	if len(sps) < 4 || len(pps) == 0 || len(sps) > 0xffff || len(pps) > 0xffff {
		return nil
	}
	out := []byte{1, sps[1], sps[2], sps[3], 0xff, 0xe1}
	out = binary.BigEndian.AppendUint16(out, uint16(len(sps)))
	out = append(out, sps...)
	out = append(out, 1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(pps)))
	out = append(out, pps...)
	switch sps[1] {
	case 100, 110, 122, 144: // High profiles carry chroma and depth as well
		if f, ok := parseSPS(sps); ok {
			out = append(out, 0xfc|byte(f.chroma), 0xf8|byte(f.depthLuma), 0xf8|byte(f.depthChroma), 0)
		}
	}
	return out
}
