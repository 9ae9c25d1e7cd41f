package actor

import (
	"bytes"
	"context"
	"image"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a clip's pictures look like when they are decoded, as they are and in a
// part of a larger picture.
func TestClip(t *testing.T) {
	const width, height = 160, 90
	for _, name := range []codec.Name{codec.VP8, codec.H264} {
		c, err := Make(t.Context(), 3, name, width, height)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := Make(t.Context(), 3, name, width, height); again != c {
			t.Error("the clip is made twice")
		}
		if name != codec.H264 { // IVF would have to be written again
			continue
		}
		raw, err := ffmpeg(t.Context(), bytes.NewBuffer(bytes.Join(c.Video, nil)), "-f", "h264", "-i", "-", "-fps_mode", "passthrough",
			"-vf", "scale=100:56,pad=200:120:40:20", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
		if err != nil || len(raw) != Period*200*120*3 {
			t.Fatalf("%d bytes, %v", len(raw), err)
		}
		at := image.Rect(40, 20, 140, 76)
		for n := range Period {
			p := func(x, y int) (r, g, b byte) {
				i := 3 * ((n*120+y)*200 + x)
				return raw[i], raw[i+1], raw[i+2]
			}
			if got, ok := Counter(p, at); !ok || got != n {
				t.Fatalf("picture %d reads %d, %v", n, got, ok)
			}
			if who := Number(p, 45, 50); who != 3 {
				t.Fatalf("picture %d has the colour of %d", n, who)
			}
			if _, ok := Counter(p, image.Rect(0, 80, 200, 120)); ok || Number(p, 10, 10) != 0 {
				t.Fatal("something is read beside the picture")
			}
		}
	}
	if _, err := Make(t.Context(), 1, codec.VP8, 0, 0); err == nil {
		t.Error("a clip without pictures is made")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Make(ended, 9, codec.VP8, 64, 36); err == nil {
		t.Error("a clip is made in no time")
	}
}

func TestUnits(t *testing.T) {
	if _, err := VP8([]byte("no IVF")); err == nil {
		t.Error("VP8 reads anything")
	}
	if _, err := Opus([]byte("no Ogg")); err == nil {
		t.Error("Opus reads anything")
	}
	if u := H264([]byte("no start code")); len(u) != 0 {
		t.Errorf("H264 reads %v", u)
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct{ a, b, want int }{{3, 5, 2}, {5, 3, -2}, {249, 1, 2}, {1, 249, -2}, {7, 7, 0}} {
		if got := Steps(c.a, c.b); got != c.want {
			t.Errorf("from %d to %d: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	for _, c := range []struct {
		numbers []int
		want    int
	}{{nil, 0}, {[]int{4}, 0}, {[]int{249, 0, 248}, 2}, {[]int{9, 5, 7}, 4}} {
		if got := Spread(c.numbers); got != c.want {
			t.Errorf("spread of %v: %d, want %d", c.numbers, got, c.want)
		}
	}
}

// A sender's packets carry the timestamps of its clock, and its reports say so.
func TestSender(t *testing.T) {
	c, err := Make(t.Context(), 1, codec.VP8, 64, 36)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now().Add(-time.Minute)
	s := NewSender(t, c, begin)
	other := webrtctest.New(t, webrtctest.Options{})
	s.SetAnswer(other.Answer(s.Offer()))
	webrtctest.Eventually(t, "connected", s.Connected)
	s.Start()
	webrtctest.Eventually(t, "media", func() bool { return len(other.Packets(webrtc.RTPCodecTypeVideo)) > 50 })
	now := time.Since(begin)
	packets := other.Packets(webrtc.RTPCodecTypeVideo)
	for i, p := range packets[1:] {
		if d := p.Timestamp - packets[i].Timestamp; d != 0 && d != 3600 {
			t.Errorf("timestamps are %d apart", d)
		}
		if p.SequenceNumber != packets[i].SequenceNumber+1 {
			t.Errorf("sequence numbers %d and %d", packets[i].SequenceNumber, p.SequenceNumber)
		}
	}
	var report *rtcp.SenderReport
	webrtctest.Eventually(t, "a report", func() bool { report = other.Report(packets[0].SSRC); return report != nil })
	sent := time.Unix(int64(report.NTPTime>>32)-2208988800, int64(report.NTPTime&0xffffffff*1e9>>32))
	at := time.Duration(report.RTPTime-4_000_000_000) * time.Second / 90000
	if d := sent.Sub(begin) - at; d.Abs() > time.Millisecond || at > now {
		t.Errorf("the report names %v for a timestamp of %v", sent.Sub(begin), at)
	}
	s.Mute(true)
	quiet, since := 0, time.Now()
	webrtctest.Eventually(t, "silence", func() bool {
		if n := len(other.Packets(webrtc.RTPCodecTypeVideo)); n != quiet {
			quiet, since = n, time.Now()
		}
		return time.Since(since) > 5*PictureTime
	})
	if n := s.Now(); n < 0 || n >= Period {
		t.Errorf("number %d is due", n)
	}
}
