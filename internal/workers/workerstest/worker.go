package workerstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// encodeEvery is the time between frames of an output.
const encodeEvery = 20 * time.Millisecond

// Worker is one fake worker. Safe for concurrent use.
type Worker struct {
	script  Script
	media   *net.UnixConn
	control *net.UnixConn
	note    func(*Worker, bool)
	dead    chan struct{}
	gone    sync.WaitGroup

	writeMu sync.Mutex // of the control socket
	sendMu  sync.Mutex // of the media socket

	mu       sync.Mutex
	err      error
	ended    bool
	kind     string
	params   json.RawMessage
	inputs   map[uint16]wire.StreamParams
	outputs  map[uint16]wire.OutputParams
	key      map[uint16]bool // outputs whose next frame is a keyframe
	number   map[uint16]uint32
	flows    map[string]string // flowing ports
	frames   []Frame
	requests []Request
	own      uint16
	partial  map[uint16]*partial
	flowed   bool
	seen     map[string]bool // inputs of a director that brought a picture
}

type partial struct {
	h   wire.Header
	buf []byte
}

func newWorker(s Script, media, control *os.File, note func(*Worker, bool)) (*Worker, error) {
	defer media.Close()
	defer control.Close()
	w := &Worker{
		script: s, note: note, dead: make(chan struct{}), inputs: map[uint16]wire.StreamParams{}, outputs: map[uint16]wire.OutputParams{},
		key: map[uint16]bool{}, number: map[uint16]uint32{}, flows: map[string]string{}, partial: map[uint16]*partial{}, seen: map[string]bool{}, own: wire.FirstOwnStream,
	}
	for _, x := range []struct {
		f *os.File
		c **net.UnixConn
	}{{media, &w.media}, {control, &w.control}} {
		c, err := net.FileConn(x.f)
		if err != nil {
			return nil, err
		}
		*x.c = c.(*net.UnixConn)
	}
	return w, nil
}

// Serve is a whole worker on inherited sockets, for a test binary that plays the
// worker's. It returns when the worker has ended.
func Serve(s Script) error {
	w, err := newWorker(s, os.NewFile(wire.MediaFD, "media"), os.NewFile(wire.ControlFD, "control"), func(*Worker, bool) {})
	if err != nil {
		return err
	}
	w.serve()
	return w.wait()
}

// serve runs the worker's goroutines and returns when they have begun.
func (w *Worker) serve() {
	w.gone.Add(3)
	go func() { defer w.gone.Done(); w.readControl() }()
	go func() { defer w.gone.Done(); w.readMedia() }()
	go func() { defer w.gone.Done(); w.encode() }()
	ready := w.script.Ready
	if ready.Version == "" {
		ready.Version = "1.22.0"
		for _, n := range []codec.Name{codec.VP8, codec.VP9, codec.AV1, codec.H264, codec.Opus, codec.PCMU, codec.PCMA} {
			ready.Encoders, ready.Decoders = append(ready.Encoders, string(n)), append(ready.Decoders, string(n))
		}
	}
	w.emit(wire.EventReady, ready)
}

// wait returns when the worker has ended.
func (w *Worker) wait() error {
	<-w.dead
	w.gone.Wait()
	return w.err
}

// end closes the sockets, as the end of a process does.
func (w *Worker) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended, w.err = true, err
		w.media.Close()
		w.control.Close()
		close(w.dead)
	}
}

// Crash ends the worker as a signal would.
func (w *Worker) Crash() { w.end(errors.New("signal: segmentation fault")) }

// Dead tells whether the worker has ended.
func (w *Worker) Dead() bool {
	select {
	case <-w.dead:
		return true
	default:
		return false
	}
}

func (w *Worker) write(m wire.Message) {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	w.writeMu.Lock()
	defer w.writeMu.Unlock()
	if _, err := w.control.Write(append(b, '\n')); err != nil {
		w.end(fmt.Errorf("write: %w", err))
	}
}

func (w *Worker) emit(event string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	w.write(wire.Message{Event: event, Data: b})
}

// Event sends an event of the job's kind.
func (w *Worker) Event(name string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	w.emit(wire.EventJob, wire.JobData{Name: name, Data: b})
}

// Error sends an error event.
func (w *Worker) Error(e wire.ErrorData) { w.emit(wire.EventError, e) }

// End tells that a stream, or the job (""), has ended by itself.
func (w *Worker) End(name string) { w.emit(wire.EventEnd, wire.NameData{Name: name}) }

// WantKey asks for a keyframe of an input.
func (w *Worker) WantKey(input string) { w.emit(wire.EventKeyFrame, wire.NameData{Name: input}) }

// Flow tells whether raw media flows on a port; kind is "audio" or "video".
func (w *Worker) Flow(port, kind string, flowing bool) {
	w.mu.Lock()
	if flowing {
		w.flows[port] = kind
	} else {
		delete(w.flows, port)
	}
	w.mu.Unlock()
	w.emit(wire.EventFlow, wire.FlowData{Port: port, Kind: kind, Flowing: flowing})
}

