package sync

import (
	"encoding/binary"
	"math"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

const sampleRate = 48000

// result is what a file holds.
type result struct {
	at, off  []time.Duration // of each pair: the flash in the file, and picture minus sound
	loose    []time.Duration // picture minus sound for players that count samples, not times
	expected int             // pairs that were sent
	frames   int
	steps    []time.Duration // between pictures
	length   time.Duration   // of the pictures
	sound    time.Duration   // of the sound
	samples  time.Duration   // how much sound there is
	back     int             // pictures that do not come after the one before
}

var (
	pictureLine = regexp.MustCompile(`n: *\d+ pts: *-?\d+ +pts_time:(\S+) .*mean:\[(\d+)`)
	soundLine   = regexp.MustCompile(`n:\d+ pts:-?\d+ pts_time:(\S+) .*nb_samples:(\d+)`)
)

func seconds(t testing.TB, s []byte) time.Duration {
	t.Helper()
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(f * float64(time.Second))
}

// measure decodes a file.
func measure(t testing.TB, file string) *result {
	t.Helper()
	r := &result{}
	_, said := ffmpeg(t, "-i", file, "-map", "0:v", "-vf", "scale=32:18,format=gray,showinfo", "-fps_mode", "passthrough", "-f", "null", "-")
	var flashes []time.Duration
	var last, dark time.Duration = -1, 0
	bright := true
	for _, m := range pictureLine.FindAllSubmatch(said, -1) {
		at := seconds(t, m[1])
		mean, _ := strconv.Atoi(string(m[2]))
		r.frames++
		if last >= 0 {
			r.steps = append(r.steps, at-last)
			if at <= last {
				r.back++
			}
		}
		last = at
		switch {
		case mean < 100:
			if bright {
				bright, dark = false, at
			}
		case !bright:
			bright = true
			if at-dark > 200*time.Millisecond {
				flashes = append(flashes, at)
			}
		}
	}
	if r.frames == 0 {
		t.Fatalf("no picture in %s: %s", file, said)
	}
	r.length = last + frameTime
	pcm, said := ffmpeg(t, "-i", file, "-map", "0:a", "-af", "aformat=sample_fmts=s16:sample_rates=48000:channel_layouts=mono,ashowinfo", "-f", "s16le", "-")
	var beeps, counted []time.Duration
	quiet := 0
	at := 0
	var begin time.Duration
	for i, m := range soundLine.FindAllSubmatch(said, -1) {
		pts := seconds(t, m[1])
		n, _ := strconv.Atoi(string(m[2]))
		if i == 0 {
			begin = pts
		}
		const block = sampleRate / 1000
		for k := range n {
			if (at+k)%block != 0 || 2*(at+k+block) > len(pcm) {
				continue
			}
			sum := 0.0
			for j := range block {
				v := float64(int16(binary.LittleEndian.Uint16(pcm[2*(at+k+j):]))) / 32768
				sum += v * v
			}
			if loud := math.Sqrt(sum/block) > 0.1; !loud {
				quiet++
			} else {
				if quiet > 250 {
					beeps = append(beeps, pts+samples(k))
					counted = append(counted, begin+samples(at+k))
				}
				quiet = 0
			}
		}
		at += n
		r.sound = pts + samples(n)
	}
	r.samples = samples(at)
	for _, f := range flashes {
		if b, ok := nearest(beeps, f); ok {
			r.at, r.off = append(r.at, f), append(r.off, f-b)
		}
		if b, ok := nearest(counted, f); ok {
			r.loose = append(r.loose, f-b)
		}
	}
	return r
}

func samples(n int) time.Duration { return time.Duration(n) * time.Second / sampleRate }

// nearest is the one of times next to at, if it is of the same event.
func nearest(times []time.Duration, at time.Duration) (time.Duration, bool) {
	best, ok := time.Duration(0), false
	for _, x := range times {
		if d := (x - at).Abs(); d < eventEvery/2 && (!ok || d < (best-at).Abs()) {
			best, ok = x, true
		}
	}
	return best, ok
}

// quantile of values, q from 0 to 1; 0 when there are none.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func magnitudes(values []time.Duration) []time.Duration {
	out := make([]time.Duration, len(values))
	for i, v := range values {
		out[i] = v.Abs()
	}
	return out
}
