package webpage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/obs"
)

const (
	// maxMessage bounds one message of the browser, in bytes.
	maxMessage = 4 << 20
	// maxUnsent is how many messages may wait for a browser that does not read.
	maxUnsent = 256
	// writeTimeout bounds how long one may wait.
	writeTimeout = 5 * time.Second
)

var errGone = errors.New("browser is gone")

// devtools speaks the Chrome DevTools Protocol over Chromium's debugging pipe:
// JSON messages, each ended by a zero byte. Its two goroutines end with the pipe.
type devtools struct {
	in    io.ReadCloser
	out   writer
	log   *slog.Logger
	heard func(session, method string, params json.RawMessage)
	queue chan []byte
	done  chan struct{} // closed when the pipe has ended
	once  sync.Once
	wg    sync.WaitGroup

	mu    sync.Mutex // leaf
	next  int
	calls map[int]chan answer
}

type writer interface {
	io.WriteCloser
	SetWriteDeadline(time.Time) error
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// newDevtools starts reading. heard is called for events, one after another; it
// must not block, but may send.
func newDevtools(in io.ReadCloser, out writer, log *slog.Logger, heard func(session, method string, params json.RawMessage)) *devtools {
	d := &devtools{in: in, out: out, log: log, heard: heard, queue: make(chan []byte, maxUnsent), done: make(chan struct{}), calls: map[int]chan answer{}}
	d.wg.Go(d.read)
	d.wg.Go(d.write)
	return d
}

// end closes the pipe; close waits for the goroutines too.
func (d *devtools) end() {
	d.once.Do(func() {
		close(d.done)
		_ = d.in.Close()
		_ = d.out.Close()
	})
}

func (d *devtools) close() { d.end(); d.wg.Wait() }

func (d *devtools) read() {
	defer d.end()
	defer obs.Guard(d.log, "webpage.devtools", nil)
	s := bufio.NewScanner(d.in)
	s.Buffer(make([]byte, 64<<10), maxMessage)
	s.Split(func(data []byte, eof bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return i + 1, data[:i], nil
		}
		return 0, nil, nil
	})
	for s.Scan() {
		var m struct {
			ID        int
			SessionID string
			Method    string
			Params    json.RawMessage
			answer
		}
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			d.log.Warn("browser sends what is no message", obs.AttrErr, err)
			return
		}
		if m.ID == 0 {
			d.heard(m.SessionID, m.Method, m.Params)
			continue
		}
		d.mu.Lock()
		ch := d.calls[m.ID]
		delete(d.calls, m.ID)
		d.mu.Unlock()
		if ch != nil {
			ch <- m.answer
		}
	}
}

func (d *devtools) write() {
	defer d.end()
	for {
		select {
		case b := <-d.queue:
			_ = d.out.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := d.out.Write(b); err != nil {
				return
			}
		case <-d.done:
			return
		}
	}
}

// post puts a message into the queue. A queue that is full ends the browser.
func (d *devtools) post(id int, session, method string, params any) error {
	m := struct {
		ID        int    `json:"id"`
		SessionID string `json:"sessionId,omitempty"`
		Method    string `json:"method"`
		Params    any    `json:"params,omitempty"`
	}{id, session, method, params}
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("marshal %s: %w", method, err)
	}
	select {
	case d.queue <- append(b, 0):
		return nil
	case <-d.done:
		return errGone
	default:
		d.end()
		return errGone
	}
}

func (d *devtools) id(ch chan answer) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	if ch != nil {
		d.calls[d.next] = ch
	}
	return d.next
}

// send is call without an answer.
func (d *devtools) send(session, method string, params any) {
	_ = d.post(d.id(nil), session, method, params)
}

// call sends a command and waits for its result, which is read into result unless
// that is nil. errGone when the browser is.
func (d *devtools) call(ctx context.Context, session, method string, params, result any) error {
	ch := make(chan answer, 1)
	id := d.id(ch)
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.calls, id)
	}()
	if err := d.post(id, session, method, params); err != nil {
		return err
	}
	select {
	case a := <-ch:
		if a.Error != nil {
			return fmt.Errorf("%s: %s", method, obs.Quote(a.Error.Message))
		}
		if result == nil {
			return nil
		}
		if err := json.Unmarshal(a.Result, result); err != nil {
			return fmt.Errorf("result of %s: %w", method, err)
		}
		return nil
	case <-d.done:
		return errGone
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}
