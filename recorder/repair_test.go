package recorder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/pipeline"
)

// memory is a Media of bytes.
type memory struct{ b []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	n := copy(p, m.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > int64(len(m.b)) {
		m.b = append(m.b, make([]byte, end-int64(len(m.b)))...)
	}
	return copy(m.b[off:], p), nil
}

func (m *memory) Truncate(n int64) error {
	if n > int64(len(m.b)) {
		return errors.New("repair may not lengthen")
	}
	m.b = m.b[:n]
	return nil
}

func (m *memory) Sync() error { return nil }

var (
	opusUnits = &pipeline.Format{Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.Unit, ClockRate: 48000, Channels: 2}
	vp8Units  = &pipeline.Format{Kind: pipeline.Video, Codec: codec.VP8, Framing: pipeline.Unit, ClockRate: 90000}
	vp8Frame  = []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 64, 1, 240, 0}
)

func opusAt(ms int) *pipeline.Packet {
	return &pipeline.Packet{Format: opusUnits, Payload: []byte{0xf8, byte(ms)}, PTS: time.Duration(ms) * time.Millisecond, Key: true}
}

var aacUnits = &pipeline.Format{Kind: pipeline.Audio, Codec: codec.AAC, Framing: pipeline.Unit, ClockRate: 48000, Channels: 2}

func aacAt(ms int) *pipeline.Packet {
	return &pipeline.Packet{Format: aacUnits, Payload: []byte{0x21, byte(ms)}, PTS: time.Duration(ms) * time.Millisecond, Key: true}
}

// unfinished is a file of two seconds, not closed.
func unfinished(t testing.TB, c Container) []byte {
	t.Helper()
	m := &memory{}
	mux, err := NewMuxer(c, m, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	unit := opusAt
	if c == FLV {
		unit = aacAt
	}
	f, _ := Describe(unit(0))
	if _, err := mux.AddTrack(f); err != nil {
		t.Fatal(err)
	}
	for ms := 0; ms < 2000; ms += 20 {
		if err := mux.Write(0, unit(ms)); err != nil {
			t.Fatal(err)
		}
	}
	if err := mux.Flush(); err != nil {
		t.Fatal(err)
	}
	return m.b
}

// FuzzRepair damages files: repairing gives an error or a file that repairs to itself.
func FuzzRepair(f *testing.F) {
	containers := []Container{WebM, Matroska, MP4, FLV}
	var whole [][]byte
	for _, c := range containers {
		whole = append(whole, unfinished(f, c))
	}
	f.Add(uint8(0), uint32(9000), uint32(12000), []byte{0, 0, 0})
	f.Add(uint8(1), uint32(12), uint32(8600), []byte{0xff})
	f.Add(uint8(2), uint32(8300), uint32(9000), []byte{0, 0, 0xff, 0xff})
	f.Add(uint8(2), uint32(60), uint32(20000), []byte{0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint32, damage []byte) {
		c := containers[int(which)%len(containers)]
		b := append([]byte(nil), whole[int(which)%len(containers)]...)
		copy(b[int(at)%len(b):], damage)
		m := &memory{b[:int(cut)%(len(b)+1)]}
		if _, err := Repair(c, m, int64(len(m.b))); err != nil {
			return
		}
		once := string(m.b)
		if _, err := Repair(c, m, int64(len(m.b))); err != nil || string(m.b) != once {
			t.Fatalf("repaired twice: %v, %d then %d bytes", err, len(once), len(m.b))
		}
	})
}

// full is a disk that runs out of room, or breaks there.
type full struct {
	Media
	room int64
	err  error
}

func (f full) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.room {
		n, _ := f.Media.WriteAt(p[:max(f.room-off, 0)], off)
		return n, f.err
	}
	return f.Media.WriteAt(p, off)
}

// On a full or broken disk the recording fails with a reason; what fitted has its
// name and plays, and what was heard and is not there is a gap of that cause.
func TestFileOnBadDisk(t *testing.T) {
	for _, x := range []struct {
		c    Container
		err  error
		text string
	}{
		{WebM, syscall.ENOSPC, "no space left"}, {MP4, syscall.ENOSPC, "no space left"},
		{WebM, syscall.EIO, "input/output error"}, {MP4, syscall.EIO, "input/output error"},
	} {
		t.Run(fmt.Sprint(x.c, " ", x.err), func(t *testing.T) {
			dir := t.TempDir()
			name := "x." + string(x.c)
			f, err := Create(dir, name, Options{wrap: func(m Media) Media { return full{m, 16000, x.err} }})
			if err != nil {
				t.Fatal(err)
			}
			last := 0
			for ; last < 20000 && err == nil; last += 20 {
				u := opusAt(last)
				u.Payload = append(u.Payload, make([]byte, 60)...)
				err = f.Write(u)
			}
			if !errors.Is(err, x.err) || !errors.Is(f.Err(), x.err) {
				t.Fatalf("writing gives %v", err)
			}
			m, err := f.Close()
			if !errors.Is(err, x.err) || m.Status != Failed || !strings.Contains(m.Reason, x.text) {
				t.Errorf("Close gives %v, %+v", err, m)
			}
			if m.DurationMs == 0 || m.Size == 0 || m.Size > 16000 {
				t.Errorf("what is left: %+v", m)
			}
			if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Size() != m.Size {
				t.Errorf("the part that fitted: %v", err)
			}
			if n := len(m.Gaps); n != 1 || m.Gaps[0].Cause != proof.CauseDisk || m.Gaps[0].FromMs != m.DurationMs || m.Gaps[0].ToMs < int64(last)-40 {
				t.Errorf("gaps %+v of a file of %d ms, heard until %d", m.Gaps, m.DurationMs, last)
			}
		})
	}
}

// A picture without a keyframe never begins; times that step back are straightened.
func TestFileHostileTimes(t *testing.T) {
	f, err := Create(t.TempDir(), "x.webm", Options{Expect: []pipeline.Kind{pipeline.Video}, Wait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	put := func(key bool, at time.Duration) {
		t.Helper()
		if err := f.Write(&pipeline.Packet{Format: vp8Units, Payload: vp8Frame, Key: key, PTS: at}); err != nil {
			t.Fatal(err)
		}
	}
	put(false, 0)
	put(true, time.Second)
	put(false, time.Second)
	put(false, 990*time.Millisecond)
	put(false, -time.Hour) // far too late: left out
	put(false, 1100*time.Millisecond)
	m, err := f.Close()
	if err != nil || len(m.Tracks) != 1 || m.Tracks[0].Units != 4 || m.Tracks[0].LastPtsMs != 100 {
		t.Errorf("%+v, %v", m, err)
	}
}
