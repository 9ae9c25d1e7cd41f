package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// nodeClient calls the unmodified openvidu-node-client in the driver.
type nodeClient struct {
	t testing.TB
	b *browser
}

func newNodeClient(t testing.TB, s *server) *nodeClient {
	t.Helper()
	n := &nodeClient{t, theBrowser(t)}
	n.ok("new", map[string]any{"url": s.url("/"), "secret": secret}, nil)
	return n
}

func (n *nodeClient) ok(op string, params map[string]any, result any) {
	n.t.Helper()
	if err := n.b.do(callDeadline, "node."+op, params, result); err != nil {
		n.t.Fatalf("openvidu-node-client %s(%v): %v", op, params, err)
	}
}

// fails demands an Error whose message is the status, as the client makes it.
func (n *nodeClient) fails(status, op string, params map[string]any) {
	n.t.Helper()
	err := n.b.do(callDeadline, "node."+op, params, nil)
	var refusal *clientError
	if !errors.As(err, &refusal) || refusal.Name != "Error" || refusal.Message != status {
		n.t.Errorf("openvidu-node-client %s(%v): %v, want Error %s", op, params, err, status)
	}
}

// The client's own objects, as far as the test reads them.
type (
	nodeSession struct {
		SessionID  string `json:"sessionId"`
		CreatedAt  int64
		Properties struct {
			CustomSessionID            string `json:"customSessionId"`
			MediaMode, RecordingMode   string
			ForcedVideoCodec           string
			AllowTranscoding           bool
			DefaultRecordingProperties map[string]any
		}
		Connections       []nodeConnection
		ActiveConnections []nodeConnection
		Recording         bool
		Broadcasting      bool
	}
	nodeConnection struct {
		ConnectionID, Status, Token        string
		CreatedAt                          int64
		ActiveAt                           *int64
		Location, Platform, IP, ClientData *string
		Publishers                         []nodePublisher
		Subscribers                        []string
		ConnectionProperties               struct {
			Type, Data, Role string
			Record           bool
			KurentoOptions   map[string]any
			CustomIceServers []any
		}
	}
	nodePublisher struct {
		StreamID                 string `json:"streamId"`
		HasAudio, HasVideo       bool
		AudioActive, VideoActive bool
		TypeOfVideo              string
		VideoDimensions          string
		FrameRate                float64
	}
	nodeRecording struct {
		ID, SessionID, Status string
		CreatedAt, Size       int64
		Duration              float64
		URL                   *string
		Properties            struct {
			Name, OutputMode            string
			RecordingLayout, Resolution string
			FrameRate                   float64
			HasAudio, HasVideo          bool
		}
	}
)

