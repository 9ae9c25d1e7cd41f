package jsonrpc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"

	"github.com/govidu/govidu/internal/obs"
)

// Route is where a request is queued.
type Route struct {
	// Key: requests of one key are handled one after another in the order of
	// arrival, different keys in parallel.
	Key string
	// Exclusive requests wait for all before them and hold back all after them.
	Exclusive bool
}

// Handler serves the requests of one connection.
type Handler interface {
	// Route is called on the reading goroutine, in order of arrival, and must
	// not block.
	Route(r *Request) Route
	// Handle does the work and writes its own reply. ctx ends with the
	// connection.
	Handle(ctx context.Context, r *Request)
}

// InOrder is a Handler that does everything in order of arrival.
type InOrder func(ctx context.Context, r *Request)

// Route implements Handler.
func (InOrder) Route(*Request) Route { return Route{} }

// Handle implements Handler.
func (f InOrder) Handle(ctx context.Context, r *Request) { f(ctx, r) }

// ServeOptions tune Serve.
type ServeOptions struct {
	Log *slog.Logger
	// Outstanding is how many requests may wait or run; the reader pauses at it.
	// 0 is 256.
	Outstanding int
	// ParseErrors in a row close the connection with 1008. 0 is 3.
	ParseErrors int
	// Malformed is called with each envelope that was refused, before its error
	// reply is written; nil is fine.
	Malformed func(err *Error)
	// TooBig is the error written before a message over the limit closes the
	// connection with 1009; nil closes only.
	TooBig *Error
}

// Serve reads requests until the connection ends or ctx is done and hands them
// to h. It returns after all handlers have, with nil for an orderly end. The
// connection is closed then.
//
// A handler that panics is logged and counted, and ends the connection with 1011.
func Serve(ctx context.Context, conn Conn, h Handler, opts ServeOptions) error {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Outstanding == 0 {
		opts.Outstanding = 256
	}
	if opts.ParseErrors == 0 {
		opts.ParseErrors = 3
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Abort(CloseGoingAway, "") })
	defer stop()
	d := &dispatcher{ctx: ctx, h: h, conn: conn, opts: opts, slots: make(chan struct{}, opts.Outstanding), queues: map[string][]*Request{}}
	err := d.read()
	cancel()
	d.wg.Wait()
	conn.Close(CloseNormal, "")
	return err
}

type dispatcher struct {
	ctx   context.Context
	h     Handler
	conn  Conn
	opts  ServeOptions
	slots chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex            // leaf
	queues map[string][]*Request // a key is here while its goroutine lives
}

func (d *dispatcher) read() (err error) {
	defer obs.Guard(d.opts.Log, "jsonrpc.read", func() { d.conn.Abort(CloseInternal, "") })
	bad := 0
	for {
		frame, err := d.conn.ReadFrame()
		switch {
		case errors.Is(err, ErrTooBig):
			if d.opts.TooBig != nil {
				d.conn.WriteJSON(Failure(nil, d.opts.TooBig))
			}
			d.conn.Close(CloseTooBig, "")
			return err
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		r, refused := ParseRequest(frame)
		if refused != nil {
			if d.opts.Malformed != nil {
				d.opts.Malformed(refused)
			}
			d.conn.WriteJSON(Failure(nil, refused))
			if refused.Code != CodeParse {
				bad = 0
			} else if bad++; bad >= d.opts.ParseErrors {
				d.conn.Close(ClosePolicy, "not JSON")
				return nil
			}
			continue
		}
		bad = 0
		r.Conn = d.conn
		if !d.dispatch(r) {
			return nil
		}
	}
}

// dispatch queues r; false when the connection ended while waiting for room.
func (d *dispatcher) dispatch(r *Request) bool {
	route := d.h.Route(r)
	if route.Exclusive {
		d.wg.Wait()
		d.handle(r)
		return true
	}
	select {
	case d.slots <- struct{}{}:
	case <-d.conn.Done():
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting, busy := d.queues[route.Key]
	d.queues[route.Key] = append(waiting, r)
	if !busy {
		d.wg.Add(1)
		go d.work(route.Key)
	}
	return true
}

// work handles the requests of one key until none is left.
func (d *dispatcher) work(key string) {
	defer d.wg.Done()
	for {
		d.mu.Lock()
		waiting := d.queues[key]
		if len(waiting) == 0 {
			delete(d.queues, key)
			d.mu.Unlock()
			return
		}
		r := waiting[0]
		waiting[0] = nil
		d.queues[key] = waiting[1:]
		d.mu.Unlock()
		d.handle(r)
		<-d.slots
	}
}

func (d *dispatcher) handle(r *Request) {
	defer obs.Guard(d.opts.Log, "jsonrpc.handle", func() { d.conn.Abort(CloseInternal, "") })
	d.h.Handle(d.ctx, r)
}
