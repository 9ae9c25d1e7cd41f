package kms_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/kms"
)

// TestBusy: a busy server makes no pipeline for who comes by a socket, but goes on
// with those that are; the process's own client is served.
func TestBusy(t *testing.T) {
	why := ""
	s := newServer(t, func(cfg *kms.Config) { cfg.Open, cfg.Busy = true, func() string { return why } })
	h := httptest.NewServer(s)
	defer h.Close()
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(h.URL, "http")+"/kurento", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ask := func(id int, text string) string {
		t.Helper()
		if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"create","params":%s}`, id, text)); err != nil {
			t.Fatal(err)
		}
		_, b, err := ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	pipeline := `{"type":"MediaPipeline","constructorParams":{}}`
	var made struct{ Result struct{ Value string } }
	if err := json.Unmarshal([]byte(ask(1, pipeline)), &made); err != nil || made.Result.Value == "" {
		t.Fatalf("with room: %+v %v", made, err)
	}
	why = "processors are busy"
	if got := ask(2, pipeline); !strings.Contains(got, "40009") || !strings.Contains(got, why) {
		t.Errorf("busy: %s", got)
	}
	if got := ask(3, `{"type":"PassThrough","constructorParams":{"mediaPipeline":"`+made.Result.Value+`"}}`); !strings.Contains(got, "PassThrough") || strings.Contains(got, "error") {
		t.Errorf("an element of a pipeline that is: %s", got)
	}
	create(t, newPeer(t, s.Pipe()), 1, "MediaPipeline", "")
	why = ""
	if got := ask(4, pipeline); strings.Contains(got, "error") {
		t.Errorf("with room again: %s", got)
	}
}
