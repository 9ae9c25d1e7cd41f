//go:build gst

package gst

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// outletPair is an Outlet and the other end of its socket, which has little room.
func outletPair(t *testing.T, c OutletConfig) (o *Outlet, ours, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 128<<10); err != nil {
		t.Fatal(err)
	}
	c.FD = fds[0]
	return NewOutlet(c), fds[0], fds[1]
}

// arrived are the messages that lie at the other end: stream, flags, fragment, frame,
// PTS, size.
func arrived(t *testing.T, fd int) (list []string) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return list
		}
		if err != nil || n < 16 {
			t.Fatalf("%d bytes, %v", n, err)
		}
		list = append(list, fmt.Sprintf("%x %d", buf[:16], n-16))
	}
}

// TestOutletCutsFrames: headers are those of package wire; a gap is told once.
func TestOutletCutsFrames(t *testing.T) {
	o, _, fd := outletPair(t, OutletConfig{Stream: 0x1234})
	const part = 48 << 10
	for _, c := range []struct {
		size int
		key  bool
		want []string
	}{
		{1, false, []string{"12340000000000000102030405060708 1"}},
		{part, true, []string{"12340100000000010102030405060708 49152"}},
		{part + 1, false, []string{"12340400000000020102030405060708 49152", "12340001000000020102030405060708 1"}},
		{0, false, nil},
		{8<<20 + 1, false, nil},
		{2, false, []string{"12340000000000030102030405060708 2"}},
	} {
		o.Send(make([]byte, c.size), 0x0102030405060708, c.key)
		if got := arrived(t, fd); !slices.Equal(got, c.want) {
			t.Errorf("%d bytes: %q, want %q", c.size, got, c.want)
		}
	}
	if !o.Begun() || o.Begun() {
		t.Error("frames since the last question are not known")
	}
	o.Close()
	o.Send([]byte("x"), 1, true)
	if got := arrived(t, fd); got != nil {
		t.Errorf("after the end: %q", got)
	}
}

// TestOutletWithoutRoom: sound goes on with the next frame, video with the next
// keyframe; both say that something is missing, also when another Outlet goes on.
func TestOutletWithoutRoom(t *testing.T) {
	for _, video := range []bool{true, false} {
		asked := 0
		o, ours, fd := outletPair(t, OutletConfig{Video: video, Again: func() { asked++ }})
		frame := bytes.Repeat([]byte("x"), 20_000)
		sent := 0
		for ; asked == 0; sent++ {
			o.Send(frame, 0, true)
		}
		if got := arrived(t, fd); len(got) != sent-1 {
			t.Errorf("video %v: %d frames of %d came", video, len(got), sent-1)
		}
		next := NewOutlet(OutletConfig{FD: ours, Video: video, After: o})
		o.Send([]byte("x"), 0, false)
		want := []string{fmt.Sprintf("00000200%08x%016x 1", sent, 0)}
		if video {
			want = nil
		}
		if got := arrived(t, fd); !slices.Equal(got, want) {
			t.Errorf("video %v: the next frame comes as %q, want %q", video, got, want)
		}
		next.Send([]byte("x"), 0, false)
		if got, want := arrived(t, fd), []string{fmt.Sprintf("00000200%08x%016x 1", sent, 0)}; !slices.Equal(got, want) {
			t.Errorf("video %v: another outlet's comes as %q, want %q", video, got, want)
		}
	}
}

// TestInletRests: nothing is lost or out of order when frames are taken in heaps.
func TestInletRests(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	in := NewInlet()
	in.Pause(5 * time.Millisecond)
	const n = 50
	go func() {
		defer unix.Close(fds[0])
		for i := range n {
			_, _ = unix.Write(fds[0], message(1, 0, 0, uint32(i), 0, "x"))
		}
	}()
	got := 0
	in.Run(fds[1], func(m []byte) bool {
		if int(m[7]) != got {
			t.Errorf("frame %d comes as number %d", m[7], got)
		}
		got++
		return true
	})
	if got != n {
		t.Errorf("%d messages of %d", got, n)
	}
}
