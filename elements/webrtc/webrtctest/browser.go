// Package webrtctest is the other end in tests: a peer on the plain library
// that publishes numbered packets and keeps what it receives. It is for tests
// only; its goroutines end with Close.
package webrtctest

import (
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Patience is how long Eventually waits.
const Patience = 30 * time.Second

// Eventually polls a condition until it holds, or fails the test.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", Patience, what)
}

// Options vary a Browser.
type Options struct {
	// Setting changes the library's settings, after ours.
	Setting func(*webrtc.SettingEngine)
	// Codecs replaces the library's own list.
	Codecs func(*webrtc.MediaEngine)
	// NoNACK leaves the helpers out, so that nothing is asked for again.
	NoNACK bool
	// Interceptors replaces the library's default helpers.
	Interceptors func(*interceptor.Registry)
	// Lose drops received datagrams for which it returns true.
	Lose func(datagram []byte) bool
}

// Browser is a remote peer on the loopback. It offers the SRTP profiles in
// Chromium's order.
type Browser struct {
	T  testing.TB
	PC *webrtc.PeerConnection
	// Video and Audio are what it publishes, once Publish was called.
	Video, Audio *webrtc.TrackLocalStaticRTP

	mu       sync.Mutex
	got      map[webrtc.RTPCodecType][]*rtp.Packet
	reports  map[uint32]*rtcp.SenderReport
	plis     int
	rembs    []float32
	n        uint32
	vseq     uint16
	aseq     uint16
	channels []*Channel
	readers  sync.WaitGroup
	closeOne sync.Once
}

// New makes a Browser that closes with the test.
func New(t testing.TB, o Options) *Browser {
	t.Helper()
	me := &webrtc.MediaEngine{}
	if o.Codecs == nil {
		must(t, me.RegisterDefaultCodecs())
	} else {
		o.Codecs(me)
	}
	reg := &interceptor.Registry{}
	if o.Interceptors != nil {
		o.Interceptors(reg)
	} else if !o.NoNACK {
		must(t, webrtc.RegisterDefaultInterceptors(me, reg))
	}
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	se.SetSRTPReplayProtectionWindow(1024) // as browsers do
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM)
	b := &Browser{T: t, got: map[webrtc.RTPCodecType][]*rtp.Packet{}, reports: map[uint32]*rtcp.SenderReport{}}
	if o.Lose != nil {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(t, err)
		mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: &lossy{UDPConn: conn, lose: o.Lose}})
		se.SetICEUDPMux(mux)
		t.Cleanup(func() { _ = mux.Close() })
	}
	if o.Setting != nil {
		o.Setting(&se)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(me), webrtc.WithInterceptorRegistry(reg), webrtc.WithSettingEngine(se)).
		NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	b.PC = pc
	pc.OnTrack(b.track)
	pc.OnDataChannel(func(dc *webrtc.DataChannel) { b.keep(dc) })
	t.Cleanup(b.Close)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lossy drops some of what arrives.
type lossy struct {
	*net.UDPConn
	lose func([]byte) bool
}

// ReadFrom implements net.PacketConn.
func (l *lossy) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.UDPConn.ReadFrom(p)
		if err != nil || !l.lose(p[:n]) {
			return n, from, err
		}
	}
}

// Close ends the peer. Idempotent.
func (b *Browser) Close() {
	b.closeOne.Do(func() {
		_ = b.PC.GracefulClose()
		b.readers.Wait()
	})
}

func (b *Browser) track(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	b.readers.Go(func() {
		for {
			packets, _, err := r.ReadRTCP()
			if err != nil {
				return
			}
			b.With(func() {
				for _, p := range packets {
					if sr, ok := p.(*rtcp.SenderReport); ok {
						b.reports[sr.SSRC] = sr
					}
				}
			})
		}
	})
	b.readers.Go(func() {
		for {
			p, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			b.With(func() { b.got[t.Kind()] = append(b.got[t.Kind()], p) })
		}
	})
}

// With runs f under the Browser's lock.
func (b *Browser) With(f func()) { b.mu.Lock(); defer b.mu.Unlock(); f() }

// Packets are those received of a kind so far.
func (b *Browser) Packets(k webrtc.RTPCodecType) []*rtp.Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*rtp.Packet(nil), b.got[k]...)
}

// Report is the latest sender report received for an SSRC, nil before.
func (b *Browser) Report(ssrc uint32) *rtcp.SenderReport {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reports[ssrc]
}

