package transport

import (
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/kerr"
)

// Limits of a session description, checked before anything else reads it.
const (
	MaxSDPBytes   = 128 << 10
	MaxSDPLines   = 2000
	MaxSections   = 64 // m-lines
	MaxCandidates = 64 // per Peer, from descriptions and trickled
	MaxPayloads   = 64 // payload types per m-line
	maxExtmaps    = 32 // per m-line
	maxSSRCLines  = 64 * 4
)

// description is a session description cut into lines (RFC 8866 §5). Only what
// negotiation needs is understood; the rest is carried as text.
type description struct {
	session  []string // lines before the first m-line, without v=
	sections []*section
}

// section is one m-line and what follows.
type section struct {
	media   string // audio, video, application, …
	port    int
	proto   string
	formats []string
	lines   []string // without the m-line
}

// errSDP is what every unreadable description gives; the text is Kurento's.
func errSDP() error { return kerr.New(kerr.SDPParseError, "Invalid SDP") }

// parseSDP cuts a description into lines and enforces the limits.
func parseSDP(text string) (*description, error) {
	if len(text) > MaxSDPBytes || strings.Count(text, "\n") > MaxSDPLines {
		return nil, errSDP()
	}
	d := &description{}
	var at *section
	first := true
	candidates := 0
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z' || strings.ContainsAny(line, "\r\x00") {
			return nil, errSDP()
		}
		if first {
			if line != "v=0" {
				return nil, errSDP()
			}
			first = false
			continue
		}
		switch {
		case line[0] == 'm':
			s, err := parseMediaLine(line[2:])
			if err != nil {
				return nil, err
			}
			if len(d.sections) == MaxSections {
				return nil, errSDP()
			}
			d.sections = append(d.sections, s)
			at = s
		case at == nil:
			d.session = append(d.session, line)
		default:
			at.lines = append(at.lines, line)
		}
		if strings.HasPrefix(line, "a=candidate:") {
			if candidates++; candidates > MaxCandidates {
				return nil, errSDP()
			}
		}
	}
	if len(d.sections) == 0 {
		return nil, errSDP()
	}
	for _, s := range d.sections {
		if s.count("extmap") > maxExtmaps || s.count("ssrc") > maxSSRCLines {
			return nil, errSDP()
		}
	}
	return d, nil
}

// parseMediaLine reads "audio 9 UDP/TLS/RTP/SAVPF 111 0" (RFC 8866 §5.14).
func parseMediaLine(text string) (*section, error) {
	f := strings.Fields(text)
	if len(f) < 4 || len(f) > 3+MaxPayloads {
		return nil, errSDP()
	}
	number, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, errSDP()
	}
	return &section{media: f[0], port: int(port), proto: f[2], formats: f[3:]}, nil
}

// attr is the value of the first a=key:value line.
func (s *section) attr(key string) (string, bool) { return findAttr(s.lines, key) }

// has tells whether there is an a=key line, with or without a value.
func (s *section) has(key string) bool {
	_, ok := findAttr(s.lines, key)
	return ok
}

func (s *section) count(key string) int {
	n := 0
	for _, l := range s.lines {
		if k, _, ok := cutAttr(l); ok && k == key {
			n++
		}
	}
	return n
}

func findAttr(lines []string, key string) (string, bool) {
	for _, l := range lines {
		if k, v, ok := cutAttr(l); ok && k == key {
			return v, true
		}
	}
	return "", false
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

// The four values of direction (RFC 8866 §6.7).
const (
	sendrecv = "sendrecv"
	sendonly = "sendonly"
	recvonly = "recvonly"
	inactive = "inactive"
)

// direction is the section's, else the session's, else sendrecv.
func (d *description) direction(s *section) string {
	for _, lines := range [][]string{s.lines, d.session} {
		for _, l := range lines {
			switch l {
			case "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive":
				return l[2:]
			}
		}
	}
	return sendrecv
}

// inherited is an attribute of the section, else of the session.
func (d *description) inherited(s *section, key string) (string, bool) {
	if v, ok := s.attr(key); ok {
		return v, true
	}
	return findAttr(d.session, key)
}

// bundles lists the mids of the BUNDLE groups (RFC 9143).
func (d *description) bundles() [][]string {
	var groups [][]string
	for _, l := range d.session {
		if k, v, ok := cutAttr(l); ok && k == "group" {
			if f := strings.Fields(v); len(f) > 1 && f[0] == "BUNDLE" {
				groups = append(groups, f[1:])
			}
		}
	}
	return groups
}

// candidates are the candidate lines of all sections, each with its place.
func (d *description) candidates() []Candidate {
	var out []Candidate
	for i, s := range d.sections {
		mid, _ := s.attr("mid")
		for _, l := range s.lines {
			if k, _, ok := cutAttr(l); ok && k == "candidate" {
				out = append(out, Candidate{Candidate: l[2:], SDPMid: mid, SDPMLineIndex: i})
			}
		}
	}
	return out
}

// codecLine is the payload type that a=rtpmap, a=fmtp or a=rtcp-fb speaks of.
func codecLine(line string) (pt string, ok bool) {
	k, v, ok := cutAttr(line)
	if !ok || k != "rtpmap" && k != "fmtp" && k != "rtcp-fb" {
		return "", false
	}
	pt, _, _ = strings.Cut(v, " ")
	return pt, true
}
