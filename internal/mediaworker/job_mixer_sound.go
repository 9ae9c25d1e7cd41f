//go:build gst

package mediaworker

import (
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/govidu/govidu/internal/gst"
)

// mixLatency is how long after its instant a block is mixed when the job has no
// number of its own: what comes later than that is not heard. It covers a
// network's ordinary jitter.
const mixLatency = 120 * time.Millisecond

const (
	// maxFetched bounds what is fetched of an input at once, in buffers.
	maxFetched = 100
	// soundCaps is what inputs bring and raw audio ports carry.
	soundCaps = "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved"
	// soundQueue bounds what waits in an output of the mix, in blocks.
	soundQueue = 25
	// idleEvery is how many blocks come to one that a port gets to which nobody
	// listens: three a second, within the base's silence.
	idleEvery = 16
	// soundBehind is how far the mix may be behind its time before it leaves
	// blocks out.
	soundBehind = 200 * time.Millisecond
)

// mixdown mixes audio inputs into raw ports, in Go: one sum of all for every block, less
// each port's own input. That costs a port a few microseconds a block, where a
// GStreamer mixer per port would mix all inputs again for each.
type mixdown struct {
	w       *worker
	latency time.Duration // of a block behind its instant
	paired  bool          // voices are moved by the job, with their pictures
	pace    int64         // frames from one waking of run to the next
	done    chan struct{}
	stop    chan struct{}
	wake    chan struct{} // there is something to mix again

	// Owner only.
	sinks map[string]*gst.Element // by input

	// Of run.
	jobs      []mixJob
	heard     []mixVoice
	sum, part []int32
	data      []byte

	mu     sync.Mutex // leaf
	voices map[string]*mixInput
	outs   map[string]*soundOut
}

// mixInput is a voice and the appsink where its samples wait. They are fetched
// when a block is mixed: to be told of each costs more than the mix.
type mixInput struct {
	*voice
	sink *gst.Element
	loud loudness // under mixdown.mu
}

func (v *mixInput) fetch() {
	for range maxFetched {
		if !v.sink.Pull(func(x gst.Sample) {
			if x.Running >= 0 && len(x.Data) >= 4 {
				v.put(frameAt(x.Running), unsafe.Slice((*int16)(unsafe.Pointer(&x.Data[0])), len(x.Data)/2))
			}
		}) {
			return
		}
	}
}

// mixJob is a port to be filled, mixVoice what an input brings to a block.
type (
	mixJob struct {
		name  string
		src   *gst.Element
		hears []string
	}
	mixVoice struct {
		name    string
		samples []int16
	}
)

// soundOut is a raw audio port.
type soundOut struct {
	bin  *gst.Element
	src  *gst.Element // its appsrc
	port *port
	// hears are the inputs it gives; nil is all but the one of its own name.
	hears []string
	busy  bool // somebody listens
}

func newMixdown(w *worker, latency time.Duration, paired bool) *mixdown {
	s := &mixdown{w: w, latency: latency, paired: paired, pace: blockFrames, stop: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1), sinks: map[string]*gst.Element{},
		voices: map[string]*mixInput{}, outs: map[string]*soundOut{},
		sum: make([]int32, mixSamples), part: make([]int32, mixSamples), data: make([]byte, 2*mixSamples)}
	if paired { // in no hurry: views are behind by more than that
		s.pace = 2 * blockFrames
	}
	w.every(s.look)
	w.listened = append(w.listened, s.look)
	w.start("mix", s.run)
	return s
}

// addInput takes samples from in from now on. Owner.
func (s *mixdown) addInput(in *input) error {
	sink, err := s.w.addBin("appsink name=samples sync=false async=false max-buffers=100 drop=true enable-last-sample=false")
	if err != nil {
		return err
	}
	v := newVoice(frameAt(max(0, s.w.pipe.Running()-s.latency)))
	v.held = s.paired
	name := in.params.Name
	s.sinks[name] = sink
	s.mu.Lock()
	s.voices[name] = &mixInput{voice: v, sink: sink.Find("samples")}
	s.mu.Unlock()
	s.rouse()
	if err := in.out.Link(sink.Pad("sink")); err != nil {
		return err
	}
	return sink.SyncState()
}

// removeInput lets go of in. Owner.
func (s *mixdown) removeInput(in *input) {
	name := in.params.Name
	s.mu.Lock()
	delete(s.voices, name)
	s.mu.Unlock()
	sink := s.sinks[name]
	if sink == nil {
		return
	}
	delete(s.sinks, name)
	// The decoder first: nothing here blocks it, and it pushes into no void.
	in.bin.LockState(true)
	_ = in.bin.SetState(gst.Null)
	in.out.Unlink(sink.Pad("sink"))
	s.w.dropBin(sink)
}

