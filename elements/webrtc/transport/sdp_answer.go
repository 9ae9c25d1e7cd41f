package transport

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/pipeline"
)

// caps are the bounds of a Peer, as the code below the surface reads them.
type caps Bandwidth

func (c caps) of(media string) int {
	switch kindOf(media) {
	case pipeline.Audio:
		return c.MaxAudioRecv
	case pipeline.Video:
		return c.MaxVideoRecv
	}
	return 0
}

// bandwidth are the b= lines: AS in kbit/s (RFC 8866 §5.8) and TIAS in bit/s
// (RFC 3890), because browsers differ in which they obey.
func bandwidth(kbps int) []string {
	if kbps <= 0 {
		return nil
	}
	return []string{"b=AS:" + strconv.Itoa(kbps), "b=TIAS:" + strconv.Itoa(kbps*1000)}
}

// composeAnswer turns the library's answers to the plans into the one that the
// peer gets: every offered section in its place with its mid, protocol, payload
// order and spelling, what is not used refused (port 0).
func composeAnswer(remote *description, plans []*plan, owns []*description, c caps) (*description, error) {
	origin := "1"
	if len(owns) > 0 {
		origin = originID(owns[0])
	}
	out := &description{session: []string{
		"o=- " + origin + " 1 IN IP4 0.0.0.0", "s=-", "c=IN IP4 0.0.0.0", "t=0 0",
	}}
	for _, l := range remote.session { // mirrored, as the original does
		if l == "a=extmap-allow-mixed" || strings.HasPrefix(l, "a=msid-semantic:") {
			out.session = append(out.session, l)
		}
	}
	groups := make([][]string, len(plans))
	for i, s := range remote.sections {
		own, at, err := ownSection(plans, owns, i)
		if err != nil {
			return nil, err
		}
		if own == nil || own.port == 0 {
			out.sections = append(out.sections, refuse(s))
			continue
		}
		if mid, ok := s.attr("mid"); ok {
			groups[at] = append(groups[at], mid)
		}
		out.sections = append(out.sections, answerSection(s, own, c.of(s.media)))
	}
	for _, offered := range remote.bundles() {
		for _, g := range groups {
			if len(g) > 0 && slices.Contains(offered, g[0]) {
				out.session = append(out.session, "a=group:BUNDLE "+strings.Join(g, " "))
			}
		}
	}
	return out, nil
}

// ownSection is the library's answer to the i-th offered section and the plan
// that it belongs to; nil when no plan uses it.
func ownSection(plans []*plan, owns []*description, i int) (*section, int, error) {
	for at, p := range plans {
		n := slices.Index(p.use, i)
		if n < 0 {
			continue
		}
		if len(owns[at].sections) != len(p.use) {
			return nil, 0, fmt.Errorf("answer: %d sections for %d", len(owns[at].sections), len(p.use))
		}
		return owns[at].sections[n], at, nil
	}
	return nil, 0, nil
}

// rtcpLine is for peers that look for it (RFC 3605), though RTCP is multiplexed.
const rtcpLine = "a=rtcp:9 IN IP4 0.0.0.0"

// refuse is the answer to a section that is not used (RFC 3264 §6).
func refuse(s *section) *section {
	r := &section{media: s.media, port: 0, proto: s.proto, formats: s.formats}
	if mid, ok := s.attr("mid"); ok {
		r.lines = append(r.lines, "a=mid:"+mid)
	}
	if s.media == "audio" || s.media == "video" {
		r.lines = append(r.lines, "a=inactive")
	}
	return r
}

// answerSection gives the library's section the offered one's face.
func answerSection(offered, own *section, kbps int) *section {
	s := &section{media: offered.media, port: 9, proto: offered.proto}
	if s.media != "application" {
		s.lines = append(s.lines, rtcpLine)
	}
	if receiving(own) {
		s.lines = append(s.lines, bandwidth(kbps)...)
	}
	if mid, ok := offered.attr("mid"); ok {
		s.lines = append(s.lines, "a=mid:"+mid)
	}
	s.lines = append(s.lines, "a=ice-options:trickle")
	for _, l := range own.lines {
		if k, _, ok := cutAttr(l); !ok || k == "mid" || obsolete(l) || k == "rtcp-rsize" && !offered.has(k) {
			continue
		}
		if _, isCodec := codecLine(l); !isCodec {
			s.lines = append(s.lines, l)
		}
	}
	if offered.media == "application" {
		s.formats = own.formats
		return s
	}
	for _, pt := range offered.formats {
		if !slices.Contains(own.formats, pt) || slices.Contains(s.formats, pt) {
			continue
		}
		s.formats = append(s.formats, pt)
		s.lines = append(s.lines, codecLines(offered, own, pt)...)
	}
	return s
}

