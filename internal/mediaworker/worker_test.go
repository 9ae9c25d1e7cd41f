//go:build gst

package mediaworker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// TestRefusals: what a worker does not do it says, with a code, and lives on.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	refuse := func(code kerr.Code, method string, params any) {
		t.Helper()
		err := r.ask(method, params, nil)
		e, ok := errors.AsType[*wire.Error](err)
		if !ok || e.Code != int(code) || e.Text == "" {
			t.Errorf("%s %+v: %v, want code %d", method, params, err, code)
		}
	}
	refuse(kerr.MediaObjectOperationNotSupported, wire.MethodInput, wire.StreamParams{Name: "in"})
	refuse(kerr.MediaObjectNotAvailable, wire.MethodStart, wire.StartParams{Kind: "knit"})
	refuse(kerr.MarshallError, wire.MethodStart, "what")
	r.must(wire.MethodStart, wire.StartParams{Kind: "decode"})
	refuse(kerr.MediaObjectOperationNotSupported, wire.MethodStart, wire.StartParams{Kind: "decode"})
	refuse(kerr.MediaObjectMethodNotFound, "dance", nil)
	refuse(kerr.MediaObjectMethodNotFound, wire.MethodCall, wire.CallParams{Method: "dance"})
	refuse(kerr.MediaObjectIllegalParam, wire.MethodInput, wire.StreamParams{Name: "other", Media: mediaOf(codec.VP8)})
	refuse(kerr.MediaObjectIllegalParam, wire.MethodInput, wire.StreamParams{Name: "in", Media: wire.Media{Kind: "smell"}})
	refuse(kerr.MediaObjectNotAvailable, wire.MethodInput, wire.StreamParams{Name: "in", Media: wire.Media{Kind: "video", Codec: "MJPEG"}})
	refuse(kerr.MediaObjectNotAvailable, wire.MethodOutput, wire.OutputParams{Stream: 3, Port: "out", Media: wire.Media{Kind: "video", Codec: "MJPEG"}})
	refuse(kerr.MediaObjectIllegalParam, wire.MethodOutput, wire.OutputParams{Stream: wire.FirstOwnStream, Port: "out", Media: mediaOf(codec.VP8)})
	encodeTo(r, 3, codec.VP8, 0)
	refuse(kerr.MediaObjectIllegalParam, wire.MethodOutput, wire.OutputParams{Stream: 3, Port: "out", Media: mediaOf(codec.VP8)})
	// What names nothing is no error.
	for method, params := range map[string]any{wire.MethodNoInput: wire.NameParams{Name: "x"}, wire.MethodNoOutput: wire.IDParams{Stream: 99}, wire.MethodKeyFrame: wire.IDParams{Stream: 99}, wire.MethodBitrate: wire.BitrateParams{Stream: 99}} {
		r.must(method, params)
	}
	if code := r.close(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestLossAsksForAKeyframe: what comes after a hole is not decoded before the
// next keyframe.
func TestLossAsksForAKeyframe(t *testing.T) {
	units := pictures(t, codec.VP8, 192, 128, 30)
	for _, c := range []struct {
		name string
		harm func(r *rig, start time.Duration)
	}{
		{"the sender says so", func(r *rig, start time.Duration) { r.send(1, units[10].data, start+units[10].at, wire.Gap) }},
		{"a frame is missing", func(r *rig, start time.Duration) {
			r.next[1]++
			r.send(1, units[10].data, start+units[10].at, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := startJob(t, "decode", nil)
			input1(r, codec.VP8)
			encodeTo(r, 10, codec.VP8, 300_000)
			start := r.play(1, units[:10], nil)
			r.collect(10, 10)
			c.harm(r, start)
			var who wire.NameData
			r.event(wire.EventKeyFrame, &who)
			if who.Name != "in" {
				t.Errorf("a keyframe of %q is wanted", who.Name)
			}
			r.send(1, units[11].data, start+units[11].at, 0)
			r.send(1, units[0].data, start+units[12].at, wire.Key)
			r.send(1, units[1].data, start+units[13].at, 0)
			// Only what came from the keyframe on is seen, at its time.
			for i, f := range r.collect(10, 2) {
				if d := f.pts - start - units[12+i].at; d < -time.Millisecond || d > time.Millisecond {
					t.Errorf("frame %d is off by %v", i, d)
				}
			}
		})
	}
}

// TestADecoderThatStumblesAsks sends a broken frame that nobody marked.
func TestADecoderThatStumblesAsks(t *testing.T) {
	for _, name := range videoCodecs {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			r := startJob(t, "decode", nil)
			input1(r, name)
			encodeTo(r, 10, codec.VP8, 300_000)
			units := pictures(t, name, 192, 128, 20)
			start := r.play(1, units, nil)
			r.collect(10, 10)
			bad := bytes.Repeat([]byte{0x5a}, 700)
			for i := range 40 {
				r.send(1, bad, start+time.Second+time.Duration(i)*33*time.Millisecond, 0)
			}
			// It lives, and goes on at the next keyframe.
			for n := 0; n < 5; {
				r.play(1, units, nil)
				n += len(r.drain())
			}
			if code := r.close(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// drain takes what frames are there.
func (r *rig) drain() (got []coded) {
	for {
		select {
		case f := <-r.frames:
			got = append(got, f)
		default:
			return got
		}
	}
}

// TestGarbageNeverHangs sends random bytes, and real frames with flipped bits, as
// every codec; then the job still answers and closes.
func TestGarbageNeverHangs(t *testing.T) {
	for _, name := range append(append([]codec.Name{}, videoCodecs...), audioCodecs...) {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(1, uint64(len(name))))
			r := startJob(t, "decode", nil)
			input1(r, name)
			to := codec.VP8
			var units []unit
			if name.IsVideo() {
				units = pictures(t, name, 192, 128, 60)
			} else {
				to = codec.Opus
				units = tone(t, name, 2*time.Second)
			}
			encodeTo(r, 10, to, 0)
			var mad []unit
			for i, u := range units {
				b := append([]byte(nil), u.data...)
				if i%3 == 1 {
					for range 1 + len(b)/40 {
						b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
					}
				}
				if i%3 == 2 {
					b = make([]byte, 1+rnd.IntN(2000))
					for k := range b {
						b[k] = byte(rnd.Uint32())
					}
				}
				mad = append(mad, unit{b, u.at / 2, true})
			}
			r.play(1, mad, nil)
			// Messages that are no frames of anybody.
			for range 50 {
				b := make([]byte, rnd.IntN(100))
				for k := range b {
					b[k] = byte(rnd.Uint32())
				}
				_, _ = r.med.Write(append(b, 1))
			}
			r.must(wire.MethodLatency, nil)
			if code := r.close(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestTheInputMayChangeItsCodec announces the same input again.
func TestTheInputMayChangeItsCodec(t *testing.T) {
	r := startJob(t, "decode", nil)
	encodeTo(r, 10, codec.VP8, 300_000) // before there is such a port
	for i, name := range []codec.Name{codec.VP8, codec.H264, codec.H264, codec.VP9} {
		id := uint16(1 + i)
		r.must(wire.MethodInput, wire.StreamParams{Stream: id, Name: "in", Media: mediaOf(name)})
		r.play(id, pictures(t, name, 192, 128, 15), nil)
		got := r.collect(10, 5)
		if i == 0 {
			if p := decodePictures(t, codec.VP8, got, 192, 128); !near(p.at(0.25, 0.5), red) {
				t.Errorf("shows %v", p.at(0.25, 0.5))
			}
		}
		r.drain()
	}
	r.must(wire.MethodNoInput, wire.NameParams{Name: "in"})
	for {
		var flow wire.FlowData
		r.event(wire.EventFlow, &flow)
		if !flow.Flowing {
			break
		}
	}
	if code := r.close(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestCapsText decodes what has no codec name, as GStreamer's caps say.
func TestCapsText(t *testing.T) {
	r := startJob(t, "decode", nil)
	b := ffmpeg(t, nil, "-f", "lavfi", "-i", "color=blue:s=192x128:r=30:d=0.5", "-c:v", "mjpeg", "-f", "image2pipe", "-")
	r.must(wire.MethodInput, wire.StreamParams{Stream: 1, Name: "in", Media: wire.Media{Kind: "video", Caps: "image/jpeg,width=192,height=128,framerate=30/1"}})
	encodeTo(r, 10, codec.VP8, 300_000)
	var units []unit
	for _, p := range bytes.SplitAfter(b, []byte{0xff, 0xd9}) {
		if len(p) > 100 {
			units = append(units, unit{p, time.Duration(len(units)) * time.Second / 30, true})
		}
	}
	r.play(1, units, nil)
	if p := decodePictures(t, codec.VP8, r.collect(10, 8), 192, 128); !near(p.at(0.5, 0.5), blue) {
		t.Errorf("shows %v", p.at(0.5, 0.5))
	}
	var dot string
	if err := r.ask(wire.MethodDot, nil, &dot); err != nil || !strings.Contains(dot, "digraph") || !strings.Contains(dot, "GstVP8Enc") {
		t.Errorf("drawing: %v %.80q", err, dot)
	}
	l := wire.LatencyResult{}
	if err := r.ask(wire.MethodLatency, nil, &l); err != nil || l["out"] <= 0 || l["out"] > int64(5*time.Second) {
		t.Errorf("latency: %v %v", err, l)
	}
	// Two ends of the same port, one of which goes while the other runs.
	encodeTo(r, 11, codec.H264, 300_000)
	r.play(1, units, nil)
	r.gather(5, 1)
	r.must(wire.MethodNoOutput, wire.IDParams{Stream: 10})
	r.drain()
	r.play(1, units, nil)
	for _, f := range r.collect(11, 5) {
		if f.stream != 11 {
			t.Error("a frame of what was removed")
		}
	}
	if code := r.close(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestAServerThatDoesNotRead: frames are lost whole, the next one that comes is
// marked and is a keyframe.
func TestAServerThatDoesNotRead(t *testing.T) {
	ours, theirs := pair(t, unix.SOCK_SEQPACKET)
	defer ours.Close()
	for _, o := range []int{unix.SO_SNDBUF} {
		_ = unix.SetsockoptInt(int(theirs.Fd()), unix.SOL_SOCKET, o, 64<<10)
	}
	med, err := newMedia(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer med.close()
	asked := 0
	l := gst.NewOutlet(gst.OutletConfig{FD: med.fd, Stream: 9, Video: true, Again: func() { asked++ }})
	frame := bytes.Repeat([]byte("x"), 20_000)
	sent := 0
	for asked == 0 {
		l.Send(frame, time.Duration(sent), sent == 0)
		sent++
	}
	l.Send(frame, 1, false)
	whole := 0
	buf := make([]byte, 64<<10)
	for range sent - 1 {
		if n, err := ours.Read(buf); err == nil && n == wire.HeaderSize+len(frame) {
			whole++
		}
	}
	if whole != sent-1 {
		t.Errorf("%d of %d frames came", whole, sent-1)
	}
	l.Send(frame, 2, false) // not before a keyframe
	l.Send(frame, 3, true)
	n, err := ours.Read(buf)
	h, _, _ := wire.Parse(buf[:n])
	if err != nil || h.PTS != 3 || h.Flags != wire.Key|wire.Gap {
		t.Errorf("after the jam came %+v %v", h, err)
	}
}

// TestNothingIsLeft makes and closes jobs in this process.
func TestNothingIsLeft(t *testing.T) {
	units := pictures(t, codec.VP8, 192, 128, 6)
	once := func() {
		r := startJob(t, "decode", nil)
		input1(r, codec.VP8)
		encodeTo(r, 10, codec.H264, 300_000)
		r.play(1, units, nil)
		r.collect(10, 1)
		if code := r.close(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		r.end()
	}
	count := func(dir string) int {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for range 10 {
		once()
	}
	files, threads, routines := count("/proc/self/fd"), count("/proc/self/task"), runtime.NumGoroutine()
	const jobs = 40
	for range jobs {
		once()
	}
	limit := time.Now().Add(patience)
	for count("/proc/self/fd") > files+1 || count("/proc/self/task") > threads+4 || runtime.NumGoroutine() > routines+1 {
		if time.Now().After(limit) {
			t.Fatalf("after %d jobs: files %d → %d, threads %d → %d, goroutines %d → %d", jobs, files, count("/proc/self/fd"), threads, count("/proc/self/task"), routines, runtime.NumGoroutine())
		}
		runtime.GC()
		time.Sleep(50 * time.Millisecond)
	}
}

// program builds the program.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mediaworker")
	if out, err := exec.Command("go", "build", "-tags", "gst", "-o", path, "../../cmd/mediaworker").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// TestTheProgram runs the binary as the server does: it ends when asked, when the
// server is gone, and does nothing by hand.
func TestTheProgram(t *testing.T) {
	path := program(t)
	if out, err := exec.Command(path).CombinedOutput(); err == nil || !strings.Contains(string(out), "--check") {
		t.Errorf("by hand: %v %s", err, out)
	}
	out, err := exec.Command(path, "--check").Output()
	var ready wire.ReadyData
	if err != nil || json.Unmarshal(out, &ready) != nil || ready.Version == "" {
		t.Errorf("--check: %v %s", err, out)
	}
	for _, c := range []struct {
		name string
		end  func(cmd *exec.Cmd, ctl *os.File)
		code int
	}{
		{"asked to close", func(_ *exec.Cmd, ctl *os.File) {
			_, _ = io.WriteString(ctl, `{"id":1,"method":"start","params":{"kind":"decode"}}`+"\n"+`{"id":2,"method":"close"}`+"\n")
		}, 0},
		{"the server is gone", func(_ *exec.Cmd, ctl *os.File) { _ = ctl.Close() }, 0},
		{"a crash", func(cmd *exec.Cmd, _ *os.File) { _ = cmd.Process.Signal(unix.SIGSEGV) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			med, theirMed := pair(t, unix.SOCK_SEQPACKET)
			defer med.Close()
			ctl, theirCtl := pair(t, unix.SOCK_STREAM)
			defer ctl.Close()
			cmd := exec.Command(path)
			cmd.ExtraFiles = []*os.File{theirMed, theirCtl}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirMed.Close()
			theirCtl.Close()
			if s := bufio.NewScanner(ctl); !s.Scan() || !strings.Contains(s.Text(), `"event":"ready"`) {
				t.Errorf("first came %q", s.Text())
			}
			c.end(cmd, ctl)
			late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
			err := cmd.Wait()
			late.Stop()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d (%v), want %d", code, err, c.code)
			}
		})
	}
}

// TestAPanicEndsTheJobAloud plants one on the owner.
func TestAPanicEndsTheJobAloud(t *testing.T) {
	med, theirMed := pair(t, unix.SOCK_SEQPACKET)
	defer med.Close()
	ctl, theirCtl := pair(t, unix.SOCK_STREAM)
	defer ctl.Close()
	m, err := newMedia(theirMed)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newControl(theirCtl)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorker(m, c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	w.post(func() { panic("planted") })
	w.own()
	s := bufio.NewScanner(ctl)
	var got wire.Message
	var e wire.ErrorData
	if !s.Scan() || json.Unmarshal(s.Bytes(), &got) != nil || json.Unmarshal(got.Data, &e) != nil || got.Event != wire.EventError || !e.Fatal || !strings.Contains(e.Text, "planted") || w.code != 2 {
		t.Errorf("code %d, said %s", w.code, s.Bytes())
	}
}

// TestDescriptorsBelongToTheirLine sends files beside lines, some in pieces.
func TestDescriptorsBelongToTheirLine(t *testing.T) {
	ours, theirs := pair(t, unix.SOCK_STREAM)
	defer ours.Close()
	c, err := newControl(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	got := make(chan request, 10)
	go c.read(t.Context(), got, func(int) {})
	file := func(text string) *os.File {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteString(text)
		return f
	}
	a, b := file("a"), file("b")
	send := func(text string, files ...*os.File) {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		var oob []byte
		if len(fds) > 0 {
			oob = unix.UnixRights(fds...)
		}
		if err := unix.Sendmsg(int(ours.Fd()), []byte(text), oob, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	send(`{"id":1}` + "\n" + `{"id":2}` + "\n")
	send(`{"id":3}`+"\n", a)
	send(`{"id":4}` + "\n")
	send(`{"id":5,`, b)
	send(`"method":"x"}` + "\n" + `{"id":6}` + "\n")
	want := map[uint64]string{3: "a", 5: "b"}
	for id := uint64(1); id <= 6; id++ {
		r := <-got
		var text []byte
		for _, f := range r.files {
			p := make([]byte, 5)
			n, _ := f.ReadAt(p, 0)
			text = append(text, p[:n]...)
			f.Close()
		}
		if r.ID != id || string(text) != want[id] {
			t.Errorf("request %d came as %d with %q", id, r.ID, text)
		}
	}
}
