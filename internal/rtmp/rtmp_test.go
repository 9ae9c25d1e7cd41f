package rtmp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	gortmp "github.com/yutopp/go-rtmp"
	rtmpmsg "github.com/yutopp/go-rtmp/message"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAMF(t *testing.T) {
	b := appendAMF(nil, "name", 1.5, true, nil, object{{"a", "b"}, {"n", object{{"x", 2.0}}}}, list{{"l", false}}, strings.Repeat("x", 70000))
	got, err := parseAMF(b)
	want := []any{"name", 1.5, true, nil, map[string]any{"a": "b", "n": map[string]any{"x": 2.0}}, map[string]any{"l": false}, strings.Repeat("x", 70000)}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	deep := bytes.Repeat([]byte{amfObject, 0, 1, 'a'}, 1000)
	for name, b := range map[string][]byte{
		"deep": deep, "many": bytes.Repeat([]byte{amfNull}, maxValues+1), "short number": {amfNumber, 1}, "unknown": {99},
		"long text": {amfString, 255, 255, 1}, "huge list": {amfStrict, 255, 255, 255, 255}, "open object": {amfObject, 0, 1, 'a'},
	} {
		if _, err := parseAMF(b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(appendAMF(nil, "onStatus", 0.0, nil, object{{"code", "x"}}))
	f.Add(appendMessage(nil, 3, 0, typeCommand0, 0, appendAMF(nil, "a", 1.0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseAMF(b)
		r := newChunkReader(bytes.NewReader(b))
		for {
			if _, err := r.next(); err != nil {
				return
			}
		}
	})
}

// What is cut is put together again, through the extended timestamp too.
func TestChunks(t *testing.T) {
	for _, size := range []int{0, 1, ourChunk, ourChunk + 1, 50000} {
		for _, ms := range []uint32{0, 5, 0xfffffe, 0xffffff, 0xfffffff0} {
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(rand.Uint32())
			}
			b := appendMessage(nil, 2, 0, typeChunkSize, 0, []byte{0, 0, ourChunk >> 8, 0})
			b = appendMessage(b, 6, ms, typeVideo, 7, body)
			b = appendMessage(b, 4, ms, typeAudio, 7, []byte{1})
			r := newChunkReader(bytes.NewReader(b))
			m, err := r.next()
			if err != nil || m.typ != typeVideo || m.stream != 7 || !bytes.Equal(m.body, body) {
				t.Fatalf("size %d at %d: %+v, %v", size, ms, m.typ, err)
			}
			if m, err = r.next(); err != nil || m.typ != typeAudio {
				t.Fatalf("size %d at %d: second %v, %v", size, ms, m, err)
			}
			if _, err = r.next(); !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v", err)
			}
		}
	}
	for name, b := range map[string][]byte{
		"message too long": append([]byte{3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0}, make([]byte, 200)...),
		"no header before": {3<<6 | 5}, "chunk size 0": append([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0}, 0, 0, 0, 0),
	} {
		if _, err := newChunkReader(bytes.NewReader(b)).next(); !errors.Is(err, errProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var many []byte
	for id := byte(3); id < 3+maxStreams+1; id++ {
		many = appendMessage(many, id, 0, typeAudio, 1, nil)
	}
	r := newChunkReader(bytes.NewReader(many))
	var err error
	for err == nil {
		_, err = r.next()
	}
	if !errors.Is(err, errProtocol) {
		t.Errorf("many chunk streams: %v", err)
	}
}

// target is a server of another make.
type target struct {
	gortmp.DefaultHandler
	mu     sync.Mutex
	app    string
	key    string
	video  [][]byte
	times  []uint32
	meta   int
	closed chan struct{}
	once   sync.Once
	refuse bool
}

func (h *target) OnConnect(_ uint32, cmd *rtmpmsg.NetConnectionConnect) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.app = cmd.Command.App
	return nil
}

func (h *target) OnPublish(_ *gortmp.StreamContext, _ uint32, cmd *rtmpmsg.NetStreamPublish) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.key = cmd.PublishingName
	if h.refuse {
		return errors.New("no")
	}
	return nil
}

func (h *target) OnSetDataFrame(uint32, *rtmpmsg.NetStreamSetDataFrame) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.meta++
	return nil
}

