package faults

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

// show sends a film as RTP, over and over, in the time it plays in.
type show struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu   sync.Mutex
	late time.Duration // the longest time between two packets of a kind
}

// start plays f: pictures go to video, sound to audio, each on a goroutine of
// its own. It ends with the test, or with its end.
func start(t testing.TB, f *film, video, audio func(*rtp.Packet) error) *show {
	s := &show{}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	play := func(units [][]byte, every time.Duration, ticks uint32, p rtp.Packetizer, to func(*rtp.Packet) error) {
		defer s.wg.Done()
		next := time.Now()
		last := next
		for n := 0; ctx.Err() == nil; n++ {
			for _, packet := range p.Packetize(units[n%len(units)], ticks) {
				_ = to(packet) // a peer that has left is no failure of the film
			}
			now := time.Now()
			s.mu.Lock()
			s.late = max(s.late, now.Sub(last))
			s.mu.Unlock()
			last = now
			next = next.Add(every)
			select {
			case <-time.After(time.Until(next)):
			case <-ctx.Done():
			}
		}
	}
	s.wg.Add(2)
	go play(f.video, time.Second/30, 3000, rtp.NewPacketizer(1200, 96, 1, &codecs.VP8Payloader{EnablePictureID: true}, rtp.NewRandomSequencer(), 90000), video)
	go play(f.audio, 20*time.Millisecond, 960, rtp.NewPacketizer(1200, 97, 2, &codecs.OpusPayloader{}, rtp.NewRandomSequencer(), 48000), audio)
	t.Cleanup(s.end)
	return s
}

// lateness is the longest pause of the sender itself since the last call.
func (s *show) lateness() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.late
	s.late = 0
	return d
}

func (s *show) end() {
	s.stop()
	s.wg.Wait()
}
