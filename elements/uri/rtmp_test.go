package uri_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	gortmp "github.com/yutopp/go-rtmp"
	rtmpmsg "github.com/yutopp/go-rtmp/message"

	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// tag is a message of a published stream.
type tag struct {
	video bool
	ms    uint32
	body  []byte
}

// studio is an RTMP server of another make that remembers what it is sent; it may
// refuse streams and stop reading.
type studio struct {
	addr   string
	mu     sync.Mutex
	runs   [][]tag // one for each stream
	refuse bool
	hangUp bool          // just after it took a stream
	wedge  chan struct{} // what is read waits for it, when set
	conns  []net.Conn
	tls    *tls.Config // of rtmps, when set
	stop   func()
}

func (s *studio) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// got copies run i, nil while there is none.
func (s *studio) got(i int) []tag {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i < 0 || i >= len(s.runs) {
		return nil
	}
	return append([]tag(nil), s.runs[i]...)
}

// latest copies the last run.
func (s *studio) latest() []tag {
	s.mu.Lock()
	n := len(s.runs)
	s.mu.Unlock()
	return s.got(n - 1)
}

type studioConn struct {
	gortmp.DefaultHandler
	s    *studio
	conn net.Conn
	run  int
}

func (h *studioConn) OnPublish(_ *gortmp.StreamContext, _ uint32, cmd *rtmpmsg.NetStreamPublish) error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.refuse || cmd.PublishingName != "s3cr3t" {
		return errors.New("no")
	}
	h.run = len(h.s.runs)
	h.s.runs = append(h.s.runs, nil)
	if h.s.hangUp {
		time.AfterFunc(50*time.Millisecond, func() { h.conn.Close() })
	}
	return nil
}

func (h *studioConn) note(video bool, ms uint32, r io.Reader) error {
	b, err := io.ReadAll(r)
	h.s.mu.Lock()
	wedge := h.s.wedge
	h.s.runs[h.run] = append(h.s.runs[h.run], tag{video, ms, b})
	h.s.mu.Unlock()
	if wedge != nil {
		<-wedge
	}
	return err
}

func (h *studioConn) OnAudio(ms uint32, r io.Reader) error { return h.note(false, ms, r) }
func (h *studioConn) OnVideo(ms uint32, r io.Reader) error { return h.note(true, ms, r) }

// open listens at addr, "" for any.
func (s *studio) open(t *testing.T, addr string) {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var l net.Listener
	elementtest.Eventually(t, "the port is free", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", addr)
		return err == nil
	})
	s.addr = l.Addr().String()
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	srv := gortmp.NewServer(&gortmp.ServerConfig{OnConnect: func(conn net.Conn) (io.ReadWriteCloser, *gortmp.ConnConfig) {
		// A server that does not read shall be full soon.
		if tcp, ok := conn.(*net.TCPConn); ok {
			if err := tcp.SetReadBuffer(64 << 10); err != nil {
				t.Error(err)
			}
		}
		s.set(func() { s.conns = append(s.conns, conn) })
		return conn, &gortmp.ConnConfig{Handler: &studioConn{s: s, conn: conn}, ControlState: gortmp.StreamControlStateConfig{DefaultBandwidthWindowSize: 1 << 20}}
	}})
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	s.stop = func() {
		srv.Close()
		l.Close()
		<-done
		s.set(func() {
			for _, c := range s.conns {
				c.Close()
			}
			s.conns = nil
		})
	}
}

// newBroadcast is a world with a camera, and an RtmpEndpoint to uri that it feeds.
func newBroadcast(t *testing.T, target string, padding int, kinds ...pipeline.Kind) (*elementtest.World, *footage, *uri.RTMP) {
	t.Helper()
	codectest.NeedFFmpeg(t)
	w := elementtest.New(t, uri.Types(uri.Deps{Fetch: &fetch.Policy{AllowPrivate: true}})...)
	cam := newFootage(w, padding, kinds...)
	e := w.Element("RtmpEndpoint", map[string]any{"uri": target}).(*uri.RTMP)
	w.Call(cam, "connect", map[string]any{"sink": e})
	t.Cleanup(func() {
		cam.end()
		elementtest.Within(t, "release", func() { w.Release(e) })
		cam.unhindered(t)
		for _, ev := range w.Events(e, "") {
			for name, v := range ev.Data {
				if s, ok := v.(string); ok && strings.Contains(s, "s3cr3t") {
					t.Errorf("event %s tells the key: %s %q", ev.Name, name, s)
				}
			}
		}
	})
	return w, cam, e
}

