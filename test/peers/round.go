//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	// quiet is for what is under way, before and after the measured time.
	quiet = 400 * time.Millisecond
	// overdue: what has not come by then is lost.
	overdue = 4 * time.Second
	// joinWithin bounds a join.
	joinWithin = 10 * time.Second
	// timed is how many viewers join one at a time, and make the time of a join; the
	// others come -parallel at a time.
	timed = 20
)

// round is one server under one load.
type round struct {
	o       options
	load    load
	kind    kind
	server  server
	sending context.Context
	sent    sync.WaitGroup
	drain   *drain
	on      atomic.Bool
	cert    *webrtc.Certificate

	publishers []*publisher
	mu         sync.Mutex
	viewers    []*viewer
	joins      []time.Duration
}

// measure runs a server under a load.
func measure(ctx context.Context, o options, l load, name string) (_ result, err error) {
	k, err := kindOf(name, o)
	if err != nil {
		return result{}, err
	}
	m := &round{o: o, load: l, kind: k, server: k.make(o, l), drain: startDrain()}
	sending, cancel := context.WithCancel(ctx)
	m.sending = sending
	defer func() {
		cancel()
		err = errors.Join(err, m.close())
	}()
	if m.cert, err = newCertificate(); err != nil {
		return result{}, err
	}
	if err := m.server.start(ctx); err != nil {
		return result{}, fmt.Errorf("start: %w", err)
	}
	r := result{Load: l.name, Server: name, Publishers: l.publishers, Viewers: l.viewers, SRTP: o.srtp, Feedback: o.feedback}
	if err := m.join(ctx, &r); err != nil {
		return r, err
	}
	m.drain.every.Store(int64(5 * time.Millisecond))
	if err := sleep(ctx, o.settle); err != nil {
		return r, err
	}
	return r, m.watch(ctx, &r)
}

// join brings publishers and viewers in.
func (m *round) join(ctx context.Context, r *result) error {
	base, _, err := memoryOf(m.server.pid())
	if err != nil {
		return err
	}
	for n := range m.load.publishers {
		if err := m.publish(ctx, n); err != nil {
			return fmt.Errorf("publisher %d: %w", n, err)
		}
	}
	if m.load.viewers > 0 {
		m.joins = nil // those of viewers count
		if err := sleep(ctx, 700*time.Millisecond); err != nil {
			return err
		}
		if base, _, err = memoryOf(m.server.pid()); err != nil {
			return err
		}
		joining := m.load.viewers
		if !m.kind.bundled {
			joining *= m.load.publishers
		}
		if err := m.view(ctx, joining); err != nil {
			return err
		}
	}
	r.baseKB = base
	slices.Sort(m.joins)
	r.JoinMS = milliseconds(percentile(m.joins, .5))
	r.Join99MS = milliseconds(percentile(m.joins, .99))
	return nil
}

func (m *round) publish(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	p, err := newPublisher(m.o, m.kind.address, n)
	if err != nil {
		return err
	}
	m.publishers = append(m.publishers, p)
	begin := time.Now()
	if err := m.server.publish(ctx, p.pc); err != nil {
		return err
	}
	if err := waitFor(joinWithin, func() bool { return p.pc.ConnectionState() == webrtc.PeerConnectionStateConnected }); err != nil {
		return fmt.Errorf("%w (%s)", err, p.pc.ConnectionState())
	}
	m.joins = append(m.joins, time.Since(begin))
	m.sent.Go(func() { p.run(m.sending, m.load) })
	return nil
}

// view lets all viewers join.
func (m *round) view(ctx context.Context, connections int) error {
	var next atomic.Int64
	for range min(timed, connections) {
		if err := m.viewOne(ctx, int(next.Add(1))-1, connections); err != nil {
			return err
		}
	}
	errs := make(chan error, m.o.parallel)
	for range m.o.parallel {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= connections || ctx.Err() != nil {
					errs <- ctx.Err()
					return
				}
				if err := m.viewOne(ctx, i, connections); err != nil {
					next.Store(int64(connections)) // the others need not go on
					errs <- err
					return
				}
			}
		}()
	}
	var all []error
	for range m.o.parallel {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func (m *round) viewOne(ctx context.Context, i, connections int) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("viewer %d: %w", i, err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	sampled := m.o.feedback || i%max(1, connections/max(1, m.load.sampled)) == 0
	v, err := newViewer(m.o, m.kind.address, sampled, m.cert, &m.on)
	if err != nil {
		return err
	}
	m.drain.add(v.socket)
	m.mu.Lock()
	m.viewers = append(m.viewers, v)
	m.mu.Unlock()
	begin := time.Now()
	if err := m.server.subscribe(ctx, v.pc, i%m.load.publishers); err != nil {
		return err
	}
	if err := waitFor(joinWithin, func() bool { return v.socket.media.Load() > 0 }); err != nil {
		return fmt.Errorf("no media (ice %s, dtls %s): %w", v.pc.ICEConnectionState(), v.pc.ConnectionState(), err)
	}
	if i < timed {
		m.joins = append(m.joins, time.Since(begin))
	}
	return nil
}

// close ends everything, the server last: it should see its peers leave.
func (m *round) close() error {
	m.sent.Wait()
	for _, p := range m.publishers {
		_ = p.close()
	}
	for _, v := range m.viewers {
		_ = v.close()
	}
	m.drain.stop()
	return m.server.stop()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// own is this process, the load.
var own = os.Getpid()