// TestNodeClient runs every call of the unmodified openvidu-node-client 2.32.2
// that this server has, against a session with two real pages.
func TestNodeClient(t *testing.T) {
	s := startServer(t)
	n := newNodeClient(t, s)

	// Sessions: made, and used again where the server answers 409.
	var made, again nodeSession
	custom := map[string]any{"properties": map[string]any{"customSessionId": "office"}}
	n.ok("createSession", custom, &made)
	n.ok("createSession", custom, &again)
	if made.SessionID != "office" || again.SessionID != "office" || made.CreatedAt == 0 || made.CreatedAt != again.CreatedAt {
		t.Errorf("sessions %+v and %+v, want one session named office", made, again)
	}
	p := made.Properties
	if p.MediaMode != "ROUTED" || p.RecordingMode != "MANUAL" || p.ForcedVideoCodec != "MEDIA_SERVER_PREFERRED" || p.AllowTranscoding ||
		p.DefaultRecordingProperties["outputMode"] != "COMPOSED" || p.DefaultRecordingProperties["resolution"] != "1280x720" {
		t.Errorf("properties of a default session: %+v", p)
	}
	var generated nodeSession
	n.ok("createSession", nil, &generated)
	if !strings.HasPrefix(generated.SessionID, "ses_") || len(generated.SessionID) != 14 {
		t.Errorf("generated session id %q", generated.SessionID)
	}
	n.fails("400", "createSession", map[string]any{"properties": map[string]any{"customSessionId": "no spaces"}})

	// Connections with roles and data.
	var modCon, pubCon, spare nodeConnection
	for role, con := range map[string]*nodeConnection{"MODERATOR": &modCon, "PUBLISHER": &pubCon, "SUBSCRIBER": &spare} {
		n.ok("createConnection", map[string]any{"session": "office", "properties": map[string]any{"role": role, "data": "server data of " + role}}, con)
		if con.Status != "pending" || con.ConnectionProperties.Role != role || con.ConnectionProperties.Data != "server data of "+role ||
			con.ConnectionProperties.Type != "WEBRTC" || !con.ConnectionProperties.Record || !strings.HasPrefix(con.ConnectionID, "con_") ||
			!strings.HasPrefix(con.Token, "wss://") || !strings.Contains(con.Token, "sessionId=office") || con.ActiveAt != nil {
			t.Errorf("connection with role %s: %+v", role, con)
		}
	}
	n.fails("400", "createConnection", map[string]any{"session": "office", "properties": map[string]any{"role": "KING"}})

	// Without a participant there is nothing to record.
	individual := map[string]any{"name": "minutes", "outputMode": "INDIVIDUAL"}
	n.fails("406", "startRecording", map[string]any{"session": "office", "properties": individual})
	n.fails("404", "startRecording", map[string]any{"session": "nowhere", "properties": individual})

	mod, pub := openPage(t, "mod"), openPage(t, "pub")
	mod.join(modCon.Token, "I moderate")
	pub.join(pubCon.Token, "")
	modCam, pubCam := mod.publish(small()), pub.publish(small())
	mod.hears(pubCam.StreamID)
	pub.hears(modCam.StreamID)

	// fetch tells what changed and reads connections, publishers, subscribers.
	var fetched struct {
		Changed bool
		Session nodeSession
		Active  []nodeSession
	}
	n.ok("fetch", map[string]any{"session": "office"}, &fetched)
	if !fetched.Changed || len(fetched.Session.Connections) != 3 || len(fetched.Session.ActiveConnections) != 2 {
		t.Errorf("fetch after two joins: changed %v, %d connections, %d active", fetched.Changed,
			len(fetched.Session.Connections), len(fetched.Session.ActiveConnections))
	}
	for _, c := range fetched.Session.ActiveConnections {
		if c.ConnectionID != modCon.ConnectionID {
			continue
		}
		if c.Status != "active" || c.ActiveAt == nil || c.Platform == nil || !strings.Contains(*c.Platform, "Chrom") ||
			c.ClientData == nil || *c.ClientData != "I moderate" || len(c.Publishers) != 1 || len(c.Subscribers) != 1 {
			t.Errorf("the moderator's connection: %+v", c)
			continue
		}
		q := c.Publishers[0]
		if q.StreamID != modCam.StreamID || !q.HasAudio || !q.HasVideo || !q.AudioActive || !q.VideoActive || q.TypeOfVideo != "CAMERA" ||
			!strings.Contains(q.VideoDimensions, `"width":320`) || q.FrameRate != 20 {
			t.Errorf("the moderator's publisher: %+v", q)
		}
		if c.Subscribers[0] != pubCam.StreamID {
			t.Errorf("the moderator receives %s, want %s", c.Subscribers[0], pubCam.StreamID)
		}
	}
	n.ok("fetch", map[string]any{"session": "office"}, &fetched)
	if fetched.Changed {
		t.Error("a second fetch sees a change where nothing happened")
	}

	// Recordings.
	var rec, got nodeRecording
	n.ok("startRecording", map[string]any{"session": "office", "properties": individual}, &rec)
	if rec.ID != "office" || rec.SessionID != "office" || rec.Status != "started" || rec.Properties.Name != "minutes" ||
		rec.Properties.OutputMode != "INDIVIDUAL" || !rec.Properties.HasAudio || !rec.Properties.HasVideo || rec.Size != 0 || rec.Duration != 0 || rec.URL != nil {
		t.Errorf("a recording that starts: %+v", rec)
	}
	for _, page := range []*page{mod, pub} {
		page.sees(eventDeadline, "the recording start", func(e event) bool {
			return e.Type == "recordingStarted" && e.ID == rec.ID && e.Name == "minutes"
		})
	}
	n.fails("409", "startRecording", map[string]any{"session": "office", "properties": individual})
	n.fails("409", "deleteRecording", map[string]any{"recording": rec.ID})
	n.ok("fetch", map[string]any{"session": "office"}, &fetched)
	if !fetched.Session.Recording {
		t.Error("the session does not say that it is being recorded")
	}
	before := mod.inbound()[pubCam.StreamID].FramesDecoded
	eventually(t, eventDeadline, "some media is recorded", func() error {
		now := mod.inbound()[pubCam.StreamID].FramesDecoded
		return want(now-before >= 30, "%v frames since the start", now-before)
	})
	n.ok("stopRecording", map[string]any{"recording": rec.ID}, &got)
	if got.Status != "stopped" && got.Status != "ready" {
		t.Errorf("a stopped recording is %q", got.Status)
	}
	mod.sees(eventDeadline, "the recording stop", func(e event) bool {
		return e.Type == "recordingStopped" && e.ID == rec.ID && e.Reason == "recordingStoppedByServer"
	})
	n.fails("404", "stopRecording", map[string]any{"recording": rec.ID})
	s.recordingIs(rec.ID, "ready")
	n.ok("getRecording", map[string]any{"recording": rec.ID}, &got)
	if got.Status != "ready" || got.Size == 0 || got.Duration < 0.5 || got.URL == nil || !strings.HasSuffix(*got.URL, "/openvidu/recordings/office/minutes.zip") {
		t.Errorf("a finished recording: %+v", got)
	}
	n.ok("deleteRecording", map[string]any{"recording": rec.ID}, nil)
	var list []nodeRecording
	// Of two composed modes the session's own is the one that counts.
	quick := map[string]any{"name": "film", "outputMode": "COMPOSED_QUICK_START", "recordingLayout": "HORIZONTAL_PRESENTATION", "resolution": "640x360", "frameRate": 20}
	n.ok("startRecording", map[string]any{"session": "office", "properties": quick}, &rec)
	if q := rec.Properties; rec.ID != "office" || rec.Status != "started" || q.OutputMode != "COMPOSED" || q.RecordingLayout != "HORIZONTAL_PRESENTATION" ||
		q.Resolution != "640x360" || q.FrameRate != 20 || !q.HasAudio || !q.HasVideo {
		t.Errorf("a composed recording that starts: %+v", rec)
	}
	n.fails("409", "startRecording", map[string]any{"session": "office", "properties": quick})
	eventually(t, eventDeadline, "both are in the composed picture", func() error {
		var now layoutState
		s.rest(200, "GET", "/recordings/"+rec.ID+"/layout", nil, &now)
		return want(len(now.Tiles) == 2 && !now.Tiles[0].Avatar && !now.Tiles[1].Avatar, "%+v", now.Tiles)
	})
	runFor(t, time.Second, "they are composed", func() error { return nil })
	n.ok("stopRecording", map[string]any{"recording": rec.ID}, nil)
	s.recordingIs(rec.ID, "ready")
	n.ok("getRecording", map[string]any{"recording": rec.ID}, &got)
	if got.Size == 0 || got.Duration <= 0 || got.URL == nil || !strings.HasSuffix(*got.URL, "/openvidu/recordings/office/film.mp4") || got.Properties.Resolution != "640x360" {
		t.Errorf("a finished composed recording: %+v", got)
	}
	n.ok("listRecordings", nil, &list)
	if len(list) != 1 || list[0].ID != rec.ID {
		t.Errorf("the list of recordings: %+v", list)
	}
	n.ok("deleteRecording", map[string]any{"recording": rec.ID}, nil)
	n.fails("404", "getRecording", map[string]any{"recording": rec.ID})
	n.fails("404", "deleteRecording", map[string]any{"recording": rec.ID})
	n.ok("listRecordings", nil, &list)
	if len(list) != 0 {
		t.Errorf("after the deletion the list holds %+v", list)
	}
	// A layout that is a web page which cannot be had.
	webPage := map[string]any{"name": "film", "outputMode": "COMPOSED", "recordingLayout": "CUSTOM", "customLayout": "https://localhost:1/layout"}
	n.fails("500", "startRecording", map[string]any{"session": "office", "properties": webPage})
	webPage["session"] = "office"
	if r, err := s.try("POST", "/openvidu/api/recordings/start", webPage); err != nil || r.Status != 500 ||
		!strings.HasPrefix(string(r.Body), "Error starting recording: ") || !strings.Contains(string(r.Body), "customLayout") {
		t.Errorf("a layout that is a web page answers %v, %v; want 500 and the contract's text", r, err)
	}

	// This client has no signal: applications use REST for it.
	s.rest(200, "POST", "/signal", map[string]any{"session": "office", "to": []string{pubCon.ConnectionID}, "type": "signal:bell", "data": "ding"}, nil)
	pub.sees(eventDeadline, "the signal", func(e event) bool { return e.Type == "signal" && e.Data == "ding" && e.SignalType == "signal:bell" })
	s.rest(404, "POST", "/signal", map[string]any{"session": "nowhere"}, nil)
	s.rest(406, "POST", "/signal", map[string]any{"session": "office", "to": []string{"con_Nobody"}}, nil)
	s.rest(400, "POST", "/signal", map[string]any{"session": "office", "to": "everybody"}, nil)

	// Force.
	n.ok("forceUnpublish", map[string]any{"session": "office", "stream": pubCam.StreamID}, nil)
	pub.sees(eventDeadline, "the end of its stream", func(e event) bool {
		return e.Type == "publisher.streamDestroyed" && e.Reason == "forceUnpublishByServer"
	})
	n.fails("404", "forceUnpublish", map[string]any{"session": "office", "stream": pubCam.StreamID})
	n.ok("forceDisconnect", map[string]any{"session": "office", "connection": pubCon.ConnectionID}, nil)
	pub.sees(eventDeadline, "its end", func(e event) bool {
		return e.Type == "sessionDisconnected" && e.Reason == "forceDisconnectByServer"
	})
	n.fails("404", "forceDisconnect", map[string]any{"session": "office", "connection": pubCon.ConnectionID})
	n.ok("forceDisconnect", map[string]any{"session": "office", "connection": spare.ConnectionID}, nil) // an unused token
	late := openPage(t, "late")
	late.refused("join", map[string]any{"token": spare.Token, "data": ""})

	// Close.
	n.ok("close", map[string]any{"session": "office"}, nil)
	mod.sees(eventDeadline, "the end of the session", func(e event) bool {
		return e.Type == "sessionDisconnected" && e.Reason == "sessionClosedByServer"
	})
	n.fails("404", "close", map[string]any{"session": "office"})
	n.ok("fetch", nil, &fetched)
	if len(fetched.Active) != 1 || fetched.Active[0].SessionID != generated.SessionID {
		t.Errorf("after the close these sessions are left: %+v", fetched.Active)
	}
	s.healthy()
}
