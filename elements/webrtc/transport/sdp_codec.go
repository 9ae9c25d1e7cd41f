package transport

import (
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// rtpCodec is one payload type that both ends know.
type rtpCodec struct {
	name     codec.Name
	rate     uint32
	channels uint16
	fmtp     string
	pt       uint8
	rtx      uint8  // payload type of its retransmissions (RFC 4588), 0 without
	red      uint8  // payload type that repeats earlier packets (RFC 2198), 0 without
	profile  string // H264 profile_idc and constraints, four hexadecimal digits
	// What of rtcp-fb was negotiated.
	nack, pli, fir, remb, twcc bool
}

// Feedback that we know, by kind, as it stands in a=rtcp-fb (RFC 4585 §4.2).
var (
	audioFeedback = []string{"transport-cc"}
	videoFeedback = []string{"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"}
)

func feedbackOf(k pipeline.Kind) []string {
	if k == pipeline.Audio {
		return audioFeedback
	}
	return videoFeedback
}

// take notes one kind of feedback.
func (c *rtpCodec) take(fb string) {
	switch fb {
	case "goog-remb":
		c.remb = true
	case "transport-cc":
		c.twcc = true
	case "ccm fir":
		c.fir = true
	case "nack":
		c.nack = true
	case "nack pli":
		c.pli = true
	}
}

// codecs are the section's payload types that we can carry, in its order.
func (s *section) codecs() []rtpCodec {
	kind := kindOf(s.media)
	var list []rtpCodec
	for _, pt := range s.formats {
		if c, ok := s.codec(kind, pt); ok && !slices.ContainsFunc(list, func(x rtpCodec) bool { return x.pt == c.pt }) {
			list = append(list, c)
		}
	}
	for _, pt := range s.formats {
		name, _, _ := s.encoding(pt)
		apt, ok := strings.CutPrefix(s.fmtp(pt), "apt=")
		if !ok || !strings.EqualFold(name, "rtx") {
			continue
		}
		n, err := strconv.ParseUint(pt, 10, 7)
		if err != nil {
			continue
		}
		for i := range list {
			if strconv.Itoa(int(list[i].pt)) == apt && list[i].rtx == 0 {
				list[i].rtx = uint8(n)
			}
		}
	}
	s.takeRED(kind, list)
	return list
}

// flexFEC is the payload type of repair packets that the section has, 0 without.
func (s *section) flexFEC() uint8 {
	for _, pt := range s.formats {
		name, rate, _ := s.encoding(pt)
		n, err := strconv.ParseUint(pt, 10, 7)
		if err == nil && n != 0 && rate == fecRate && strings.EqualFold(name, fecName) {
			return uint8(n)
		}
	}
	return 0
}

// codec reads one payload type; ok is false when it is none of ours.
func (s *section) codec(kind pipeline.Kind, pt string) (c rtpCodec, ok bool) {
	n, err := strconv.ParseUint(pt, 10, 7)
	if err != nil {
		return c, false
	}
	name, rate, channels := s.encoding(pt)
	c = rtpCodec{name: codec.Parse(name), rate: rate, channels: channels, fmtp: s.fmtp(pt), pt: uint8(n)}
	switch c.name {
	case codec.Opus:
		ok = kind == pipeline.Audio && rate == 48000
	case codec.PCMU, codec.PCMA:
		ok = kind == pipeline.Audio && rate == 8000 && channels <= 1
	case codec.VP8:
		ok = kind == pipeline.Video && rate == 90000
	case codec.VP9:
		ok = kind == pipeline.Video && rate == 90000 && parameter(c.fmtp, "profile-id", "0") == "0"
	case codec.AV1:
		ok = kind == pipeline.Video && rate == 90000 && parameter(c.fmtp, "profile", "0") == "0"
	case codec.H264:
		c.profile = h264Profile(c.fmtp)
		ok = kind == pipeline.Video && rate == 90000 && parameter(c.fmtp, "packetization-mode", "0") == "1" && knownProfile(c.profile)
	}
	if !ok {
		return c, false
	}
	for _, fb := range s.feedback(kind, pt) {
		c.take(fb)
	}
	return c, true
}

// knownProfile tells whether an H264 profile is one of those that decoders of
// our peers share: baseline, main and high, with 4:2:0 and 8 bits.
func knownProfile(profile string) bool {
	return profile == "" || strings.HasPrefix(profile, "42") || strings.HasPrefix(profile, "4d") || strings.HasPrefix(profile, "64")
}

// feedback is what a payload type offers of what we know, each once, in its order.
func (s *section) feedback(kind pipeline.Kind, pt string) []string {
	var list []string
	for _, l := range s.lines {
		k, v, ok := cutAttr(l)
		if !ok || k != "rtcp-fb" {
			continue
		}
		at, fb, _ := strings.Cut(v, " ")
		fb = strings.TrimSpace(fb)
		if (at == pt || at == "*") && slices.Contains(feedbackOf(kind), fb) && !slices.Contains(list, fb) {
			list = append(list, fb)
		}
	}
	return list
}

// fmtp are a payload type's parameters, "" without.
func (s *section) fmtp(pt string) string {
	for _, l := range s.lines {
		if k, v, ok := cutAttr(l); ok && k == "fmtp" {
			if rest, ok := strings.CutPrefix(v, pt+" "); ok {
				return strings.TrimSpace(rest)
			}
		}
	}
	return ""
}

// encoding is the payload type's name, clock rate and number of channels, from
// a=rtpmap or from RFC 3551's table.
func (s *section) encoding(pt string) (name string, rate uint32, channels uint16) {
	for _, l := range s.lines {
		k, v, ok := cutAttr(l)
		if !ok || k != "rtpmap" {
			continue
		}
		if rest, ok := strings.CutPrefix(v, pt+" "); ok {
			f := strings.Split(strings.TrimSpace(rest), "/")
			if len(f) > 1 {
				n, _ := strconv.ParseUint(f[1], 10, 32)
				rate = uint32(n)
			}
			if len(f) > 2 {
				n, _ := strconv.ParseUint(f[2], 10, 8)
				channels = uint16(n)
			}
			return f[0], rate, channels
		}
	}
	switch pt {
	case "0":
		return "PCMU", 8000, 0
	case "8":
		return "PCMA", 8000, 0
	}
	return "", 0, 0
}

// parameter is one of a=fmtp's parameters, or what it is when not said.
func parameter(fmtp, key, otherwise string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(part), "="); ok && strings.EqualFold(k, key) {
			return strings.TrimSpace(v)
		}
	}
	return otherwise
}

// h264Profile is the first two bytes of profile-level-id, lower case.
func h264Profile(fmtp string) string {
	if v := parameter(fmtp, "profile-level-id", ""); len(v) == 6 {
		return strings.ToLower(v[:4])
	}
	return ""
}

// compatible tells whether a decoder of profile to plays a stream of profile
// from: baseline is played by all, main by high.
func compatible(from, to string) bool {
	if len(from) < 4 || len(to) < 4 {
		return false
	}
	order := map[string]int{"42": 1, "4d": 2, "64": 3}
	a, b := order[from[:2]], order[to[:2]]
	return a != 0 && b != 0 && a <= b
}
