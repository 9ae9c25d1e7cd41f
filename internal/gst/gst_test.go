//go:build gst

package gst

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Init(); m.Run() }

func TestPropertiesAreCheckedText(t *testing.T) {
	q, err := Make("queue", "q")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, read, fails string }{
		{"max-size-buffers", "7", "7", ""},
		{"max-size-time", "1000", "1000", ""},
		{"leaky", "downstream", "downstream", ""},
		{"silent", "true", "true", ""},
		{"leaky", "sideways", "", "is no GstQueueLeaky"},
		{"max-size-buffers", "many", "", "is no guint"},
		{"colour", "red", "", "no property"},
		{"current-level-bytes", "1", "", "cannot be set"},
	} {
		err := q.Set(c.name, c.value)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s=%s: %v, want %q", c.name, c.value, err, c.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
		if got := q.Get(c.name); got != c.read {
			t.Errorf("%s=%s reads back as %q", c.name, c.value, got)
		}
	}
	if _, err := Make("nosuchthing", ""); err == nil {
		t.Error("an element that does not exist was made")
	}
	if _, err := ParseBin("queue ! nosuchthing", true); err == nil {
		t.Error("a bin of an element that does not exist was made")
	}
}

// TestFramesPassWithTheirTimes pushes frames through a pipeline whose running
// time is fixed, and reads them behind a tap.
func TestFramesPassWithTheirTimes(t *testing.T) {
	base := Now()
	p, err := NewPipeline("p", base)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseBin("appsrc name=src format=time is-live=true caps=application/x-test ! queue ! appsink name=sink sync=false", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Add(b); err != nil {
		t.Fatal(err)
	}
	type got struct {
		data string
		at   time.Duration
		key  bool
	}
	ch := make(chan got, 10)
	src, sink := b.Find("src"), b.Find("sink")
	sink.OnSample(func(s Sample) { ch <- got{string(s.Data), s.Running, s.Key} })
	first := make(chan struct{}, 5)
	tap := sink.Pad("sink").Tap(base, func() { first <- struct{}{} })
	defer tap.Close()
	asked := make(chan string, 5)
	src.Pad("src").Watch(Up, func(p Probe) Verdict { asked <- p.Structure; return Drop })
	if err := p.SetState(Playing); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.SetState(Null) }()
	for i, f := range []Frame{{Data: []byte("a"), PTS: 5 * time.Second, Duration: Never, Key: true}, {Data: []byte("bc"), PTS: 6 * time.Second, Duration: Never}} {
		if err := src.Push(f, 10); err != nil {
			t.Fatal(err)
		}
		g := <-ch
		if g.data != string(f.Data) || g.at != f.PTS || g.key != f.Key {
			t.Errorf("frame %d came as %+v", i, g)
		}
	}
	<-first
	if c := tap.Counts(); c.Buffers != 2 || c.Bytes != 3 || c.Lateness > 0 {
		t.Errorf("counts %+v", c)
	}
	if caps := sink.Pad("sink").Caps(); caps != "application/x-test" {
		t.Errorf("caps %q", caps)
	}
	src.Pad("src").ForceKeyUnit()
	for s := <-asked; s != "GstForceKeyUnit"; s = <-asked {
		if s != "GstEventLatency" {
			t.Errorf("asked %q", s)
		}
	}
	if !strings.Contains(p.Dot(), "GstAppSink") {
		t.Error("no drawing")
	}
	src.SendEOS()
	for {
		m, ok := p.Pop(5 * time.Second)
		if !ok {
			t.Fatal("no end of stream")
		}
		if m.Type == "eos" {
			break
		}
	}
	if err := p.SetState(Null); err != nil {
		t.Fatal(err)
	}
	if err := src.Push(Frame{Data: []byte("x")}, 0); err != ErrEnded {
		t.Errorf("push after the end: %v", err)
	}
}

// TestAPanicInACallbackIsCaught makes a callback panic on a streaming thread.
func TestAPanicInACallbackIsCaught(t *testing.T) {
	told := make(chan error, 10)
	OnPanic(func(err error) {
		select {
		case told <- err:
		default:
		}
	})
	defer panicked.Store(nil)
	p, _ := NewPipeline("p", Never)
	b, err := ParseBin("fakesrc num-buffers=1 sizetype=fixed sizemax=10 ! appsink name=sink sync=false", false)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Add(b)
	b.Find("sink").OnSample(func(Sample) { panic("planted") })
	_ = p.SetState(Playing)
	defer func() { _ = p.SetState(Null) }()
	if err := <-told; !strings.Contains(err.Error(), "planted") {
		t.Error(err)
	}
}
