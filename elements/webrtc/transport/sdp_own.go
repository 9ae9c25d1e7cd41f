package transport

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/pipeline"
)

const h264Fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="

// ownCodecs are what we offer, in order. The payload numbers matter in our own
// offers only; answers keep the offerer's.
var ownCodecs = map[pipeline.Kind][]struct {
	pt         int
	name, fmtp string
}{
	pipeline.Audio: {
		{111, "opus/48000/2", "minptime=10;useinbandfec=1"}, {63, "red/48000/2", "111/111"}, {0, "PCMU/8000", ""}, {8, "PCMA/8000", ""},
	},
	pipeline.Video: {
		{96, "VP8/90000", ""}, {98, "VP9/90000", "profile-id=0"},
		{102, "H264/90000", h264Fmtp + "42e01f"}, // constrained baseline
		{104, "H264/90000", h264Fmtp + "42001f"}, // baseline
		{106, "H264/90000", h264Fmtp + "4d001f"}, // main
		{108, "H264/90000", h264Fmtp + "64001f"}, // high
		{112, "H264/90000", h264Fmtp + "640c1f"}, // constrained high
		{45, "AV1/90000", ""},
	},
}

// ownFEC is the payload type of FlexFEC in offers of ours that have it.
const ownFEC = 49

// ownExtensions are the header extensions that we offer.
var ownExtensions = []struct {
	id  int
	uri string
}{{1, extMid}, {2, extTransportCC}, {3, extAbsSendTime}, {4, extAudioLevel}, {5, extCaptureTime}, {6, extPlayout}, {7, extDescriptor}}

// onlyFor are the extensions that belong to one kind of media.
var onlyFor = map[string]pipeline.Kind{extAudioLevel: pipeline.Audio, extPlayout: pipeline.Video, extDescriptor: pipeline.Video}

// composeOffer writes our offer in Kurento's shape.
func (p *Peer) composeOffer(kinds []pipeline.Kind, own ownEnd, c caps) *description {
	var mids []string
	d := &description{}
	for _, k := range kinds {
		mids = append(mids, offerMid(k))
		d.sections = append(d.sections, p.offerSection(k, own, c))
	}
	d.session = []string{
		"o=- " + p.origin + " 1 IN IP4 0.0.0.0", "s=-", "c=IN IP4 0.0.0.0", "t=0 0", "a=group:BUNDLE " + strings.Join(mids, " "),
		"a=extmap-allow-mixed",
	}
	return d
}

func (p *Peer) offerSection(k pipeline.Kind, own ownEnd, c caps) *section {
	if k == pipeline.Data {
		s := &section{media: "application", port: 9, proto: "UDP/DTLS/SCTP", formats: []string{"webrtc-datachannel"}}
		s.lines = slices.Concat([]string{"a=setup:" + own.setup, "a=mid:" + offerMid(k)}, dataLines, []string{
			"a=ice-ufrag:" + own.ufrag, "a=ice-pwd:" + own.pwd, "a=fingerprint:" + own.fingerprint, "a=ice-options:trickle",
		})
		return s
	}
	s := &section{media: strings.ToLower(k.String()), port: 9, proto: "RTP/SAVPF"}
	m := media{send: !p.cfg.RecvOnly || p.cfg.SendOnly, recv: !p.cfg.SendOnly}
	if m.recv {
		s.lines = append(s.lines, bandwidth(c.of(s.media))...)
	}
	s.lines = append(s.lines, "a=setup:"+own.setup, "a=mid:"+offerMid(k), "a=ice-ufrag:"+own.ufrag, "a=ice-pwd:"+own.pwd, "a=rtcp-mux", "a=rtcp-rsize")
	for _, x := range ownCodecs[k] {
		pt := strconv.Itoa(x.pt)
		s.formats = append(s.formats, pt)
		s.lines = append(s.lines, "a=rtpmap:"+pt+" "+x.name)
		if x.fmtp != "" {
			s.lines = append(s.lines, "a=fmtp:"+pt+" "+x.fmtp)
		}
		for _, fb := range feedbackOf(k) {
			if strings.HasPrefix(x.name, "red/") {
				break // it is of what is inside
			}
			s.lines = append(s.lines, "a=rtcp-fb:"+pt+" "+fb)
		}
		if k == pipeline.Video {
			rtx := strconv.Itoa(x.pt + 1)
			s.formats = append(s.formats, rtx)
			s.lines = append(s.lines, "a=rtpmap:"+rtx+" rtx/90000", "a=fmtp:"+rtx+" apt="+pt)
		}
	}
	fec := k == pipeline.Video && p.cfg.FlexFEC
	if fec {
		pt := strconv.Itoa(ownFEC)
		s.formats = append(s.formats, pt)
		s.lines = append(s.lines, "a=rtpmap:"+pt+" "+fecName+"/"+strconv.Itoa(fecRate), "a=rtcp-fb:"+pt+" goog-remb", "a=rtcp-fb:"+pt+" transport-cc",
			"a=fmtp:"+pt+" repair-window=10000000")
	}
	for _, x := range ownExtensions {
		if kind := onlyFor[x.uri]; kind == 0 || kind == k {
			s.lines = append(s.lines, "a=extmap:"+strconv.Itoa(x.id)+" "+x.uri)
		}
	}
	if m.send {
		s.lines = append(s.lines, p.Sender(k).lines(own.stream, k == pipeline.Video, fec)...)
	}
	s.lines = append(s.lines, "a="+m.direction(), "a=fingerprint:"+own.fingerprint, rtcpLine, "a=ice-options:trickle")
	return s
}

// fingerprint is a certificate's (RFC 8122): which hash, and its value.
type fingerprint struct {
	sum   func() hash.Hash
	value []byte
}

// parseFingerprint reads "sha-256 AB:CD:…".
func parseFingerprint(text string) (f fingerprint, err error) {
	name, value, ok := strings.Cut(strings.TrimSpace(text), " ")
	sums := map[string]func() hash.Hash{
		"sha-1": sha1.New, "sha-224": sha256.New224, "sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New,
	}
	if f.sum = sums[strings.ToLower(name)]; !ok || f.sum == nil {
		return f, errors.New("fingerprint is of no known hash")
	}
	f.value, err = hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(value), ":", ""))
	if err != nil || len(f.value) != f.sum().Size() {
		return f, errors.New("fingerprint is not as long as its hash")
	}
	return f, nil
}

// verify tells whether a certificate has the fingerprint.
func (f fingerprint) verify(der []byte) error {
	h := f.sum()
	h.Write(der)
	if !slices.Equal(h.Sum(nil), f.value) {
		return errors.New("the peer's certificate is not the one of its description")
	}
	return nil
}

// fingerprintOf is ours, as it stands in descriptions.
func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return "sha-256 " + strings.Join(parts, ":")
}
