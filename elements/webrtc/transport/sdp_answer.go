package transport

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/pipeline"
)

// caps are what we are ready to receive, in kbit/s; 0 is no limit.
type caps struct{ audioKbps, videoKbps int }

func (c caps) of(media string) int {
	switch kindOf(media) {
	case pipeline.Audio:
		return c.audioKbps
	case pipeline.Video:
		return c.videoKbps
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

// answer turns the library's answer to the plan into the one the peer gets:
// every offered section in its place with its mid, protocol, payload order and
// spelling, what is not used refused (port 0).
func (p *plan) answer(library *description, c caps) (*description, error) {
	out := &description{session: []string{
		"o=- " + originID(library) + " 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=msid-semantic: WMS *",
	}}
	if _, ok := findAttr(p.remote.session, "extmap-allow-mixed"); ok {
		out.session = append(out.session, "a=extmap-allow-mixed")
	}
	if len(library.sections) != len(p.use) {
		return nil, fmt.Errorf("answer: %d sections for %d", len(library.sections), len(p.use))
	}
	var grouped []string
	for i, s := range p.remote.sections {
		n := slices.Index(p.use, i)
		if n < 0 || library.sections[n].port == 0 {
			out.sections = append(out.sections, refuse(s))
			continue
		}
		if mid, ok := s.attr("mid"); ok {
			grouped = append(grouped, mid)
		}
		out.sections = append(out.sections, answerSection(s, library.sections[n], c.of(s.media)))
	}
	if p.remote.bundle() != nil && len(grouped) > 0 {
		out.session = append(out.session, "a=group:BUNDLE "+strings.Join(grouped, " "))
	}
	return out, nil
}

// refuse is the answer to a section that is not used (RFC 3264 §6).
func refuse(s *section) *section {
	r := &section{media: s.media, port: 0, proto: s.proto, formats: s.formats, lines: []string{"c=IN IP4 0.0.0.0"}}
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
	s := &section{media: offered.media, port: 9, proto: offered.proto, lines: []string{"c=IN IP4 0.0.0.0"}}
	if receiving(own) {
		s.lines = append(s.lines, bandwidth(kbps)...)
	}
	if mid, ok := offered.attr("mid"); ok {
		s.lines = append(s.lines, "a=mid:"+mid)
	}
	s.lines = append(s.lines, "a=ice-options:trickle")
	for _, l := range own.lines {
		if k, _, ok := cutAttr(l); ok && k != "mid" {
			if _, isCodec := codecLine(l); !isCodec {
				s.lines = append(s.lines, l)
			}
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

// dress adds to an offer of our own what answers get too.
func (d *description) dress(c caps) {
	for _, s := range d.sections {
		at := 0
		if len(s.lines) > 0 && strings.HasPrefix(s.lines[0], "c=") {
			at = 1
		}
		if receiving(s) {
			s.lines = slices.Insert(s.lines, at, bandwidth(c.of(s.media))...)
		}
		s.lines = append(s.lines, "a=ice-options:trickle")
	}
}

func originID(d *description) string {
	for _, l := range d.session {
		if f := strings.Fields(l); strings.HasPrefix(l, "o=") && len(f) > 1 {
			return f[1]
		}
	}
	return "1"
}

// text writes the description; candidates, lines without "a=", go into every
// section that is in use.
func (d *description) text(candidates []string) string {
	var b strings.Builder
	b.WriteString("v=0\r\n")
	for _, l := range d.session {
		b.WriteString(l + "\r\n")
	}
	for _, s := range d.sections {
		fmt.Fprintf(&b, "m=%s %d %s %s\r\n", s.media, s.port, s.proto, strings.Join(s.formats, " "))
		for _, l := range s.lines {
			b.WriteString(l + "\r\n")
		}
		if s.port == 0 {
			continue
		}
		for _, c := range candidates {
			b.WriteString("a=" + c + "\r\n")
		}
	}
	return b.String()
}
