package pipeline

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/pion/rtp/codecs"

	"github.com/govidu/govidu/internal/codec"
)

// assemblers make, per codec, the function that joins the payloads of one frame
// into a unit. Payloads come complete and in order; the result is new memory
// (except audio's, which is one payload and read-only like it).
var assemblers = map[codec.Name]func(Format) func([][]byte) ([]byte, error){
	codec.VP8:  func(Format) func([][]byte) ([]byte, error) { return assembleVP8 },
	codec.VP9:  func(Format) func([][]byte) ([]byte, error) { return new(vp9Assembler).assemble },
	codec.AV1:  func(Format) func([][]byte) ([]byte, error) { return assembleAV1 },
	codec.H264: newH264Assembler,
	codec.Opus: func(Format) func([][]byte) ([]byte, error) { return assembleAudio },
	codec.PCMU: func(Format) func([][]byte) ([]byte, error) { return assembleAudio },
	codec.PCMA: func(Format) func([][]byte) ([]byte, error) { return assembleAudio },
}

var errIncomplete = errors.New("incomplete frame")

func assembleAudio(payloads [][]byte) ([]byte, error) { return payloads[0], nil }

func total(payloads [][]byte) (n int) {
	for _, p := range payloads {
		n += len(p)
	}
	return n
}

func assembleVP8(payloads [][]byte) ([]byte, error) {
	unit := make([]byte, 0, total(payloads))
	var d codecs.VP8Packet
	for _, p := range payloads {
		b, err := d.Unmarshal(p)
		if err != nil {
			return nil, err
		}
		unit = append(unit, b...)
	}
	return unit, nil
}

// vp9Assembler keeps the frames of the spatial layers apart (RFC 9628 §4.2: B
// and E are per layer frame) and joins them as a superframe that shows the highest.
type vp9Assembler struct{ pictures codec.VP9Pictures }

func (a *vp9Assembler) assemble(payloads [][]byte) ([]byte, error) {
	buf := make([]byte, 0, total(payloads))
	var frames [][]byte
	begin := 0
	for i, p := range payloads {
		var d codecs.VP9Packet
		b, err := d.Unmarshal(p)
		if err != nil {
			return nil, err
		}
		if d.B && i > 0 {
			frames = append(frames, buf[begin:])
			begin = len(buf)
		}
		buf = append(buf, b...)
	}
	return a.pictures.Join(append(frames, buf[begin:])), nil
}

func assembleAV1(payloads [][]byte) ([]byte, error) {
	unit := make([]byte, 0, total(payloads)+16)
	var d codecs.AV1Depacketizer
	for i, p := range payloads {
		b, err := d.Unmarshal(p)
		if err != nil {
			return nil, err
		}
		unit = append(unit, b...)
		if i == len(payloads)-1 && d.Y {
			return nil, errIncomplete
		}
	}
	return unit, nil
}

// newH264Assembler remembers parameter sets, from the SDP first (RFC 6184 §8.1
// sprop-parameter-sets), and puts them before an IDR that comes without.
func newH264Assembler(f Format) func([][]byte) ([]byte, error) {
	sps, pps := spropParameterSets(f.Fmtp)
	return func(payloads [][]byte) ([]byte, error) {
		unit := make([]byte, 0, total(payloads)+64)
		var d codecs.H264Packet
		open := false
		for _, p := range payloads {
			b, err := d.Unmarshal(p)
			if err != nil {
				return nil, err
			}
			if p[0]&0x1f == 28 && len(p) > 1 { // FU-A: from its S bit to its E bit
				if starts := p[1]&0x80 != 0; starts == open {
					return nil, errIncomplete
				}
				open = p[1]&0x40 == 0
			} else if open {
				return nil, errIncomplete
			}
			unit = append(unit, b...)
		}
		if open {
			return nil, errIncomplete
		}
		s, q := codec.H264Params(unit)
		if s != nil {
			sps = slices.Clone(s)
		}
		if q != nil {
			pps = slices.Clone(q)
		}
		if (s == nil || q == nil) && sps != nil && pps != nil && codec.KeyFrameUnit(codec.H264, unit) {
			head := annexB(sps, pps)
			unit = append(head, unit...)
		}
		return unit, nil
	}
}

func annexB(nals ...[]byte) []byte {
	var out []byte
	for _, n := range nals {
		out = append(append(out, 0, 0, 0, 1), n...)
	}
	return out
}

func spropParameterSets(fmtp string) (sps, pps []byte) {
	for param := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(key, "sprop-parameter-sets") {
			continue
		}
		for set := range strings.SplitSeq(value, ",") {
			nal, err := base64.StdEncoding.DecodeString(set)
			if err != nil || len(nal) == 0 {
				continue
			}
			switch nal[0] & 0x1f {
			case 7:
				sps = nal
			case 8:
				pps = nal
			}
		}
	}
	return sps, pps
}