// obsolete tells of the library's lines that a=msid has replaced long ago.
func obsolete(l string) bool {
	return strings.HasPrefix(l, "a=ssrc:") && (strings.Contains(l, " mslabel:") || strings.Contains(l, " label:"))
}

// codecLines are the lines of one payload type: names and parameters as
// offered, feedback as negotiated.
func codecLines(offered, own *section, pt string) []string {
	var maps, feedback []string
	for _, l := range offered.lines {
		if at, ok := codecLine(l); ok && at == pt && !strings.HasPrefix(l, "a=rtcp-fb:") {
			maps = append(maps, l)
		}
	}
	hasMap := slices.ContainsFunc(maps, func(l string) bool { return strings.HasPrefix(l, "a=rtpmap:") })
	for _, l := range own.lines {
		at, ok := codecLine(l)
		switch {
		case !ok || at != pt:
		case strings.HasPrefix(l, "a=rtcp-fb:"):
			feedback = append(feedback, l)
		case !hasMap && strings.HasPrefix(l, "a=rtpmap:"):
			maps = append([]string{l}, maps...)
		}
	}
	return append(maps, feedback...)
}

func receiving(s *section) bool {
	for _, l := range s.lines {
		if l == "a=recvonly" || l == "a=sendrecv" {
			return true
		}
	}
	return false
}

// offerMid is what a section of an offer of ours is called.
func offerMid(k pipeline.Kind) string {
	if k == pipeline.Data {
		return "application0"
	}
	return strings.ToLower(k.String()) + "0"
}

// dress makes an offer of our own look like Kurento's, and adds to it what
// answers get too.
func (d *description) dress(c caps) {
	var group []string
	for _, s := range d.sections {
		mid := offerMid(kindOf(s.media))
		group = append(group, mid)
		s.lines = slices.DeleteFunc(s.lines, func(l string) bool { return strings.HasPrefix(l, "c=") || obsolete(l) })
		for i, l := range s.lines {
			if strings.HasPrefix(l, "a=mid:") {
				s.lines[i] = "a=mid:" + mid
			}
		}
		if s.media != "application" {
			s.proto = "RTP/SAVPF"
			s.lines = append(s.lines, rtcpLine)
		}
		if receiving(s) {
			s.lines = slices.Insert(s.lines, 0, bandwidth(c.of(s.media))...)
		}
		s.lines = append(s.lines, "a=ice-options:trickle")
	}
	var session []string
	for _, l := range d.session {
		switch {
		case strings.HasPrefix(l, "o="):
			l = "o=- " + originID(d) + " 1 IN IP4 0.0.0.0"
		case strings.HasPrefix(l, "s="):
			session = append(session, l)
			l = "c=IN IP4 0.0.0.0"
		case strings.HasPrefix(l, "a=group:BUNDLE"):
			l = "a=group:BUNDLE " + strings.Join(group, " ")
		case strings.HasPrefix(l, "t="):
		default:
			continue
		}
		session = append(session, l)
	}
	d.session = session
}

func originID(d *description) string {
	for _, l := range d.session {
		if f := strings.Fields(l); strings.HasPrefix(l, "o=") && len(f) > 1 {
			return f[1]
		}
	}
	return "1"
}

// text writes the description; candidates are lines without "a=", by section.
func (d *description) text(candidates map[int][]string) string {
	var b strings.Builder
	b.WriteString("v=0\r\n")
	for _, l := range d.session {
		b.WriteString(l + "\r\n")
	}
	for i, s := range d.sections {
		fmt.Fprintf(&b, "m=%s %d %s %s\r\n", s.media, s.port, s.proto, strings.Join(s.formats, " "))
		for _, l := range s.lines {
			b.WriteString(l + "\r\n")
		}
		if s.port == 0 {
			continue
		}
		for _, c := range candidates[i] {
			b.WriteString("a=" + c + "\r\n")
		}
	}
	return b.String()
}
