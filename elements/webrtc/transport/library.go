package transport

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const (
	dtlsTimeout     = 15 * time.Second // one handshake
	tcpFirstPacket  = 10 * time.Second // an ICE-TCP connection must show its ICE check
	iceDisconnected = 5 * time.Second
	iceFailed       = 25 * time.Second
	iceKeepalive    = 2 * time.Second
	// replayWindow is how late, in packets, one may be: a retransmission of a
	// fast stream is far behind. It is what browsers use.
	replayWindow = 1024
	// A missing packet is asked for at once and again, as long as somebody who puts
	// packets in order waits for it (pipeline.ReorderDelay).
	nackEvery = 50 * time.Millisecond
	nackTimes = 6
)

// Header extensions that we answer with (RFC 8285).
const (
	extAudioLevel  = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	extAbsSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
	extCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
)

// newMediaEngine registers what we can forward. The order and the payload
// numbers matter in our own offers only; answers keep the offerer's.
func newMediaEngine() (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	audio := func(mime string, pt webrtc.PayloadType, rate uint32, channels uint16, fmtp string) error {
		return m.RegisterCodec(webrtc.RTPCodecParameters{
			PayloadType: pt,
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: mime, ClockRate: rate, Channels: channels, SDPFmtpLine: fmtp,
				RTCPFeedback: []webrtc.RTCPFeedback{{Type: "transport-cc"}},
			},
		}, webrtc.RTPCodecTypeAudio)
	}
	video := func(mime string, pt webrtc.PayloadType, fmtp string) error {
		err := m.RegisterCodec(webrtc.RTPCodecParameters{
			PayloadType: pt,
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp,
				RTCPFeedback: []webrtc.RTCPFeedback{
					{Type: "goog-remb"}, {Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"},
					{Type: "nack"}, {Type: "nack", Parameter: "pli"},
				},
			},
		}, webrtc.RTPCodecTypeVideo)
		if err != nil {
			return err
		}
		return m.RegisterCodec(webrtc.RTPCodecParameters{
			PayloadType: pt + 1,
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=" + strconv.Itoa(int(pt)),
			},
		}, webrtc.RTPCodecTypeVideo)
	}
	const h264 = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="
	for _, err := range []error{
		audio(webrtc.MimeTypeOpus, 111, 48000, 2, "minptime=10;useinbandfec=1"),
		audio(webrtc.MimeTypePCMU, 0, 8000, 0, ""),
		audio(webrtc.MimeTypePCMA, 8, 8000, 0, ""),
		video(webrtc.MimeTypeVP8, 96, ""),
		video(webrtc.MimeTypeVP9, 98, "profile-id=0"),
		video(webrtc.MimeTypeH264, 102, h264+"42e01f"), // constrained baseline
		video(webrtc.MimeTypeH264, 104, h264+"42001f"), // baseline
		video(webrtc.MimeTypeH264, 106, h264+"4d001f"), // main
		video(webrtc.MimeTypeH264, 108, h264+"64001f"), // high
		video(webrtc.MimeTypeH264, 112, h264+"640c1f"), // constrained high
		video(webrtc.MimeTypeAV1, 45, ""),
	} {
		if err != nil {
			return nil, err
		}
	}
	for _, x := range []struct {
		uri          string
		audio, video bool
	}{
		{sdp.SDESMidURI, true, true},
		{sdp.TransportCCURI, true, true},
		{extAbsSendTime, true, true},
		{extAudioLevel, true, false},
		{extCaptureTime, true, true},
	} {
		for kind, on := range map[webrtc.RTPCodecType]bool{
			webrtc.RTPCodecTypeAudio: x.audio, webrtc.RTPCodecTypeVideo: x.video,
		} {
			if !on {
				continue
			}
			if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: x.uri}, kind); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// newFactories are the receiving side's helpers: NACK, receiver reports and
// transport-wide feedback. The sending side (retransmission, sender reports) is
// our own, see Sender.
func newFactories(log *slog.Logger) ([]interceptor.Factory, error) {
	nacks, err := nack.NewGeneratorInterceptor(nack.WithGeneratorLoggerFactory(pionLog{log}), nack.GeneratorInterval(nackEvery), nack.GeneratorMaxNacksPerPacket(nackTimes))
	if err != nil {
		return nil, err
	}
	reports, err := report.NewReceiverInterceptor(report.WithReceiverLoggerFactory(pionLog{log}))
	if err != nil {
		return nil, err
	}
	feedback, err := twcc.NewSenderInterceptor(twcc.SendInterval(50*time.Millisecond), twcc.WithLoggerFactory(pionLog{log}))
	if err != nil {
		return nil, err
	}
	return []interceptor.Factory{nacks, reports, feedback}, nil
}

// nackCounter counts the NACKs that the helper behind it sends. The helper does
// not see what comes by RTX (RFC 4588): what has come is not asked for again.
type nackCounter struct {
	interceptor.NoOp
	n    *atomic.Uint64
	came func(ssrc uint32, seq uint16) bool
}