// Stream announces frames that the worker sends by itself and gives their id for Send.
func (w *Worker) Stream(name string, m wire.Media) uint16 {
	w.mu.Lock()
	id := w.own
	w.own++
	w.mu.Unlock()
	w.emit(wire.EventStream, wire.StreamParams{Stream: id, Name: name, Media: m})
	return id
}

// Send sends a frame of a stream, in fragments where it is long. pts is
// CLOCK_MONOTONIC ns.
func (w *Worker) Send(stream uint16, payload []byte, pts int64, key bool) {
	w.mu.Lock()
	frame := w.number[stream]
	w.number[stream]++
	w.mu.Unlock()
	w.SendFrame(wire.Header{Stream: stream, Frame: frame, PTS: pts}, payload, key)
}

// SendFrame is Send with a frame number of the caller's.
func (w *Worker) SendFrame(h wire.Header, payload []byte, key bool) {
	w.sendMu.Lock()
	defer w.sendMu.Unlock()
	for {
		n := min(len(payload), wire.MaxFragment)
		h.Flags &^= wire.More | wire.Key
		if key {
			h.Flags |= wire.Key
		}
		if n < len(payload) {
			h.Flags |= wire.More
		}
		b := make([]byte, wire.HeaderSize+n)
		h.Put(b)
		copy(b[wire.HeaderSize:], payload[:n])
		if _, err := w.media.Write(b); err != nil {
			return
		}
		if payload = payload[n:]; len(payload) == 0 {
			return
		}
		h.Fragment++
	}
}

// Kind is the job's kind, with its parameters.
func (w *Worker) Kind() (string, json.RawMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kind, w.params
}

// Inputs are the names of the inputs that exist, sorted.
func (w *Worker) Inputs() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, s := range w.inputs {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// Outputs are the encodings that exist.
func (w *Worker) Outputs() []wire.OutputParams {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []wire.OutputParams
	for _, o := range w.outputs {
		all = append(all, o)
	}
	return all
}

// Frames are the whole frames of an input so far.
func (w *Worker) Frames(input string) []Frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	var some []Frame
	for _, f := range w.frames {
		if f.Input == input {
			some = append(some, f)
		}
	}
	return some
}

// Requests are all requests of a method so far; "" is all.
func (w *Worker) Requests(method string) []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	var some []Request
	for _, r := range w.requests {
		if method == "" || r.Method == method {
			some = append(some, r)
		}
	}
	return some
}

// Calls are the calls of a method of the job's kind, by their parameters.
func (w *Worker) Calls(method string) []json.RawMessage {
	var some []json.RawMessage
	for _, r := range w.Requests(wire.MethodCall) {
		var c wire.CallParams
		if json.Unmarshal(r.Params, &c) == nil && c.Method == method {
			some = append(some, c.Params)
		}
	}
	return some
}

func (w *Worker) readControl() {
	defer w.end(nil)
	var pending []byte
	var files []*os.File
	buf, oob := make([]byte, 64<<10), make([]byte, 1024)
	for {
		n, oobn, _, _, err := w.control.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return
		}
		files = append(files, received(oob[:oobn])...)
		pending = append(pending, buf[:n]...)
		for {
			i := bytes.IndexByte(pending, '\n')
			if i < 0 {
				break
			}
			var m wire.Message
			if err := json.Unmarshal(pending[:i], &m); err != nil {
				w.end(fmt.Errorf("the server speaks nonsense: %w", err))
				return
			}
			pending = pending[i+1:]
			if w.request(m, files) {
				return
			}
			for _, f := range files {
				f.Close()
			}
			files = nil
		}
	}
}

func received(oob []byte) (files []*os.File) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		fds, _ := syscall.ParseUnixRights(&m)
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files
}

// request answers a request and tells whether it was the last.
func (w *Worker) request(m wire.Message, files []*os.File) (last bool) {
	w.mu.Lock()
	w.requests = append(w.requests, Request{m.Method, m.Params})
	w.mu.Unlock()
	result, err := w.handle(m, files)
	a := wire.Message{ID: m.ID}
	if err != nil {
		code, _ := kerr.Of(err)
		a.Error = &wire.Error{Code: int(code), Text: err.Error()}
	} else if a.Result, err = json.Marshal(result); err != nil {
		panic(err)
	}
	if m.Method == wire.MethodClose {
		select {
		case <-time.After(w.script.Closing):
		case <-w.dead: // killed meanwhile
		}
	}
	w.write(a)
	w.note(w, m.Method == wire.MethodStart)
	return m.Method == wire.MethodClose
}

