//go:build gst

package mediaworker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/workers/wire"
)

// maxUnsent bounds the lines that wait for a server that does not read.
const maxUnsent = 1024

// request is a line from the server with the files that came beside it.
type request struct {
	wire.Message
	files []*os.File
}

// control is the worker's end of the control socket.
type control struct {
	conn  *net.UnixConn
	lines chan []byte

	once sync.Once
	done chan struct{} // closed: write what is queued, then end
	over chan struct{} // closed when the writer has ended
}

func newControl(f *os.File) (*control, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("use the control socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("the control socket is a %T", c)
	}
	return &control{conn: u, lines: make(chan []byte, maxUnsent), done: make(chan struct{}), over: make(chan struct{})}, nil
}

// send queues a line; false when too many wait.
func (c *control) send(m wire.Message) bool {
	b, err := json.Marshal(m)
	if err != nil {
		return true
	}
	select {
	case c.lines <- append(b, '\n'):
		return true
	default:
		return false
	}
}

// write sends the queued lines until finish.
func (c *control) write(context.Context) {
	defer close(c.over)
	for {
		select {
		case b := <-c.lines:
			if _, err := c.conn.Write(b); err != nil {
				return
			}
		case <-c.done:
			_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
			for {
				select {
				case b := <-c.lines:
					if _, err := c.conn.Write(b); err != nil {
						return
					}
				default:
					return
				}
			}
		}
	}
}

// finish writes what is queued and closes the socket.
func (c *control) finish() {
	c.once.Do(func() { close(c.done) })
	select {
	case <-c.over:
	case <-time.After(2 * time.Second):
	}
	_ = c.conn.Close()
}

// read hands requests on until the socket ends; then the server is gone, and
// there is nothing left to do.
func (c *control) read(ctx context.Context, requests chan<- request, stop func(int)) {
	defer stop(0)
	var line []byte
	var files []*os.File // of the line that is being read
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(16*4))
	for {
		n, on, _, _, err := c.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 && on == 0 {
			return
		}
		came := descriptors(oob[:on])
		for chunk := buf[:n]; len(chunk) > 0; {
			i := bytes.IndexByte(chunk, '\n')
			if i < 0 {
				line, chunk = append(line, chunk...), nil
				break
			}
			line, chunk = append(line, chunk[:i]...), chunk[i+1:]
			r := request{}
			// The kernel never reads on behind a message with descriptors: they
			// belong to the last line of what was read.
			if len(chunk) == 0 {
				files, came = append(files, came...), nil
			}
			if err := json.Unmarshal(line, &r.Message); err != nil {
				closeAll(files)
			} else {
				r.files = files
				select {
				case requests <- r:
				case <-ctx.Done():
					closeAll(files)
					return
				}
			}
			line, files = nil, nil
		}
		files = append(files, came...)
		if len(line) > wire.MaxLine {
			return
		}
	}
}

// descriptors takes the files out of a message's control data.
func descriptors(oob []byte) (files []*os.File) {
	if len(oob) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "from the server"))
		}
	}
	return files
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
