package rtmp

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// ends are the two of a TCP connection; the far one holds little that it has not
// read.
func ends(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near, far = a.(*net.TCPConn), b.(*net.TCPConn)
	t.Cleanup(func() { near.Close(); far.Close() })
	if err := far.SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	if err := near.SetWriteBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// A peer that reads nothing is seen long before the kernel's buffers are full, and
// one that reads slowly is not.
func TestWatch(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not tell what is acknowledged")
	}
	near, far := ends(t)
	w := Watch(near, 500*time.Millisecond)
	small, wrote := make([]byte, 1000), 0
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	stalled := func() error {
		for range 3000 { // most of what fits into the buffers
			if err := w.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			n, err := w.Write(small)
			if wrote += n; err != nil {
				return err
			}
			<-pace.C
		}
		return nil
	}
	read := make(chan struct{})
	go func() { // a slow reader, for as long as it takes to see that it is not taken for dead
		defer close(read)
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		b := make([]byte, 4000)
		for begun := time.Now(); time.Since(begun) < 1500*time.Millisecond; <-pace.C {
			if _, err := far.Read(b); err != nil {
				return
			}
		}
	}()
	err := stalled()
	<-read
	if err == nil || !strings.Contains(err.Error(), "takes nothing for 500ms") {
		t.Fatalf("after %d bytes: %v", wrote, err)
	}
	if wrote < 100_000 {
		t.Errorf("the slow reader is given up after %d bytes", wrote)
	}
	if _, err := w.Write(small); err == nil {
		t.Error("it goes on after that")
	}
}

// The caller's deadlines hold, also those that are set while a write waits.
func TestWatchDeadline(t *testing.T) {
	for name, set := range map[string]func(net.Conn){
		"write": func(c net.Conn) { c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) },
		"both":  func(c net.Conn) { c.SetDeadline(time.Unix(1, 0)) },
		"close": func(c net.Conn) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			near, _ := ends(t)
			w := Watch(near, time.Hour)
			raw, err := near.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			go func() { // once the write waits for who does not read
				defer close(over)
				for before := -1; ; time.Sleep(20 * time.Millisecond) {
					now, ok := unacknowledged(raw)
					if !ok || now > 0 && now == before {
						break
					}
					before = now
				}
				set(w)
			}()
			n, err := w.Write(make([]byte, 32<<20))
			<-over
			if err == nil || n == 0 {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
	// What is no TCP connection is left alone.
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Watch(a, time.Second) != a {
		t.Error("a pipe is watched")
	}
}
