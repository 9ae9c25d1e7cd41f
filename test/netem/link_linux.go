package netem

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Link is a cable. Here is our end of it, There the far one, in Namespace.
type Link struct {
	Namespace   string
	Here, There netip.Addr
	ways        [2]*pump // from here, from there
	wg          sync.WaitGroup
}

var links atomic.Int32

// Open lays a cable with a perfect profile; the test's end takes it away. It
// fails the test where namespaces or devices cannot be made.
func Open(t testing.TB) *Link {
	t.Helper()
	n := links.Add(1)
	id := fmt.Sprintf("gv%d-%d", os.Getpid()%100000, n)
	third := byte(os.Getpid()%250 + 1)
	l := &Link{Namespace: id, Here: netip.AddrFrom4([4]byte{10, 78, third, byte(4*n + 1)}), There: netip.AddrFrom4([4]byte{10, 78, third, byte(4*n + 2)})}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	run("netns", "add", id)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", id).Run() })
	here, err := openTUN("", id)
	if err != nil {
		t.Fatalf("make a device: %v", err)
	}
	there, err := openTUN(id, "far0")
	if err != nil {
		here.Close()
		t.Fatalf("make a device in %s: %v", id, err)
	}
	l.ways = [2]*pump{newPump(here, there), newPump(there, here)}
	for _, p := range l.ways {
		l.wg.Go(p.read)
		l.wg.Go(p.write)
	}
	t.Cleanup(func() {
		here.Close()
		there.Close()
		for _, p := range l.ways {
			close(p.done)
		}
		l.wg.Wait()
	})
	run("addr", "add", l.Here.String(), "peer", l.There.String(), "dev", id)
	run("link", "set", id, "up", "txqueuelen", "10000")
	run("-n", id, "link", "set", "lo", "up")
	run("-n", id, "addr", "add", l.There.String(), "peer", l.Here.String(), "dev", "far0")
	run("-n", id, "link", "set", "far0", "up", "txqueuelen", "10000")
	run("-n", id, "route", "add", "default", "dev", "far0")
	return l
}

// Set changes what the cable does from now on, both ways. What is on the way
// arrives as it would have.
func (l *Link) Set(p Profile) {
	for _, w := range l.ways {
		w.mu.Lock()
		w.way.p = p
		w.mu.Unlock()
	}
}

// Counters are those of both ways: from here, and from there.
func (l *Link) Counters() (out, in Counters) {
	var c [2]Counters
	for i, w := range l.ways {
		w.mu.Lock()
		c[i] = w.way.counters
		w.mu.Unlock()
	}
	return c[0], c[1]
}

// Waiting is for how long what comes now waits for its turn where the rate is bounded,
// from here and from there.
func (l *Link) Waiting() (out, in time.Duration) {
	var d [2]time.Duration
	for i, w := range l.ways {
		w.mu.Lock()
		d[i] = max(time.Until(w.way.free), 0)
		w.mu.Unlock()
	}
	return d[0], d[1]
}

// Command is a command that runs at the far end.
func (l *Link) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", l.Namespace, name}, args...)...)
}

// Listen opens a UDP socket at the far end, on a free port. The test's end closes it.
func (l *Link) Listen(t testing.TB) *net.UDPConn {
	t.Helper()
	type result struct {
		conn net.PacketConn
		err  error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // see openTUN
		ns, err := os.Open("/var/run/netns/" + l.Namespace)
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err != nil {
			made <- result{err: err}
			return
		}
		conn, err := net.ListenPacket("udp4", net.JoinHostPort(l.There.String(), "0"))
		made <- result{conn, err}
	}()
	r := <-made
	if r.err != nil {
		t.Fatalf("listen at the far end: %v", r.err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
	return r.conn.(*net.UDPConn)
}

// pump moves packets one way.
type pump struct {
	in, out *os.File
	wake    chan struct{}
	done    chan struct{}

	mu  sync.Mutex
	way way
}

func newPump(in, out *os.File) *pump {
	return &pump{in: in, out: out, wake: make(chan struct{}, 1), done: make(chan struct{}), way: way{random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}}
}

func (p *pump) read() {
	buf := make([]byte, 1<<16)
	for {
		n, err := p.in.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.way.take(buf[:n], time.Now())
		p.mu.Unlock()
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *pump) write() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.mu.Lock()
		b, wait := p.way.due(time.Now())
		p.mu.Unlock()
		if b != nil {
			if _, err := p.out.Write(b); errors.Is(err, os.ErrClosed) {
				return
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.done:
			return
		}
	}
}

// openTUN makes a TUN device of IP packets in a namespace, "" for this one.
func openTUN(namespace, name string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result)
	go func() {
		// The thread is not given back: it dies with the goroutine, and so does the
		// namespace that it is in.
		runtime.LockOSThread()
		file, err := tun(namespace, name)
		made <- result{file, err}
	}()
	r := <-made
	return r.file, r.err
}

func tun(namespace, name string) (*os.File, error) {
	if namespace != "" {
		ns, err := os.Open("/var/run/netns/" + namespace)
		if err != nil {
			return nil, err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("enter %s: %w", namespace, err)
		}
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
