package faults

import (
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// receiver is a peer that notes when packets arrive.
type receiver struct {
	*webrtctest.Browser
	name string
	wg   sync.WaitGroup

	mu    sync.Mutex
	times map[webrtc.RTPCodecType][]time.Time
}

// newReceiver makes one that takes VP8 and Opus, or H264 and Opus.
func newReceiver(t testing.TB, name string, h264 bool) *receiver {
	t.Helper()
	o := webrtctest.Options{}
	if h264 {
		o.Codecs = func(m *webrtc.MediaEngine) {
			for kind, c := range map[webrtc.RTPCodecType]webrtc.RTPCodecParameters{
				webrtc.RTPCodecTypeAudio: {PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}},
				webrtc.RTPCodecTypeVideo: {PayloadType: 102, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
					SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"}},
			} {
				if err := m.RegisterCodec(c, kind); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	r := &receiver{Browser: webrtctest.New(t, o), name: name, times: map[webrtc.RTPCodecType][]time.Time{}}
	r.PC.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		r.wg.Go(func() {
			for {
				if _, _, err := track.ReadRTP(); err != nil {
					return
				}
				now := time.Now()
				r.mu.Lock()
				r.times[track.Kind()] = append(r.times[track.Kind()], now)
				r.mu.Unlock()
			}
		})
	})
	r.Receive()
	return r
}

// close ends the peer and waits for its readers.
func (r *receiver) close() {
	r.Browser.Close()
	r.wg.Wait()
}

// count is how many packets of a kind have arrived.
func (r *receiver) count(kind webrtc.RTPCodecType) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.times[kind])
}

// gap is the longest time without a packet of a kind, of pauses that were not
// over at from and had begun at to. A pause that lasts is as long as it is by now.
func (r *receiver) gap(kind webrtc.RTPCodecType, from, to time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	times := r.times[kind]
	if len(times) == 0 {
		return time.Since(from)
	}
	var longest time.Duration
	for i, at := range times {
		if at.Before(from) || i > 0 && times[i-1].After(to) {
			continue
		}
		before := from
		if i > 0 {
			before = times[i-1]
		}
		longest = max(longest, at.Sub(before))
	}
	if last := times[len(times)-1]; last.Before(to) {
		longest = max(longest, to.Sub(last))
	}
	return longest
}
