package sync

import (
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

const sampleRate = 48000

// result is what a recording holds.
type result struct {
	At, Off  []time.Duration // of each pair: the flash in the file, and picture minus sound
	Held     []time.Duration // flashes whose beginning the picture does not show: it stood still
	Loose    []time.Duration // picture minus sound for players that count samples, not times
	Expected int             // pairs that were sent
	Frames   int
	Steps    []time.Duration // between pictures
	Length   time.Duration   // of the pictures
	Sound    time.Duration   // of the sound
	Back     int             // pictures that do not come after the one before
}

var (
	pictureLine = regexp.MustCompile(`n: *\d+ pts: *-?\d+ +pts_time:(\S+) `)
	soundLine   = regexp.MustCompile(`n:\d+ pts:-?\d+ pts_time:(\S+) .*nb_samples:(\d+)`)
)

// The middle of the picture is looked at: a bar that moves there tells two
// pictures from one shown twice.
const (
	lookWidth, lookHeight = 160, 90
	lookSize              = lookWidth * lookHeight
	// looksAlike is more than the mean difference of a picture to the same one,
	// coded again, and less than what the bar's moving makes.
	looksAlike = 5
	// heldTime is how long a picture may stand before the next is late.
	heldTime = 60 * time.Millisecond
)

func seconds(t testing.TB, s []byte) time.Duration {
	t.Helper()
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(f * float64(time.Second))
}

// measure decodes a file, or two: the sound's zero is later than the picture's.
func measure(t testing.TB, pictures, sound string, later time.Duration) *result {
	t.Helper()
	r := &result{}
	flashes := r.look(t, pictures)
	times, counted := r.listen(t, sound)
	for _, f := range flashes {
		b, ok := nearest(times, f-later)
		if !ok {
			continue
		}
		r.At, r.Off = append(r.At, f), append(r.Off, f-later-b)
		if b, ok := nearest(counted, f-later); ok {
			r.Loose = append(r.Loose, f-later-b)
		}
	}
	return r
}

// look finds the flashes whose beginning is shown.
func (r *result) look(t testing.TB, file string) (flashes []time.Duration) {
	t.Helper()
	raw, said := ffmpeg(t, "-i", file, "-map", "0:v", "-vf", fmt.Sprintf("crop=%d:%d,format=gray,showinfo", lookWidth, lookHeight), "-fps_mode", "passthrough", "-f", "rawvideo", "-")
	lines := pictureLine.FindAllSubmatch(said, -1)
	if len(lines) == 0 || len(raw) < len(lines)*lookSize {
		t.Fatalf("no picture in %s: %s", file, said)
	}
	var last, dark, moved time.Duration = -1, 0, 0
	bright := true
	var before []byte
	for i, m := range lines {
		at, now := seconds(t, m[1]), raw[i*lookSize:(i+1)*lookSize]
		sum, change := 0, 0
		for k, v := range now {
			sum += int(v)
			if before != nil {
				change += max(int(v)-int(before[k]), int(before[k])-int(v))
			}
		}
		r.Frames++
		if last >= 0 {
			r.Steps = append(r.Steps, at-last)
			if at <= last {
				r.Back++
			}
		}
		// Until when the picture before was shown as it should be.
		until := last
		if at-moved > 2*heldTime {
			until = moved
		}
		if before == nil || change > looksAlike*lookSize {
			moved = at
		}
		switch mean := sum / lookSize; {
		case mean < 100:
			if bright {
				bright, dark = false, at
			}
		case !bright:
			bright = true
			if at-dark <= 200*time.Millisecond {
				break
			}
			if at-until > heldTime {
				r.Held = append(r.Held, at)
			} else {
				flashes = append(flashes, at)
			}
		}
		last, before = at, now
	}
	r.Length = last + frameTime
	return flashes
}

// listen finds the beeps, by the times that the file tells and by its samples.
func (r *result) listen(t testing.TB, file string) (times, counted []time.Duration) {
	t.Helper()
	pcm, said := ffmpeg(t, "-i", file, "-map", "0:a", "-af", "aformat=sample_fmts=s16:sample_rates=48000:channel_layouts=mono,ashowinfo", "-f", "s16le", "-")
	quiet, at := 0, 0
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
					times = append(times, pts+samples(k))
					counted = append(counted, begin+samples(at+k))
				}
				quiet = 0
			}
		}
		at += n
		r.Sound = pts + samples(n)
	}
	return times, counted
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
