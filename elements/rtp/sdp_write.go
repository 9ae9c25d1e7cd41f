package rtp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/pipeline"
)

// identity is what an Endpoint says of itself in every description.
type identity struct {
	id    uint64 // of the o= line
	cname string
}

// head are the lines before the first section, in the original's shape.
func (i identity) head(addr netip.Addr, more ...string) string {
	family := "IP4"
	if addr.Is6() {
		family = "IP6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- %d %d IN %s %s\r\ns=Kurento Media Server\r\nc=IN %s %s\r\nt=0 0\r\n", i.id, i.id, family, addr, family, addr)
	for _, l := range more {
		b.WriteString(l + "\r\n")
	}
	return b.String()
}

// sessionID numbers a description by the time it was made, as NTP seconds.
func sessionID(now time.Time) uint64 { return toNTP(now) >> 32 }

// own is what we say in one section.
type own struct {
	kind  pipeline.Kind
	ports ports
	ssrc  uint32
	kbps  int // b=AS, 0 for none
}

func mediaName(k pipeline.Kind) string { return strings.ToLower(k.String()) }

func bandwidthLine(kbps int) []string {
	if kbps <= 0 {
		return nil
	}
	return []string{"b=AS:" + strconv.Itoa(kbps)}
}

// Dynamic payload types begin here; video after audio begins where the original
// does, which numbers the profiles that it might have offered.
const (
	firstDynamic    = 96
	firstVideoAfter = 105
)

// offered are the payload types of an offer of ours.
func offered(kind pipeline.Kind, first uint8) []payload {
	var out []payload
	for _, k := range codecsOf(kind) {
		p := payload{name: k.name, rate: k.rate, channels: k.channels, fmtp: k.fmtp}
		if k.static >= 0 {
			p.pt = uint8(k.static)
		} else {
			p.pt = first
			first++
		}
		if kind == pipeline.Video {
			p.feedback = []string{"nack", "nack pli", "ccm fir"}
			if k.remb {
				p.feedback = []string{"nack", "nack pli", "goog-remb", "ccm fir"}
			}
		}
		out = append(out, p)
	}
	return out
}

// offerSection writes a section of an offer. The order of lines is the
// original's (recorded frames of an RtpEndpoint's offer).
func (i identity) offerSection(o own, payloads []payload, x *secret) string {
	proto := "RTP/AVPF"
	if x != nil {
		proto = "RTP/SAVPF"
	}
	formats := make([]string, 0, len(payloads))
	for _, p := range payloads {
		formats = append(formats, strconv.Itoa(int(p.pt)))
	}
	l := []string{fmt.Sprintf("m=%s %d %s %s", mediaName(o.kind), o.ports.rtpPort, proto, strings.Join(formats, " "))}
	l = append(l, bandwidthLine(o.kbps)...)
	l = append(l, "a=setup:actpass", "a=extmap:3 "+absSendTime)
	for _, p := range payloads {
		if p.pt < firstDynamic {
			continue // RFC 3551 names it
		}
		text := fmt.Sprintf("a=rtpmap:%d %s/%d", p.pt, p.name, p.rate)
		if p.channels > 1 {
			text += "/" + strconv.Itoa(int(p.channels))
		}
		l = append(l, text)
		if p.fmtp != "" {
			l = append(l, fmt.Sprintf("a=fmtp:%d %s", p.pt, p.fmtp))
		}
	}
	l = append(l, "a=rtcp:"+strconv.Itoa(o.ports.rtcpPort))
	if x != nil {
		l = append(l, x.line("1"))
	}
	l = append(l, "a=sendrecv", "a=mid:"+mediaName(o.kind)+"0")
	for _, p := range payloads {
		for _, fb := range p.feedback {
			l = append(l, fmt.Sprintf("a=rtcp-fb:%d %s", p.pt, fb))
		}
	}
	l = append(l, i.ssrcLine(o.ssrc))
	return strings.Join(l, "\r\n") + "\r\n"
}

func (i identity) ssrcLine(ssrc uint32) string {
	return fmt.Sprintf("a=ssrc:%d cname:%s", ssrc, i.cname)
}

// answerSection answers an offered section that is used: profile, numbers,
// spelling and order of codecs are the offerer's.
func (i identity) answerSection(s *section, r *remote, o own, x *secret) string {
	var formats, maps, fbs, fmtps []string
	agreed := map[string]bool{"*": true}
	for _, p := range r.payloads {
		pt := strconv.Itoa(int(p.pt))
		formats = append(formats, pt)
		agreed[pt] = true
	}
	mine := func(v string) (rest string, ok bool) {
		pt, rest, _ := strings.Cut(v, " ")
		return strings.TrimSpace(rest), agreed[pt]
	}
	for _, v := range values(s.lines, "rtpmap") {
		if _, ok := mine(v); ok {
			maps = append(maps, "a=rtpmap:"+v)
		}
	}
	for _, v := range values(s.lines, "rtcp-fb") {
		if fb, ok := mine(v); ok && supportedFeedback(r.kind, fb) {
			fbs = append(fbs, "a=rtcp-fb:"+v)
		}
	}
	for _, v := range values(s.lines, "fmtp") {
		if _, ok := mine(v); ok {
			fmtps = append(fmtps, "a=fmtp:"+v)
		}
	}
	l := []string{fmt.Sprintf("m=%s %d %s %s", s.media, o.ports.rtpPort, s.proto, strings.Join(formats, " "))}
	if r.sends() {
		l = append(l, bandwidthLine(o.kbps)...)
	}
	if r.sendTime != 0 {
		l = append(l, fmt.Sprintf("a=extmap:%d %s", r.sendTime, absSendTime))
	}
	l = append(l, "a="+mirrored[r.direction])
	if mid, ok := value(s.lines, "mid"); ok {
		l = append(l, "a=mid:"+mid)
	}
	if r.comedia {
		l = append(l, "a=direction:passive")
	}
	l = append(l, "a=rtcp:"+strconv.Itoa(o.ports.rtcpPort))
	if x != nil {
		l = append(l, x.line(r.key.tag))
	}
	l = append(l, maps...)
	l = append(l, fbs...)
	if setup, ok := value(s.lines, "setup"); ok {
		// Of DTLS, and without a meaning here, but the original answers it.
		l = append(l, "a=setup:"+answeredSetup(setup))
	}
	if r.mux {
		l = append(l, "a=rtcp-mux")
	}
	l = append(l, fmtps...)
	l = append(l, i.ssrcLine(o.ssrc))
	return strings.Join(l, "\r\n") + "\r\n"
}

func answeredSetup(offered string) string {
	if offered == "active" {
		return "passive"
	}
	return "active"
}

// refusedSection is the answer to a section that is not used (RFC 3264 §6).
func refusedSection(s *section) string {
	l := []string{fmt.Sprintf("m=%s 0 %s %s", s.media, s.proto, strings.Join(s.formats, " ")), "a=inactive"}
	if mid, ok := value(s.lines, "mid"); ok {
		l = append(l, "a=mid:"+mid)
	}
	return strings.Join(l, "\r\n") + "\r\n"
}

// sessionCopies are the session attributes that an answer repeats.
func sessionCopies(d *description) []string {
	var out []string
	for _, l := range d.lines {
		k, _, ok := cutAttr(l)
		if ok && slices.Contains([]string{"extmap-allow-mixed", "msid-semantic"}, k) {
			out = append(out, l)
		}
	}
	return out
}
