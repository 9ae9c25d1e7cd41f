// Package codec knows facts about coded media that need no decoder: which
// frames a decoder can start at, picture sizes, profiles, RTP payload shapes.
// It leaves packetising, timing and I/O to others, starts no goroutines, and
// never keeps a reference to the bytes it is shown.
package codec

import "strings"

// Name is a codec's encoding name as IANA registers it for RTP
// (RFC 4855 §3: compared without regard to case; this is the canonical case).
type Name string

// The codecs the server can forward. PCMU and PCMA are RFC 3551, VP8 RFC 7741,
// VP9 RFC 9628, H264 RFC 6184, AV1 the AOM RTP payload specification, opus RFC 7587.
const (
	VP8  Name = "VP8"
	VP9  Name = "VP9"
	AV1  Name = "AV1"
	H264 Name = "H264"
	H265 Name = "H265"
	Opus Name = "opus"
	PCMU Name = "PCMU"
	PCMA Name = "PCMA"
	// AAC is MPEG-4 AAC-LC; only files hold it, WebRTC never does.
	AAC Name = "AAC"
)

// Parse maps an encoding name in any case ("OPUS", "audio/opus", "vp8") to the
// canonical Name; an unknown one is returned as it is.
func Parse(s string) Name {
	if _, after, ok := strings.Cut(s, "/"); ok {
		s = after
	}
	for _, n := range []Name{VP8, VP9, AV1, H264, H265, Opus, PCMU, PCMA, AAC} {
		if strings.EqualFold(s, string(n)) {
			return n
		}
	}
	return Name(s)
}

// IsVideo tells whether the codec carries pictures.
func (n Name) IsVideo() bool {
	switch n {
	case VP8, VP9, AV1, H264, H265:
		return true
	}
	return false
}
