package transport

import (
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// plan is what we make of the sections of a remote description that share a
// transport: which are used, and the cleaned text that the library gets. The
// library never sees a section that is not used, an attribute that it does not
// need, or a candidate.
type plan struct {
	remote *description
	use    []int    // indexes of used sections, in order
	mids   []string // what they are called inside
	text   string
	active bool // the remote end insists on being the DTLS server
}

// planOffer chooses the first section of each kind that can carry media over
// DTLS-SRTP with a codec of ours, and puts those of a BUNDLE group together.
// Everything else will be answered as refused.
func planOffer(d *description, data bool) []*plan {
	groups := d.bundles()
	var plans []*plan
	byGroup := map[int]*plan{}
	taken := map[string]bool{}
	for i, s := range d.sections {
		mid, _ := s.attr("mid")
		group := slices.IndexFunc(groups, func(g []string) bool { return slices.Contains(g, mid) })
		p := byGroup[group]
		if group < 0 {
			p = nil
		}
		if taken[s.media] || !d.usable(s, data, p != nil) {
			continue
		}
		taken[s.media] = true
		if p == nil {
			p = &plan{remote: d}
			plans = append(plans, p)
			byGroup[group] = p
		}
		p.use = append(p.use, i)
	}
	for _, p := range plans {
		p.mids = p.inside()
		p.write()
	}
	return plans
}

// inside are the names of the used sections towards the library: the peer's
// own, which its packets may carry, unless the library would take them for a
// sign of old, or they are none.
func (p *plan) inside() []string {
	var mids []string
	for n, i := range p.use {
		mid, _ := p.remote.sections[i].attr("mid")
		switch strings.ToLower(mid) {
		case "", "audio", "video", "data":
			mid = strconv.Itoa(n)
		}
		if len(mid) > 32 || strings.ContainsAny(mid, " \t") {
			mid = strconv.Itoa(n)
		}
		if slices.Contains(mids, mid) {
			mid = "x" + strconv.Itoa(n) + mid
		}
		mids = append(mids, mid)
	}
	return mids
}

// planAnswer takes an answer to an offer of ours, section by section; mids are
// the names in that offer.
func planAnswer(d *description, mids []string) (*plan, bool) {
	if len(d.sections) != len(mids) {
		return nil, false
	}
	p := &plan{remote: d, mids: mids}
	alive := false
	for i, s := range d.sections {
		p.use = append(p.use, i)
		if s.port != 0 || s.has("bundle-only") {
			_, hasKey := d.inherited(s, "fingerprint")
			_, hasICE := d.inherited(s, "ice-ufrag")
			alive = alive || hasKey && hasICE
		}
	}
	p.write()
	return p, alive
}

// usable tells whether the section can be carried. One that is bundled with
// another needs no transport parameters of its own (RFC 9143 §7.1).
func (d *description) usable(s *section, data, bundled bool) bool {
	if s.port == 0 && !s.has("bundle-only") {
		return false
	}
	for _, key := range []string{"ice-ufrag", "ice-pwd", "fingerprint"} {
		if v, ok := d.inherited(s, key); (!ok || v == "") && !bundled {
			return false
		}
	}
	switch s.media {
	case "audio", "video":
		return strings.Contains(s.proto, "RTP/SAVP") && d.direction(s) != inactive && s.carries()
	case "application":
		return data && strings.Contains(s.proto, "SCTP") && slices.Contains(s.formats, "webrtc-datachannel")
	}
	return false
}

// carries tells whether one of the section's codecs is ours.
func (s *section) carries() bool {
	kind := kindOf(s.media)
	for _, pt := range s.formats {
		name := s.encoding(pt)
		if name == "" {
			continue
		}
		n := codec.Parse(name)
		if n == codec.H264 && !s.modeOne(pt) {
			continue
		}
		switch n {
		case codec.VP8, codec.VP9, codec.AV1, codec.H264:
			if kind == pipeline.Video {
				return true
			}
		case codec.Opus, codec.PCMU, codec.PCMA:
			if kind == pipeline.Audio {
				return true
			}
		}
	}
	return false
}

// modeOne tells whether an H264 payload type has packetization-mode 1 and a
// profile that we answer (baseline, main, high).
func (s *section) modeOne(pt string) bool {
	for _, l := range s.lines {
		k, v, ok := cutAttr(l)
		if !ok || k != "fmtp" {
			continue
		}
		if rest, ok := strings.CutPrefix(v, pt+" "); ok {
			return strings.Contains(rest, "packetization-mode=1")
		}
	}
	return false
}

// encoding is the payload type's name from a=rtpmap, or from RFC 3551's table.
func (s *section) encoding(pt string) string {
	for _, l := range s.lines {
		k, v, ok := cutAttr(l)
		if !ok || k != "rtpmap" {
			continue
		}
		if rest, ok := strings.CutPrefix(v, pt+" "); ok {
			name, _, _ := strings.Cut(strings.TrimSpace(rest), "/")
			return name
		}
	}
	switch pt {
	case "0":
		return "PCMU"
	case "8":
		return "PCMA"
	}
	return ""
}

func kindOf(media string) pipeline.Kind {
	switch media {
	case "audio":
		return pipeline.Audio
	case "video":
		return pipeline.Video
	case "application":
		return pipeline.Data
	}
	return 0
}

// kept are the attributes the library needs. Left out on purpose: candidates
// (checked by us, added one by one), rid and simulcast (without them a browser
// sends one layer), mid (see inside).
var kept = map[string]bool{
	"rtpmap": true, "fmtp": true, "rtcp-fb": true, "extmap": true, "ssrc": true, "ssrc-group": true,
	"msid": true, "rtcp-mux": true, "sctp-port": true, "max-message-size": true,
}

// write makes the cleaned text.
func (p *plan) write() {
	d := p.remote
	var b strings.Builder
	line := func(parts ...string) {
		for _, s := range parts {
			b.WriteString(s)
		}
		b.WriteString("\r\n")
	}
	line("v=0")
	line("o=- 1 1 IN IP4 0.0.0.0")
	line("s=-")
	line("t=0 0")
	if _, ok := findAttr(d.session, "extmap-allow-mixed"); ok {
		line("a=extmap-allow-mixed")
	}
	if _, ok := findAttr(d.session, "ice-lite"); ok {
		line("a=ice-lite")
	}
	line("a=group:BUNDLE ", strings.Join(p.mids, " "))
	ufrag, pwd, print := p.security()
	for n, i := range p.use {
		s := d.sections[i]
		setup, _ := d.inherited(s, "setup")
		if setup == "" {
			setup = "actpass"
		}
		p.active = p.active || setup == "passive"
		port, dir := "9", d.direction(s)
		if s.port == 0 && !s.has("bundle-only") {
			port, dir = "0", inactive
		}
		proto := "UDP/TLS/RTP/SAVPF"
		if s.media == "application" {
			proto = "UDP/DTLS/SCTP"
		}
		line("m=", s.media, " ", port, " ", proto, " ", strings.Join(s.formats, " "))
		line("c=IN IP4 0.0.0.0")
		line("a=mid:", p.mids[n])
		line("a=", dir)
		line("a=ice-ufrag:", ufrag)
		line("a=ice-pwd:", pwd)
		line("a=ice-options:trickle")
		line("a=fingerprint:", print)
		line("a=setup:", setup)
		for _, pt := range s.formats {
			if (pt == "0" || pt == "8") && s.media == "audio" && !s.mapped(pt) {
				line("a=rtpmap:", pt, " ", s.encoding(pt), "/8000")
			}
		}
		for _, l := range s.lines {
			if k, _, ok := cutAttr(l); ok && kept[k] {
				line(l)
			}
		}
	}
	p.text = b.String()
}

func (s *section) mapped(pt string) bool {
	for _, l := range s.lines {
		if strings.HasPrefix(l, "a=rtpmap:"+pt+" ") {
			return true
		}
	}
	return false
}

// security is what the transport of the used sections needs: they are bundled,
// so the first that has it speaks for all (RFC 9143 §7.1).
func (p *plan) security() (ufrag, pwd, print string) {
	for _, i := range p.use {
		s := p.remote.sections[i]
		ufrag, _ = p.remote.inherited(s, "ice-ufrag")
		pwd, _ = p.remote.inherited(s, "ice-pwd")
		print, _ = p.remote.inherited(s, "fingerprint")
		if ufrag != "" && pwd != "" && print != "" {
			return ufrag, pwd, print
		}
	}
	return ufrag, pwd, print
}

// receives tells whether the remote end takes media of the n-th used section.
func (p *plan) receives(n int) bool {
	switch p.remote.direction(p.remote.sections[p.use[n]]) {
	case sendrecv, recvonly:
		return true
	}
	return false
}
