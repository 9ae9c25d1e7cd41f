package codec_test

import (
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
)

func TestRealFrames(t *testing.T) {
	payloaders := map[codec.Name]func() rtp.Payloader{
		codec.VP8:  func() rtp.Payloader { return &codecs.VP8Payloader{EnablePictureID: true} },
		codec.VP9:  func() rtp.Payloader { return &codecs.VP9Payloader{} },
		codec.H264: func() rtp.Payloader { return &codecs.H264Payloader{} },
		codec.AV1:  func() rtp.Payloader { return &codecs.AV1Payloader{} },
	}
	for name, payloader := range payloaders {
		t.Run(string(name), func(t *testing.T) {
			frames := codectest.Frames(t, name, codectest.Clip{Width: 322, Height: 242, FPS: 10})
			if len(frames) != 20 {
				t.Fatalf("got %d frames, want 20", len(frames))
			}
			p := payloader()
			for i, f := range frames {
				wantKey := i%10 == 0
				if got := codec.KeyFrameUnit(name, f.Data); got != wantKey {
					t.Errorf("frame %d: KeyFrameUnit %v, want %v", i, got, wantKey)
				}
				w, h, ok := codec.SizeOfUnit(name, f.Data)
				if ok != wantKey || ok && (w != 322 || h != 242) {
					t.Errorf("frame %d: size %d×%d %v, want 322×242 on keyframes only", i, w, h, ok)
				}
				anyKey := false
				for j, payload := range p.Payload(1000, f.Data) {
					key := codec.KeyFrameRTP(name, payload)
					anyKey = anyKey || key
					if j == 0 && !codec.FrameStartRTP(name, payload) {
						t.Errorf("frame %d: its first payload is no frame start", i)
					}
					if j > 0 && key && name != codec.H264 {
						t.Errorf("frame %d: payload %d of the frame says keyframe", i, j)
					}
				}
				if anyKey != wantKey {
					t.Errorf("frame %d: KeyFrameRTP %v, want %v", i, anyKey, wantKey)
				}
			}
		})
	}
}

func TestRealOpusLasts20ms(t *testing.T) {
	for i, f := range codectest.Frames(t, codec.Opus, codectest.Clip{}) {
		if n := codec.OpusTicks(f.Data); n != 960 {
			t.Fatalf("packet %d: %d ticks, want 960", i, n)
		}
	}
}
