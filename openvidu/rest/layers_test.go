package rest

import (
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/openvidu"
)

func TestLayers(t *testing.T) {
	d := newDoor(t, nil)
	const path = "/openvidu/api/sessions/room/connection/con_A/layer/str_A"
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", path, "", 200, `{"streamId":"str_A","preferred":{"spatialLayer":-1,"temporalLayer":-1,"width":0,"height":0},"current":{"spatialLayer":0,"temporalLayer":0},"layers":[]}`},
		{"PUT", path, `{"spatialLayer":1,"width":320}`, 200, `{"streamId":"str_A","preferred":{"spatialLayer":1,"temporalLayer":-1,"width":320,"height":0}`},
		{"PUT", path, `{}`, 200, `{"streamId":"str_A","preferred":{"spatialLayer":-1,"temporalLayer":-1,"width":0,"height":0}`},
		{"PUT", path, `{"spatialLayer":"1"}`, 400, "json"},
		{"PUT", path, `{"spatialLayer":9}`, 400, "json"},
		{"PUT", strings.Replace(path, "room", "none", 1), `{}`, 404, ""},
		{"PUT", strings.Replace(path, "con_A", "con_X", 1), `{}`, 404, ""},
		{"GET", strings.Replace(path, "str_A", "str_X", 1), ``, 404, ""},
		{"POST", path, `{}`, 403, ""},
	} {
		w := d.call(c.method, c.path, c.body)
		if w.Code != c.status {
			t.Errorf("%s %s %s: %d, want %d: %s", c.method, c.path, c.body, w.Code, c.status, w.Body)
			continue
		}
		if strings.HasPrefix(c.want, "{") {
			if !strings.HasPrefix(w.Body.String(), c.want) {
				t.Errorf("%s %s: %s", c.method, c.body, w.Body)
			}
			continue
		}
		wantBody(t, w, c.want)
	}
	d.rooms.fail = &openvidu.Error{Code: openvidu.CodeServiceNotEnabled, Text: "no layers", Kind: openvidu.ErrUnsupported}
	if w := d.call("PUT", path, `{}`); w.Code != 501 || !strings.Contains(w.Body.String(), "no layers") {
		t.Errorf("without layers: %d %s", w.Code, w.Body)
	}
}

// TestBusy: an overloaded server says when to come back.
func TestBusy(t *testing.T) {
	d := newDoor(t, nil)
	d.rooms.fail = &openvidu.Error{Code: openvidu.CodeRoomGeneric, Text: "try later", Kind: openvidu.ErrBusy, RetryAfter: 7 * time.Second}
	w := d.call("POST", "/openvidu/api/sessions", `{"lastN":2}`)
	if w.Code != 503 || w.Header().Get("Retry-After") != "7" || !strings.Contains(w.Body.String(), "try later") {
		t.Errorf("%d %q %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
}