// ports makes the raw ports what a scene names. Owner.
func (s *mixdown) ports(sc scene) error {
	want := map[string][]string{}
	for _, name := range sc.Minus {
		want[name] = nil
	}
	for name, hears := range sc.Mix {
		want[name] = append([]string{}, hears...)
	}
	for name, out := range s.outs { // only the owner writes the map
		if _, ok := want[name]; !ok {
			s.closePort(name, out)
		}
	}
	for name, hears := range want {
		if out := s.outs[name]; out != nil {
			s.mu.Lock()
			out.hears = hears
			s.mu.Unlock()
			continue
		}
		if err := s.openPort(name, hears); err != nil {
			return err
		}
	}
	return nil
}

func (s *mixdown) openPort(name string, hears []string) error {
	port, err := s.w.newPort(name, "audio")
	if err != nil {
		return err
	}
	bin, err := s.w.addBin("appsrc name=mix format=time is-live=true max-bytes=0 max-buffers=0 max-time=0 caps=" + soundCaps)
	if err == nil {
		err = bin.Pad("src").Link(port.sink)
	}
	if err == nil {
		err = bin.SyncState()
	}
	if err != nil {
		port.close()
		return err
	}
	s.mu.Lock()
	s.outs[name] = &soundOut{bin: bin, src: bin.Find("mix"), port: port, hears: hears}
	s.mu.Unlock()
	s.rouse()
	s.look()
	return nil
}

func (s *mixdown) closePort(name string, out *soundOut) {
	s.mu.Lock()
	delete(s.outs, name)
	s.mu.Unlock()
	s.w.dropBin(out.bin)
	out.port.close()
}

// astray gives by how much the inputs that are never in time would have to be
// moved, and forgets it.
func (s *mixdown) astray() map[string]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out map[string]time.Duration
	for name, v := range s.voices {
		if d := v.astray(); d != 0 {
			if out == nil {
				out = map[string]time.Duration{}
			}
			out[name] = frameTime(d)
		}
	}
	return out
}

// move makes an input's sound heard that much after its time.
func (s *mixdown) move(name string, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.voices[name]; v != nil {
		v.move(frameAt(by))
	}
}

// close ends the mix and waits for it.
func (s *mixdown) close() {
	close(s.stop)
	<-s.done
}

// idle tells whether there is nothing to mix and nobody to mix for.
func (s *mixdown) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.outs) == 0 && len(s.voices) == 0
}

func (s *mixdown) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run mixes a block each 20 ms, latency after its instant.
func (s *mixdown) run() {
	defer close(s.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	block := int64(0)
	for {
		select {
		case <-s.stop:
			return
		case <-timer.C:
		case <-s.wake:
		}
		if s.idle() {
			continue // until it is woken
		}
		now := s.w.pipe.Running() - s.latency
		if block == 0 || now > frameTime(block)+soundBehind {
			block = max(0, frameAt(now)/blockFrames*blockFrames)
		}
		for now >= frameTime(block+blockFrames) {
			s.mix(block)
			block += blockFrames
		}
		timer.Reset(frameTime(block+s.pace) - now + time.Millisecond)
	}
}

// mix makes one block of every port that somebody listens to; others get one
// now and then, so that they are seen to flow.
func (s *mixdown) mix(block int64) {
	alive := block/blockFrames%idleEvery == 0
	jobs, heard := s.jobs[:0], s.heard[:0]
	busy := false
	s.mu.Lock()
	for name, out := range s.outs {
		if out.busy || alive {
			jobs = append(jobs, mixJob{name, out.src, out.hears})
			busy = true
		}
	}
	for name, v := range s.voices {
		v.fetch()
		had := v.take(block, v.block)
		if had && s.paired {
			v.loud.add(v.block)
		}
		if had && busy {
			heard = append(heard, mixVoice{name, v.block})
		}
	}
	s.mu.Unlock()
	s.jobs, s.heard = jobs, heard
	clear(s.sum)
	for _, h := range heard {
		mixInto(s.sum, h.samples)
	}
	for _, j := range jobs {
		whole := j.hears == nil
		clear(s.part)
		for _, h := range heard {
			if whole && h.name == j.name || slices.Contains(j.hears, h.name) {
				mixInto(s.part, h.samples)
			}
		}
		if whole {
			saturate(s.data, s.sum, s.part)
		} else {
			saturate(s.data, s.part, nil)
		}
		_ = j.src.Push(gst.Frame{Data: s.data, PTS: frameTime(block), Duration: mixBlock, Key: true}, soundQueue)
	}
}

// levels gives how loud inputs were since the last call; nil when none brought
// anything.
func (s *mixdown) levels() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out map[string]int
	for name, v := range s.voices {
		if level, ok := v.loud.take(); ok {
			if out == nil {
				out = map[string]int{}
			}
			out[name] = level
		}
	}
	return out
}

// look notes which ports are listened to. Owner.
func (s *mixdown) look() {
	busy := map[string]bool{}
	for _, o := range s.w.outputs {
		busy[o.port] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, out := range s.outs {
		out.busy = busy[name]
	}
}

// mixInto adds a voice's block to a sum.
func mixInto(sum []int32, block []int16) {
	for i, x := range block {
		sum[i] += int32(x)
	}
}
