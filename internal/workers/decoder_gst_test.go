//go:build gst

package workers_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

// realPool runs the real worker, made by `make worker`.
func realPool(t *testing.T) *workers.Pool {
	t.Helper()
	path, err := filepath.Abs("../../bin/mediaworker")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("no worker: make worker: %v", err)
	}
	return processPool(t, workers.Config{Binary: path})
}

// play sends frames in a loop, in time, until stop is called.
func play(out *pipeline.Output, epoch time.Time, f *pipeline.Format, frames []codectest.Frame) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		step := frames[1].PTS - frames[0].PTS
		tick := time.NewTicker(step)
		defer tick.Stop()
		for n := 0; ; n++ {
			x := frames[n%len(frames)]
			out.Push(&pipeline.Packet{Format: f, Payload: x.Data, PTS: time.Since(epoch), Arrival: time.Now(), Key: x.Key})
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// pictures are how many ffmpeg decodes of an elementary stream without complaint.
func pictures(t *testing.T, format string, stream []byte) int {
	t.Helper()
	codectest.NeedFFmpeg(t)
	cmd := exec.Command("ffmpeg", "-v", "error", "-threads", "1", "-f", format, "-i", "-", "-vf", "scale=16:16", "-vsync", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-")
	cmd.Stdin = bytes.NewReader(stream)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, stderr.String())
	}
	for i := 256; i <= len(raw); i += 256 {
		if p := raw[i-256 : i]; bytes.Count(p, p[:1]) == 256 {
			t.Errorf("picture %d is of one colour", i/256-1)
		}
	}
	return len(raw) / 256
}

// VP8 goes through the real worker and comes out as H264 that ffmpeg decodes;
// also after the worker was killed.
func TestTranscodeForReal(t *testing.T) {
	pool := realPool(t)
	p := pipeline.New("p", pipeline.NewDepacketizer(), pipeline.NewPacketizer(), pipeline.NewEncoder(), workers.NewDecoder(pool))
	defer p.Close()
	keys, errs := &wishes{}, make(chan error, 10)
	out := p.NewOutput(pipeline.Video, "default", keys)
	defer out.Close()
	out.OnLinkError(func(_ *pipeline.Link, err error) { errs <- err })
	h264 := pipeline.UnitOf(pipeline.Video, codec.H264)
	s := pipelinetest.NewSink(h264)
	if _, err := out.Connect(s); err != nil {
		t.Fatal(err)
	}
	vp8 := pipeline.UnitOf(pipeline.Video, codec.VP8)
	frames := codectest.Frames(t, codec.VP8, codectest.Clip{Width: 320, Height: 240, KeyEvery: 10})
	defer play(out, p.Epoch(), &vp8, frames)()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	section := func(from int) {
		t.Helper()
		if err := s.Wait(ctx, from+60); err != nil {
			t.Fatal(err)
		}
		var stream []byte
		units := s.Packets()[from : from+60]
		for i, u := range units {
			if u.Format.Codec != codec.H264 || i > 0 && u.PTS <= units[i-1].PTS {
				t.Fatalf("unit %d at %v of %+v", i, u.PTS, u.Format)
			}
			if d := time.Since(p.Epoch()) - u.PTS; d < 0 || d > time.Minute {
				t.Fatalf("unit %d has a PTS %v behind the present", i, d)
			}
			stream = append(stream, u.Payload...)
		}
		if !units[0].Key || units[0].Format.Width != 320 {
			t.Errorf("the first unit: key %v, %+v", units[0].Key, units[0].Format)
		}
		if n := pictures(t, "h264", stream); n != 60 {
			t.Errorf("%d pictures of 60 units", n)
		}
	}
	section(0)
	ready, ok := pool.Platform()
	if !ok || !strings.HasPrefix(ready.Version, "1.") || len(ready.Encoders) < 5 {
		t.Errorf("platform %+v", ready)
	}
	warm := pool.Idle()
	for _, pid := range children(t) {
		if len(warm) == 1 && pid != warm[0] {
			if err := syscall.Kill(pid, syscall.SIGSEGV); err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case err := <-errs:
		if !strings.Contains(err.Error(), "another one is started") {
			t.Errorf("the crash is told as %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the crash is not told")
	}
	from := len(s.Packets())
	if err := s.Wait(ctx, from+1); err != nil {
		t.Fatal(err)
	}
	section(from)
}

// Every codec of UnitFormats that the platform can encode can be decoded again.
func TestDecodeAllForReal(t *testing.T) {
	pool := realPool(t)
	for _, name := range []codec.Name{codec.VP9, codec.H264, codec.AV1} {
		t.Run(string(name), func(t *testing.T) {
			p := pipeline.New("p", pipeline.NewEncoder(), workers.NewDecoder(pool))
			defer p.Close()
			out := p.NewOutput(pipeline.Video, "default", nil)
			defer out.Close()
			out.OnLinkError(func(_ *pipeline.Link, err error) { t.Error(err) })
			s := pipelinetest.NewSink(pipeline.UnitOf(pipeline.Video, codec.VP8))
			if _, err := out.Connect(s); err != nil {
				t.Fatal(err)
			}
			from := pipeline.UnitOf(pipeline.Video, name)
			frames := codectest.Frames(t, name, codectest.Clip{Width: 320, Height: 240, KeyEvery: 10})
			defer play(out, p.Epoch(), &from, frames)()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := s.Wait(ctx, 20); err != nil {
				t.Fatal(err)
			}
			ivf := ivfOf(s.Packets()[:20])
			if n := pictures(t, "ivf", ivf); n != 20 {
				t.Errorf("%d pictures of 20 units", n)
			}
		})
	}
}

// ivfOf puts VP8 units into a file.
func ivfOf(units []*pipeline.Packet) []byte {
	le := func(b []byte, n, size int) []byte {
		for i := range size {
			b = append(b, byte(n>>(8*i)))
		}
		return b
	}
	b := append([]byte("DKIF"), 0, 0, 32, 0)
	b = append(b, "VP80"...)
	b = le(le(le(le(le(le(b, 320, 2), 240, 2), 1000, 4), 1, 4), len(units), 4), 0, 4)
	for _, u := range units {
		b = le(le(b, len(u.Payload), 4), int(u.PTS/time.Millisecond), 8)
		b = append(b, u.Payload...)
	}
	return b
}

// The job's graph comes as DOT, and what a worker uses is measured.
func TestLookIntoARealJob(t *testing.T) {
	pool := realPool(t)
	j, err := pool.Start(context.Background(), workers.Spec{Kind: "decode"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := j.Dot(context.Background())
	if err != nil || !strings.HasPrefix(text, "digraph") {
		t.Errorf("dot gives %.40q, %v", text, err)
	}
	if _, err := j.Latency(context.Background()); err != nil {
		t.Error(err)
	}
	if err := j.Call(context.Background(), "none", nil, nil); err == nil {
		t.Error("an unknown method is accepted")
	}
	pid := strconv.Itoa(j.PID())
	begun := time.Now()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(begun); d > 4*time.Second {
		t.Errorf("closing takes %v: it was killed", d)
	}
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Error("the process is still there")
	}
}
