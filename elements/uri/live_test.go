package uri_test

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

// footage is a source that sends three seconds of H264 and AAC over and over, in real time, from an
// element; it remembers how long the slowest Push took.
type footage struct {
	*elementtest.Source
	units   []*pipeline.Packet
	padding int // bytes added to each picture
	slowest atomic.Int64
	pushed  atomic.Int64

	stop chan struct{}
	wg   sync.WaitGroup
}

// newFootage makes one in w that runs until the test ends.
func newFootage(w *elementtest.World, padding int, kinds ...pipeline.Kind) *footage {
	c := &footage{
		Source: w.Element("TestSource", nil).(*elementtest.Source), padding: padding, stop: make(chan struct{}),
		units: muxtest.Units(w.T, muxtest.Case{Container: recorder.MP4, Video: codec.H264, Audio: codec.AAC}),
	}
	w.T.Cleanup(func() { c.end() })
	c.wg.Go(func() { c.run(kinds) })
	return c
}

func (c *footage) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.wg.Wait()
}

func (c *footage) run(kinds []pipeline.Kind) {
	epoch := c.Graph().Epoch()
	from := time.Since(epoch)
	filler := userData(c.padding)
	for round := time.Duration(0); ; round++ {
		for _, u := range c.units {
			if len(kinds) > 0 && kinds[0] != u.Format.Kind {
				continue
			}
			p := *u
			p.PTS = from + u.PTS + round*3*time.Second
			if c.padding > 0 && u.Format.Kind == pipeline.Video {
				p.Payload = append(bytes.Clone(u.Payload), filler...)
			}
			select {
			case <-c.stop:
				return
			case <-time.After(time.Until(epoch.Add(p.PTS))):
			}
			out, err := c.Output(u.Format.Kind, "")
			if err != nil {
				return
			}
			begun := time.Now()
			out.Push(&p)
			c.slowest.Store(max(c.slowest.Load(), int64(time.Since(begun))))
			c.pushed.Add(1)
		}
	}
}

// userData is an SEI message of n bytes that decoders pass over (H.264 §D.1.7).
func userData(n int) []byte {
	b := append([]byte{0, 0, 0, 1, 6, 5}, bytes.Repeat([]byte{0xff}, n/255)...)
	b = append(b, byte(n%255))
	return append(append(b, bytes.Repeat([]byte{0xaa}, n)...), 0x80)
}

// unhindered fails when an output held the footage up.
func (c *footage) unhindered(t testing.TB) {
	t.Helper()
	if slowest := time.Duration(c.slowest.Load()); slowest > time.Second {
		t.Errorf("a Push took %v", slowest)
	}
}

// reasons are those of an element's Disconnected events.
func reasons(w *elementtest.World, e elements.Element) (out []string) {
	for _, ev := range w.Events(e, "Disconnected") {
		out = append(out, ev.Data["reason"].(string))
	}
	return out
}

// lost waits until a target is lost for a reason with the word, after n other times,
// and gives the reason. A wedge alone takes more than five seconds.
func lost(w *elementtest.World, e elements.Element, n int, word string) string {
	w.T.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		got := reasons(w, e)[n:]
		for _, reason := range got {
			if strings.Contains(reason, word) {
				return reason
			}
		}
		if time.Now().After(end) {
			w.T.Fatalf("lost for %q, want %q", got, word)
		}
	}
}