func (w *Worker) handle(m wire.Message, files []*os.File) (any, error) {
	s := w.script
	switch m.Method {
	case wire.MethodStart:
		p := parse[wire.StartParams](m)
		w.mu.Lock()
		w.kind, w.params = p.Kind, p.Params
		w.mu.Unlock()
		if s.Start != nil {
			if err := s.Start(w, p.Kind, p.Params); err != nil {
				return nil, err
			}
		}
		if s.FlowAtStart {
			w.flowAll()
		}
	case wire.MethodInput:
		p := parse[wire.StreamParams](m)
		if s.Input != nil {
			if err := s.Input(w, p); err != nil {
				return nil, err
			}
		}
		w.mu.Lock()
		for id, old := range w.inputs {
			if old.Name == p.Name {
				delete(w.inputs, id)
			}
		}
		w.inputs[p.Stream] = p
		w.mu.Unlock()
	case wire.MethodNoInput:
		p := parse[wire.NameParams](m)
		w.mu.Lock()
		for id, old := range w.inputs {
			if old.Name == p.Name {
				delete(w.inputs, id)
			}
		}
		w.mu.Unlock()
	case wire.MethodOutput:
		p := parse[wire.OutputParams](m)
		if s.Output != nil {
			if err := s.Output(w, p); err != nil {
				return nil, err
			}
		}
		w.mu.Lock()
		w.outputs[p.Stream], w.key[p.Stream] = p, true
		w.number[p.Stream] = 0
		w.mu.Unlock()
	case wire.MethodNoOutput:
		w.mu.Lock()
		delete(w.outputs, parse[wire.IDParams](m).Stream)
		w.mu.Unlock()
	case wire.MethodKeyFrame:
		w.mu.Lock()
		w.key[parse[wire.IDParams](m).Stream] = true
		w.mu.Unlock()
	case wire.MethodCall:
		p := parse[wire.CallParams](m)
		w.direct(p)
		if s.Call != nil {
			return s.Call(w, p.Method, p.Params, files)
		}
	case wire.MethodDot:
		return "digraph fake {}", nil
	case wire.MethodLatency:
		w.mu.Lock()
		defer w.mu.Unlock()
		r := wire.LatencyResult{}
		for port := range w.flows {
			r[port] = int64(10 * time.Millisecond)
		}
		return r, nil
	case wire.MethodBitrate, wire.MethodPing, wire.MethodClose:
	default:
		return nil, kerr.New(kerr.MediaObjectMethodNotFound, "no method %s", m.Method)
	}
	return nil, nil
}

func parse[T any](m wire.Message) (p T) {
	if err := json.Unmarshal(m.Params, &p); err != nil {
		panic(fmt.Sprintf("parameters of %s: %v", m.Method, err))
	}
	return p
}

func (w *Worker) flowAll() {
	w.mu.Lock()
	done := w.flowed
	w.flowed = true
	w.mu.Unlock()
	if done {
		return
	}
	for port, kind := range w.script.Flows {
		w.Flow(port, kind, true)
	}
}

func (w *Worker) readMedia() {
	buf := make([]byte, wire.HeaderSize+wire.MaxFragment+1)
	for {
		n, err := w.media.Read(buf)
		if err != nil {
			return
		}
		h, payload, err := wire.Parse(buf[:n])
		if err != nil {
			continue
		}
		w.mu.Lock()
		in, known := w.inputs[h.Stream]
		part := w.partial[h.Stream]
		switch {
		case h.Fragment == 0:
			part = &partial{h, bytes.Clone(payload)}
			w.partial[h.Stream] = part
		case part == nil || part.h.Frame != h.Frame || h.Fragment != part.h.Fragment+1:
			delete(w.partial, h.Stream)
			known = false
		default:
			part.h.Fragment = h.Fragment
			part.buf = append(part.buf, payload...)
		}
		whole := known && h.Flags&wire.More == 0
		var f Frame
		if whole {
			f = Frame{Input: in.Name, Payload: part.buf, PTS: h.PTS, Key: part.h.Flags&wire.Key != 0, Gap: part.h.Flags&wire.Gap != 0}
			w.frames = append(w.frames, f)
		}
		w.mu.Unlock()
		if !whole {
			continue
		}
		w.flowAll()
		w.see(in, f)
		if w.script.Frame != nil {
			w.script.Frame(w, f)
		}
		w.note(w, false)
	}
}

// encode sends frames of the outputs whose ports flow.
func (w *Worker) encode() {
	tick := time.NewTicker(encodeEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.dead:
			return
		case <-tick.C:
		}
		if w.script.Silent {
			continue
		}
		for _, o := range w.Outputs() {
			w.mu.Lock()
			_, flows := w.flows[o.Port]
			key := w.key[o.Stream]
			if flows {
				delete(w.key, o.Stream)
			}
			w.mu.Unlock()
			if flows {
				w.Send(o.Stream, Unit(codec.Name(o.Codec), key), Now(), key || !codec.Name(o.Codec).IsVideo())
			}
		}
	}
}

// Now is CLOCK_MONOTONIC in ns.
func Now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}
