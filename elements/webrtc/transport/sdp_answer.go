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

// ownEnd is what of ours goes into a section: credentials, keys and streams.
type ownEnd struct {
	ufrag, pwd  string
	fingerprint string // "sha-256 AB:…"
	setup       string
	stream      string // the msid's stream and the CNAME
}

// composeAnswer writes the answer to the legs' plans: every offered section in
// its place with its mid, protocol, payload order and spelling, what is not used
// refused (port 0).
func (p *Peer) composeAnswer(remote *description, c caps) *description {
	out := &description{session: []string{
		"o=- " + p.origin + " 1 IN IP4 0.0.0.0", "s=-", "c=IN IP4 0.0.0.0", "t=0 0",
	}}
	if len(p.legs) == 0 {
		out.session[0] = "o=- 1 1 IN IP4 0.0.0.0"
	}
	for _, l := range remote.session { // mirrored, as the original does
		if l == "a=extmap-allow-mixed" || strings.HasPrefix(l, "a=msid-semantic:") {
			out.session = append(out.session, l)
		}
	}
	groups := make([][]string, len(p.legs))
	for i, s := range remote.sections {
		at := slices.IndexFunc(p.legs, func(l *leg) bool { return slices.Contains(l.plan.use, i) })
		if at < 0 {
			out.sections = append(out.sections, refuse(s))
			continue
		}
		if mid, ok := s.attr("mid"); ok {
			groups[at] = append(groups[at], mid)
		}
		out.sections = append(out.sections, p.answerSection(p.legs[at], i, s, c.of(s.media)))
	}
	for _, offered := range remote.bundles() {
		for _, g := range groups {
			if len(g) > 0 && slices.Contains(offered, g[0]) {
				out.session = append(out.session, "a=group:BUNDLE "+strings.Join(g, " "))
			}
		}
	}
	return out
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

// answerSection answers an offered section that the leg uses.
func (p *Peer) answerSection(l *leg, i int, offered *section, kbps int) *section {
	own := l.own
	s := &section{media: offered.media, port: 9, proto: offered.proto}
	m, isMedia := l.plan.media[i]
	if isMedia {
		s.lines = append(s.lines, rtcpLine)
		if m.recv {
			s.lines = append(s.lines, bandwidth(kbps)...)
		}
	}
	if mid, ok := offered.attr("mid"); ok {
		s.lines = append(s.lines, "a=mid:"+mid)
	}
	s.lines = append(s.lines, "a=ice-options:trickle", "a=setup:"+own.setup)
	if !isMedia {
		s.formats = []string{"webrtc-datachannel"}
		s.lines = append(s.lines, dataLines...)
		s.lines = append(s.lines, "a=ice-ufrag:"+own.ufrag, "a=ice-pwd:"+own.pwd, "a=fingerprint:"+own.fingerprint)
		return s
	}
	s.lines = append(s.lines, "a=ice-ufrag:"+own.ufrag, "a=ice-pwd:"+own.pwd, "a=rtcp-mux")
	if offered.has("rtcp-rsize") && m.kind == pipeline.Video {
		s.lines = append(s.lines, "a=rtcp-rsize")
	}
	if offered.has("extmap-allow-mixed") {
		s.lines = append(s.lines, "a=extmap-allow-mixed")
	}
	s.lines = append(s.lines, m.extLines...)
	if m.send {
		s.lines = append(s.lines, p.Sender(m.kind).lines(own.stream, m.retransmits(), m.fec != 0)...)
	}
	s.lines = append(s.lines, "a="+m.direction(), "a=fingerprint:"+own.fingerprint)
	for _, rid := range m.named() {
		s.lines = append(s.lines, "a=rid:"+rid+" recv")
	}
	if rids := m.named(); len(rids) > 0 {
		s.lines = append(s.lines, "a=simulcast:recv "+strings.Join(rids, ";"))
	}
	for _, pt := range offered.formats {
		if !m.uses(pt) || slices.Contains(s.formats, pt) {
			continue
		}
		s.formats = append(s.formats, pt)
		s.lines = append(s.lines, codecLines(offered, m.kind, pt)...)
	}
	return s
}

// dataLines are those of a section of data channels (RFC 8841).
var dataLines = []string{"a=sendrecv", "a=sctp-port:5000", "a=max-message-size:" + strconv.Itoa(MaxMessage)}

// uses tells whether a payload type was negotiated, as a codec or for resending.
func (m *media) uses(pt string) bool {
	n, err := strconv.ParseUint(pt, 10, 7)
	return err == nil && (n != 0 && m.fec == uint8(n) || slices.ContainsFunc(m.codecs, func(c rtpCodec) bool {
		return c.pt == uint8(n) || n != 0 && (c.rtx == uint8(n) || c.red == uint8(n))
	}))
}

// retransmits tells whether any codec has a payload type for resending.
func (m *media) retransmits() bool {
	return slices.ContainsFunc(m.codecs, func(c rtpCodec) bool { return c.rtx != 0 })
}

func (m *media) direction() string {
	switch {
	case m.send && m.recv:
		return sendrecv
	case m.send:
		return sendonly
	case m.recv:
		return recvonly
	}
	return inactive
}

// lines declare the Sender's streams (RFC 5576, RFC 8830).
func (s *Sender) lines(stream string, rtx, fec bool) []string {
	track := strings.ToLower(s.kind.String())
	var lines []string
	ssrcs := []uint32{s.ssrc}
	if rtx {
		ssrcs = append(ssrcs, s.rtxSSRC)
		lines = append(lines, fmt.Sprintf("a=ssrc-group:FID %d %d", s.ssrc, s.rtxSSRC))
	}
	if fec {
		ssrcs = append(ssrcs, s.fecSSRC)
		lines = append(lines, fmt.Sprintf("a=ssrc-group:FEC-FR %d %d", s.ssrc, s.fecSSRC))
	}
	for _, ssrc := range ssrcs {
		lines = append(lines, fmt.Sprintf("a=ssrc:%d cname:%s", ssrc, stream), fmt.Sprintf("a=ssrc:%d msid:%s %s", ssrc, stream, track))
	}
	return append(lines, "a=msid:"+stream+" "+track)
}

// codecLines are the lines of one payload type: names and parameters as
// offered, feedback as negotiated.
func codecLines(offered *section, kind pipeline.Kind, pt string) []string {
	var maps []string
	for _, l := range offered.lines {
		if at, ok := codecLine(l); ok && at == pt && !strings.HasPrefix(l, "a=rtcp-fb:") {
			maps = append(maps, l)
		}
	}
	name, rate, _ := offered.encoding(pt)
	if !slices.ContainsFunc(maps, func(l string) bool { return strings.HasPrefix(l, "a=rtpmap:") }) {
		maps = append([]string{fmt.Sprintf("a=rtpmap:%s %s/%d", pt, name, rate)}, maps...)
	}
	if !strings.EqualFold(name, "rtx") {
		for _, fb := range offered.feedback(kind, pt) {
			maps = append(maps, "a=rtcp-fb:"+pt+" "+fb)
		}
	}
	return maps
}

// offerMid is what a section of an offer of ours is called.
func offerMid(k pipeline.Kind) string {
	if k == pipeline.Data {
		return "application0"
	}
	return strings.ToLower(k.String()) + "0"
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
