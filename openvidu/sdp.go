package openvidu

import (
	"slices"
	"strings"
)

// Limits of an SDP from a browser, beside Limits.SDPBytes.
const (
	maxSDPLines  = 2000
	maxSDPMLines = 64
)

// checkSDP bounds an offer before anybody parses it.
func checkSDP(sdp string, maxBytes int) error {
	switch {
	case sdp == "":
		return errf(CodeMissingParameter, ErrInvalid, "sdpOffer is missing")
	case len(sdp) > maxBytes:
		return errf(CodeMediaSDP, ErrInvalid, "SDP offer has %d bytes, at most %d are accepted", len(sdp), maxBytes)
	case !strings.HasPrefix(sdp, "v="):
		return errf(CodeMediaSDP, ErrInvalid, "SDP offer does not begin with its version line")
	case strings.Count(sdp, "\n") > maxSDPLines:
		return errf(CodeMediaSDP, ErrInvalid, "SDP offer has more than %d lines", maxSDPLines)
	case strings.Count(sdp, "\nm=") > maxSDPMLines:
		return errf(CodeMediaSDP, ErrInvalid, "SDP offer has more than %d media sections", maxSDPMLines)
	}
	return nil
}

// section is the lines of one media description; the first is the m= line. The
// lines before the first m= line form a section, too.
type section struct{ lines []string }

func splitSDP(sdp string) (sections []section, eol string) {
	eol = "\r\n"
	if !strings.Contains(sdp, eol) {
		eol = "\n"
	}
	sections = []section{{}}
	for line := range strings.SplitSeq(strings.TrimRight(sdp, "\r\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.HasPrefix(line, "m=") {
			sections = append(sections, section{})
		}
		last := &sections[len(sections)-1]
		last.lines = append(last.lines, line)
	}
	return sections, eol
}

func joinSDP(sections []section, eol string) string {
	var b strings.Builder
	for _, s := range sections {
		for _, l := range s.lines {
			b.WriteString(l)
			b.WriteString(eol)
		}
	}
	return b.String()
}

// media gives the kind of a section ("audio", "video"), its port and payload
// types; ok is false for the session part and a malformed line.
func (s section) media() (kind, port string, payloads []string, ok bool) {
	if len(s.lines) == 0 || !strings.HasPrefix(s.lines[0], "m=") {
		return "", "", nil, false
	}
	f := strings.Fields(s.lines[0][2:])
	if len(f) < 4 {
		return "", "", nil, false
	}
	return f[0], f[1], f[3:], true
}

// attribute splits "a=name:PT rest"; ok is false for other lines.
func attribute(line, name string) (payload, rest string, ok bool) {
	v, ok := strings.CutPrefix(line, "a="+name+":")
	if !ok {
		return "", "", false
	}
	payload, rest, _ = strings.Cut(v, " ")
	return payload, rest, true
}

// codecs maps payload types to encoding names in upper case, and those of RTX to
// the type they repeat.
func (s section) codecs() (names, apt map[string]string) {
	names, apt = map[string]string{}, map[string]string{}
	for _, l := range s.lines {
		if pt, rest, ok := attribute(l, "rtpmap"); ok {
			name, _, _ := strings.Cut(rest, "/")
			names[pt] = strings.ToUpper(strings.TrimSpace(name))
		}
		if pt, rest, ok := attribute(l, "fmtp"); ok {
			for p := range strings.SplitSeq(rest, ";") {
				if v, ok := strings.CutPrefix(strings.TrimSpace(p), "apt="); ok {
					apt[pt] = v
				}
			}
		}
	}
	return names, apt
}

// forceCodec removes from the video sections of an offer every codec but the one
// named, with the RTX of what it removed; error correction stays. found is false,
// and the offer untouched, when a section has not got the codec.
func forceCodec(offer, codec string) (out string, found bool) {
	sections, eol := splitSDP(offer)
	for i := range sections {
		kind, port, payloads, ok := sections[i].media()
		if !ok || kind != "video" || port == "0" {
			continue
		}
		names, apt := sections[i].codecs()
		keep := func(pt string) bool {
			switch names[pt] {
			case codec, "RED", "ULPFEC", "FLEXFEC-03":
				return true
			}
			return false
		}
		var kept []string
		has := false
		for _, pt := range payloads {
			if keep(pt) || names[pt] == "RTX" && keep(apt[pt]) {
				kept = append(kept, pt)
				has = has || names[pt] == codec
			}
		}
		if !has {
			return offer, false
		}
		sections[i] = sections[i].only(kept)
	}
	return joinSDP(sections, eol), true
}

// only gives the section with the payload types of kept alone.
func (s section) only(kept []string) section {
	f := strings.Fields(s.lines[0])
	out := section{lines: []string{strings.Join(append(f[:3:3], kept...), " ")}}
	for _, l := range s.lines[1:] {
		drop := false
		for _, name := range []string{"rtpmap", "fmtp", "rtcp-fb"} {
			if pt, _, ok := attribute(l, name); ok && pt != "*" && !slices.Contains(kept, pt) {
				drop = true
			}
		}
		if !drop {
			out.lines = append(out.lines, l)
		}
	}
	return out
}

// firstCodecs gives the first codec of the first accepted video and audio section
// of an answer, as the answer spells them; "" when there is none.
func firstCodecs(answer string) (video, audio string) {
	sections, _ := splitSDP(answer)
	for _, s := range sections {
		kind, port, payloads, ok := s.media()
		if !ok || port == "0" {
			continue
		}
		name := ""
		for _, l := range s.lines {
			if pt, rest, ok := attribute(l, "rtpmap"); ok && pt == payloads[0] {
				name, _, _ = strings.Cut(rest, "/")
			}
		}
		switch {
		case kind == "video" && video == "":
			video = name
		case kind == "audio" && audio == "":
			audio = name
		}
	}
	return video, audio
}

// ufrags gives the ICE user fragments of an SDP (RFC 8839 §5.4).
func ufrags(sdp string) []string {
	var out []string
	for line := range strings.SplitSeq(sdp, "\n") {
		if u, ok := strings.CutPrefix(strings.TrimSpace(line), "a=ice-ufrag:"); ok && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

// ufrag gives the user fragment browsers append to a candidate, or "".
func (c ICECandidate) ufrag() string {
	_, rest, ok := strings.Cut(c.Candidate, " ufrag ")
	if !ok {
		return ""
	}
	u, _, _ := strings.Cut(rest, " ")
	return u
}
