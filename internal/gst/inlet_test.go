//go:build gst

package gst

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// message is one of package wire.
func message(stream uint16, flags, fragment uint8, frame uint32, pts time.Duration, data string) []byte {
	b := make([]byte, 16, 16+len(data))
	binary.BigEndian.PutUint16(b, stream)
	b[2], b[3] = flags, fragment
	binary.BigEndian.PutUint32(b[4:], frame)
	binary.BigEndian.PutUint64(b[8:], uint64(pts))
	return append(b, data...)
}

// TestStraightOrToGo sends messages of all kinds: what is whole and in order is
// pushed, everything else reaches Go, in its order.
func TestStraightOrToGo(t *testing.T) {
	const key, gap, more = 1, 2, 4
	const base = time.Second
	const ms = time.Millisecond
	for _, c := range []struct {
		name          string
		kind          RouteKind
		row           Row
		send          [][]byte
		pushed, other []string
		last          time.Duration
		step          time.Duration
	}{
		{"sound in order", Sound, Row{Straight: true, Frame: 4}, [][]byte{message(1, 0, 0, 5, base+20*ms, "a"), message(1, 0, 0, 6, base+40*ms, "b")},
			[]string{"a 20ms -1ns", "b 40ms -1ns"}, nil, 40 * ms, 0},
		{"Opus tells its duration", OpusSound, Row{Straight: true}, [][]byte{message(1, 0, 0, 1, base, "\xfc"), message(1, 0, 0, 2, base+20*ms, "\x0b\x03x"), message(1, 0, 0, 3, base+80*ms, "\x0b")},
			[]string{"\xfc 0s 20ms", "\x0b\x03x 20ms 60ms", "\x0b 80ms -1ns"}, nil, 80 * ms, 0},
		{"pictures last until the next", Pictures, Row{Straight: true, Last: 0, Step: 33 * ms}, [][]byte{message(1, key, 0, 1, base+40*ms, "k"), message(1, 0, 0, 2, base+90*ms, "p"), message(1, 0, 0, 3, base+9*time.Second, "q")},
			[]string{"k 40ms 40ms key", "p 90ms 50ms", "q 9s 50ms"}, nil, 9 * time.Second, 50 * ms},
		{"pictures out of order", Reordered, Row{Straight: true, Last: Never}, [][]byte{message(1, key, 0, 1, base+40*ms, "k")}, []string{"k 40ms -1ns key"}, nil, 40 * ms, 0},
		{"before the beginning", Sound, Row{Straight: true}, [][]byte{message(1, 0, 0, 1, base-ms, "a")}, []string{"a 0s -1ns"}, nil, 0, 0},
		{"a hole", Sound, Row{Straight: true}, [][]byte{message(1, 0, 0, 2, base, "b")}, nil, []string{"b"}, 0, 0},
		{"the sender knows of a hole", Sound, Row{Straight: true}, [][]byte{message(1, gap, 0, 1, base, "b")}, nil, []string{"b"}, 0, 0},
		{"a part", Pictures, Row{Straight: true}, [][]byte{message(1, more, 0, 1, base, "b"), message(1, 0, 1, 1, base, "c")}, nil, []string{"b", "c"}, 0, 0},
		{"another stream", Sound, Row{Straight: true}, [][]byte{message(2, 0, 0, 1, base, "b")}, nil, []string{"b"}, 0, 0},
		{"no row yet", Sound, Row{}, [][]byte{message(1, 0, 0, 1, base, "b")}, nil, []string{"b"}, 0, 0},
		{"a keyframe is waited for", Pictures, Row{Straight: true, Waiting: true}, [][]byte{message(1, key, 0, 1, base, "b")}, nil, []string{"b"}, 0, 0},
		{"empty", Sound, Row{Straight: true}, [][]byte{message(1, 0, 0, 1, base, "")}, nil, []string{""}, 0, 0},
		{"short", Sound, Row{Straight: true}, [][]byte{{1, 2, 3}}, nil, []string{"short"}, 0, 0},
		{"too many wait", Sound, Row{Straight: true}, [][]byte{message(1, 0, 0, 1, base, "a"), message(1, 0, 0, 2, base, "b"), message(1, 0, 0, 3, base, "c"), message(1, 0, 0, 4, base, "d")},
			[]string{"a 0s -1ns", "b 0s -1ns", "c 0s -1ns"}, []string{"d"}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := NewPipeline("p", Now())
			if err != nil {
				t.Fatal(err)
			}
			defer p.SetState(Null)
			b, err := ParseBin("appsrc name=src format=time max-buffers=0 max-bytes=0 caps=application/x-test ! appsink name=sink sync=false", false)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Add(b); err != nil {
				t.Fatal(err)
			}
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fds[0])
			defer unix.Close(fds[1])
			for _, m := range c.send {
				if _, err := unix.Write(fds[0], m); err != nil {
					t.Fatal(err)
				}
			}
			_ = unix.Shutdown(fds[0], unix.SHUT_WR)
			in, r := NewInlet(), NewRoute(b.Find("src"), base, c.kind, 3)
			r.Set(c.row)
			in.Add(1, r)
			var other []string
			in.Run(fds[1], func(m []byte) bool {
				if len(m) < 16 {
					other = append(other, "short")
				} else {
					other = append(other, string(m[16:]))
				}
				return true
			})
			in.Remove(1)
			if !slices.Equal(other, c.other) {
				t.Errorf("Go got %q, want %q", other, c.other)
			}
			got := r.Row()
			if got.Frame != c.row.Frame+uint32(len(c.pushed)) || len(c.pushed) > 0 && (got.Last != c.last || got.Step != c.step) || !got.Straight && c.row.Straight {
				t.Errorf("the row stands at %+v", got)
			}
			if err := p.SetState(Playing); err != nil {
				t.Fatal(err)
			}
			var pushed []string
			take := func(s Sample) {
				text := fmt.Sprintf("%s %v %v", s.Data, s.Running, s.Duration)
				if s.Key && c.kind >= Pictures {
					text += " key"
				}
				pushed = append(pushed, text)
			}
			deadline, often := time.After(5*time.Second), time.NewTicker(ms)
			defer often.Stop()
			for late := false; len(pushed) < len(c.pushed) && !late; {
				if b.Find("sink").Pull(take) {
					continue
				}
				select {
				case <-often.C:
				case <-deadline:
					late = true
				}
			}
			if b.Find("sink").Pull(take); !slices.Equal(pushed, c.pushed) {
				t.Errorf("pushed %q, want %q", pushed, c.pushed)
			}
		})
	}
}

// TestRunEnds when its handler says so.
func TestRunEnds(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if _, err := unix.Write(fds[0], message(1, 0, 0, 1, 0, "x")); err != nil {
		t.Fatal(err)
	}
	n := 0
	NewInlet().Run(fds[1], func([]byte) bool { n++; return false })
	if n != 1 {
		t.Errorf("%d messages", n)
	}
}
