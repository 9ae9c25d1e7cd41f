//go:build gst

package mediaworker

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/workers/wire"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// coded is a frame as it crosses.
type coded struct {
	stream uint16
	data   []byte
	pts    time.Duration
	key    bool
	gap    bool
}

// rig is a worker run in this process, and the server's ends of its sockets.
type rig struct {
	t       testing.TB
	med     *os.File
	ctl     *os.File
	next    map[uint16]uint32
	ids     uint64
	code    chan int
	frames  chan coded
	events  chan wire.Message
	mu      sync.Mutex
	answers map[uint64]chan wire.Message
	readers sync.WaitGroup
	once    sync.Once
}

func pair(t testing.TB, kind int) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20)
	}
	// Ours waits in the poller, so that closing it ends a read.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
}

// newRig starts a worker and waits until it is ready.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, next: map[uint16]uint32{}, code: make(chan int, 1), frames: make(chan coded, 10000), events: make(chan wire.Message, 10000), answers: map[uint64]chan wire.Message{}}
	var theirMed, theirCtl *os.File
	r.med, theirMed = pair(t, unix.SOCK_SEQPACKET)
	r.ctl, theirCtl = pair(t, unix.SOCK_STREAM)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	go func() { r.code <- Run(theirMed, theirCtl, log) }()
	r.readers.Go(r.readControl)
	r.readers.Go(r.readMedia)
	t.Cleanup(r.end)
	var ready wire.ReadyData
	r.event(wire.EventReady, &ready)
	if ready.Version == "" || len(ready.Encoders) == 0 || len(ready.Elements) == 0 {
		t.Fatalf("ready says %+v", ready)
	}
	return r
}

// startJob is newRig with a job begun.
func startJob(t testing.TB, kind string, params any) *rig {
	t.Helper()
	r := newRig(t)
	if err := r.ask(wire.MethodStart, wire.StartParams{Kind: kind, Params: encode(params)}, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) readControl() {
	s := bufio.NewScanner(r.ctl)
	s.Buffer(nil, wire.MaxLine)
	for s.Scan() {
		var m wire.Message
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			r.t.Errorf("the worker says %q", s.Bytes())
			return
		}
		if m.Event != "" {
			r.events <- m
			continue
		}
		r.mu.Lock()
		ch := r.answers[m.ID]
		r.mu.Unlock()
		ch <- m
	}
}

func (r *rig) readMedia() {
	asm := map[uint16]*assembler{}
	buf := make([]byte, 64<<10)
	for {
		n, err := r.med.Read(buf)
		if err != nil || n == 0 {
			return
		}
		h, payload, err := wire.Parse(buf[:n])
		if err != nil {
			r.t.Error(err)
			return
		}
		a := asm[h.Stream]
		if a == nil {
			a = &assembler{}
			asm[h.Stream] = a
		}
		if f, ok := a.add(h, payload); ok {
			select {
			case r.frames <- coded{h.Stream, append([]byte(nil), f.data...), time.Duration(f.pts), f.key, f.lost}:
			default:
			}
		}
	}
}

// ask sends a request and waits for its answer.
func (r *rig) ask(method string, params, result any) error {
	r.t.Helper()
	r.mu.Lock()
	r.ids++
	id, ch := r.ids, make(chan wire.Message, 1)
	r.answers[id] = ch
	r.mu.Unlock()
	b := append(encode(wire.Message{ID: id, Method: method, Params: encode(params)}), '\n')
	if _, err := r.ctl.Write(b); err != nil {
		return err
	}
	select {
	case m := <-ch:
		if m.Error != nil {
			return m.Error
		}
		if result != nil {
			return json.Unmarshal(m.Result, result)
		}
		return nil
	case <-time.After(patience):
		r.t.Fatalf("no answer to %s", method)
		return nil
	}
}

// must is ask without an error.
func (r *rig) must(method string, params any) {
	r.t.Helper()
	if err := r.ask(method, params, nil); err != nil {
		r.t.Fatalf("%s: %v", method, err)
	}
}

// event waits for an event of that name, past others, and reads its data.
func (r *rig) event(name string, into any) {
	r.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case m := <-r.events:
			if m.Event == name {
				if into != nil {
					if err := json.Unmarshal(m.Data, into); err != nil {
						r.t.Fatal(err)
					}
				}
				return
			}
			if m.Event == wire.EventError {
				r.t.Logf("error event %s", m.Data)
			}
		case <-limit:
			r.t.Fatalf("no event %s", name)
		}
	}
}

// send sends a frame to an input.
func (r *rig) send(stream uint16, data []byte, pts time.Duration, flags uint8) {
	for i := uint8(0); ; i++ {
		n := min(len(data), wire.MaxFragment)
		h := wire.Header{Stream: stream, Flags: flags, Fragment: i, Frame: r.next[stream], PTS: int64(pts)}
		if n < len(data) {
			h.Flags |= wire.More
		}
		b := make([]byte, wire.HeaderSize, wire.HeaderSize+n)
		h.Put(b)
		if _, err := r.med.Write(append(b, data[:n]...)); err != nil {
			return
		}
		if data = data[n:]; len(data) == 0 {
			break
		}
	}
	r.next[stream]++
}

// play sends units at their pace, as a call does, until they end or stop is
// closed. It gives the PTS of the first.
func (r *rig) play(stream uint16, units []unit, stop <-chan struct{}) (first time.Duration) {
	start := gst.Now()
	r.playFrom(start, stream, units, 0, stop)
	return start
}

// playFrom goes on with a time line that began at start. The first unit bears
// more flags.
func (r *rig) playFrom(start time.Duration, stream uint16, units []unit, flags uint8, stop <-chan struct{}) {
	t := time.NewTimer(0)
	defer t.Stop()
	for _, u := range units {
		t.Reset(start + u.at - gst.Now())
		select {
		case <-t.C:
		case <-stop:
			return
		}
		if u.key {
			flags |= wire.Key
		}
		r.send(stream, u.data, start+u.at, flags)
		flags = 0
	}
}

// collect gives n frames of a stream.
func (r *rig) collect(stream uint16, n int) []coded {
	r.t.Helper()
	var got []coded
	limit := time.After(patience)
	for len(got) < n {
		select {
		case f := <-r.frames:
			if f.stream == stream {
				got = append(got, f)
			}
		case <-limit:
			r.t.Fatalf("%d frames of stream %d, want %d", len(got), stream, n)
		}
	}
	return got
}

// close ends the job in order and gives the exit code.
func (r *rig) close() int {
	r.t.Helper()
	r.must(wire.MethodClose, nil)
	select {
	case code := <-r.code:
		r.code <- code
		return code
	case <-time.After(patience):
		r.t.Fatal("the worker does not end")
		return -1
	}
}

func (r *rig) end() {
	r.once.Do(func() {
		_ = r.ctl.Close()
		_ = r.med.Close()
		select {
		case <-r.code:
		case <-time.After(patience):
			r.t.Error("the worker outlives the server")
		}
		r.readers.Wait()
	})
}

// unit is a coded frame of a file.
type unit struct {
	data []byte
	at   time.Duration // since the first
	key  bool
}

func le32(b []byte) int { return int(binary.LittleEndian.Uint32(b)) }
