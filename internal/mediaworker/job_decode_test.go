//go:build gst

package mediaworker

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/workers/wire"
)

func TestMain(m *testing.M) {
	gst.Init()
	goleak.VerifyTestMain(m)
}

var (
	videoCodecs = []codec.Name{codec.VP8, codec.VP9, codec.H264, codec.AV1, codec.H265}
	audioCodecs = []codec.Name{codec.Opus, codec.PCMU, codec.PCMA, codec.AAC}
	red, blue   = [3]int{255, 0, 0}, [3]int{0, 0, 255}
)

func input1(r *rig, name codec.Name) {
	r.t.Helper()
	r.must(wire.MethodInput, wire.StreamParams{Stream: 1, Name: "in", Media: mediaOf(name)})
}

func encodeTo(r *rig, stream uint16, name codec.Name, bitrate int) {
	r.t.Helper()
	r.must(wire.MethodOutput, wire.OutputParams{Stream: stream, Port: "out", Media: mediaOf(name), Bitrate: bitrate})
}

// TestEveryVideoCodecToEveryOther decodes one codec and encodes all at once from
// the one decoder, and looks at the pixels that come out.
func TestEveryVideoCodecToEveryOther(t *testing.T) {
	const width, height, frames = 192, 128, 30
	for _, from := range videoCodecs {
		t.Run(string(from), func(t *testing.T) {
			t.Parallel()
			r := startJob(t, "decode", nil)
			input1(r, from)
			for i, to := range videoCodecs {
				encodeTo(r, uint16(10+i), to, 500_000)
			}
			first := r.play(1, pictures(t, from, width, height, frames), nil)
			var flow wire.FlowData
			r.event(wire.EventFlow, &flow)
			if !flow.Flowing || flow.Port != "out" || flow.Kind != "video" || flow.Width != width || flow.Height != height {
				t.Errorf("flow is %+v", flow)
			}
			got := map[uint16][]coded{}
			for _, f := range r.gather(frames/2, len(videoCodecs)) {
				got[f.stream] = append(got[f.stream], f)
			}
			for i, to := range videoCodecs {
				list := got[uint16(10+i)]
				if !list[0].key || to != codec.H265 && !codec.KeyFrameUnit(to, list[0].data) {
					t.Errorf("%s to %s begins without a keyframe", from, to)
				}
				for k, f := range list {
					at := f.pts - first
					if d := at % (time.Second / 30); at < 0 || at > time.Second || min(d, time.Second/30-d) > time.Millisecond {
						t.Errorf("%s to %s: frame %d is at %v", from, to, k, at)
						break
					}
					if k > 0 && f.pts <= list[k-1].pts {
						t.Errorf("%s to %s: time goes back", from, to)
					}
				}
				p := decodePictures(t, to, list, width, height)
				if !near(p.at(0.25, 0.5), red) || !near(p.at(0.75, 0.5), blue) {
					t.Errorf("%s to %s shows %v and %v", from, to, p.at(0.25, 0.5), p.at(0.75, 0.5))
				}
			}
			if code := r.close(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// gather waits for at least n frames of each of that many streams and gives all.
func (r *rig) gather(n, streams int) []coded {
	r.t.Helper()
	var all []coded
	count := map[uint16]int{}
	limit := time.After(patience)
	for {
		select {
		case f := <-r.frames:
			all = append(all, f)
			count[f.stream]++
		case <-limit:
			r.t.Fatalf("frames by stream: %v, want %d each of %d", count, n, streams)
		}
		done := 0
		for _, c := range count {
			if c >= n {
				done++
			}
		}
		if done >= streams {
			return all
		}
	}
}

func TestEveryAudioCodecToEveryOther(t *testing.T) {
	const length = 1200 * time.Millisecond
	for _, from := range audioCodecs {
		t.Run(string(from), func(t *testing.T) {
			t.Parallel()
			r := startJob(t, "decode", nil)
			input1(r, from)
			for i, to := range audioCodecs {
				encodeTo(r, uint16(10+i), to, 0)
			}
			first := r.play(1, tone(t, from, length), nil)
			got := map[uint16][]coded{}
			for _, f := range r.gather(45, len(audioCodecs)) {
				got[f.stream] = append(got[f.stream], f)
			}
			for i, to := range audioCodecs {
				list := got[uint16(10+i)]
				if d := list[0].pts - first; d < -60*time.Millisecond || d > 60*time.Millisecond {
					t.Errorf("%s to %s begins %v after its source", from, to, d)
				}
				for k := 1; k < len(list); k++ {
					if list[k].pts <= list[k-1].pts {
						t.Errorf("%s to %s: time goes back", from, to)
					}
				}
				s := decodeSound(t, to, list)
				if len(s) < 48000*6/10 {
					t.Fatalf("%s to %s: only %d samples", from, to, len(s))
				}
				if rms, share := energy(s[9600:24000], 1000); rms < 0.1 || share < 0.9 {
					t.Errorf("%s to %s: energy %.3f, %.2f of it at 1 kHz", from, to, rms, share)
				}
				if to == codec.PCMU || to == codec.PCMA {
					if len(list[5].data) != 160 {
						t.Errorf("%s in pieces of %d bytes", to, len(list[5].data))
					}
				}
			}
			if code := r.close(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestKeyframesComeOnDemandOnly asks one of two encodings for a keyframe.
func TestKeyframesComeOnDemandOnly(t *testing.T) {
	for _, to := range videoCodecs {
		t.Run(string(to), func(t *testing.T) {
			t.Parallel()
			r := startJob(t, "decode", nil)
			input1(r, codec.VP8)
			encodeTo(r, 10, to, 300_000)
			stop, done := make(chan struct{}), make(chan struct{})
			units := pictures(t, codec.VP8, 192, 128, 300)
			go func() { defer close(done); r.play(1, units, stop) }()
			defer func() { close(stop); <-done }()
			for i, f := range r.collect(10, 15) {
				if f.key != (i == 0) {
					t.Errorf("frame %d: key %v", i, f.key)
				}
			}
			r.must(wire.MethodKeyFrame, wire.IDParams{Stream: 10})
			keys := 0
			for _, f := range r.collect(10, 30) {
				if f.key {
					keys++
					if to != codec.H265 && !codec.KeyFrameUnit(to, f.data) {
						t.Error("marked, but no keyframe")
					}
				}
			}
			if keys != 1 {
				t.Errorf("%d keyframes after one was asked for", keys)
			}
		})
	}
}

// TestBitrateChangesLive encodes a picture that takes every bit it is given.
func TestBitrateChangesLive(t *testing.T) {
	units := busy(t, 180)
	for _, to := range []codec.Name{codec.VP8, codec.VP9, codec.H264} {
		t.Run(string(to), func(t *testing.T) {
			t.Parallel()
			r := startJob(t, "decode", nil)
			input1(r, codec.VP8)
			encodeTo(r, 10, to, 200_000)
			stop, done := make(chan struct{}), make(chan struct{})
			go func() { defer close(done); r.play(1, units, stop) }()
			defer func() { close(stop); <-done }()
			size := func(n int) (sum int) {
				for _, f := range r.collect(10, n) {
					sum += len(f.data)
				}
				return sum / n
			}
			r.collect(10, 20)
			before := size(30)
			r.must(wire.MethodBitrate, wire.BitrateParams{Stream: 10, Bitrate: 1_600_000})
			r.collect(10, 10)
			if after := size(30); after < 2*before {
				t.Errorf("%d bytes a frame at 200 kbit/s, %d at 1600", before, after)
			}
		})
	}
}

func busy(t *testing.T, frames int) []unit {
	b := ffmpeg(t, nil, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=640x360:r=30:d=%g,noise=alls=12:allf=t", float64(frames)/30), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8",
		"-b:v", "4M", "-auto-alt-ref", "0", "-pix_fmt", "yuv420p", "-f", "ivf", "-")
	var units []unit
	for b = b[32:]; len(b) >= 12; {
		n := le32(b)
		units = append(units, unit{b[12 : 12+n], time.Duration(len(units)) * time.Second / 30, codec.KeyFrameUnit(codec.VP8, b[12:12+n])})
		b = b[12+n:]
	}
	return units
}

// TestSizeChangesInMidStream sends pictures of other sizes, odd ones too.
func TestSizeChangesInMidStream(t *testing.T) {
	for _, from := range []codec.Name{codec.VP8, codec.VP9, codec.H264} {
		for _, to := range []codec.Name{codec.VP8, codec.H264, codec.VP9, codec.AV1} {
			if from != codec.VP8 && to != codec.VP8 {
				continue
			}
			t.Run(string(from)+" to "+string(to), func(t *testing.T) {
				t.Parallel()
				r := startJob(t, "decode", nil)
				input1(r, from)
				encodeTo(r, 10, to, 500_000)
				even := to == codec.H264 // its encoder takes no other
				for _, size := range [][2]int{{192, 128}, {320, 240}, {181, 91}, {192, 128}} {
					if from == codec.H264 && size[0]%2 == 1 {
						continue // ffmpeg's encoder refuses it
					}
					r.play(1, pictures(t, from, size[0], size[1], 10), nil)
					for {
						var flow wire.FlowData
						r.event(wire.EventFlow, &flow)
						if flow.Width == size[0] && flow.Height == size[1] {
							break
						}
					}
					if even {
						size[0], size[1] = size[0]&^1, size[1]&^1
					}
					var since []coded
					for len(since) < 4 {
						f := r.collect(10, 1)[0]
						if w, h, ok := codec.SizeOfUnit(to, f.data); f.key && ok {
							since = nil
							if w != size[0] || h != size[1] {
								continue
							}
						} else if f.key && to == codec.VP9 || len(since) == 0 && !f.key {
							continue
						}
						since = append(since, f)
					}
					p := decodePictures(t, to, since, size[0], size[1])
					if !near(p.at(0.25, 0.5), red) || !near(p.at(0.75, 0.5), blue) {
						t.Errorf("%v shows %v and %v", size, p.at(0.25, 0.5), p.at(0.75, 0.5))
					}
				}
			})
		}
	}
}

// TestLostSoundIsConcealed leaves packets out: the sound that comes out has no
// hole, and its time is right after it.
func TestLostSoundIsConcealed(t *testing.T) {
	r := startJob(t, "decode", nil)
	input1(r, codec.Opus)
	encodeTo(r, 10, codec.PCMU, 0)
	units := tone(t, codec.Opus, 1500*time.Millisecond)
	start := r.play(1, units[:30], nil)
	// 100 ms are missing. The rest comes at its pace too: encoders drop what waits
	// for half a second.
	r.playFrom(start, 1, units[35:70], wire.Gap, nil)
	got := r.collect(10, 60)
	for i := 1; i < len(got); i++ {
		if d := got[i].pts - got[i-1].pts; d < 18*time.Millisecond || d > 22*time.Millisecond {
			t.Errorf("%v between pieces %d and %d", d, i-1, i)
		}
	}
	s := decodeSound(t, codec.PCMU, got)
	for i, at := range []float64{0.62, 0.9} {
		n := int(at * 48000)
		if rms, _ := energy(s[n:n+1920], 1000); rms < 0.02 {
			t.Errorf("place %d is silent: %.3f", i, rms)
		}
	}
	if code := r.close(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
