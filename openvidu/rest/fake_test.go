package rest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/recording"
)

// fakeRooms knows one session "room" with one active connection "con_A", one
// pending "con_P" and a stream "str_A", and the inactive session "idle". Every
// call that changes something is noted.
type fakeRooms struct {
	mu      sync.Mutex
	fail    error // of every call, when set
	changes []string
	last    any // properties of the last create or update
	target  openvidu.RecordingTarget
}

func (f *fakeRooms) note(change string, props any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.changes = append(f.changes, change)
	f.last = props
	return nil
}

func (f *fakeRooms) changed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.changes)
}

func (f *fakeRooms) find(session, connection string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.fail != nil:
		return f.fail
	case session != "room" && session != "idle":
		return &openvidu.Error{Code: openvidu.CodeRoomNotFound, Text: "no such session", Kind: openvidu.ErrSessionNotFound}
	case connection != "" && (session != "room" || (connection != "con_A" && connection != "con_P")):
		return openvidu.ErrConnectionNotFound
	}
	return nil
}

func (f *fakeRooms) CreateSession(_ context.Context, p openvidu.SessionProperties) (openvidu.SessionInfo, error) {
	if p.CustomSessionID == "room" {
		return openvidu.SessionInfo{}, openvidu.ErrSessionExists
	}
	return openvidu.SessionInfo{ID: p.CustomSessionID, Object: "session", Connections: openvidu.ConnectionList{Content: []openvidu.ConnectionInfo{}}}, f.note("session", p)
}

func (f *fakeRooms) Session(_ context.Context, id string, v openvidu.ViewOptions) (openvidu.SessionInfo, error) {
	return openvidu.SessionInfo{ID: id, Recording: v.PendingConnections, Broadcasting: v.WebRTCStats}, f.find(id, "")
}

func (f *fakeRooms) Sessions(context.Context, openvidu.ViewOptions) ([]openvidu.SessionInfo, error) {
	return nil, f.fail
}

func (f *fakeRooms) CloseSession(_ context.Context, id string, r openvidu.Reason) error {
	if id == "closing" {
		return openvidu.ErrSessionClosing
	}
	if err := f.find(id, ""); err != nil {
		return err
	}
	return f.note("close "+id+" "+string(r), nil)
}

func (f *fakeRooms) CreateConnection(_ context.Context, id string, p openvidu.ConnectionProperties) (openvidu.ConnectionInfo, error) {
	switch id {
	case "closing":
		return openvidu.ConnectionInfo{}, &openvidu.Error{Text: "session is closing", Kind: openvidu.ErrSessionClosing}
	case "full":
		return openvidu.ConnectionInfo{}, &openvidu.Error{Text: "too many tokens", Kind: openvidu.ErrLimit}
	}
	if err := f.find(id, ""); err != nil {
		return openvidu.ConnectionInfo{}, err
	}
	if p.Type == openvidu.TypeIPCam {
		return openvidu.ConnectionInfo{}, &openvidu.Error{Text: "IP cameras are not supported yet", Kind: openvidu.ErrUnsupported}
	}
	return openvidu.ConnectionInfo{ID: "con_N", SessionID: id}, f.note("connection", p)
}

func (f *fakeRooms) CreateToken(ctx context.Context, id string, p openvidu.ConnectionProperties) (openvidu.TokenInfo, error) {
	c, err := f.CreateConnection(ctx, id, p)
	return openvidu.TokenInfo{ID: "wss://x", ConnectionID: c.ID, Session: id}, err
}

func (f *fakeRooms) Connection(_ context.Context, id, con string, _ openvidu.ViewOptions) (openvidu.ConnectionInfo, error) {
	return openvidu.ConnectionInfo{ID: con, SessionID: id}, f.find(id, con)
}

func (f *fakeRooms) Connections(_ context.Context, id string, v openvidu.ViewOptions) ([]openvidu.ConnectionInfo, error) {
	all := []openvidu.ConnectionInfo{{ID: "con_A", Status: openvidu.StatusActive}}
	if v.PendingConnections {
		all = append(all, openvidu.ConnectionInfo{ID: "con_P", Status: openvidu.StatusPending})
	}
	return all, f.find(id, "")
}

func (f *fakeRooms) UpdateConnection(_ context.Context, id, con string, u openvidu.ConnectionUpdate) (openvidu.ConnectionInfo, error) {
	if err := f.find(id, con); err != nil {
		return openvidu.ConnectionInfo{}, err
	}
	role := auth.Publisher
	if u.Role != nil {
		role = *u.Role
	}
	return openvidu.ConnectionInfo{ID: con, Role: &role}, f.note("update "+con, u)
}

func (f *fakeRooms) DeleteConnection(_ context.Context, id, con string, r openvidu.Reason) error {
	if err := f.find(id, con); err != nil {
		return err
	}
	return f.note("delete "+con+" "+string(r), nil)
}

