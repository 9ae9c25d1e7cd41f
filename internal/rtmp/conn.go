package rtmp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// goodbye is how long the end of a stream may take to be told.
	goodbye = time.Second
	// version of the protocol that every server speaks.
	version = 3
)

// Errors of this package.
var (
	// ErrRefused: the server was reached and does not take the stream.
	ErrRefused = errors.New("refused by the server")
	// ErrClosed: the connection was closed by Close.
	ErrClosed = errors.New("connection is closed")
)

// Options say what to publish.
type Options struct {
	// App, URL and Stream are the application's name, the URL of it (without the
	// stream) and the stream's name, which is secret.
	App, URL, Stream string
	// Setup bounds the time until the server takes the stream, Write that of one
	// message.
	Setup, Write time.Duration
}

// Conn is a stream being published. Write, Metadata and Close are for one
// goroutine; the rest may be called from any.
type Conn struct {
	o      Options
	conn   net.Conn
	in     *chunkReader
	stream uint32
	window uint32 // bytes after which the server wants an acknowledgement
	acked  uint64

	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // of the reader

	mu    sync.Mutex // one message at a time
	buf   []byte
	limit time.Duration // of one message
}

// Publish sets up the stream on a fresh connection, which is closed when that
// fails. ctx ends the attempt and, later, the stream.
func Publish(ctx context.Context, conn net.Conn, o Options) (*Conn, error) {
	c := &Conn{o: o, conn: conn, in: newChunkReader(conn), done: make(chan struct{}), limit: o.Write}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	// Whatever ends the context ends reads and writes under way.
	stop := context.AfterFunc(c.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	if err := c.setUp(); err != nil {
		stop()
		if ctx.Err() != nil {
			err = ctx.Err()
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("the server does not answer within %v", o.Setup)
		}
		c.cancel(err)
		conn.Close()
		return nil, c.hide(err)
	}
	go c.readOn()
	return c, nil
}

// Done is closed when the stream has ended by itself or by Close.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// Context ends with the stream.
func (c *Conn) Context() context.Context { return c.ctx }

// Err is why the stream has ended, nil while it goes on.
func (c *Conn) Err() error {
	if c.ctx.Err() == nil {
		return nil
	}
	return context.Cause(c.ctx)
}

// Write sends the body of an FLV tag of kind 8 (audio) or 9 (video), ms after the
// stream's beginning. An error is final.
func (c *Conn) Write(kind byte, ms uint32, body []byte) error {
	csid := byte(4)
	if kind == typeVideo {
		csid = 6
	}
	return c.send(csid, ms, kind, c.stream, body)
}

// Metadata tells numbers and texts about the stream (onMetaData). Names and values
// alternate; values are float64, bool or string.
func (c *Conn) Metadata(fields ...any) error {
	var l list
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := fields[i].(string)
		l = append(l, pair{name, fields[i+1]})
	}
	return c.send(4, 0, typeDataAMF0, c.stream, appendAMF(nil, "@setDataFrame", "onMetaData", l))
}

// Close ends the stream in order, if the server listens, and waits for the reader.
func (c *Conn) Close() error {
	if c.ctx.Err() == nil {
		c.mu.Lock()
		c.limit = min(c.limit, goodbye)
		c.mu.Unlock()
		// Best effort: a server that is gone will notice by itself.
		_ = c.command(3, 0, "FCUnpublish", 6, nil, c.o.Stream)
		_ = c.command(3, 0, "deleteStream", 7, nil, float64(c.stream))
		c.drain()
	}
	c.cancel(ErrClosed)
	err := c.conn.Close()
	<-c.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// drain lets the server read to the end: to close a connection on which something
// is unread makes the peer lose what it has not read yet.
func (c *Conn) drain() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	late := time.NewTimer(goodbye)
	defer late.Stop()
	select {
	case <-c.done:
	case <-late.C:
	}
}

// Abort ends the stream at once; Close is still to be called.
func (c *Conn) Abort() { _ = c.fail(ErrClosed) }

// fail ends the stream.
func (c *Conn) fail(err error) error {
	c.cancel(c.hide(err))
	c.conn.Close()
	return c.Err()
}

// hide keeps the stream's name out of an error that may repeat what a server said.
func (c *Conn) hide(err error) error {
	if c.o.Stream == "" || !strings.Contains(err.Error(), c.o.Stream) {
		return err
	}
	text := strings.ReplaceAll(err.Error(), c.o.Stream, "…")
	if errors.Is(err, ErrRefused) {
		return fmt.Errorf("%s: %w", strings.TrimSuffix(text, ": "+ErrRefused.Error()), ErrRefused)
	}
	return errors.New(text)
}

func (c *Conn) send(csid byte, ms uint32, typ byte, stream uint32, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.Err(); err != nil {
		return err
	}
	c.buf = appendMessage(c.buf[:0], csid, ms, typ, stream, body)
	if cap(c.buf) > 1<<20 {
		defer func() { c.buf = nil }()
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
		return c.fail(fmt.Errorf("set deadline: %w", err))
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && c.ctx.Err() == nil {
			err = fmt.Errorf("the server takes nothing for %v", c.limit)
		}
		return c.fail(fmt.Errorf("send: %w", err))
	}
	return nil
}

func (c *Conn) command(csid byte, stream uint32, name string, id float64, args ...any) error {
	return c.send(csid, 0, typeCommand0, stream, appendAMF(appendAMF(nil, name, id), args...))
}

