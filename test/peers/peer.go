//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

const (
	videoType = 96
	soundType = 111
)

// profiles are the SRTP profiles that peers allow; nil are Pion's.
func profiles(name string) []dtls.SRTPProtectionProfile {
	switch name {
	case "gcm":
		return []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM}
	case "gcm256":
		return []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_256_GCM}
	case "cm":
		return []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	}
	return nil
}

// settings are those of every peer, and of the naive server.
func settings(srtp string) webrtc.SettingEngine {
	var s webrtc.SettingEngine
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	s.LoggerFactory = quiet
	s.SetIncludeLoopbackCandidate(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	if p := profiles(srtp); p != nil {
		s.SetSRTPProtectionProfiles(p...)
	}
	return s
}

// newPeer makes a connection that knows VP8 and Opus; reports is whether it sends
// RTCP and answers it, as Pion does by default.
func newPeer(s webrtc.SettingEngine, reports bool, cert *webrtc.Certificate) (*webrtc.PeerConnection, error) {
	m := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	err := errors.Join(
		m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: videoType, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}}, webrtc.RTPCodecTypeVideo),
		m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: soundType, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}}, webrtc.RTPCodecTypeAudio))
	if err != nil {
		return nil, err
	}
	reg := &interceptor.Registry{}
	if reports {
		if err := webrtc.RegisterDefaultInterceptors(m, reg); err != nil {
			return nil, err
		}
	}
	var c webrtc.Configuration
	if cert != nil {
		c.Certificates = []webrtc.Certificate{*cert}
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(s), webrtc.WithInterceptorRegistry(reg)).NewPeerConnection(c)
}

func newCertificate() (*webrtc.Certificate, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return webrtc.GenerateCertificate(k)
}

// only keeps a peer to one address.
func only(address string) func(net.IP) bool {
	return func(ip net.IP) bool { return ip.String() == address }
}

// waitFor polls; the peers' state has no other way to be waited for from outside.
func waitFor(limit time.Duration, ok func() bool) error {
	for end := time.Now().Add(limit); !ok(); time.Sleep(500 * time.Microsecond) {
		if time.Now().After(end) {
			return errors.New("timed out")
		}
	}
	return nil
}