func (f *fakeRooms) Unpublish(_ context.Context, id, stream string, r openvidu.Reason) error {
	if err := f.find(id, ""); err != nil {
		return err
	}
	switch {
	case id == "idle":
		return openvidu.ErrSessionNotActive
	case stream == "str_IPC":
		return openvidu.ErrIPCamStream
	case stream != "str_A":
		return openvidu.ErrStreamNotFound
	}
	return f.note("unpublish "+stream+" "+string(r), nil)
}

func (f *fakeRooms) Layer(_ context.Context, session, connection, stream string) (openvidu.LayerState, error) {
	return openvidu.LayerState{StreamID: stream, Preferred: openvidu.AnyLayer(), Layers: []openvidu.StreamLayer{}}, f.receives(session, connection, stream)
}

func (f *fakeRooms) SetPreferredLayer(_ context.Context, session, connection, stream string, w openvidu.LayerWish) (openvidu.LayerState, error) {
	if err := f.receives(session, connection, stream); err != nil {
		return openvidu.LayerState{}, err
	}
	if w.Spatial > 7 {
		return openvidu.LayerState{}, &openvidu.Error{Text: "no such layer", Kind: openvidu.ErrInvalid}
	}
	return openvidu.LayerState{StreamID: stream, Preferred: w}, f.note("layer "+connection+" "+stream, w)
}

// receives says whether a connection has a stream: con_A has str_A.
func (f *fakeRooms) receives(session, connection, stream string) error {
	if err := f.find(session, connection); err != nil {
		return err
	}
	if connection != "con_A" || stream != "str_A" {
		return openvidu.ErrStreamNotFound
	}
	return nil
}

func (f *fakeRooms) Signal(_ context.Context, s openvidu.SignalRequest) error {
	if err := f.find(s.SessionID, ""); err != nil {
		return err
	}
	if s.SessionID == "idle" {
		return openvidu.ErrSessionNotActive
	}
	if len(s.To) > 0 && !slices.Equal(s.To, []string{"con_A"}) {
		return openvidu.ErrSignalTarget
	}
	return f.note("signal", s)
}

func (f *fakeRooms) EnsureMedia(context.Context, string) (client.Client, client.ID, error) {
	return nil, "", openvidu.ErrMedia
}

func (f *fakeRooms) RecordingTarget(_ context.Context, id string) (openvidu.RecordingTarget, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id != "room" && id != "idle" && id != "relayed" {
		return openvidu.RecordingTarget{}, openvidu.ErrSessionNotFound
	}
	t := f.target
	t.SessionID, t.Active, t.MediaMode, t.Defaults = id, id == "room", openvidu.MediaRouted, openvidu.DefaultRecordingProperties()
	if id == "relayed" {
		t.MediaMode = openvidu.MediaRelayed
	}
	return t, nil
}

func (f *fakeRooms) SetRecording(_ context.Context, _ string, m openvidu.RecordingMark) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target.RecordingID = ""
	if m.On {
		f.target.RecordingID = m.ID
	}
	return nil
}

func (f *fakeRooms) Emit(context.Context, string, events.Event) {}

const testSecret = "a-long-enough-secret"

type door struct {
	t     *testing.T
	h     *Handler
	rooms *fakeRooms
	dir   string
	rec   *recording.Service
}

func newDoor(t *testing.T, change func(*Options)) *door {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	d := &door{t: t, rooms: &fakeRooms{}, dir: t.TempDir()}
	var err error
	d.rec, err = recording.New(recording.Options{
		Dir: d.dir, Rooms: d.rooms, Log: log, PublicURL: "https://host:4443/", AutostopTimeout: 1 << 40,
		FreeBytes: func(string) (uint64, error) { return 1 << 40, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	rec := d.rec
	t.Cleanup(func() { _ = rec.Close() })
	o := Options{Manager: d.rooms, Recordings: d.rec, Secret: secret.New(testSecret), DeprecatedAPI: true, Log: log,
		Config: Config{Version: "2.32.2", PublicURL: "https://host:4443", HTTPSPort: 4443, RecordingPath: "/opt/rec"}}
	if change != nil {
		change(&o)
	}
	d.h = New(o)
	return d
}

// call sends one request with the right credentials and gives the answer.
func (d *door) call(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequest(method, "http://host"+target, io.Reader(strings.NewReader(body)))
	r.SetBasicAuth(userName, testSecret)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, r)
	return w
}

func decode(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatalf("answer %d is no JSON object: %s", w.Code, w.Body)
	}
	return m
}

// wantBody checks the form of an error body (§1.3): "", "json" or a text's beginning.
func wantBody(t *testing.T, w *httptest.ResponseRecorder, want string) {
	t.Helper()
	switch want {
	case "":
		if w.Body.Len() != 0 {
			t.Errorf("body is %q, want none", w.Body)
		}
	case "json":
		m := decode(t, w)
		if len(m) != 5 || m["status"] != float64(w.Code) || m["error"] != http.StatusText(w.Code) || m["message"] == "" || m["path"] == "" || m["timestamp"] == nil {
			t.Errorf("error body is %v", m)
		}
	default:
		if !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("body is %q, want %q", w.Body, want)
		}
	}
}