// PLIs is how many keyframes were asked of it.
func (b *Browser) PLIs() int { b.mu.Lock(); defer b.mu.Unlock(); return b.plis }

// REMBs are the bit rates announced to it.
func (b *Browser) REMBs() []float32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]float32(nil), b.rembs...)
}

// Publish adds an audio (Opus) and a video track with a direction.
func (b *Browser) Publish(mime string, dir webrtc.RTPTransceiverDirection) {
	b.T.Helper()
	var err error
	b.Video, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, "v", "s")
	must(b.T, err)
	b.Audio, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "a", "s")
	must(b.T, err)
	for _, tr := range []*webrtc.TrackLocalStaticRTP{b.Audio, b.Video} {
		tc, err := b.PC.AddTransceiverFromTrack(tr, webrtc.RTPTransceiverInit{Direction: dir})
		must(b.T, err)
		b.readers.Go(func() { b.listen(tc.Sender()) })
	}
}

// Receive adds a recvonly audio and video section.
func (b *Browser) Receive() {
	b.T.Helper()
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		_, err := b.PC.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		must(b.T, err)
	}
}

func (b *Browser) listen(s *webrtc.RTPSender) {
	for {
		packets, _, err := s.ReadRTCP()
		if err != nil {
			return
		}
		b.With(func() {
			for _, p := range packets {
				switch p := p.(type) {
				case *rtcp.PictureLossIndication:
					b.plis++
				case *rtcp.ReceiverEstimatedMaximumBitrate:
					b.rembs = append(b.rembs, p.Bitrate)
				}
			}
		})
	}
}

// Offer is the Browser's offer with its candidates inside.
func (b *Browser) Offer() string {
	b.T.Helper()
	gathered := webrtc.GatheringCompletePromise(b.PC)
	offer, err := b.PC.CreateOffer(nil)
	must(b.T, err)
	must(b.T, b.PC.SetLocalDescription(offer))
	<-gathered
	return b.PC.LocalDescription().SDP
}

// SetAnswer takes the answer to Offer.
func (b *Browser) SetAnswer(sdp string) {
	b.T.Helper()
	if err := b.PC.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		b.T.Fatalf("%v\n%s", err, sdp)
	}
}

// Answer answers an offer, with its candidates inside.
func (b *Browser) Answer(offer string) string {
	b.T.Helper()
	if err := b.PC.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		b.T.Fatalf("%v\n%s", err, offer)
	}
	gathered := webrtc.GatheringCompletePromise(b.PC)
	answer, err := b.PC.CreateAnswer(nil)
	must(b.T, err)
	must(b.T, b.PC.SetLocalDescription(answer))
	<-gathered
	return b.PC.LocalDescription().SDP
}

// AddCandidate takes a trickled candidate.
func (b *Browser) AddCandidate(text, mid string, index int) {
	b.T.Helper()
	i := uint16(index)
	must(b.T, b.PC.AddICECandidate(webrtc.ICECandidateInit{Candidate: text, SDPMid: &mid, SDPMLineIndex: &i}))
}

// Connected tells whether media can flow.
func (b *Browser) Connected() bool {
	return b.PC.ConnectionState() == webrtc.PeerConnectionStateConnected
}

// vp8 is a payload descriptor, a first byte that says key or not, and a number.
func vp8(key bool, n uint32) []byte {
	b := []byte{0x10, 1, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00, 0, 0, 0, 0}
	if key {
		b[1] = 0
	}
	return binary.BigEndian.AppendUint32(b, n)
}

// Number is the number that Frame put at the end of a payload.
func Number(payload []byte) uint32 { return binary.BigEndian.Uint32(payload[len(payload)-4:]) }

// Frame sends one VP8-like video packet and one audio packet with the next
// number, which it returns. Video advances by 3000 ticks, audio by 960.
func (b *Browser) Frame(key bool) uint32 {
	b.T.Helper()
	b.n++
	b.vseq++
	b.aseq++
	must(b.T, b.Video.WriteRTP(&rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: true, SequenceNumber: b.vseq, Timestamp: b.n * 3000},
		Payload: vp8(key, b.n),
	}))
	must(b.T, b.Audio.WriteRTP(&rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: b.aseq, Timestamp: b.n * 960},
		Payload: binary.BigEndian.AppendUint32([]byte{0xfc}, b.n),
	}))
	return b.n
}
