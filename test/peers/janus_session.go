//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// janusSession is a session of Janus' API on one WebSocket.
type janusSession struct {
	ws   *websocket.Conn
	id   int64
	over chan struct{}
	wg   sync.WaitGroup

	write sync.Mutex
	mu    sync.Mutex
	calls map[string]chan janusReply
	n     int
}

func dialJanus(ctx context.Context, address string) (*janusSession, error) {
	d := websocket.Dialer{Subprotocols: []string{"janus-protocol"}, HandshakeTimeout: patience}
	ws, _, err := d.DialContext(ctx, "ws://"+address, nil)
	if err != nil {
		return nil, err
	}
	s := &janusSession{ws: ws, over: make(chan struct{}), calls: map[string]chan janusReply{}}
	s.wg.Go(s.read)
	r, err := s.call(ctx, map[string]any{"janus": "create"}, false)
	if err != nil {
		s.close()
		return nil, err
	}
	s.id = r.Data.ID
	s.wg.Go(s.keepAlive)
	return s, nil
}

func (s *janusSession) close() {
	s.mu.Lock()
	select {
	case <-s.over:
	default:
		close(s.over)
	}
	s.mu.Unlock()
	_ = s.ws.Close()
	s.wg.Wait()
}

func (s *janusSession) read() {
	for {
		_, b, err := s.ws.ReadMessage()
		if err != nil {
			return
		}
		var r janusReply
		if json.Unmarshal(b, &r) != nil {
			continue
		}
		s.mu.Lock()
		c := s.calls[r.Transaction]
		s.mu.Unlock()
		if c != nil {
			select {
			case c <- r:
			default:
			}
		}
	}
}

func (s *janusSession) keepAlive() {
	for {
		select {
		case <-s.over:
			return
		case <-time.After(20 * time.Second):
		}
		if _, err := s.call(context.Background(), map[string]any{"janus": "keepalive", "session_id": s.id}, false); err != nil {
			return
		}
	}
}

// call sends a request. With event set it waits for what follows the acknowledgement.
func (s *janusSession) call(ctx context.Context, m map[string]any, event bool) (r janusReply, err error) {
	c := make(chan janusReply, 4)
	s.mu.Lock()
	s.n++
	t := fmt.Sprint("t", s.n)
	s.calls[t] = c
	s.mu.Unlock()
	defer func() { s.mu.Lock(); delete(s.calls, t); s.mu.Unlock() }()
	m["transaction"] = t
	b, err := json.Marshal(m)
	if err != nil {
		return r, err
	}
	s.write.Lock()
	err = s.ws.WriteMessage(websocket.TextMessage, b) // WriteJSON adds a newline, which Janus refuses
	s.write.Unlock()
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	for {
		select {
		case r = <-c:
		case <-s.over:
			return r, fmt.Errorf("janus: closed")
		case <-ctx.Done():
			return r, fmt.Errorf("janus: no answer to %v: %w", m["janus"], ctx.Err())
		}
		switch {
		case r.Janus == "error":
			return r, fmt.Errorf("janus: %s", r.Error)
		case r.Plugin.Data.Error != nil:
			return r, fmt.Errorf("janus: %v", r.Plugin.Data.Error)
		case event && r.Janus == "ack":
			continue
		}
		return r, nil
	}
}

// attach makes a handle of the videoroom.
func (s *janusSession) attach(ctx context.Context) (int64, error) {
	r, err := s.call(ctx, map[string]any{"janus": "attach", "session_id": s.id, "plugin": "janus.plugin.videoroom"}, false)
	return r.Data.ID, err
}

func (s *janusSession) message(ctx context.Context, handle int64, body map[string]any, d *jsep, event bool) (janusReply, error) {
	m := map[string]any{"janus": "message", "session_id": s.id, "handle_id": handle, "body": body}
	if d != nil {
		m["jsep"] = d
	}
	return s.call(ctx, m, event)
}
