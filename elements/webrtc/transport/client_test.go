package transport

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/pipeline"
)

const patience = 20 * time.Second

// eventually polls a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

func testLog() *slog.Logger {
	if os.Getenv("WEBRTC_DEBUG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func newEngine(t testing.TB, edit func(*Config)) *Engine {
	t.Helper()
	cfg := Config{ListenIPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Loopback: true, ICETCP: true, Log: testLog()}
	if edit != nil {
		edit(&cfg)
	}
	e, err := NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	return e
}

// client is a remote end on the plain library.
type client struct {
	t    testing.TB
	pc   *webrtc.PeerConnection
	peer *Peer

	mu      sync.Mutex
	got     map[webrtc.RTPCodecType][]*rtp.Packet
	offer   string
	answer  string
	plis    int
	rembs   []float32
	dtls    []DTLSState
	ice     []ICEState
	cands   []Candidate
	done    bool
	up      []bool
	missing int
}

type clientOptions struct {
	setting func(*webrtc.SettingEngine)
	codecs  func(*webrtc.MediaEngine)
	nack    bool
}

func newClient(t testing.TB, e *Engine, o clientOptions) *client {
	t.Helper()
	me := &webrtc.MediaEngine{}
	if o.codecs == nil {
		if err := me.RegisterDefaultCodecs(); err != nil {
			t.Fatal(err)
		}
	} else {
		o.codecs(me)
	}
	reg := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(me, reg); err != nil {
		t.Fatal(err)
	}
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	// Chromium's order, in which ours must not be lost.
	se.SetSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if o.setting != nil {
		o.setting(&se)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(me), webrtc.WithInterceptorRegistry(reg), webrtc.WithSettingEngine(se)).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, pc: pc, got: map[webrtc.RTPCodecType][]*rtp.Packet{}}
	pc.OnTrack(func(tr *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		go func() {
			for {
				if _, _, err := r.ReadRTCP(); err != nil {
					return
				}
			}
		}()
		for {
			p, _, err := tr.ReadRTP()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.got[tr.Kind()] = append(c.got[tr.Kind()], p)
			c.mu.Unlock()
		}
	})
	c.peer, err = e.NewPeer(PeerConfig{Epoch: time.Now(), Log: testLog(), Handler: Handler{
		Candidate:     func(x Candidate) { c.with(func() { c.cands = append(c.cands, x) }) },
		GatheringDone: func() { c.with(func() { c.done = true }) },
		ICEState:      func(s ICEState) { c.with(func() { c.ice = append(c.ice, s) }) },
		DTLSState:     func(s DTLSState) { c.with(func() { c.dtls = append(c.dtls, s) }) },
		Connected:     func(up bool) { c.with(func() { c.up = append(c.up, up) }) },
		Unsupported:   func(pipeline.Kind, codecName) { c.with(func() { c.missing++ }) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func (c *client) with(f func()) { c.mu.Lock(); defer c.mu.Unlock(); f() }

func (c *client) close() {
	_ = c.pc.GracefulClose()
	if err := c.peer.Close(); err != nil {
		c.t.Errorf("close peer: %v", err)
	}
}

func (c *client) packets(k webrtc.RTPCodecType) []*rtp.Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*rtp.Packet(nil), c.got[k]...)
}

// negotiate runs offer and answer with the candidates of both in the descriptions.
func (c *client) negotiate() {
	c.t.Helper()
	gathered := webrtc.GatheringCompletePromise(c.pc)
	offer, err := c.pc.CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.pc.SetLocalDescription(offer); err != nil {
		c.t.Fatal(err)
	}
	<-gathered
	c.offer = c.pc.LocalDescription().SDP
	if c.answer, err = c.peer.Answer(c.offer); err != nil {
		c.t.Fatalf("answer: %v\n%s", err, c.offer)
	}
	if err := c.peer.Gather(); err != nil {
		c.t.Fatal(err)
	}
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: c.answer}); err != nil {
		c.t.Fatalf("%v\n%s", err, c.answer)
	}
	var cands []Candidate
	gatheredHere := func() bool { c.mu.Lock(); defer c.mu.Unlock(); cands = c.cands; return c.done }
	for end := time.Now().Add(patience); !gatheredHere(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("gathering does not end")
		}
	}
	for _, x := range cands {
		i := uint16(x.SDPMLineIndex)
		if err := c.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: x.Candidate, SDPMid: &x.SDPMid, SDPMLineIndex: &i}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// publisher sends numbered packets.
type publisher struct {
	*client
	video, audio *webrtc.TrackLocalStaticRTP
	vs, as       uint16
	n            uint32
}

func newPublisher(t testing.TB, e *Engine, o clientOptions, mime string) *publisher {
	t.Helper()
	p := &publisher{client: newClient(t, e, o)}
	var err error
	if p.video, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, "v", "s"); err != nil {
		t.Fatal(err)
	}
	if p.audio, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "a", "s"); err != nil {
		t.Fatal(err)
	}
	for _, tr := range []*webrtc.TrackLocalStaticRTP{p.audio, p.video} {
		tc, err := p.pc.AddTransceiverFromTrack(tr, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			t.Fatal(err)
		}
		go p.listen(tc.Sender())
	}
	p.negotiate()
	eventually(t, "publisher connected", p.peer.Connected)
	return p
}

func (p *publisher) listen(s *webrtc.RTPSender) {
	for {
		pkts, _, err := s.ReadRTCP()
		if err != nil {
			return
		}
		for _, x := range pkts {
			switch x := x.(type) {
			case *rtcp.PictureLossIndication:
				p.with(func() { p.plis++ })
			case *rtcp.ReceiverEstimatedMaximumBitrate:
				p.with(func() { p.rembs = append(p.rembs, x.Bitrate) })
			}
		}
	}
}

func (p *publisher) pliCount() int { p.mu.Lock(); defer p.mu.Unlock(); return p.plis }

// vp8 is a payload descriptor, a first byte that says key or not, and a number.
func vp8(key bool, n uint32) []byte {
	b := []byte{0x10, 1, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00, 0, 0, 0, 0}
	if key {
		b[1] = 0
	}
	return binary.BigEndian.AppendUint32(b, n)
}

func number(payload []byte) uint32 { return binary.BigEndian.Uint32(payload[len(payload)-4:]) }

// frame sends one video packet and one audio packet with the next number.
func (p *publisher) frame(key bool) uint32 {
	p.t.Helper()
	p.n++
	p.vs++
	p.as++
	v := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: true, SequenceNumber: p.vs, Timestamp: p.n * 3000}, Payload: vp8(key, p.n)}
	if err := p.video.WriteRTP(v); err != nil {
		p.t.Error(err)
	}
	a := &rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: p.as, Timestamp: p.n * 960},
		Payload: binary.BigEndian.AppendUint32([]byte{0xfc}, p.n),
	}
	if err := p.audio.WriteRTP(a); err != nil {
		p.t.Error(err)
	}
	return p.n
}

func newSubscriber(t testing.TB, e *Engine, o clientOptions) *client {
	t.Helper()
	c := newClient(t, e, o)
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := c.pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	c.negotiate()
	eventually(t, "subscriber connected", c.peer.Connected)
	return c
}
