package transport

import (
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Header extensions that we know (RFC 8285).
const (
	extMid         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	extTransportCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	extAbsSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
	extAudioLevel  = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	extCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
	extRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	extRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	extOrientation = "urn:3gpp:video-orientation"
	extColor       = "http://www.webrtc.org/experiments/rtp-hdrext/color-space"
	extContent     = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"
	extPlayout     = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
	extDescriptor  = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)

// extIDs are the header extensions of a section under their negotiated ids, 0
// for those without.
type extIDs struct {
	mid, twcc, sendTime, level, capture, rid, repaired, descriptor, playout, orientation, color, content uint8
}

// field is where the id of an extension belongs; nil for one that we do not
// answer with.
func (x *extIDs) field(kind pipeline.Kind, uri string, layered bool) *uint8 {
	switch uri {
	case extMid:
		return &x.mid
	case extTransportCC:
		return &x.twcc
	case extAbsSendTime:
		return &x.sendTime
	case extCaptureTime:
		return &x.capture
	case extAudioLevel:
		if kind == pipeline.Audio {
			return &x.level
		}
	case extPlayout:
		if kind == pipeline.Video {
			return &x.playout
		}
	case extOrientation:
		if kind == pipeline.Video {
			return &x.orientation
		}
	case extColor:
		if kind == pipeline.Video {
			return &x.color
		}
	case extContent:
		if kind == pipeline.Video {
			return &x.content
		}
	case extRID:
		if layered {
			return &x.rid
		}
	case extRepairedRID:
		if layered {
			return &x.repaired
		}
	case extDescriptor:
		if layered {
			return &x.descriptor
		}
	}
	return nil
}

// maxRIDs is how many encodings of one video we take.
const maxRIDs = 3

// media is what was negotiated of one audio or video section.
type media struct {
	kind       pipeline.Kind
	mid        string
	codecs     []rtpCodec
	ext        extIDs
	extLines   []string // a=extmap as they go into our answer
	send, recv bool     // what we may do
	mixed      bool     // extensions may have two bytes of header (RFC 8285 §6)
	rids       []string // the encodings that the peer sends (RFC 8853); nil for one
	grouped    bool     // by their SSRCs: their names are ours
	declared   []uint32 // SSRCs of the peer's media streams (RFC 5576)
	repair     map[uint32]uint32
	fec        uint8 // payload type of FlexFEC, 0 without
}

// negotiate reads what a section of a peer's description and we have in common.
// layers tells whether simulcast is answered, orientation whether pictures may come turned.
func (d *description) negotiate(s *section, layers, orientation bool) media {
	m := media{kind: kindOf(s.media), codecs: s.codecs()}
	_, m.mixed = d.inherited(s, "extmap-allow-mixed")
	m.mid, _ = s.attr("mid")
	switch d.direction(s) {
	case sendrecv:
		m.send, m.recv = true, true
	case sendonly:
		m.recv = true
	case recvonly:
		m.send = true
	}
	if layers && m.kind == pipeline.Video && m.recv {
		m.rids = s.sentRIDs()
	}
	for _, l := range s.lines {
		k, v, ok := cutAttr(l)
		if !ok || k != "extmap" {
			continue
		}
		number, rest, _ := strings.Cut(v, " ")
		number, _, _ = strings.Cut(number, "/")
		uri, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		id, err := strconv.ParseUint(number, 10, 8)
		if err != nil || id < 1 || id == 15 || id > shortLast && !m.mixed || uri == extOrientation && !orientation {
			continue
		}
		if at := m.ext.field(m.kind, uri, len(m.rids) > 0 || m.layeredCodec()); at != nil && *at == 0 {
			*at = uint8(id)
			m.extLines = append(m.extLines, "a=extmap:"+strconv.Itoa(int(id))+" "+uri)
		}
	}
	if m.kind == pipeline.Video {
		m.fec = s.flexFEC()
	}
	m.streams(s)
	m.group(s, layers)
	return m
}

// layeredCodec tells whether AV1 is among the codecs, whose layers only the
// dependency descriptor tells.
func (m *media) layeredCodec() bool {
	return slices.ContainsFunc(m.codecs, func(c rtpCodec) bool { return c.name == codec.AV1 })
}

// streams reads the SSRCs that the section declares.
func (m *media) streams(s *section) {
	repairs := map[uint32]bool{}
	for _, l := range s.lines {
		k, v, ok := cutAttr(l)
		if !ok || k != "ssrc-group" {
			continue
		}
		f := strings.Fields(v)
		if len(f) == 3 && f[0] == "FEC-FR" { // its packets are known by their payload type
			if n, err := strconv.ParseUint(f[2], 10, 32); err == nil && len(repairs) < 4*maxRIDs {
				repairs[uint32(n)] = true
			}
			continue
		}
		if len(f) != 3 || f[0] != "FID" {
			continue
		}
		main, err1 := strconv.ParseUint(f[1], 10, 32)
		rtx, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 != nil || err2 != nil || len(m.repair) >= 2*maxRIDs {
			continue
		}
		if m.repair == nil {
			m.repair = map[uint32]uint32{}
		}
		m.repair[uint32(rtx)] = uint32(main)
		repairs[uint32(rtx)] = true
	}
	for _, l := range s.lines {
		k, v, ok := cutAttr(l)
		if !ok || k != "ssrc" {
			continue
		}
		first, _, _ := strings.Cut(v, " ")
		n, err := strconv.ParseUint(first, 10, 32)
		if err != nil || repairs[uint32(n)] || slices.Contains(m.declared, uint32(n)) || len(m.declared) >= 2*maxRIDs {
			continue
		}
		m.declared = append(m.declared, uint32(n))
	}
}

// sentRIDs are the encodings of a simulcast that the section's owner sends
// (RFC 8853 §5.1), alternatives left out; nil when it sends one.
func (s *section) sentRIDs() []string {
	v, ok := s.attr("simulcast")
	if !ok {
		return nil
	}
	f := strings.Fields(v)
	var list []string
	for i := 0; i+1 < len(f); i += 2 {
		if f[i] != "send" {
			continue
		}
		for alternatives := range strings.SplitSeq(f[i+1], ";") {
			rid, _, _ := strings.Cut(alternatives, ",")
			rid = strings.TrimPrefix(rid, "~")
			if s.declaresRID(rid) && !slices.Contains(list, rid) {
				list = append(list, rid)
			}
		}
	}
	if len(list) < 2 {
		return nil
	}
	return list[:min(len(list), maxRIDs)]
}

func (s *section) declaresRID(rid string) bool {
	if rid == "" || len(rid) > 16 || strings.Trim(rid, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return false
	}
	return slices.ContainsFunc(s.lines, func(l string) bool {
		return l == "a=rid:"+rid+" send" || strings.HasPrefix(l, "a=rid:"+rid+" send ")
	})
}
