package rtp

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Limits of a session description (robustness §2).
const (
	maxSDPBytes  = 128 << 10
	maxSDPLines  = 2000
	maxSections  = 64
	maxPayloads  = 64 // per section
	maxExtmaps   = 32 // per section
	maxSSRCLines = 64 // per section
)

// absSendTime is the one header extension that we know.
const absSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

// The values of direction (RFC 8866 §6.7).
const (
	sendrecv = "sendrecv"
	sendonly = "sendonly"
	recvonly = "recvonly"
	inactive = "inactive"
)

// mirrored is the answer's direction to an offer's.
var mirrored = map[string]string{sendrecv: sendrecv, sendonly: recvonly, recvonly: sendonly, inactive: inactive}

// description is a peer's session description.
type description struct {
	addr      netip.Addr // of the session's c= line; zero without a usable one
	lines     []string   // before the first section, without v=
	direction string
	sections  []*section
}

// section is one m-line and what follows.
type section struct {
	media   string
	port    int
	proto   string
	formats []string
	lines   []string // without the m-line
}

// errSDP is what every unreadable description gives.
func errSDP() error { return kerr.New(kerr.SDPParseError, "Invalid SDP") }

// parseSDP cuts a description into sections and enforces the limits; it fails
// with kerr.SDPParseError.
func parseSDP(text string) (*description, error) {
	if len(text) > maxSDPBytes || strings.Count(text, "\n") > maxSDPLines {
		return nil, errSDP()
	}
	d := &description{direction: sendrecv}
	var at *section
	first := true
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z' || strings.ContainsAny(line, "\r\x00") {
			return nil, errSDP()
		}
		switch {
		case first:
			if line != "v=0" {
				return nil, errSDP()
			}
			first = false
		case line[0] == 'm':
			s, ok := parseMediaLine(line[2:])
			if !ok || len(d.sections) == maxSections {
				return nil, errSDP()
			}
			d.sections = append(d.sections, s)
			at = s
		case at == nil:
			d.lines = append(d.lines, line)
		default:
			at.lines = append(at.lines, line)
		}
	}
	if len(d.sections) == 0 {
		return nil, errSDP()
	}
	for _, s := range d.sections {
		if len(values(s.lines, "extmap")) > maxExtmaps || len(values(s.lines, "ssrc")) > maxSSRCLines ||
			len(values(s.lines, "rtpmap")) > maxPayloads {
			return nil, errSDP()
		}
	}
	d.addr = connection(d.lines)
	d.direction = direction(d.lines, sendrecv)
	return d, nil
}

// parseMediaLine reads "audio 4000 RTP/AVP 0 8" (RFC 8866 §5.14).
func parseMediaLine(text string) (*section, bool) {
	f := strings.Fields(text)
	if len(f) < 4 || len(f) > 3+maxPayloads {
		return nil, false
	}
	number, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	return &section{media: f[0], port: int(port), proto: f[2], formats: f[3:]}, err == nil
}

// connection is the address of the first c= line: zero when there is none or it
// is not a numeric address. Names are never resolved.
func connection(lines []string) netip.Addr {
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, "c="); ok {
			return parseAddress(rest)
		}
	}
	return netip.Addr{}
}

// parseAddress reads "IN IP4 192.0.2.1" with an optional TTL.
func parseAddress(text string) netip.Addr {
	f := strings.Fields(text)
	if len(f) != 3 || f[0] != "IN" || f[1] != "IP4" && f[1] != "IP6" {
		return netip.Addr{}
	}
	host, _, _ := strings.Cut(f[2], "/")
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

// direction is the first of the four, or the given one.
func direction(lines []string, otherwise string) string {
	for _, l := range lines {
		switch l {
		case "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive":
			return l[2:]
		}
	}
	return otherwise
}

// cutAttr splits "a=key:value"; ok is false for other lines.
func cutAttr(line string) (key, value string, ok bool) {
	rest, ok := strings.CutPrefix(line, "a=")
	if !ok {
		return "", "", false
	}
	key, value, _ = strings.Cut(rest, ":")
	return key, value, true
}

// values are those of all a=key lines.
func values(lines []string, key string) []string {
	var out []string
	for _, l := range lines {
		if k, v, ok := cutAttr(l); ok && k == key {
			out = append(out, v)
		}
	}
	return out
}

func value(lines []string, key string) (string, bool) {
	if all := values(lines, key); len(all) > 0 {
		return all[0], true
	}
	return "", false
}

func has(lines []string, key string) bool {
	_, ok := value(lines, key)
	return ok
}

func kindOf(media string) pipeline.Kind {
	switch media {
	case "audio":
		return pipeline.Audio
	case "video":
		return pipeline.Video
	}
	return 0
}

// byPayload are the values of a=key lines that begin with a payload type, cut
// after it. "*" is filed as 255 (a=rtcp-fb only).
func byPayload(lines []string, key string) map[uint8][]string {
	out := map[uint8][]string{}
	for _, v := range values(lines, key) {
		number, rest, _ := strings.Cut(v, " ")
		pt, err := strconv.ParseUint(number, 10, 7)
		switch {
		case err == nil:
		case number == "*":
			pt = everyPayload
		default:
			continue
		}
		out[uint8(pt)] = append(out[uint8(pt)], strings.TrimSpace(rest))
	}
	return out
}

const everyPayload = 255

// payloads are the section's payload types that are codecs of ours, in its order.
func (s *section) payloads() []payload {
	kind := kindOf(s.media)
	maps, fmtps, fbs := byPayload(s.lines, "rtpmap"), byPayload(s.lines, "fmtp"), byPayload(s.lines, "rtcp-fb")
	var out []payload
	seen := map[uint8]bool{}
	for _, f := range s.formats {
		n, err := strconv.ParseUint(f, 10, 7)
		pt := uint8(n)
		if err != nil || seen[pt] {
			continue
		}
		seen[pt] = true
		p, ok := staticPayload(pt)
		if m := maps[pt]; m != nil {
			p, ok = parseMap(m[0])
		}
		if p.pt = pt; !ok || !p.ours(kind) {
			continue
		}
		if x := fmtps[pt]; x != nil {
			p.fmtp = x[0]
		}
		for _, fb := range append(append([]string(nil), fbs[everyPayload]...), fbs[pt]...) {
			if supportedFeedback(kind, fb) {
				p.feedback = append(p.feedback, fb)
			}
		}
		out = append(out, p)
	}
	return out
}

// parseMap reads "opus/48000/2" (RFC 8866 §6.6).
func parseMap(text string) (payload, bool) {
	f := strings.Split(text, "/")
	if len(f) < 2 || len(f) > 3 {
		return payload{}, false
	}
	rate, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil {
		return payload{}, false
	}
	p := payload{name: parseName(f[0]), rate: uint32(rate)}
	if len(f) == 3 {
		n, err := strconv.ParseUint(f[2], 10, 8)
		if err != nil {
			return payload{}, false
		}
		p.channels = uint16(n)
	}
	return p, true
}

// supportedFeedback are those that we understand (RFC 4585 §4.2, RFC 5104 §7.1).
func supportedFeedback(kind pipeline.Kind, fb string) bool {
	if kind != pipeline.Video {
		return false
	}
	switch fb {
	case "nack", "nack pli", "goog-remb", "ccm fir":
		return true
	}
	return false
}
