package transport

import (
	"errors"
	"slices"
	"strings"

	"github.com/govidu/govidu/pipeline"
)

// plan is what we make of the sections of a remote description that share a
// transport: which are used, what was negotiated of them, and how the transport
// is secured.
type plan struct {
	remote            *description
	use               []int         // indexes of used sections, in order
	media             map[int]media // by index, of audio and video
	ufrag, pwd, print string
	lite              bool // the remote end answers checks only (RFC 8445 §2.5)
	active            bool // the remote end insists on being the DTLS server
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
	return plans
}

// planAnswer takes an answer to an offer of ours, section by section; nil when
// it has others, or another number of them. alive tells whether anything is left to
// connect.
func planAnswer(d, offer *description) (p *plan, alive bool) {
	if !slices.EqualFunc(d.sections, offer.sections, func(a, b *section) bool { return a.media == b.media }) {
		return nil, false
	}
	p = &plan{remote: d}
	for i, s := range d.sections {
		if s.port == 0 && !s.has("bundle-only") {
			continue
		}
		p.use = append(p.use, i)
		_, hasKey := d.inherited(s, "fingerprint")
		_, hasICE := d.inherited(s, "ice-ufrag")
		alive = alive || hasKey && hasICE
	}
	return p, alive
}

// read fills in what was negotiated; it fails on what cannot be a transport.
func (p *plan) read(layers, orientation bool) error {
	p.ufrag, p.pwd, p.print = p.security()
	if len(p.ufrag) < 4 || len(p.ufrag) > 256 || len(p.pwd) < 22 || len(p.pwd) > 256 {
		return errors.New("ICE user fragment or password is not as long as RFC 8839 wants them")
	}
	if _, err := parseFingerprint(p.print); err != nil {
		return err
	}
	_, p.lite = findAttr(p.remote.session, "ice-lite")
	p.media = map[int]media{}
	for _, i := range p.use {
		s := p.remote.sections[i]
		switch setup, _ := p.remote.inherited(s, "setup"); setup {
		case "", "actpass", "active":
		case "passive":
			p.active = true
		default:
			return errors.New("no DTLS role is left for us")
		}
		if kindOf(s.media) == pipeline.Audio || kindOf(s.media) == pipeline.Video {
			p.media[i] = p.remote.negotiate(s, layers, orientation)
		}
	}
	return nil
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
		return strings.Contains(s.proto, "RTP/SAVP") && d.direction(s) != inactive && len(s.codecs()) > 0
	case "application":
		return data && strings.Contains(s.proto, "SCTP") && slices.Contains(s.formats, "webrtc-datachannel")
	}
	return false
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