func (h *target) OnVideo(ms uint32, r io.Reader) error {
	b, err := io.ReadAll(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.video, h.times = append(h.video, b), append(h.times, ms)
	return err
}

func (h *target) OnClose() { h.once.Do(func() { close(h.closed) }) }

func serve(t *testing.T, h *target) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.closed = make(chan struct{})
	srv := gortmp.NewServer(&gortmp.ServerConfig{OnConnect: func(conn net.Conn) (io.ReadWriteCloser, *gortmp.ConnConfig) {
		return conn, &gortmp.ConnConfig{Handler: h, ControlState: gortmp.StreamControlStateConfig{DefaultBandwidthWindowSize: 1 << 20}}
	}})
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); l.Close(); <-done })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func options() Options {
	return Options{App: "live", URL: "rtmp://127.0.0.1/live", Stream: "s3cr3t-key", Setup: 10 * time.Second, Write: 10 * time.Second}
}

// A server that somebody else wrote takes all that is sent, in order.
func TestPublish(t *testing.T) {
	h := &target{}
	c, err := Publish(context.Background(), serve(t, h), options())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Metadata("width", 640.0, "encoder", "x", "stereo", true); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := c.Write(typeVideo, uint32(i*40), append([]byte{0x27, 1, 0, 0, 0}, bytes.Repeat([]byte{byte(i)}, i*100)...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Write(typeVideo, 0, nil); err == nil {
		t.Error("a closed stream takes more")
	}
	select {
	case <-h.closed:
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not notice the end")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.app != "live" || h.key != "s3cr3t-key" || h.meta != 1 || len(h.video) != 200 {
		t.Fatalf("app %q, %d metadata, %d messages", h.app, h.meta, len(h.video))
	}
	for i, b := range h.video {
		if len(b) != 5+i*100 || h.times[i] != uint32(i*40) {
			t.Errorf("message %d: %d bytes at %d", i, len(b), h.times[i])
		}
	}
}

// script is a server that shakes hands, does what answer does, and stays or, with
// hangUp, closes when it was asked to take the stream.
func script(t *testing.T, hangUp bool, answer func(c net.Conn)) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		hello := make([]byte, 1537)
		if _, err := io.ReadFull(theirs, hello); err != nil {
			return
		}
		theirs.Write(append(append([]byte{3}, make([]byte, 1536)...), hello[1:]...))
		io.ReadFull(theirs, hello[1:])
		var drained sync.WaitGroup
		asked := make(chan struct{})
		drained.Go(func() {
			for b := bufio.NewReader(theirs); ; {
				s, err := b.ReadString('h')
				if strings.HasSuffix(s, "\x00\apublish") {
					close(asked)
				}
				if err != nil {
					return
				}
			}
		})
		answer(theirs)
		if hangUp {
			<-asked
			theirs.Close()
		}
		drained.Wait()
	}()
	t.Cleanup(func() { ours.Close(); <-done })
	return ours
}

func TestRefused(t *testing.T) {
	command := func(values ...any) []byte {
		return appendMessage(nil, 3, 0, typeCommand0, 0, appendAMF(nil, values...))
	}
	ok := append(command("_result", 1.0, nil, object{{"code", "NetConnection.Connect.Success"}}), command("_result", 4.0, nil, 1.0)...)
	for name, row := range map[string]struct {
		say    []byte
		hangUp bool
		want   string
	}{
		"application": {command("_error", 1.0, nil, object{{"code", "NetConnection.Connect.Rejected"}, {"description", "no such app"}}), false, "Connect.Rejected, no such app"},
		"stream": {append(bytes.Clone(ok), command("onStatus", 0.0, nil, object{{"level", "error"}, {"code", "NetStream.Publish.BadName"},
			{"description", "s3cr3t-key is\x00taken"}})...), false, "NetStream.Publish.BadName, … is taken"},
		"hang up": {ok, true, "hangs up"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Publish(context.Background(), script(t, row.hangUp, func(c net.Conn) { c.Write(row.say) }), options())
			if err == nil {
				c.Close()
				t.Fatal("published")
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
	// A server of another make.
	c, err := Publish(context.Background(), serve(t, &target{refuse: true}), options())
	if err == nil {
		c.Close()
		t.Fatal("published")
	}
	t.Log(err)
}

// A server that says nothing, and one that breaks the protocol, end in an error;
// so does a caller's end.
func TestSetupEnds(t *testing.T) {
	o := options()
	o.Setup = 50 * time.Millisecond
	if _, err := Publish(context.Background(), script(t, false, func(net.Conn) {}), o); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("published to a silent server: %v", err)
	}
	if _, err := Publish(context.Background(), script(t, false, func(c net.Conn) { c.Write(bytes.Repeat([]byte{0xff}, 100)) }), options()); err == nil {
		t.Error("published to a server of rubbish")
	}
	ctx, cancel := context.WithCancel(context.Background())
	conn := script(t, false, func(net.Conn) { cancel() })
	if _, err := Publish(ctx, conn, options()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