// NewInterceptor implements interceptor.Factory: there is one for a connection.
func (c *nackCounter) NewInterceptor(string) (interceptor.Interceptor, error) { return c, nil }

// BindRTCPWriter implements interceptor.Interceptor.
func (c *nackCounter) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, a interceptor.Attributes) (int, error) {
		send := make([]rtcp.Packet, 0, len(packets))
		for _, p := range packets {
			if n, ok := p.(*rtcp.TransportLayerNack); ok {
				if p = c.missing(n); p == nil {
					continue
				}
				c.n.Add(1)
			}
			send = append(send, p)
		}
		if len(send) == 0 {
			return 0, nil
		}
		return w.Write(send, a)
	})
}

// missing leaves of a NACK what has not come; nil when all has.
func (c *nackCounter) missing(n *rtcp.TransportLayerNack) rtcp.Packet {
	var ask []uint16
	for i := range n.Nacks {
		for _, seq := range n.Nacks[i].PacketList() {
			if !c.came(n.MediaSSRC, seq) {
				ask = append(ask, seq)
			}
		}
	}
	if len(ask) == 0 {
		return nil
	}
	return &rtcp.TransportLayerNack{SenderSSRC: n.SenderSSRC, MediaSSRC: n.MediaSSRC, Nacks: rtcp.NackPairsFromSequenceNumbers(ask)}
}

// connectionConfig is what differs between connections.
type connectionConfig struct {
	// active is true when the remote end insists on being the DTLS server;
	// otherwise we are, for the server picks the SRTP profile and ours prefers
	// AES-128-GCM.
	active bool
	// private gives the connection sockets of its own: two ends on one socket
	// cannot be told apart by their address, as happens when one Peer of an
	// Engine answers another.
	private     bool
	data        bool
	certificate CertificateType
	network     Network
	dscp        uint8
	nacks       *atomic.Uint64
	came        func(ssrc uint32, seq uint16) bool
}

// newConnection makes the library's object for one negotiation.
func (e *Engine) newConnection(c connectionConfig) (*webrtc.PeerConnection, error) {
	s := webrtc.SettingEngine{LoggerFactory: pionLog{e.log}}
	role := webrtc.DTLSRoleServer
	if c.active {
		role = webrtc.DTLSRoleClient
	}
	if err := s.SetAnsweringDTLSRole(role); err != nil {
		return nil, err
	}
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	s.SetDTLSConnectContextMaker(func() (context.Context, func()) {
		return context.WithTimeout(context.Background(), dtlsTimeout)
	})
	if err := e.gatherOn(&s, c); err != nil {
		return nil, err
	}
	s.DisableActiveTCP(true) // we never dial an address that a peer names
	s.SetNet(markedNet{e.net, c.dscp})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetIncludeLoopbackCandidate(e.loopback)
	s.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
	s.SetReceiveMTU(MaxDatagram)
	s.SetSRTPReplayProtectionWindow(replayWindow)
	s.SetSDPMediaLevelFingerprints(true)
	s.SetFireOnTrackBeforeFirstRTP(true)
	s.DetachDataChannels()
	s.SetSCTPMaxMessageSize(MaxMessage)
	s.SetSCTPMaxReceiveBufferSize(maxBuffered)
	if len(e.cfg.AnnouncedIPs) > 0 {
		rule := webrtc.ICEAddressRewriteRule{AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteAppend}
		for _, a := range e.cfg.AnnouncedIPs {
			rule.External = append(rule.External, a.Unmap().String())
		}
		if err := s.SetICEAddressRewriteRules(rule); err != nil {
			return nil, err
		}
	}
	cert, err := e.certificate(c.certificate)
	if err != nil {
		return nil, err
	}
	registry := &interceptor.Registry{}
	registry.Add(&nackCounter{n: c.nacks, came: c.came})
	for _, f := range e.factories {
		registry.Add(f)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(e.media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(s))
	return api.NewPeerConnection(webrtc.Configuration{
		Certificates: []webrtc.Certificate{*cert}, BundlePolicy: webrtc.BundlePolicyMaxBundle, ICEServers: c.network.servers(),
		SDPSemantics: webrtc.SDPSemanticsUnifiedPlan, AlwaysNegotiateDataChannels: c.data,
	})
}

// gatherOn says which sockets candidates come from.
func (e *Engine) gatherOn(s *webrtc.SettingEngine, c connectionConfig) error {
	on, err := c.network.on()
	if err != nil {
		return err
	}
	s.SetIPFilter(func(ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		return ok && slices.Contains(e.addrs, a.Unmap()) && on(a)
	})
	networks := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	if !c.private {
		mux := e.udp
		if len(c.network.Interfaces) > 0 {
			var some []ice.UDPMux
			for i, m := range e.muxes {
				if on(e.addrs[i]) {
					some = append(some, m)
				}
			}
			mux = ice.NewMultiUDPMuxDefault(some...)
		}
		s.SetICEUDPMux(mux)
		if c.network.TCP && e.tcp != nil {
			s.SetICETCPMux(e.tcp)
			networks = append(networks, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
		}
	}
	s.SetNetworkTypes(networks)
	return nil
}
