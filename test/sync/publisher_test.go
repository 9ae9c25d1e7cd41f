package sync

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
)

const (
	roundTrip   = 40 * time.Millisecond
	captureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
	// clockSkew is how far the publisher's wall clock is ahead of ours.
	clockSkew = 3700 * time.Millisecond
)

// How a publisher tells which instants its timestamps are.
const (
	// Chromium: the first report 0.5 s (video) and 2.5 s (audio) after the start,
	// then about each second and each five; one more when it is asked (RFC 6051 §3.2).
	Chromium = "Chromium"
	// Deaf is Chromium that is never asked, or does not hear.
	Deaf = "deaf"
	// Steady sends reports each second.
	Steady = "steady"
	// Stamped puts the capture time into each packet, and reports as Chromium.
	Stamped = "abs-capture-time"
	// Silent never reports.
	Silent = "silent"
)

// publisher is a browser that shows flashes and beeps.
type publisher struct {
	t     testing.TB
	c     Case
	clip  *clip
	pc    *webrtc.PeerConnection
	path  *path
	begin time.Time // capture time zero
	grid  time.Time // begin is whole seconds after it, when it is set
	wg    sync.WaitGroup
	stop  context.CancelFunc
	ctx   context.Context
	ready chan struct{}

	mu    sync.Mutex
	until time.Time // nothing passes before
	end   time.Duration
}

// lane is one track of it.
type lane struct {
	track  *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender
	rate   uint32
	base   uint32
	delay  time.Duration
	ask    chan struct{}
	first  time.Duration // of the first report
	every  time.Duration
	pts    time.Duration // of a unit
	units  [][]byte
	pay    rtp.Payloader

	replaced bool
}

func newPublisher(t testing.TB, c Case) *publisher {
	t.Helper()
	p := &publisher{t: t, c: c, clip: clipOf(t, c.Codec), ready: make(chan struct{})}
	p.ctx, p.stop = context.WithCancel(t.Context())
	var err error
	p.path, err = newPath(c, p.down)
	must(t, err)
	me, reg, se := &webrtc.MediaEngine{}, &interceptor.Registry{}, webrtc.SettingEngine{}
	must(t, me.RegisterDefaultCodecs())
	if c.Reports == Stamped {
		for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			must(t, me.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: captureTime}, k))
		}
	}
	again, err := nack.NewResponderInterceptor()
	must(t, err)
	reg.Add(again)
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetICETimeouts(20*time.Second, 30*time.Second, time.Second)
	mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: p.path})
	se.SetICEUDPMux(mux)
	p.pc, err = webrtc.NewAPI(webrtc.WithMediaEngine(me), webrtc.WithInterceptorRegistry(reg), webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	p.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			select {
			case <-p.ready:
			default:
				close(p.ready)
			}
		}
	})
	t.Cleanup(func() {
		p.stop()
		_ = p.pc.GracefulClose()
		p.wg.Wait()
		_ = mux.Close()
		_ = p.path.Close()
	})
	mime, pay := webrtc.MimeTypeVP8, rtp.Payloader(&codecs.VP8Payloader{EnablePictureID: true})
	if c.Codec == codec.H264 {
		mime, pay = webrtc.MimeTypeH264, &codecs.H264Payloader{}
	}
	rnd := rand.New(rand.NewPCG(c.Seed, 11))
	for _, l := range []*lane{
		{rate: 48000, delay: c.AudioDelay, first: 2500 * time.Millisecond, every: 5 * time.Second, pts: soundTime, units: p.clip.audio, pay: &codecs.OpusPayloader{}},
		{rate: 90000, delay: c.VideoDelay, first: 500 * time.Millisecond, every: time.Second, pts: frameTime, units: p.clip.video, pay: pay},
	} {
		name, id := webrtc.MimeTypeOpus, "a"
		if l.rate == 90000 {
			name, id = mime, "v"
		}
		if c.Reports == Steady {
			l.first, l.every = time.Second, time.Second
		}
		l.base, l.ask = rnd.Uint32(), make(chan struct{}, 1)
		l.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: name}, id, "s")
		must(t, err)
		tc, err := p.pc.AddTransceiverFromTrack(l.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		must(t, err)
		l.sender = tc.Sender()
		seed := rnd.Uint64()
		p.wg.Go(func() { p.hear(l) })
		p.wg.Go(func() { p.send(l) })
		p.wg.Go(func() { p.report(l, rand.New(rand.NewPCG(seed, 1))) })
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *publisher) down() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until)
}

// cut breaks the network for a while.
func (p *publisher) cut(d time.Duration) {
	p.mu.Lock()
	p.until = time.Now().Add(d)
	p.mu.Unlock()
}

