//go:build gst

package mediaworker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/workers/wire"
)

func cpuTime(who int) time.Duration {
	var u unix.Rusage
	if unix.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDirector gives the processor time per second of media of a view of
// 720p25 in H264, and that of ffmpeg's xstack with the same sources, encoder,
// preset and bitrate. Sending and receiving are counted with the director.
func BenchmarkDirector(b *testing.B) {
	for _, c := range []struct{ n, columns, width, height int }{{1, 1, 1280, 720}, {4, 2, 640, 360}, {4, 2, 1280, 720}, {9, 3, 640, 360}} {
		const seconds, bitrate = 8, 2_000_000
		file := filepath.Join(b.TempDir(), "in.ivf")
		ffmpeg(b, nil, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=%dx%d:r=25:d=%d", c.width, c.height, seconds), "-vf", "noise=alls=6:allf=t", "-pix_fmt", "yuv420p",
			"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-auto-alt-ref", "0", "-g", "250", file)
		raw, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		var units []unit
		for raw = raw[32:]; len(raw) >= 12; {
			n := le32(raw)
			p := raw[12 : 12+n]
			units = append(units, unit{p, time.Duration(len(units)) * time.Second / 25, codec.KeyFrameUnit(codec.VP8, p)})
			raw = raw[12+n:]
		}
		name := fmt.Sprintf("%dx%dx%d", c.n, c.width, c.height)
		b.Run(name+"/director", func(b *testing.B) {
			var spent, media time.Duration
			for b.Loop() {
				r := startJob(b, wire.KindDirector, wire.DirectorParams{LatencyMs: 300})
				r.must(wire.MethodCall, wire.CallParams{Method: wire.MethodView, Params: encode(wire.View{Name: "v", Width: 1280, Height: 720, Framerate: 25,
					Tiles: grid(c.n, c.columns, c.columns, 1280, 720)})})
				for i := range c.n {
					r.must(wire.MethodInput, wire.StreamParams{Stream: uint16(i + 1), Name: fmt.Sprintf("video/%d", i+1), Media: mediaOf(codec.VP8)})
				}
				r.must(wire.MethodOutput, wire.OutputParams{Stream: 100, Port: "video:v", Media: mediaOf(codec.H264), Bitrate: bitrate})
				before, start := cpuTime(unix.RUSAGE_SELF), gst.Now()
				for _, u := range units {
					time.Sleep(start + u.at - gst.Now())
					for i := range c.n {
						var flags uint8
						if u.key {
							flags = wire.Key
						}
						r.send(uint16(i+1), u.data, start+u.at, flags)
					}
				}
				spent += cpuTime(unix.RUSAGE_SELF) - before
				media += gst.Now() - start
				r.close()
			}
			b.ReportMetric(100*spent.Seconds()/media.Seconds(), "%core")
			b.ReportMetric(0, "ns/op")
		})
		b.Run(name+"/xstack", func(b *testing.B) {
			args := []string{"-v", "error", "-y"}
			filter, layout := "", ""
			for i := range c.n {
				args = append(args, "-threads", "1", "-i", file)
				filter += fmt.Sprintf("[%d]scale=%d:%d:flags=bilinear[s%d];", i, 1280/c.columns&^1, 720/c.columns&^1, i)
				layout += fmt.Sprintf("|%d_%d", i%c.columns*(1280/c.columns&^1), i/c.columns*(720/c.columns&^1))
			}
			for i := range c.n {
				filter += fmt.Sprintf("[s%d]", i)
			}
			if c.n > 1 {
				filter += fmt.Sprintf("xstack=inputs=%d:layout=%s,", c.n, layout[1:])
			}
			filter += "pad=1280:720"
			args = append(args, "-filter_complex_threads", "1", "-filter_complex", filter, "-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-threads", "1", "-b:v", "2M", "-maxrate", "2M",
				"-bufsize", "1200k", "-g", "100000", "-bf", "0", "-f", "h264", "/dev/null")
			var spent time.Duration
			n := 0
			for b.Loop() {
				before := cpuTime(unix.RUSAGE_CHILDREN)
				if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
					b.Fatalf("%v %s", err, out)
				}
				spent += cpuTime(unix.RUSAGE_CHILDREN) - before
				n++
			}
			b.ReportMetric(100*spent.Seconds()/float64(n*seconds), "%core")
			b.ReportMetric(0, "ns/op")
		})
	}
}