// begins checks that a run begins as players want it: configurations first, then
// a keyframe at 0, and times that do not go back.
func begins(t *testing.T, run []tag) {
	t.Helper()
	last := map[bool]uint32{}
	seen := map[bool]int{}
	for _, g := range run {
		seen[g.video]++
		if len(g.body) < 2 {
			t.Fatalf("message of %d bytes", len(g.body))
		}
		if config := g.body[1] == 0; config != (seen[g.video] == 1) {
			t.Errorf("video %v, message %d: configuration %v", g.video, seen[g.video], config)
		}
		if g.video && seen[true] == 2 && (g.body[0] != 0x17 || g.ms > 100) {
			t.Errorf("the picture begins with %#x at %d ms", g.body[0], g.ms)
		}
		if g.ms < last[g.video] {
			t.Errorf("time goes back from %d to %d", last[g.video], g.ms)
		}
		last[g.video] = g.ms
	}
	if d := int64(last[true]) - int64(last[false]); d < -1000 || d > 1000 {
		t.Errorf("picture ends at %d ms, sound at %d", last[true], last[false])
	}
}

// Published, lost, published again at the next keyframe from 0, stopped.
func TestRTMPComesBack(t *testing.T) {
	t.Parallel()
	s := &studio{}
	s.open(t, "")
	w, _, e := newBroadcast(t, "rtmp://"+s.addr+"/live/s3cr3t", 0)
	w.Call(e, "start", nil)
	w.Call(e, "start", nil) // nothing more
	w.WaitEvents(e, "Connected", 1)
	elementtest.Eventually(t, "two seconds of media", func() bool { return len(s.got(0)) > 150 })
	s.stop()
	w.WaitEvents(e, "Disconnected", 2)
	if d := w.Events(e, "Disconnected")[0].Data["retryInMs"]; d != int64(500) && d != 500 {
		t.Errorf("first retry in %v", d)
	}
	s.open(t, s.addr)
	defer func() { s.stop() }()
	w.WaitEvents(e, "Connected", 2)
	elementtest.Eventually(t, "media again", func() bool { return len(s.got(1)) > 150 })
	w.Call(e, "stop", nil)
	begins(t, s.got(0))
	begins(t, s.got(1))
	if got := w.Call(e, "getState", nil); got != "STOP" {
		t.Errorf("state %v", got)
	}
	n := len(w.Events(e, "Disconnected"))
	w.Call(e, "stop", nil)
	w.Call(e, "start", nil)
	w.WaitEvents(e, "Connected", 3)
	w.Call(e, "pause", nil)
	var states []any
	for _, ev := range w.Events(e, "UriEndpointStateChanged") {
		states = append(states, ev.Data["state"])
	}
	if want := "START STOP START PAUSE"; join(states) != want {
		t.Errorf("states %s, want %s", join(states), want)
	}
	if len(w.Events(e, "Disconnected")) != n {
		t.Errorf("a stop is told as a loss: %v", reasons(w, e))
	}
}

func join(list []any) string {
	var out []string
	for _, v := range list {
		out = append(out, v.(string))
	}
	return strings.Join(out, " ")
}

// A target that accepts and reads nothing is noticed and left, and comes back.
func TestRTMPWedged(t *testing.T) {
	t.Parallel()
	s := &studio{wedge: make(chan struct{})}
	s.open(t, "")
	defer func() { s.stop() }()
	w, _, e := newBroadcast(t, "rtmp://"+s.addr+"/live/s3cr3t", 100_000)
	w.Call(e, "start", nil)
	w.WaitEvents(e, "Connected", 1)
	lost(w, e, 0, "takes nothing")
	s.set(func() { close(s.wedge); s.wedge = nil })
	elementtest.Eventually(t, "media", func() bool { return len(s.latest()) > 50 })
	// It wedges again, and then the endpoint is released.
	again := make(chan struct{})
	defer close(again)
	s.set(func() { s.wedge = again })
	elementtest.Within(t, "stop", func() { w.Call(e, "stop", nil) })
}

// A source that sends only one kind of media is not waited for until it sends both.
func TestRTMPOneKind(t *testing.T) {
	t.Parallel()
	for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s := &studio{}
			s.open(t, "")
			defer func() { s.stop() }()
			w, _, e := newBroadcast(t, "rtmp://"+s.addr+"/live/s3cr3t", 0, kind)
			w.Call(e, "start", nil)
			elementtest.Eventually(t, "media", func() bool { return len(s.got(0)) > 40 })
			for i, g := range s.got(0) {
				if g.video != (kind == pipeline.Video) || i == 0 && g.body[1] != 0 || g.ms > 10_000 {
					t.Fatalf("message %d: video %v, % x at %d", i, g.video, g.body[:2], g.ms)
				}
			}
		})
	}
}

