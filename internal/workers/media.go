package workers

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/workers/wire"
)

// errFull means that the socket had no room for the whole frame.
var errFull = errors.New("media socket full")

// restPatience is how long the rest of a frame that is larger than the socket's
// buffer may wait for room.
const restPatience = 200 * time.Millisecond

// mediaSocket is our end of one worker's media socket.
type mediaSocket struct {
	*link
	rest time.Duration  // restPatience, but in tests
	wg   sync.WaitGroup // of the goroutine that sends a rest

	mu   sync.Mutex // frames do not mix
	busy bool       // the rest of a frame is on its way
	buf  message
}

// message is room for one message.
type message [wire.HeaderSize + wire.MaxFragment]byte

// newMediaSocket takes the connection over.
func newMediaSocket(c *net.UnixConn) (*mediaSocket, error) {
	l, err := newLink(c)
	if err != nil {
		return nil, err
	}
	return &mediaSocket{link: l, rest: restPatience}, nil
}

// fill makes a message of the next fragment and gives what remains of the frame.
func (m *message) fill(h wire.Header, payload []byte) (text, rest []byte) {
	n := min(len(payload), wire.MaxFragment)
	h.Flags &^= wire.More
	if n < len(payload) {
		h.Flags |= wire.More
	}
	if h.Fragment > 0 {
		h.Flags &^= wire.Gap
	}
	h.Put(m[:])
	copy(m[wire.HeaderSize:], payload[:n])
	return m[:wire.HeaderSize+n], payload[n:]
}

// send sends a frame in as many messages as it takes, without waiting. After
// errFull nothing of it was sent. What remains of a frame that is larger than the
// socket's buffer goes in the background, for a moment; payload is not written.
func (s *mediaSocket) send(h wire.Header, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return errFull
	}
	for {
		text, rest := s.buf.fill(h, payload)
		full, err := s.link.send(text)
		switch {
		case full && h.Fragment > 0:
			s.busy = true
			s.wg.Add(1)
			go s.finish(h, payload)
			return nil
		case full:
			return errFull
		case err != nil:
			return err
		}
		if payload = rest; len(rest) == 0 {
			return nil
		}
		h.Fragment++
	}
}

// finish sends the fragments from h on, waiting for room. When there is none in
// time, the worker sees the hole.
func (s *mediaSocket) finish(h wire.Header, payload []byte) {
	defer s.wg.Done()
	end := time.Now().Add(s.rest)
	for buf := new(message); ; h.Fragment++ {
		text, rest := buf.fill(h, payload)
		if s.sendUntil(end, text) != nil {
			break
		}
		if payload = rest; len(rest) == 0 {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

// read hands messages to take until the socket ends. The bytes are take's only
// for the call.
func (s *mediaSocket) read(take func(h wire.Header, payload []byte)) error {
	buf := make([]byte, wire.HeaderSize+wire.MaxFragment+1)
	for {
		n, err := s.receive(buf)
		if err != nil {
			return err
		}
		h, payload, err := wire.Parse(buf[:n])
		if err != nil || len(payload) > wire.MaxFragment {
			continue // the frame's hole is noticed by its numbers
		}
		take(h, payload)
	}
}
