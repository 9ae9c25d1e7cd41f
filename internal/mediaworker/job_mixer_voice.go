package mediaworker

import (
	"math"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/workers/wire"
)

// The mix is 16 bit stereo at 48 kHz, in blocks of 20 ms as Opus has them.
const (
	mixRate     = 48000
	mixChannels = 2
	mixBlock    = 20 * time.Millisecond
	blockFrames = int64(mixRate / 50)
	mixSamples  = int(blockFrames) * mixChannels
)

const (
	// voiceWindow bounds what a voice holds, in frames.
	voiceWindow = mixRate
	// voiceAlign is how far samples may be off the end of those before and
	// still follow them without a gap or a cut.
	voiceAlign = mixRate / 50
	// voiceStray is after how many pieces in a row that came too late or much
	// too early a source's time line is moved to where it is heard, and
	// voiceCushion how far before the mix that is.
	voiceStray   = 10
	voiceCushion = 2 * blockFrames
	// A voice that is on the average of voiceDrift pieces more than voiceOff frames
	// off its place, and less than voiceAlign, is put there.
	voiceDrift = 50
	voiceOff   = mixRate / 200
)

// frameAt is the place of an instant on the mix's time line, in frames.
func frameAt(pts time.Duration) int64 {
	return int64(pts/time.Second)*mixRate + int64(pts%time.Second)*mixRate/int64(time.Second)
}

// frameTime is the instant of a frame; frameAt's inverse.
func frameTime(frame int64) time.Duration {
	return time.Duration(frame/mixRate)*time.Second + time.Duration(frame%mixRate)*time.Second/mixRate
}

// voice holds one source's samples until their block is mixed. put and take
// may come from any goroutine.
type voice struct {
	mu     sync.Mutex
	block  []int16 // of the mix: what it took last
	ring   []int16 // voiceWindow frames; frame n at n modulo that; zero where nothing is
	next   int64   // the frame behind the last one put
	played int64   // the frame behind the last one taken
	shift  int64   // added to a source's places
	stray  int
	held   bool  // it is not moved by itself: away says by how much it should be
	away   int64 // frames; 0 when it is in time
	drift  int64 // sum of how far pieces were off, and how many they are
	pieces int64
}

func newVoice(played int64) *voice {
	return &voice{block: make([]int16, mixSamples), ring: make([]int16, voiceWindow*mixChannels), played: played, next: played}
}

// put takes samples (stereo, interleaved) that belong at a frame.
func (v *voice) put(at int64, samples []int16) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := int64(len(samples) / mixChannels)
	if n == 0 || n > voiceWindow/2 {
		return
	}
	at += v.shift
	if off := at - v.next; off <= voiceAlign && off >= -voiceAlign {
		v.drift += off
		if v.pieces++; v.pieces == voiceDrift {
			if mean := v.drift / voiceDrift; mean < voiceOff && mean > -voiceOff {
				at = v.next
			}
			v.drift, v.pieces = 0, 0
		} else {
			at = v.next
		}
	} else {
		v.drift, v.pieces = 0, 0
	}
	if at+n <= v.played || at+n > v.played+voiceWindow {
		if v.stray++; v.stray < voiceStray {
			return
		}
		if v.held {
			v.away, v.stray = v.played+voiceCushion-at, 0
			return
		}
		v.shift += v.played + voiceCushion - at
		at = v.played + voiceCushion
	}
	v.stray, v.away = 0, 0
	if at < v.played {
		samples = samples[(v.played-at)*mixChannels:]
		at = v.played
	}
	v.next = at + int64(len(samples)/mixChannels)
	for len(samples) > 0 {
		i := at % voiceWindow * mixChannels
		k := copy(v.ring[i:], samples)
		samples = samples[k:]
		at += int64(k / mixChannels)
	}
}

// astray gives how far the source would have to be moved to be heard, in frames,
// and forgets it.
func (v *voice) astray() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	d := v.away
	v.away = 0
	return d
}

// move makes places be that many frames later.
func (v *voice) move(frames int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shift, v.stray, v.away = frames, 0, 0
}

// take reads the block that begins at a frame into out and forgets it; false
// when the voice is silent there. Blocks are taken in order; after a jump what
// lies between is forgotten.
func (v *voice) take(block int64, out []int16) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	end := block + blockFrames
	if block != v.played {
		from, to := v.played, min(block, v.played+voiceWindow)
		if block < v.played {
			from, to = 0, voiceWindow
		}
		v.clear(from, to)
	}
	had := v.next > block
	v.played = end
	if !had {
		return false
	}
	i := block % voiceWindow * mixChannels
	k := copy(out[:blockFrames*mixChannels], v.ring[i:])
	if k < len(out) {
		copy(out[k:], v.ring)
	}
	v.clear(block, end)
	return true
}

func (v *voice) clear(from, to int64) {
	for from < to {
		i := from % voiceWindow
		n := min(to-from, voiceWindow-i)
		clear(v.ring[i*mixChannels : (i+n)*mixChannels])
		from += n
	}
}

// loudness measures samples, one in loudnessStep of them.
type loudness struct{ sum, n int64 }

const loudnessStep = 8

func (l *loudness) add(samples []int16) {
	for i := 0; i < len(samples); i += loudnessStep {
		x := int64(samples[i])
		l.sum += x * x
		l.n++
	}
}

// take gives the level since the last take (wire.LevelsData) and begins anew; false
// when there were no samples.
func (l *loudness) take() (level int, ok bool) {
	sum, n := l.sum, l.n
	l.sum, l.n = 0, 0
	if n == 0 {
		return 0, false
	}
	if sum == 0 {
		return wire.Silence, true
	}
	power := float64(sum) / float64(n) / (math.MaxInt16 * math.MaxInt16)
	return min(max(int(math.Round(-10*math.Log10(power))), 0), wire.Silence), true
}

// saturate writes a sum, less another when that is not nil, as 16 bit samples,
// little endian.
func saturate(out []byte, sum, less []int32) {
	for i, x := range sum {
		if less != nil {
			x -= less[i]
		}
		x = min(max(x, math.MinInt16), math.MaxInt16)
		out[2*i], out[2*i+1] = byte(x), byte(x>>8)
	}
}