// setUp goes from the handshake (§5.2) to the server's word that it takes the stream.
func (c *Conn) setUp() error {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.o.Setup)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if err := c.shake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if err := c.send(2, 0, typeChunkSize, 0, binary.BigEndian.AppendUint32(nil, ourChunk)); err != nil {
		return err
	}
	err := c.command(3, 0, "connect", 1, object{
		{"app", c.o.App}, {"type", "nonprivate"}, {"flashVer", "FMLE/3.0 (compatible; govidu)"}, {"swfUrl", c.o.URL}, {"tcUrl", c.o.URL},
	})
	if err != nil {
		return err
	}
	if _, err := c.answer(1); err != nil {
		return fmt.Errorf("connect to the application: %w", err)
	}
	// Some servers want the first two; those that do not, ignore them.
	if err := c.command(3, 0, "releaseStream", 2, nil, c.o.Stream); err != nil {
		return err
	}
	if err := c.command(3, 0, "FCPublish", 3, nil, c.o.Stream); err != nil {
		return err
	}
	if err := c.command(3, 0, "createStream", 4, nil); err != nil {
		return err
	}
	values, err := c.answer(4)
	if err != nil {
		return fmt.Errorf("create a stream: %w", err)
	}
	id, ok := at(values, 3).(float64)
	if !ok || id < 1 || id > 1<<31 {
		return fmt.Errorf("create a stream: %w", errProtocol)
	}
	c.stream = uint32(id)
	if err := c.command(4, c.stream, "publish", 5, nil, c.o.Stream, "live"); err != nil {
		return err
	}
	if _, err := c.answer(5); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return c.conn.SetReadDeadline(time.Time{})
}

// shake is the simple handshake: version and 1536 bytes each way, and an echo.
func (c *Conn) shake() error {
	hello := make([]byte, 1537)
	hello[0] = version
	if _, err := rand.Read(hello[9:]); err != nil {
		return err
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.o.Setup)); err != nil {
		return err
	}
	if _, err := c.conn.Write(hello); err != nil {
		return err
	}
	theirs, err := c.in.bytes(1537)
	if err != nil {
		return err
	}
	if theirs[0] != version {
		return fmt.Errorf("version %d: %w", theirs[0], errProtocol)
	}
	if _, err := c.conn.Write(theirs[1:]); err != nil {
		return err
	}
	_, err = c.in.bytes(1536)
	return err
}

// answer waits for what the server says to a command: _result or _error, or, for
// publish, a status of the stream. Everything else that comes is seen to.
func (c *Conn) answer(id float64) ([]any, error) {
	for {
		m, err := c.in.next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("the server hangs up: %w", ErrRefused)
		}
		if err != nil {
			return nil, err
		}
		values, err := c.handle(m)
		if err != nil {
			return nil, err
		}
		name, _ := at(values, 0).(string)
		n, _ := at(values, 1).(float64)
		switch {
		case name == "_result" && n == id && id != 5:
			return values, nil
		case name == "_error" && n == id:
			return nil, refusal(values)
		case name == "onStatus" && id == 5 && field(values, "code") == "NetStream.Publish.Start":
			return values, nil
		}
	}
}

// readOn sees to what comes while the stream is sent.
func (c *Conn) readOn() {
	defer close(c.done)
	defer func() {
		if r := recover(); r != nil {
			_ = c.fail(fmt.Errorf("panic: %v", r))
		}
	}()
	for {
		m, err := c.in.next()
		if errors.Is(err, io.EOF) {
			err = errors.New("the server hangs up")
		}
		if err == nil {
			_, err = c.handle(m)
		}
		if err != nil {
			_ = c.fail(err)
			return
		}
	}
}

// handle answers what the protocol wants answered and gives the values of a
// command. A status of level error is an error.
func (c *Conn) handle(m message) ([]any, error) {
	if err := c.acknowledge(); err != nil {
		return nil, err
	}
	switch m.typ {
	case typeWindowAck:
		if len(m.body) >= 4 {
			c.window = binary.BigEndian.Uint32(m.body)
		}
	case typeBandwidth:
		if len(m.body) >= 4 {
			return nil, c.send(2, 0, typeWindowAck, 0, m.body[:4])
		}
	case typeControl:
		if len(m.body) >= 6 && binary.BigEndian.Uint16(m.body) == 6 { // ping
			return nil, c.send(2, 0, typeControl, 0, append([]byte{0, 7}, m.body[2:6]...))
		}
	case typeCommand0, typeCommandAMF:
		body := m.body
		if m.typ == typeCommandAMF {
			body = bytes.TrimPrefix(body, []byte{0})
		}
		values, err := parseAMF(body)
		if err != nil {
			return nil, err
		}
		if at(values, 0) == "onStatus" && field(values, "level") == "error" {
			return nil, refusal(values)
		}
		return values, nil
	}
	return nil, nil
}

func (c *Conn) acknowledge() error {
	if c.window == 0 || c.in.read-c.acked < uint64(c.window) {
		return nil
	}
	c.acked = c.in.read
	return c.send(2, 0, typeAck, 0, binary.BigEndian.AppendUint32(nil, uint32(c.acked)))
}

func at(values []any, i int) any {
	if i < len(values) {
		return values[i]
	}
	return nil
}

// field looks for a text in the information object of an answer.
func field(values []any, name string) string {
	for _, v := range values {
		if m, ok := v.(map[string]any); ok {
			if s, ok := m[name].(string); ok {
				return s
			}
		}
	}
	return ""
}

// refusal is what the server says, shortened and printable.
func refusal(values []any) error {
	var said []string
	for _, name := range []string{"code", "description"} {
		s := strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, field(values, name))
		if len(s) > 200 {
			s = strings.ToValidUTF8(s[:200], "")
		}
		if s != "" {
			said = append(said, s)
		}
	}
	if said == nil {
		return ErrRefused
	}
	return fmt.Errorf("%s: %w", strings.Join(said, ", "), ErrRefused)
}
