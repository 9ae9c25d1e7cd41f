package actor

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/codec"
)

// mtu is the most bytes of a packet's payload.
const mtu = 1180

// Sender is a participant's peer that sends a clip once it is connected: unit n of
// a track when it is due by a clock that senders share, with the timestamp of that
// instant and reports (RFC 3550 §6.4.1) of the same clock. It comes in with the
// next keyframe and repeats lost packets when asked.
type Sender struct {
	*webrtctest.Browser
	begin time.Time
	extra []*layer // of a simulcast, over the first
	clip  atomic.Pointer[Clip]
	mute  atomic.Bool
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

// NewSender makes a sender; begin is when picture 0 of all clips was due, a moment
// in the past. Start makes it send, the test's end or Close ends it.
func NewSender(t testing.TB, c *Clip, begin time.Time) *Sender {
	t.Helper()
	s := newSender(t, c, begin, nil)
	mime := webrtc.MimeTypeVP8
	if c.Codec == codec.H264 {
		mime = webrtc.MimeTypeH264
	}
	s.Publish(mime, webrtc.RTPTransceiverDirectionSendonly)
	t.Cleanup(s.Close)
	return s
}

// newSender is a sender without tracks; codecs as in webrtctest.Options.
func newSender(t testing.TB, c *Clip, begin time.Time, codecs func(*webrtc.MediaEngine)) *Sender {
	t.Helper()
	s := &Sender{begin: begin}
	s.clip.Store(c)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.Browser = webrtctest.New(t, webrtctest.Options{Codecs: codecs, Interceptors: func(reg *interceptor.Registry) {
		again, err := nack.NewResponderInterceptor()
		if err != nil {
			t.Fatal(err)
		}
		reg.Add(again)
	}})
	return s
}

// Start begins to send; the peer must be connected.
func (s *Sender) Start() {
	for _, sender := range s.PC.GetSenders() {
		if len(s.extra) > 0 && sender.Track().Kind() == webrtc.RTPCodecTypeVideo {
			s.startLayers(sender)
			continue
		}
		ssrc := uint32(sender.GetParameters().Encodings[0].SSRC)
		if sender.Track().Kind() == webrtc.RTPCodecTypeAudio {
			l := &lane{Sender: s, track: s.Audio, ssrc: ssrc, rate: 48000, each: soundTime, base: 77_000_000, cut: &codecs.OpusPayloader{}}
			s.wg.Go(func() { l.send(l.clip.Load, func(c *Clip) [][]byte { return c.Audio }, 1) })
			continue
		}
		l := &lane{Sender: s, track: s.Video, ssrc: ssrc, rate: 90000, each: PictureTime, base: 4_000_000_000, cut: &codecs.VP8Payloader{EnablePictureID: true}}
		if s.clip.Load().Codec == codec.H264 {
			l.cut = &codecs.H264Payloader{}
		}
		s.wg.Go(func() { l.send(l.clip.Load, func(c *Clip) [][]byte { return c.Video }, keyEvery) })
	}
}

// Show changes to another clip of the same codec with its next keyframe.
func (s *Sender) Show(c *Clip) { s.clip.Store(c) }

// Mute loses all media, as a network does that is gone, or no more.
func (s *Sender) Mute(yes bool) { s.mute.Store(yes) }

// Now is the number of the picture that is due by the clock.
func (s *Sender) Now() int { return int(time.Since(s.begin)/PictureTime) % Period }

// Close ends it and waits for its goroutines. Idempotent.
func (s *Sender) Close() {
	s.stop()
	s.wg.Wait()
	s.Browser.Close()
}

// lane is one track.
type lane struct {
	*Sender
	track *webrtc.TrackLocalStaticRTP
	ssrc  uint32
	rate  uint32
	base  uint32 // timestamp of unit 0
	each  time.Duration
	cut   rtp.Payloader
	rid   string // and its header extension, of a simulcast
	ridID uint8
}

func (l *lane) send(shown func() *Clip, units func(*Clip) [][]byte, key int) {
	n := int(time.Since(l.begin) / l.each)
	n += key - n%key
	clip, seq, reported := shown(), uint16(0), time.Time{}
	for ; l.wait(n); n++ {
		if n%key == 0 {
			clip = shown()
		}
		mute := l.mute.Load()
		if !mute && time.Since(reported) > time.Second {
			reported = time.Now()
			_ = l.PC.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: l.ssrc, NTPTime: ntp(reported), RTPTime: l.at(reported.Sub(l.begin))}})
		}
		list := units(clip)
		payloads := l.cut.Payload(mtu, list[n%len(list)])
		for i, b := range payloads {
			seq++
			if mute {
				continue
			}
			h := rtp.Header{Version: 2, Marker: key > 1 && i == len(payloads)-1, SequenceNumber: seq, Timestamp: l.at(time.Duration(n) * l.each)}
			if l.rid != "" {
				_ = h.SetExtension(l.ridID, []byte(l.rid))
			}
			_ = l.track.WriteRTP(&rtp.Packet{Header: h, Payload: b}) // a peer that is gone is no fault of the sender
		}
	}
}

// at is the timestamp of an instant after the beginning.
func (l *lane) at(d time.Duration) uint32 {
	return l.base + uint32(uint64(d)*uint64(l.rate)/uint64(time.Second))
}

// wait sleeps until unit n is due; false when it is all over.
func (l *lane) wait(n int) bool {
	timer := time.NewTimer(time.Until(l.begin.Add(time.Duration(n) * l.each)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// ntp is a time in seconds since 1900, 32 bits before and after the point.
func ntp(t time.Time) uint64 {
	return uint64(t.Unix()+2208988800)<<32 | uint64(t.Nanosecond())<<32/1e9
}
