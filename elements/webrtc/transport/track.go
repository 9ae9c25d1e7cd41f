package transport

import (
	"strconv"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// localTrack is a Sender's face towards the library. It binds to whatever was
// negotiated, before anybody knows what the source will be.
type localTrack struct{ s *Sender }

// ID implements webrtc.TrackLocal.
func (t *localTrack) ID() string { return strings.ToLower(t.s.kind.String()) }

// RID implements webrtc.TrackLocal; there is one layer.
func (t *localTrack) RID() string { return "" }

// StreamID implements webrtc.TrackLocal: audio and video of a Peer are one stream.
func (t *localTrack) StreamID() string { return t.s.peer.streamID }

// Kind implements webrtc.TrackLocal.
func (t *localTrack) Kind() webrtc.RTPCodecType {
	if t.s.kind == pipeline.Audio {
		return webrtc.RTPCodecTypeAudio
	}
	return webrtc.RTPCodecTypeVideo
}

// Bind implements webrtc.TrackLocal.
func (t *localTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	params := c.CodecParameters()
	var codecs []sendCodec
	var first *webrtc.RTPCodecParameters
	for i, p := range params {
		name := codec.Parse(p.MimeType)
		if name.IsVideo() != (t.s.kind == pipeline.Video) || strings.EqualFold(p.MimeType, webrtc.MimeTypeRTX) {
			continue
		}
		if first == nil {
			first = &params[i]
		}
		sc := sendCodec{name: name, rate: p.ClockRate, fmtp: p.SDPFmtpLine, pt: uint8(p.PayloadType)}
		if name == codec.H264 {
			sc.profile = h264Profile(p.SDPFmtpLine)
		}
		for _, f := range p.RTCPFeedback {
			sc.nack = sc.nack || f.Type == "nack" && f.Parameter == ""
		}
		codecs = append(codecs, sc)
	}
	if first == nil {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	for _, p := range params {
		if apt, ok := strings.CutPrefix(p.SDPFmtpLine, "apt="); ok && strings.EqualFold(p.MimeType, webrtc.MimeTypeRTX) {
			for i := range codecs {
				if strconv.Itoa(int(codecs[i].pt)) == apt {
					codecs[i].rtx = uint8(p.PayloadType)
				}
			}
		}
	}
	t.s.bind(c, codecs)
	return *first, nil
}

// Unbind implements webrtc.TrackLocal.
func (t *localTrack) Unbind(webrtc.TrackLocalContext) error {
	t.s.mu.Lock()
	t.s.writer = nil
	t.s.mu.Unlock()
	return nil
}

func (s *Sender) bind(c webrtc.TrackLocalContext, codecs []sendCodec) {
	accepts := make([]pipeline.Format, len(codecs))
	for i, sc := range codecs {
		accepts[i] = pipeline.Format{
			Kind: s.kind, Codec: sc.name, Framing: pipeline.RTP, ClockRate: sc.rate, Fmtp: sc.fmtp,
		}
	}
	s.mu.Lock()
	s.writer, s.codecs = c.WriteStream(), codecs
	s.ssrc, s.rtxSSRC = uint32(c.SSRC()), uint32(c.SSRCRetransmission())
	s.source, s.use, s.changed = nil, nil, true
	s.levelExt, s.timeExt = 0, 0
	for _, x := range c.HeaderExtensions() {
		switch {
		case x.ID <= 0 || x.ID >= 15:
		case x.URI == extAudioLevel && s.kind == pipeline.Audio:
			s.levelExt = uint8(x.ID)
		case x.URI == extAbsSendTime && s.kind == pipeline.Video:
			s.timeExt = uint8(x.ID)
		}
	}
	s.mu.Unlock()
	s.negotiated.Store(&accepts)
	// The link may wait for this; the library's locks are held here.
	s.peer.post(func() {
		if l := s.link.Load(); l != nil {
			l.Renegotiate()
		}
	})
}

// stampTime adds the time of sending in seconds of 6.18 bits, by which the peer
// estimates the bandwidth (abs-send-time).
func (s *Sender) stampTime() {
	h := &s.header
	h.Extension, h.ExtensionProfile, h.Extensions = false, 0, h.Extensions[:0]
	t := toNTP(time.Now()) >> 14
	s.stamp = [3]byte{byte(t >> 16), byte(t >> 8), byte(t)}
	_ = h.SetExtension(s.timeExt, s.stamp[:])
}

// copyLevel carries the audio level over, from the id it has on links.
func (s *Sender) copyLevel(from *rtp.Header) {
	h := &s.header
	h.Extension, h.ExtensionProfile, h.Extensions = false, 0, h.Extensions[:0]
	if level := from.GetExtension(audioLevelID); len(level) == 1 {
		_ = h.SetExtension(s.levelExt, level)
	}
}
