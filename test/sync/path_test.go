package sync

import (
	"container/heap"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// path is the publisher's socket with a network behind it: what is sent comes
// late, and some of it never. Its own choices repeat with the seed.
type path struct {
	*net.UDPConn
	delay  time.Duration
	jitter time.Duration // more delay, up to this: packets overtake each other
	loss   float64       // of media and reports
	down   func() bool   // nothing passes, both ways
	wg     sync.WaitGroup
	once   sync.Once
	quit   chan struct{}
	wake   chan struct{}

	mu    sync.Mutex
	rnd   *rand.Rand
	queue flights
	lost  int
	sent  int
}

type flight struct {
	due  time.Time
	data []byte
	to   net.Addr
}

type flights []flight

func (f flights) Len() int           { return len(f) }
func (f flights) Less(i, j int) bool { return f[i].due.Before(f[j].due) }
func (f flights) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)        { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

func newPath(c Case, down func() bool) (*path, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	p := &path{
		UDPConn: conn, delay: roundTrip, jitter: c.Jitter, loss: c.Loss, down: down,
		quit: make(chan struct{}), wake: make(chan struct{}, 1), rnd: rand.New(rand.NewPCG(c.Seed, 7)),
	}
	p.wg.Go(p.run)
	return p, nil
}

// WriteTo implements net.PacketConn.
func (p *path) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.down() {
		return len(b), nil
	}
	media := len(b) > 0 && b[0] >= 128 && b[0] < 192 // RFC 7983
	p.mu.Lock()
	due := time.Now().Add(p.delay)
	if media {
		p.sent++
		due = due.Add(time.Duration(p.rnd.Float64() * float64(p.jitter)))
		if p.rnd.Float64() < p.loss {
			p.lost++
			p.mu.Unlock()
			return len(b), nil
		}
	}
	heap.Push(&p.queue, flight{due, append([]byte(nil), b...), to})
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return len(b), nil
}

// ReadFrom implements net.PacketConn.
func (p *path) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := p.UDPConn.ReadFrom(b)
		if err != nil || !p.down() {
			return n, from, err
		}
	}
}

func (p *path) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.mu.Lock()
		var wait time.Duration = time.Hour
		for len(p.queue) > 0 {
			if wait = time.Until(p.queue[0].due); wait > 0 {
				break
			}
			f := heap.Pop(&p.queue).(flight)
			_, _ = p.UDPConn.WriteTo(f.data, f.to)
			wait = time.Hour
		}
		p.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-p.quit:
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// Close ends the network.
func (p *path) Close() error {
	p.once.Do(func() { close(p.quit) })
	p.wg.Wait()
	return p.UDPConn.Close()
}
