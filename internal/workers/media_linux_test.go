package workers

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/workers/wire"
)

// narrow is a media socket with the least buffer there is, and its other end.
func narrow(t *testing.T) (*mediaSocket, *mediaSocket) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*mediaSocket
	for i, fd := range fds {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 128<<10); err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "media")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if ends[i], err = newMediaSocket(c.(*net.UnixConn)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].close(); ends[i].wg.Wait() })
	}
	return ends[0], ends[1]
}

// A frame larger than the socket's buffer arrives whole where somebody reads.
func TestFrameLargerThanTheBuffer(t *testing.T) {
	ours, theirs := narrow(t)
	ours.rest = time.Minute // the reader may begin late
	frame := bytes.Repeat([]byte{1, 2, 3}, 1<<20)
	if err := ours.send(wire.Header{Stream: 1, Frame: 7, Flags: wire.Key | wire.Gap}, frame); err != nil {
		t.Fatal(err)
	}
	if err := ours.send(wire.Header{Stream: 2}, []byte{1}); !errors.Is(err, errFull) {
		t.Errorf("another frame in the middle of it: %v", err)
	}
	var a assembly
	got := make(chan []byte, 1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = theirs.read(func(h wire.Header, payload []byte) {
			if h.Fragment > 0 && h.Flags&wire.Gap != 0 {
				t.Error("the gap is told twice")
			}
			if unit, whole := a.add(h, payload); whole {
				if a.lost {
					t.Error("a fragment is lost")
				}
				got <- unit
			}
		})
	}()
	if unit := <-got; !bytes.Equal(unit, frame) {
		t.Errorf("%d bytes of %d arrive", len(unit), len(frame))
	}
	ours.wg.Wait()
	if err := ours.send(wire.Header{Stream: 2, Frame: 8}, []byte{1}); err != nil {
		t.Errorf("a frame after it: %v", err)
	}
	<-got
	ours.close()
	<-gone
}

// Where nobody reads, its rest is given up.
func TestFrameLargerThanTheBufferIsGivenUp(t *testing.T) {
	ours, _ := narrow(t)
	if err := ours.send(wire.Header{}, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	ours.wg.Wait()
	if err := ours.send(wire.Header{}, []byte{1}); !errors.Is(err, errFull) {
		t.Errorf("a frame after it: %v, want %v", err, errFull)
	}
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"HOME=/h", "KMS_TOKEN=secret", "GST_DEBUG=2", "GSTX=1", "XDG_CACHE_HOME=/c", "PATH=/bin", "OPENVIDU_SECRET=x"})
	if want := []string{"HOME=/h", "GST_DEBUG=2", "XDG_CACHE_HOME=/c"}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}
