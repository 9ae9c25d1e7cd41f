package rest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/recording"
)

// noMedia is a house without media nodes: enough for all that needs no call.
type noMedia struct{}

func (noMedia) Place(context.Context) (client.Client, error) { return nil, errors.New("no media node") }

// newManagerDoor is the handler over the real rules of rooms.
func newManagerDoor(t *testing.T) *door {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	m, err := openvidu.New(openvidu.Options{Log: log, Media: noMedia{}, PublicHost: "host", PublicPort: 4443})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	dir := t.TempDir()
	rec, err := recording.New(recording.Options{Dir: dir, Rooms: m, Log: log, AutostopTimeout: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close() })
	m.SetRecorder(rec)
	d := newDoor(t, func(o *Options) { o.Manager, o.Recordings = m, rec })
	d.dir, d.rec = dir, rec
	return d
}

func sortedKeys(v any) []string { return slices.Sorted(maps.Keys(v.(map[string]any))) }

// The calls as openvidu-node-client makes them, against the real rules of rooms:
// statuses, the exact keys of the objects, and explicit nulls.
func TestWithManager(t *testing.T) {
	d := newManagerDoor(t)
	do := func(method, path, body string, want int) map[string]any {
		t.Helper()
		w := d.call(method, apiPrefix+path, body)
		if w.Code != want {
			t.Fatalf("%s %s: %d, want %d: %s", method, path, w.Code, want, w.Body)
		}
		if w.Body.Len() == 0 || w.Body.Bytes()[0] != '{' {
			return nil
		}
		return decode(t, w)
	}
	s := do("POST", "/sessions", `{"mediaMode":"ROUTED","recordingMode":"MANUAL","customSessionId":"mine","forcedVideoCodec":"MEDIA_SERVER_PREFERRED","allowTranscoding":false,`+
		`"defaultRecordingProperties":{"name":"","hasAudio":true,"hasVideo":true,"outputMode":"COMPOSED","recordingLayout":"BEST_FIT","resolution":"1280x720","frameRate":25,"shmSize":536870912,"mediaNode":null},"mediaNode":null}`, 200)
	if got, want := sortedKeys(s), strings.Fields("allowTranscoding broadcasting connections createdAt customSessionId defaultRecordingProperties forcedVideoCodec id mediaMode object recording recordingMode sessionId"); !slices.Equal(got, want) {
		t.Errorf("session has %v, want %v", got, want)
	}
	if got, want := sortedKeys(s["defaultRecordingProperties"]), strings.Fields("frameRate hasAudio hasVideo name outputMode recordingLayout resolution shmSize"); !slices.Equal(got, want) {
		t.Errorf("defaults have %v, want %v", got, want)
	}
	if w := d.call("POST", apiPrefix+"/sessions", `{"customSessionId":"mine"}`); w.Code != 409 || w.Body.Len() != 0 {
		t.Errorf("re-use: %d %s", w.Code, w.Body)
	}
	if id := do("POST", "/sessions", "", 200)["id"].(string); !regexp.MustCompile(`^ses_[A-Z][A-Za-z0-9]{9}$`).MatchString(id) {
		t.Errorf("generated id is %s", id)
	}
	c := do("POST", "/sessions/mine/connection", `{"type":"WEBRTC","data":"server data","record":true,"role":"MODERATOR","kurentoOptions":null,"customIceServers":null,"rtspUri":null,"adaptativeBitrate":null,"onlyPlayWithSubscribers":null,"networkCache":null}`, 200)
	if got, want := sortedKeys(c), strings.Fields("activeAt adaptativeBitrate clientData connectionId createdAt customIceServers id ip kurentoOptions location networkCache object onlyPlayWithSubscribers platform publishers record role rtspUri serverData sessionId status subscribers token type"); !slices.Equal(got, want) {
		t.Errorf("connection has %v, want %v", got, want)
	}
	for _, k := range strings.Fields("activeAt adaptativeBitrate clientData ip kurentoOptions location networkCache onlyPlayWithSubscribers platform publishers rtspUri subscribers") {
		if v, ok := c[k]; !ok || v != nil {
			t.Errorf("pending connection: %s is %v, want null", k, v)
		}
	}
	if c["status"] != "pending" || c["serverData"] != "server data" || c["role"] != "MODERATOR" || c["customIceServers"] == nil {
		t.Errorf("connection is %v", c)
	}
	id := c["id"].(string)
	for path, want := range map[string]float64{"/sessions/mine": 0, "/sessions/mine?pendingConnections=true": 1} {
		if l := do("GET", path, "", 200)["connections"].(map[string]any); l["numberOfElements"] != want || len(l["content"].([]any)) != int(want) {
			t.Errorf("%s lists %v", path, l)
		}
	}
	for path, want := range map[string]float64{"": 1, "?pendingConnections=false": 0} {
		if l := do("GET", "/sessions/mine/connection"+path, "", 200); l["numberOfElements"] != want {
			t.Errorf("connections%s: %v", path, l)
		}
	}
	do("GET", "/sessions/mine/connection/"+id, "", 200)
	do("GET", "/sessions/none/connection/"+id, "", 400)
	do("GET", "/sessions/mine/connection/con_none", "", 404)
	if c := do("PATCH", "/sessions/mine/connection/"+id, `{"role":"SUBSCRIBER","record":false}`, 200); c["role"] != "SUBSCRIBER" || c["record"] != false {
		t.Errorf("updated connection is %v", c)
	}
	do("PATCH", "/sessions/mine/connection/"+id, `{"role":5}`, 400)
	do("POST", "/sessions/mine/connection", `{"type":"IPCAM","rtspUri":"rtsp://camera/x"}`, 501)
	if tok := do("POST", "/tokens", `{"session":"mine","role":"PUBLISHER","data":"x"}`, 200); tok["token"] != tok["id"] || tok["session"] != "mine" {
		t.Errorf("token is %v", tok)
	}
	do("POST", "/signal", `{"session":"mine","data":"x"}`, 406)
	do("POST", "/signal", `{"session":"none","data":"x"}`, 404)
	do("DELETE", "/sessions/mine/stream/str_none", "", 404)
	do("DELETE", "/sessions/none/stream/str_none", "", 400)
	do("POST", "/recordings/start", `{"session":"mine","outputMode":"INDIVIDUAL"}`, 406)
	do("DELETE", "/sessions/mine/connection/"+id, "", 204)
	do("DELETE", "/sessions/mine/connection/"+id, "", 404)
	do("DELETE", "/sessions/none/connection/"+id, "", 400)
	if l := do("GET", "/sessions", "", 200); l["numberOfElements"] != 2.0 {
		t.Errorf("sessions: %v", l)
	}
	do("DELETE", "/sessions/mine", "", 204)
	do("DELETE", "/sessions/mine", "", 404)
	do("GET", "/sessions/mine", "", 404)
}

// The same five thousand against the real rules of rooms.
func TestMalformedRequestsWithManager(t *testing.T) {
	d := newManagerDoor(t)
	for _, id := range []string{"room", "bystander"} {
		if w := d.call("POST", apiPrefix+"/sessions", `{"customSessionId":"`+id+`"}`); w.Code != 200 {
			t.Fatal(w.Code)
		}
		d.call("POST", apiPrefix+"/sessions/"+id+"/connection", `{"data":"x"}`)
	}
	look := func() string {
		return d.call("GET", apiPrefix+"/sessions/bystander?pendingConnections=true", "").Body.String()
	}
	before := look()
	if !json.Valid([]byte(before)) {
		t.Fatal(before)
	}
	flood(t, d, func() any { return nil })
	if after := look(); after != before {
		t.Errorf("a bystander changed from %s to %s", before, after)
	}
}
