//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// snapshot is what is counted at a moment in which nothing is under way.
type snapshot struct {
	at                   time.Time
	server, own          usage
	machine              time.Duration
	sent, received, lost int64
}

func (m *round) snapshot() (s snapshot, err error) {
	s.at, s.machine = time.Now(), busy()
	for _, p := range m.publishers {
		s.sent += p.sent.Load()
		lost, _ := p.missing()
		s.lost += lost
	}
	s.received = m.received()
	if s.server, err = usageOf(m.server.pid()); err == nil {
		s.own, err = usageOf(own)
	}
	return s, err
}

func (m *round) received() (n int64) {
	for _, v := range m.viewers {
		n += v.socket.media.Load()
	}
	return n
}

// hush stops or starts the publishers and waits until everything has arrived, so
// that each packet sent counts, and no other.
func (m *round) hush(ctx context.Context) error {
	for _, p := range m.publishers {
		p.hushed.Store(true)
	}
	last, since := m.received(), time.Now()
	for begin := since; time.Since(since) < quiet && time.Since(begin) < overdue; {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
		if n := m.received(); n != last {
			last, since = n, time.Now()
		}
	}
	return nil
}

// watch measures.
func (m *round) watch(ctx context.Context, r *result) error {
	if err := m.hush(ctx); err != nil {
		return err
	}
	from, err := m.snapshot()
	if err != nil {
		return err
	}
	stop := m.look(ctx)
	m.on.Store(true)
	for _, p := range m.publishers {
		p.hushed.Store(false)
	}
	if err := sleep(ctx, m.load.measure); err != nil {
		return err
	}
	rss, threads, err := memoryOf(m.server.pid())
	if err != nil {
		return err
	}
	if err := m.hush(ctx); err != nil {
		return err
	}
	m.on.Store(false)
	to, err := m.snapshot()
	if err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	r.Threads = threads
	r.BaseMB = float64(r.baseKB) / 1024
	r.RSSKB = float64(rss-r.baseKB) / float64(max(1, m.load.flows()))
	if m.load.viewers == 0 {
		r.RSSKB = float64(rss-r.baseKB) / float64(m.load.publishers)
	}
	return m.account(r, from, to)
}

// account makes figures of two snapshots.
func (m *round) account(r *result, from, to snapshot) error {
	r.Seconds = to.at.Sub(from.at).Seconds()
	r.Sent = to.sent - from.sent
	due := r.Sent * int64(m.load.viewers)
	r.Packets = to.received - from.received
	if m.load.viewers == 0 {
		due = r.Sent
		r.Packets = r.Sent - (to.lost - from.lost) // as the server reports it
		for _, p := range m.publishers {
			if _, told := p.missing(); !told {
				return errors.New("the server has not reported what it received")
			}
		}
	}
	if r.Packets <= 0 {
		return fmt.Errorf("nothing arrived of %d packets", due)
	}
	used, packets := to.server.minus(from.server), float64(r.Packets)
	r.Delivered = packets / float64(due)
	r.CPU = microseconds(used.total()) / packets
	r.System = microseconds(used.system) / packets
	r.Cores = used.total().Seconds() / r.Seconds
	r.Switches = float64(used.switches) / packets
	r.LoadCores = to.own.minus(from.own).total().Seconds() / r.Seconds
	r.OtherCores = max(0, (to.machine-from.machine).Seconds()/r.Seconds-r.Cores-r.LoadCores)
	var all []time.Duration
	for _, v := range m.viewers {
		v.mu.Lock()
		all = append(all, v.latencies...)
		v.mu.Unlock()
	}
	slices.Sort(all)
	r.Samples = len(all)
	r.P50, r.P99 = milliseconds(percentile(all, .5)), milliseconds(percentile(all, .99))
	return nil
}

// profiled is a server with Go's profiler.
type profiled interface{ profiler() string }

// look starts -profile and -perf for the measured time; what it returns waits for
// them.
func (m *round) look(ctx context.Context) func() error {
	var waits []func() error
	if p, ok := m.server.(profiled); ok && m.o.profile != "" {
		done := make(chan error, 1)
		go func() {
			done <- fetch(ctx, fmt.Sprintf("%s/profile?seconds=%d", p.profiler(), int(m.load.measure.Seconds())), m.o.profile)
		}()
		waits = append(waits, func() error {
			return errors.Join(<-done, fetch(ctx, p.profiler()+"/heap", m.o.profile+".heap"))
		})
	}
	if m.o.perf != "" {
		c := exec.CommandContext(ctx, "perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-g", "-o", m.o.perf, "-p", fmt.Sprint(m.server.pid()), "--",
			"sleep", fmt.Sprint(m.load.measure.Seconds()))
		if err := c.Start(); err != nil {
			waits = append(waits, func() error { return err })
		} else {
			waits = append(waits, c.Wait)
		}
	}
	return func() error {
		var all []error
		for _, w := range waits {
			all = append(all, w())
		}
		return errors.Join(all...)
	}
}

// percentile of a sorted list; 0 of none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*p))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
