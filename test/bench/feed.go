package main

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// inputPorts is where the packets of one input go to; sound is 0 without.
type inputPorts struct{ video, sound uint16 }

// feed sends a scene's inputs by the clock, from the sockets that the scene has
// opened.
type feed struct {
	once  sync.Once
	quit  chan struct{}
	over  chan struct{}
	worst atomic.Int64
}

// row is a stream and what takes its packets.
type row struct {
	*stream
	send func([]byte)
}

// toPort sends from a socket to a port on loopback. A side that is gone is noticed
// by what does not come out.
func toPort(from *net.UDPConn, port uint16) func([]byte) {
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	return func(b []byte) { _, _ = from.WriteToUDPAddrPort(b, to) }
}

func newFeed(m *media, s *scene, to []inputPorts) *feed {
	units := m.small
	if s.large {
		units = m.large
	}
	var rows []row
	const picture = time.Second / sourceFPS
	for i, p := range to {
		// Inputs begin at different keyframes, and not in the same millisecond.
		first := picture * time.Duration(i) / time.Duration(len(to))
		rows = append(rows, row{newStream(units, videoType, uint32(1000+i), 90000/sourceFPS, picture, first, i*groupOf), toPort(s.from[i].video, p.video)})
		if p.sound != 0 {
			rows = append(rows, row{newStream(m.sound, soundType, uint32(2000+i), 960, soundPeriod, first, i*50), toPort(s.from[i].sound, p.sound)})
		}
	}
	return feedRows(rows)
}

// feedRows sends what is due, row by row.
func feedRows(rows []row) *feed {
	f := &feed{quit: make(chan struct{}), over: make(chan struct{})}
	go func() {
		defer close(f.over)
		begin := time.Now()
		buf := make([]byte, 2*mtu)
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			next := slices.MinFunc(rows, func(a, b row) int { return int(a.due - b.due) })
			if wait := next.due - time.Since(begin); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-f.quit:
					return
				}
			}
			select {
			case <-f.quit:
				return
			default:
			}
			if late := int64(time.Since(begin) - next.due); late > f.worst.Load() {
				f.worst.Store(late)
			}
			_ = next.packets(buf, next.send)
			next.due += next.period
		}
	}()
	return f
}

// late is the latest that something was sent.
func (f *feed) late() time.Duration { return time.Duration(f.worst.Load()) }

func (f *feed) stop() {
	f.once.Do(func() { close(f.quit) })
	<-f.over
}