// rtmps: the certificate must be of the host; the stream is the same.
func TestRTMPSecure(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	pool := x509.NewCertPool()
	pool.AddCert(certified.Certificate()) // of 127.0.0.1
	defer uri.TrustRTMP(pool)()
	s := &studio{tls: &tls.Config{Certificates: certified.TLS.Certificates}}
	s.open(t, "")
	defer func() { s.stop() }()
	w, _, e := newBroadcast(t, "rtmps://"+s.addr+"/live/s3cr3t", 0)
	w.Call(e, "start", nil)
	w.WaitEvents(e, "Connected", 1)
	elementtest.Eventually(t, "media", func() bool { return len(s.got(0)) > 100 })
	w.Call(e, "stop", nil)
	begins(t, s.got(0))

	uri.TrustRTMP(x509.NewCertPool())
	w.Call(e, "start", nil)
	w.WaitEvents(e, "Disconnected", 1)
	if got := reasons(w, e); !strings.Contains(got[0], "certificate") {
		t.Errorf("reasons %v", got)
	}
}

// A target that refuses the stream, or takes it to hang up, is told and tried again.
func TestRTMPRefused(t *testing.T) {
	t.Parallel()
	s := &studio{refuse: true}
	s.open(t, "")
	defer func() { s.stop() }()
	w, _, e := newBroadcast(t, "rtmp://"+s.addr+"/live/s3cr3t", 0)
	w.Call(e, "start", nil)
	w.WaitEvents(e, "Disconnected", 2)
	if got := reasons(w, e); !strings.Contains(got[0], "refused by the server") {
		t.Errorf("reasons %v", got)
	}
	// Some take every key at first.
	s.set(func() { s.refuse, s.hangUp = false, true })
	w.WaitEvents(e, "Disconnected", len(reasons(w, e))+2)
	if got := w.Events(e, "Connected"); len(got) > 0 {
		t.Errorf("connected to a server that hangs up: %v", got)
	}
	s.set(func() { s.hangUp = false })
	w.WaitEvents(e, "Connected", 1)
}

// A target that says nothing holds nobody up, not even a release.
func TestRTMPSilent(t *testing.T) {
	t.Parallel()
	w, cam, e := newBroadcast(t, "rtmp://"+silent(t)+"/live/s3cr3t", 0)
	w.Call(e, "start", nil)
	elementtest.Eventually(t, "the camera goes on", func() bool { return cam.pushed.Load() > 100 })
	elementtest.Within(t, "stop", func() { w.Call(e, "stop", nil) })
	if n := len(w.Events(e, "Connected")); n > 0 {
		t.Errorf("%d times connected", n)
	}
}

func TestRTMPBadTargets(t *testing.T) {
	w := elementtest.New(t, uri.Types(uri.Deps{})...)
	for _, target := range []string{
		"http://example.com/live/s3cr3t", "rtmp://example.com", "rtmp://example.com/live", "rtmp://example.com/live/", "rtmp:///live/s3cr3t",
		"rtmp://bob:s3cr3t@example.com/live/x", "rtmp://2130706433/live/s3cr3t", "rtmp://example.com/live/s3cr3t key", "rtmp://example.com:0/live/s3cr3t", "",
	} {
		_, err := w.TryCreate("RtmpEndpoint", map[string]any{"mediaPipeline": w.Pipeline, "uri": target})
		if code, _ := kerr.Of(err); code != kerr.MediaObjectIllegalParam || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v", target, err)
		}
	}
	// The policy of addresses holds.
	e := w.Element("RtmpEndpoint", map[string]any{"uri": "rtmp://127.0.0.1/live/s3cr3t"})
	w.Call(e, "start", nil)
	w.WaitEvents(e, "Disconnected", 1)
	if got := reasons(w, e); !strings.Contains(got[0], "private") {
		t.Errorf("reasons %v", got)
	}
	w.Release(e)
}

func TestRTMPContract(t *testing.T) {
	elementtest.Run(t, uri.Types(uri.Deps{}), elementtest.Case{
		Type: "RtmpEndpoint", Required: []string{"uri"},
		Params:    func() map[string]any { return map[string]any{"uri": "rtmp://example.com/live/x"} },
		Ancestors: []string{"UriEndpoint", "Endpoint", "MediaElement", "MediaObject"},
	})
}
