package recorder_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

const writerEnv = "GOVIDU_TEST_WRITE_RECORDING"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		if err := writeUntilKilled(dir, os.Getenv(writerEnv+"_NAME"), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// writeUntilKilled records the units read from in over and over, in real time,
// and prints the time in ms before each is written: its PTS, or later when the
// machine is slow.
func writeUntilKilled(dir, name string, in io.Reader, out io.Writer) error {
	units, err := readUnits(bufio.NewReader(in))
	if err != nil {
		return err
	}
	f, err := recorder.Create(dir, name, recorder.Options{Expect: []pipeline.Kind{pipeline.Audio, pipeline.Video}})
	if err != nil {
		return err
	}
	began := time.Now()
	for round := time.Duration(0); ; round++ {
		for _, u := range shift(units, round*3*time.Second) {
			<-time.After(time.Until(began.Add(u.PTS)))
			fmt.Fprintln(out, max(u.PTS, time.Since(began)).Milliseconds())
			if err := f.Write(u); err != nil {
				return err
			}
		}
	}
}

func sendUnits(w io.Writer, units []*pipeline.Packet) error {
	for _, u := range units {
		key := byte(0)
		if u.Key {
			key = 1
		}
		head := append([]byte{byte(u.Format.Kind), key, byte(len(u.Format.Codec))}, u.Format.Codec...)
		head = binary.BigEndian.AppendUint64(head, uint64(u.PTS))
		head = binary.BigEndian.AppendUint32(head, uint32(len(u.Payload)))
		if _, err := w.Write(append(head, u.Payload...)); err != nil {
			return err
		}
	}
	return nil
}

func readUnits(r io.Reader) (units []*pipeline.Packet, err error) {
	formats := map[string]*pipeline.Format{}
	for {
		var head [3]byte
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			return units, nil
		} else if err != nil {
			return nil, err
		}
		rest := make([]byte, int(head[2])+12)
		if _, err := io.ReadFull(r, rest); err != nil {
			return nil, err
		}
		name := string(rest[:head[2]])
		if formats[name] == nil {
			f := &pipeline.Format{Kind: pipeline.Kind(head[0]), Codec: codec.Name(name), Framing: pipeline.Unit, ClockRate: 90000}
			if f.Kind == pipeline.Audio {
				f.ClockRate, f.Channels = 48000, 2
			}
			formats[name] = f
		}
		u := &pipeline.Packet{Format: formats[name], Key: head[1] == 1, PTS: time.Duration(binary.BigEndian.Uint64(rest[head[2]:]))}
		u.Payload = make([]byte, binary.BigEndian.Uint32(rest[head[2]+8:]))
		if _, err := io.ReadFull(r, u.Payload); err != nil {
			return nil, err
		}
		units = append(units, u)
	}
}

// A writer killed at a random moment loses at most 2 s, and its file plays.
// GOVIDU_KILLS sets how many are killed per container (2 by default).
func TestKill9(t *testing.T) {
	codectest.NeedFFmpeg(t)
	kills := 2
	if n, err := strconv.Atoi(os.Getenv("GOVIDU_KILLS")); err == nil {
		kills = n
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []muxtest.Case{
		vp8Opus,
		{Container: recorder.Matroska, Video: codec.H264, Audio: codec.Opus},
		{Container: recorder.MP4, Video: codec.H264, Audio: codec.Opus},
		{Container: recorder.MP4, Video: codec.H264, Audio: codec.AAC},
	} {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			units := muxtest.Units(t, c)
			for i := range kills {
				t.Run(strconv.Itoa(i), func(t *testing.T) {
					t.Parallel()
					kill9(t, self, c, units, time.Second+rand.N(3500*time.Millisecond))
				})
			}
		})
	}
}

func kill9(t *testing.T, self string, c muxtest.Case, units []*pipeline.Packet, after time.Duration) {
	dir := t.TempDir()
	name := "x." + string(c.Container)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), writerEnv+"="+dir, writerEnv+"_NAME="+name)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := sendUnits(stdin, units); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	last := int64(-1)
	var kill *time.Timer
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if kill == nil { // counted from its first unit, however slow the machine
			kill = time.AfterFunc(after, func() { cmd.Process.Kill() })
			defer kill.Stop()
		}
		if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Wait()
	if stderr.Len() > 0 || last < 0 {
		t.Fatalf("the writer got to %d ms: %s", last, stderr.String())
	}
	report, err := recorder.Recover(context.Background(), []string{dir}, recorder.RecoverOptions{})
	if err != nil || len(report.Quarantined) != 0 {
		t.Fatalf("recovery: %+v, %v", report, err)
	}
	// What counts is on the disk: a server on this machine that shares the
	// folder may have been faster.
	m := manifestOf(t, dir, name)
	if m.Status != recorder.Recovered {
		t.Fatalf("killed after %v, at %d ms: %+v, %+v", after, last, report.Files, m)
	}
	path := filepath.Join(dir, name)
	got := codectest.ProbeFile(t, path).Duration(t).Milliseconds()
	t.Logf("killed at %d ms, %d ms are there", last, got)
	if got < last-2000 || got > last+100 {
		t.Errorf("killed at %d ms: %d ms can be played, want at most 2000 less", last, got)
	}
	near(t, "manifest's duration", m.DurationMs, got, 50)
	crashGaps(t, m, last)
	segmentsIn(t, dir, name)
	codectest.MustPlay(t, path)
}
