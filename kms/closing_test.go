package kms_test

import (
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
)

// Who comes when the server has closed is refused before there is a WebSocket: one
// would outlive the Close that waits for all.
func TestComesAfterClose(t *testing.T) {
	s := newServer(t, nil)
	url := overSocket(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ws, answer, err := websocket.DefaultDialer.Dial(url, nil)
	if err == nil {
		ws.Close()
		t.Fatal("a closed server takes a WebSocket")
	}
	if answer == nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("it answers %+v, %v", answer, err)
	}
}
