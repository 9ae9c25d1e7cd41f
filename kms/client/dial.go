package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
)

// Options tune Dial; zero values have defaults.
type Options struct {
	// Token is sent as a bearer token.
	Token string
	// TLS is how wss is spoken, client certificates included; nil has Go's defaults.
	TLS *tls.Config
	// Ping is how often the node is asked for life (10 s); no answer within
	// another 10 s breaks the socket.
	Ping time.Duration
	// GiveUp is how long reconnecting goes on before the session is lost (30 s);
	// the node itself keeps it for 240 s at least.
	GiveUp time.Duration
	// Retry is the first pause between attempts (100 ms); it doubles up to 2 s.
	Retry time.Duration
	Log   *slog.Logger
}

// Dial connects to ws://host:8888/kurento and starts a session. When the socket
// breaks, it is dialled again and the session resumed with its objects and
// subscriptions; events in between are lost, requests wait. ctx bounds the
// first connection only.
func Dial(ctx context.Context, url string, opts Options) (*Session, error) {
	if opts.Ping == 0 {
		opts.Ping = 10 * time.Second
	}
	if opts.GiveUp == 0 {
		opts.GiveUp = 30 * time.Second
	}
	if opts.Retry == 0 {
		opts.Retry = 100 * time.Millisecond
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	d := &dialler{url: url, opts: opts}
	stream, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := newSession(opts.Log.With("kmsUri", url))
	d.session = c
	c.attach(stream)
	c.open()
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		d.run(stream)
	}()
	return c, nil
}

type dialler struct {
	url     string
	opts    Options
	session *Session
}

func (d *dialler) dial(ctx context.Context) (jsonrpc.Conn, error) {
	header := http.Header{}
	if d.opts.Token != "" {
		header.Set("Authorization", "Bearer "+d.opts.Token)
	}
	wd := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Proxy: http.ProxyFromEnvironment, TLSClientConfig: d.opts.TLS}
	ws, resp, err := wd.DialContext(ctx, d.url, header)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("dial media node: %s: %w", resp.Status, err)
		}
		return nil, fmt.Errorf("dial media node: %w", err)
	}
	return jsonrpc.NewSocket(ws, jsonrpc.SocketOptions{
		MaxMessage: 64 << 20, QueueMessages: 1 << 16, QueueBytes: 64 << 20, Log: d.opts.Log,
	}), nil
}

// run reads one socket after another until the session is closed or lost.
func (d *dialler) run(stream jsonrpc.Conn) {
	c := d.session
	defer c.giveUp()
	for {
		d.use(stream)
		c.interrupt(ErrInterrupted)
		if c.ctx.Err() != nil {
			return
		}
		c.log.Warn("media node's socket broke, reconnecting")
		var ok bool
		if stream, ok = d.again(); !ok {
			return
		}
	}
}

// use reads the stream to its end and pings meanwhile.
func (d *dialler) use(stream jsonrpc.Conn) {
	c := d.session
	ended := make(chan struct{})
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		d.ping(stream, ended)
	}()
	c.read(stream)
	close(ended)
	stream.Close(jsonrpc.CloseNormal, "")
}

func (d *dialler) ping(stream jsonrpc.Conn, ended <-chan struct{}) {
	t := time.NewTicker(d.opts.Ping)
	defer t.Stop()
	for {
		select {
		case <-ended:
			return
		case <-t.C:
		}
		ctx, cancel := context.WithTimeout(d.session.ctx, pingTimeout)
		_, err := d.session.call(ctx, "ping", map[string]any{"interval": d.opts.Ping.Milliseconds()})
		timedOut := ctx.Err() != nil
		cancel()
		if err != nil && timedOut {
			stream.Abort(jsonrpc.CloseGoingAway, "no answer to ping")
			return
		}
	}
}

// again dials until the session is resumed; false when it is lost.
func (d *dialler) again() (jsonrpc.Conn, bool) {
	c := d.session
	ctx, cancel := context.WithTimeout(c.ctx, d.opts.GiveUp)
	defer cancel()
	for pause := d.opts.Retry; ; pause = min(2*pause, 2*time.Second) {
		stream, err := d.dial(ctx)
		if err == nil {
			if err = d.resume(ctx, stream); err == nil {
				return stream, true
			}
			if code, ok := kerr.Of(err); ok && code == kerr.InvalidSession {
				c.log.Error("media node does not know the session any more", "err", err)
				stream.Close(jsonrpc.CloseNormal, "")
				return nil, false
			}
			stream.Close(jsonrpc.CloseNormal, "")
		}
		c.log.Warn("reconnect to media node", "err", err)
		select {
		case <-ctx.Done():
			return nil, false
		case <-time.After(pause):
		}
	}
}

// resume asks for the old session on a new stream, before anything else goes
// out. The reply is read here, since nobody reads the stream yet.
func (d *dialler) resume(ctx context.Context, stream jsonrpc.Conn) error {
	c := d.session
	c.attach(stream)
	id := c.ID()
	if id == "" {
		c.open()
		return nil
	}
	stop := context.AfterFunc(ctx, func() { stream.Abort(jsonrpc.CloseGoingAway, "") })
	defer stop()
	c.mu.Lock()
	_, reply, err := c.write("connect", map[string]any{"sessionId": id})
	c.mu.Unlock()
	if err != nil {
		return err
	}
	for {
		frame, err := stream.ReadFrame()
		if err != nil {
			return err
		}
		c.take(frame)
		select {
		case r := <-reply:
			if r.err == nil {
				c.open()
			}
			return r.err
		default:
		}
	}
}
