// Package workerstest is a media worker in Go for tests of those who use
// workers: it speaks package wire over real sockets, from a goroutine instead of
// a process and without GStreamer. What it "encodes" are frames made up by Unit,
// which keyframe detectors and depacketizers take for real. Nothing but tests
// may import it.
//
//	farm := workerstest.New(t, workerstest.Script{})
//	job, err := farm.Pool.Start(ctx, workers.Spec{Kind: "composite"})
//	w := farm.Worker(t, 0)          // the first one that was given a job
//	w.Flow("video", "video", true)  // raw media flows on a port
package workerstest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
)

// Script is how fake workers behave. Each function may be nil; they are called
// on the worker's goroutine and may use the Worker.
type Script struct {
	// Ready is what a worker says of its platform; zero has every codec.
	Ready wire.ReadyData
	// Start refuses a job with an error (its kerr code is told).
	Start func(w *Worker, kind string, params json.RawMessage) error
	// Input refuses an announced input with an error.
	Input func(w *Worker, s wire.StreamParams) error
	// Frame hears of each whole frame of an input.
	Frame func(w *Worker, f Frame)
	// Output refuses an encoding with an error.
	Output func(w *Worker, p wire.OutputParams) error
	// Call answers requests of the job's kind; nil answers null. Files are closed
	// after it returns.
	Call func(w *Worker, method string, params json.RawMessage, files []*os.File) (any, error)
	// Flows are the ports on which media flows as soon as the first frame of any
	// input arrived, port to "audio" or "video"; FlowAtStart does not wait.
	Flows       map[string]string
	FlowAtStart bool
	// Silent makes outputs send nothing by themselves; otherwise each sends a frame
	// every 20 ms while its port flows.
	Silent bool
	// Closing is how long closing takes.
	Closing time.Duration
	// Spawn fails the start of a worker.
	Spawn func() error
}

// Frame is a whole frame as it came from the server.
type Frame struct {
	Input    string
	Payload  []byte
	PTS      int64 // CLOCK_MONOTONIC ns
	Key, Gap bool
}

// Request is one request as it came from the server.
type Request struct {
	Method string // of wire, "call" for all calls
	Params json.RawMessage
}

// Farm is a Pool with fake workers.
type Farm struct {
	Pool *workers.Pool

	script  Script
	mu      sync.Mutex
	started []*Worker
	all     []*Worker
	changed chan struct{}
}

// New makes a Farm; it is closed with the test. config may change the Pool's
// configuration.
func New(t testing.TB, s Script, config ...func(*workers.Config)) *Farm {
	t.Helper()
	f := NewFarm(s)
	c := workers.Config{Cores: 100, Spawn: f.Spawn}
	for _, change := range config {
		change(&c)
	}
	f.Pool = workers.NewPool(c)
	t.Cleanup(func() {
		if err := f.Pool.Close(); err != nil {
			t.Errorf("close pool of fake workers: %v", err)
		}
	})
	return f
}

// NewFarm makes a Farm without a Pool, for a workers.Config with Farm.Spawn.
func NewFarm(s Script) *Farm {
	return &Farm{script: s, changed: make(chan struct{})}
}

// Spawn is a workers.Config.Spawn.
func (f *Farm) Spawn() (*workers.Process, error) {
	if f.script.Spawn != nil {
		if err := f.script.Spawn(); err != nil {
			return nil, err
		}
	}
	media, theirMedia, err := workers.SocketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	control, theirControl, err := workers.SocketPair(unix.SOCK_STREAM)
	if err != nil {
		media.Close()
		theirMedia.Close()
		return nil, err
	}
	w, err := newWorker(f.script, theirMedia, theirControl, f.note)
	if err != nil {
		media.Close()
		control.Close()
		return nil, err
	}
	f.mu.Lock()
	f.all = append(f.all, w)
	f.mu.Unlock()
	w.serve()
	return &workers.Process{
		Media: media, Control: control,
		Wait: w.wait, Kill: func() { w.end(fmt.Errorf("killed")) },
	}, nil
}

// note hears that something happened to w.
func (f *Farm) note(w *Worker, started bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if started {
		f.started = append(f.started, w)
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// Workers are those that were given a job, oldest first.
func (f *Farm) Workers() []*Worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.started)
}

// Worker waits for the n-th worker (from 0) that was given a job.
func (f *Farm) Worker(t testing.TB, n int) *Worker {
	t.Helper()
	var w *Worker
	f.Wait(t, fmt.Sprintf("worker %d", n), func() bool {
		all := f.Workers()
		if len(all) > n {
			w = all[n]
		}
		return w != nil
	})
	return w
}

// Wait waits until cond holds, for 10 s; it looks when a worker was told
// something and every 10 ms.
func (f *Farm) Wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for !cond() {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