// start begins to send once connected; the call gives the negotiation.
func (p *publisher) offer() string {
	p.t.Helper()
	gathered := webrtc.GatheringCompletePromise(p.pc)
	o, err := p.pc.CreateOffer(nil)
	must(p.t, err)
	must(p.t, p.pc.SetLocalDescription(o))
	<-gathered
	return p.pc.LocalDescription().SDP
}

// real is when the publisher's clock, which may run fast, has gone on by that much.
func (p *publisher) real(own time.Duration) time.Duration {
	return own - time.Duration(float64(own)*p.c.Fast/1e6)
}

// own is what the publisher's clock says of now.
func (p *publisher) own() time.Duration {
	d := time.Since(p.begin)
	return d + time.Duration(float64(d)*p.c.Fast/1e6)
}

// wait sleeps until an instant after the beginning; false when it is all over.
func (p *publisher) wait(at time.Duration) bool {
	timer := time.NewTimer(time.Until(p.begin.Add(at)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// going waits for the connection; p.begin is then known.
func (p *publisher) going() bool {
	select {
	case <-p.ready:
	case <-p.ctx.Done():
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begin.IsZero() {
		p.begin = time.Now().Add(50 * time.Millisecond)
		if !p.grid.IsZero() {
			p.begin = p.grid.Add((p.begin.Sub(p.grid) + time.Second - 1).Truncate(time.Second))
		}
	}
	return true
}

func (p *publisher) send(l *lane) {
	if !p.going() {
		return
	}
	id := uint8(0)
	for _, x := range l.sender.GetParameters().HeaderExtensions {
		if x.URI == captureTime {
			id = uint8(x.ID)
		}
	}
	seq := uint16(l.base >> 7)
	video := l.rate == 90000
	for n := 0; ; n++ {
		at := time.Duration(n) * l.pts // by its timestamps
		when := at                     // by the publisher's clock
		if !video {
			when -= time.Duration(float64(at) * p.c.FastSound / 1e6)
		}
		if at >= p.c.Length || !p.wait(p.real(when)+l.delay) {
			return
		}
		if p.c.silent(video, at) {
			continue
		}
		if p.c.Replace && !l.replaced && at >= p.c.replaceAt(video) {
			// Another track of the same kind, numbered otherwise.
			l.replaced = true
			p.mu.Lock()
			l.base += 0x51234567
			p.mu.Unlock()
			seq += 20000
		}
		payloads := l.pay.Payload(1180, l.units[n%len(l.units)])
		for i, b := range payloads {
			h := rtp.Header{Version: 2, Marker: video && i == len(payloads)-1, SequenceNumber: seq, Timestamp: l.base + uint32(at*time.Duration(l.rate)/time.Second)}
			if id != 0 {
				_ = h.SetExtension(id, binary.BigEndian.AppendUint64(nil, ntp(p.begin.Add(when+clockSkew))))
			}
			_ = l.track.WriteRTP(&rtp.Packet{Header: h, Payload: b})
			seq++
		}
		p.mu.Lock()
		p.end = max(p.end, at+l.pts)
		p.mu.Unlock()
	}
}

func ntp(t time.Time) uint64 {
	return uint64(t.Unix()+2208988800)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// report sends sender reports (RFC 3550 §6.4.1) that name the capture clock.
func (p *publisher) report(l *lane, rnd *rand.Rand) {
	if !p.going() || p.c.Reports == Silent {
		return
	}
	next := l.first
	for next < p.c.Length {
		timer := time.NewTimer(time.Until(p.begin.Add(next)))
		select {
		case <-timer.C:
			next += time.Duration((0.5 + rnd.Float64()) * float64(l.every))
			if p.c.Reports == Steady {
				next = time.Since(p.begin) + l.every
			}
		case <-l.ask:
			timer.Stop()
		case <-p.ctx.Done():
			timer.Stop()
			return
		}
		now := p.own()
		if now < l.delay {
			continue // nothing is sent yet
		}
		at := now
		if l.rate == 48000 {
			at += time.Duration(float64(now) * p.c.FastSound / 1e6)
		}
		p.mu.Lock()
		base := l.base
		p.mu.Unlock()
		_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{
			SSRC: uint32(l.sender.GetParameters().Encodings[0].SSRC), NTPTime: ntp(p.begin.Add(now + clockSkew)),
			RTPTime: base + uint32(at*time.Duration(l.rate)/time.Second),
		}})
	}
}

// hear answers what we are asked.
func (p *publisher) hear(l *lane) {
	for {
		packets, _, err := l.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, x := range packets {
			if _, ok := x.(*rtcp.RapidResynchronizationRequest); ok && (p.c.Reports == Chromium || p.c.Reports == Stamped) {
				select {
				case l.ask <- struct{}{}:
				default:
				}
			}
		}
	}
}
