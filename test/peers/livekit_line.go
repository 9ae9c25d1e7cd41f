//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"sync"

	"github.com/gorilla/websocket"
)

// livekitLine is a participant's WebSocket. Messages are Protocol Buffers, of which
// these few fields are written and read by hand.
type livekitLine struct {
	ws *websocket.Conn
	mu sync.Mutex // of writes
	wg sync.WaitGroup
}

// dial opens the WebSocket of a participant; take gets its messages one by one.
func (s *livekit) dial(ctx context.Context, identity string, publish bool, take func(*livekitLine, int, fields)) (*livekitLine, error) {
	token, err := livekitToken(identity, publish)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "ws", Host: s.address, Path: "/rtc", RawQuery: url.Values{
		"access_token": {token}, "auto_subscribe": {"1"}, "protocol": {"15"}, "sdk": {"go"}, "version": {"2.0.0"}}.Encode()}
	ws, r, err := websocket.DefaultDialer.DialContext(ctx, u.String(), nil)
	if err != nil {
		if r != nil {
			err = fmt.Errorf("%w (%s)", err, r.Status)
		}
		return nil, err
	}
	l := &livekitLine{ws: ws}
	s.mu.Lock()
	s.lines = append(s.lines, l)
	s.mu.Unlock()
	l.wg.Go(func() {
		for {
			_, b, err := ws.ReadMessage()
			if err != nil {
				return
			}
			for field, body := range readFields(b).whole {
				take(l, field, readFields(body))
			}
		}
	})
	return l, nil
}

func (l *livekitLine) send(field int, body []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ws.WriteMessage(websocket.BinaryMessage, fieldsOf(field, string(body)))
}

func (l *livekitLine) close() {
	_ = l.ws.Close()
	l.wg.Wait()
}

// fields are a message's by number, the last of each.
type fields struct {
	number map[int]uint64
	text   map[int]string
	whole  map[int][]byte // as text
}

// fieldsOf encodes pairs of a number and its value, an int, a uint64 or a string.
func fieldsOf(pairs ...any) (b []byte) {
	for i := 0; i+1 < len(pairs); i += 2 {
		tag := uint64(pairs[i].(int)) << 3
		switch v := pairs[i+1].(type) {
		case int:
			b = binary.AppendUvarint(binary.AppendUvarint(b, tag), uint64(v))
		case uint64:
			b = binary.AppendUvarint(binary.AppendUvarint(b, tag), v)
		case string:
			b = binary.AppendUvarint(binary.AppendUvarint(b, tag|2), uint64(len(v)))
			b = append(b, v...)
		}
	}
	return b
}

// readFields decodes what it can; a message that is cut short ends where it is cut.
func readFields(b []byte) fields {
	f := fields{map[int]uint64{}, map[int]string{}, map[int][]byte{}}
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return f
		}
		b = b[n:]
		skip := 0
		switch tag & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return f
			}
			f.number[int(tag>>3)] = v
			skip = n
		case 1:
			skip = 8
		case 2:
			v, n := binary.Uvarint(b)
			if n <= 0 || v > uint64(len(b)-n) {
				return f
			}
			f.whole[int(tag>>3)] = b[n : n+int(v)]
			f.text[int(tag>>3)] = string(b[n : n+int(v)])
			skip = n + int(v)
		case 5:
			skip = 4
		default:
			return f
		}
		if skip > len(b) {
			return f
		}
		b = b[skip:]
	}
	return f
}
