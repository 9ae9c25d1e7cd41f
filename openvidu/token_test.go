package openvidu

import (
	"encoding/json"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/internal/cluster"
	"github.com/govidu/govidu/openvidu/auth"
)

func TestTokenIsUsedOnce(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	w.join("S", "Z", auth.Publisher) // keeps the session alive
	for i := range 1000 {
		info, err := w.m.CreateConnection(t.Context(), "S", ConnectionProperties{})
		w.must(err)
		var won atomic.Int32
		var winner atomic.Pointer[Connection]
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				c, err := w.m.Join(t.Context(), JoinRequest{Token: *info.Token, Session: "S"}, &peer{w: w, name: "R"}, func(JoinResult) {})
				if err == nil {
					won.Add(1)
					winner.Store(c)
				} else if e, ok := err.(*Error); !ok || e.Code != CodeUnauthorized {
					t.Errorf("the loser got %v, want code 401", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d of 2 joins with one token succeeded, want exactly 1", i, won.Load())
		}
		w.must(winner.Load().Leave(t.Context(), func(any) {}))
		w.took()
	}
}

func TestTokenRefusals(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	w.session("T")
	used, other, voided := w.token("S", "A", auth.Publisher), w.token("T", "B", auth.Publisher), w.token("S", "C", auth.Publisher)
	w.joinWith(JoinRequest{Token: *used.Token, Session: "S"}, "A")
	w.must(w.m.DeleteConnection(t.Context(), "S", voided.ID, ReasonForceDisconnectServer))
	before := w.digest()
	for what, c := range map[string]struct {
		req  JoinRequest
		code Code
	}{
		"used":             {JoinRequest{Token: *used.Token, Session: "S"}, 401},
		"other session's":  {JoinRequest{Token: *other.Token, Session: "S"}, 401},
		"voided":           {JoinRequest{Token: *voided.Token, Session: "S"}, 401},
		"unknown":          {JoinRequest{Token: "tok_Nothing", Session: "S"}, 401},
		"malformed":        {JoinRequest{Token: "wss://h?x=y", Session: "S"}, 401},
		"no session":       {JoinRequest{Token: *other.Token, Session: "U"}, 202},
		"secret, not dev":  {JoinRequest{Token: "x", Session: "S", Secret: auth.NewSecret("MY_SECRET")}, 401},
		"recorder, no dev": {JoinRequest{Token: "wss://h?sessionId=S&secret=MY_SECRET&recorder=true", Session: "S", Recorder: true}, 401},
	} {
		_, err := w.m.Join(t.Context(), c.req, &peer{w: w, name: "X"}, func(JoinResult) { t.Errorf("%s: joined", what) })
		wantCode(t, what, err, c.code)
	}
	if after := w.digest(); after != before {
		t.Errorf("refused joins changed the state:\n%s\n%s", before, after)
	}
	u := w.joinWith(JoinRequest{Token: mustToken(t, *other.Token), Session: "wss://h:8443/T?secret=X"}, "B")
	if u.c.ID() != "con_B" {
		t.Errorf("a bare token id and a 1.x session URL gave connection %s", u.c.ID())
	}
}

func mustToken(t *testing.T, url string) string {
	t.Helper()
	ref, err := auth.ParseToken(url)
	if err != nil {
		t.Fatal(err)
	}
	return ref.ID
}

func TestTokenDiesWithItsSession(t *testing.T) {
	store := cluster.NewMemory()
	defer store.Close()
	w := newWorld(t, func(o *Options) { o.Store = store })
	w.session("S")
	info := w.token("S", "A", auth.Publisher)
	w.must(w.m.CloseSession(t.Context(), "S", ReasonSessionClosed))
	if _, err := store.Get(t.Context(), tokenKey(mustToken(t, *info.Token))); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("the token outlived its session: %v", err)
	}
	w.session("S")
	_, err := w.m.Join(t.Context(), JoinRequest{Token: *info.Token, Session: "S"}, &peer{w: w}, nil)
	wantCode(t, "join of the next session of that name", err, CodeUnauthorized)
}

func TestTokenDiesAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.session("S")
		info := w.token("S", "A", auth.Publisher)
		time.Sleep(24*time.Hour + time.Second)
		_, err := w.m.Join(t.Context(), JoinRequest{Token: *info.Token, Session: "S"}, &peer{w: w}, nil)
		wantCode(t, "join after a day", err, CodeUnauthorized)
		list, err := w.m.Connections(t.Context(), "S", ViewOptions{PendingConnections: true})
		w.must(err)
		if len(list) != 0 {
			t.Errorf("a dead token is still listed: %v", list)
		}
		_ = w.m.Close()
	})
}

func TestUpdateBeforeAndAfterJoin(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	info := w.token("S", "A", auth.Subscriber)
	moderator, no := auth.Moderator, false
	got, err := w.m.UpdateConnection(t.Context(), "S", info.ID, ConnectionUpdate{Role: &moderator, Record: &no})
	w.must(err)
	if *got.Role != auth.Moderator || got.Record || *got.Token != *info.Token {
		t.Errorf("updated to %+v", got)
	}
	a := w.joinWith(JoinRequest{Token: *info.Token, Session: "S"}, "A")
	if a.result.Role != auth.Moderator || a.result.Record {
		t.Errorf("joined as %s, record %v", a.result.Role, a.result.Record)
	}
	w.took()
	subscriber, yes := auth.Subscriber, true
	got, err = w.m.UpdateConnection(t.Context(), "S", info.ID, ConnectionUpdate{Role: &subscriber, Record: &yes})
	w.must(err)
	if *got.Role != auth.Subscriber || !got.Record {
		t.Errorf("updated to %+v", got)
	}
	w.expect("each changed property", "A<connectionPropertyChanged role SUBSCRIBER", "A<connectionPropertyChanged record true")
	_, err = w.m.UpdateConnection(t.Context(), "S", info.ID, ConnectionUpdate{Role: &subscriber})
	w.must(err)
	w.expect("nothing changed, nothing told")
	wantCode(t, "publish as subscriber", a.c.Publish(t.Context(), publication("A"), a.reply), CodeUnauthorized)
	_, err = w.m.UpdateConnection(t.Context(), "S", "con_Nobody", ConnectionUpdate{})
	if !errors.Is(err, ErrConnectionNotFound) {
		t.Errorf("unknown connection: %v", err)
	}
}

func TestPendingLimit(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Pending = 2; o.Limits.Participants = 1; o.Limits.Sessions = 1 })
	w.session("S")
	a := w.token("S", "A", auth.Publisher)
	b := w.token("S", "B", auth.Publisher)
	if _, err := w.m.CreateConnection(t.Context(), "S", ConnectionProperties{}); !errors.Is(err, ErrLimit) {
		t.Errorf("third token: %v, want ErrLimit", err)
	}
	if _, err := w.m.CreateSession(t.Context(), SessionProperties{}); !errors.Is(err, ErrLimit) {
		t.Errorf("second session: %v, want ErrLimit", err)
	}
	w.joinWith(JoinRequest{Token: *a.Token, Session: "S"}, "A")
	_, err := w.m.Join(t.Context(), JoinRequest{Token: *b.Token, Session: "S"}, &peer{w: w}, nil)
	wantCode(t, "second participant", err, CodeRoomGeneric)
	if i, err := w.m.Connection(t.Context(), "S", "con_B", ViewOptions{}); err != nil || i.Status != StatusPending {
		t.Errorf("the refused join spent the token: %+v, %v", i, err)
	}
}

func TestCustomConnectionID(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	for _, c := range []struct{ data, want string }{
		{`{"openviduCustomConnectionId":"my user!"}`, `^con_myuser$`},
		{`{"openviduCustomConnectionId":"my user!"}`, `^con_[A-Z][A-Za-z0-9]{9}$`}, // taken
		{`{"openviduCustomConnectionId":"!!"}`, `^con_[A-Z][A-Za-z0-9]{9}$`},
		{`{"openviduCustomConnectionId":7}`, `^con_[A-Z][A-Za-z0-9]{9}$`},
		{`no json`, `^con_[A-Z][A-Za-z0-9]{9}$`},
	} {
		i, err := w.m.CreateConnection(t.Context(), "S", ConnectionProperties{Data: c.data})
		w.must(err)
		if !regexp.MustCompile(c.want).MatchString(i.ID) || i.ServerData != c.data {
			t.Errorf("data %s gave %s, want %s", c.data, i.ID, c.want)
		}
	}
}

// TestConnectionObject compares the JSON with the contract's §3.2: every key is
// there, with null where the contract says so.
func TestConnectionObject(t *testing.T) {
	w := newWorld(t)
	w.session("S")
	kbps := 300
	info := w.token("S", "A", auth.Publisher, func(p *ConnectionProperties) {
		p.KurentoOptions = &KurentoOptions{VideoMaxRecvBandwidth: &kbps, AllowedFilters: []string{"ZBarFilter"}}
		p.ICEServers = []ICEServer{{URL: "turn:h", Username: "u", Credential: "c"}}
	})
	common := []string{"id", "object", "type", "status", "connectionId", "sessionId", "createdAt", "activeAt", "location", "ip", "platform", "token",
		"serverData", "record", "role", "kurentoOptions", "rtspUri", "adaptativeBitrate", "onlyPlayWithSubscribers", "networkCache", "clientData",
		"publishers", "subscribers", "customIceServers"}
	null := map[string]bool{"activeAt": true, "location": true, "ip": true, "platform": true, "rtspUri": true, "adaptativeBitrate": true,
		"onlyPlayWithSubscribers": true, "networkCache": true, "clientData": true, "publishers": true, "subscribers": true}
	check := func(status string, i ConnectionInfo) map[string]any {
		b, err := json.Marshal(i)
		w.must(err)
		var m map[string]any
		w.must(json.Unmarshal(b, &m))
		if len(m) != len(common) || m["status"] != status {
			t.Errorf("%s: %d keys, want %d: %s", status, len(m), len(common), b)
		}
		for _, k := range common {
			v, ok := m[k]
			if !ok || (v == nil) != (null[k] && (status == StatusPending || k == "rtspUri" || k == "adaptativeBitrate" || k == "onlyPlayWithSubscribers" || k == "networkCache")) {
				t.Errorf("%s: %s is %v (present %v)", status, k, v, ok)
			}
		}
		return m
	}
	check(StatusPending, info)
	a := w.joinWith(JoinRequest{Token: *info.Token, Session: "S", IP: "192.0.2.9", Platform: "P"}, "A")
	b := w.join("S", "B", auth.Publisher, func(p *ConnectionProperties) { p.KurentoOptions = &KurentoOptions{} })
	stream := a.publish()
	b.subscribe(stream.ID)
	get := func(id string, stats bool) map[string]any {
		i, err := w.m.Connection(t.Context(), "S", id, ViewOptions{WebRTCStats: stats})
		w.must(err)
		return check(StatusActive, i)
	}
	pub := get("con_A", false)["publishers"].([]any)[0].(map[string]any)
	if len(pub) != 3 || pub["streamId"] != stream.ID {
		t.Errorf("publisher %v", pub)
	}
	if o := pub["mediaOptions"].(map[string]any); len(o) != 8 || o["videoDimensions"] != `{"width":640,"height":480}` || o["frameRate"] != 30.0 {
		t.Errorf("media options %v", o)
	}
	if sub := get("con_B", false)["subscribers"].([]any)[0].(map[string]any); len(sub) != 2 || sub["streamId"] != stream.ID {
		t.Errorf("subscriber %v", sub)
	}
	if sub := get("con_B", true)["subscribers"].([]any)[0].(map[string]any); len(sub) != 10 || sub["remoteSdp"] == "" || sub["localSdp"] == "" || sub["events"] == nil {
		t.Errorf("subscriber with statistics has %d fields: %v", len(sub), sub)
	}
	// A mute shows.
	w.must(a.c.PropertyChanged(t.Context(), PropertyChange{stream.ID, "videoActive", "publishVideo", json.RawMessage("false")}, a.reply))
	w.must(a.c.PropertyChanged(t.Context(), PropertyChange{stream.ID, "videoDimensions", "screenResized", json.RawMessage(`"{\"width\":1,\"height\":2}"`)}, a.reply))
	o := get("con_A", false)["publishers"].([]any)[0].(map[string]any)["mediaOptions"].(map[string]any)
	if o["videoActive"] != false || o["audioActive"] != true || o["videoDimensions"] != `{"width":1,"height":2}` {
		t.Errorf("after the mute: %v", o)
	}
	if got := string(b.peer.last("streamPropertyChanged").Frame()); !json.Valid([]byte(got)) || !regexp.MustCompile(`"newValue":"\\"\{\\\\\\"width`).MatchString(got) {
		t.Errorf("videoDimensions must be encoded twice: %s", got)
	}
}

// TestSessionObject compares the default object with the contract's §2.2.
func TestSessionObject(t *testing.T) {
	w := newWorld(t)
	info, err := w.m.CreateSession(t.Context(), SessionProperties{})
	w.must(err)
	b, err := json.Marshal(info)
	w.must(err)
	var m map[string]any
	w.must(json.Unmarshal(b, &m))
	delete(m, "createdAt")
	if m["id"] != m["sessionId"] || !regexp.MustCompile(`^ses_[A-Z][A-Za-z0-9]{9}$`).MatchString(info.ID) {
		t.Errorf("ids %v, %v", m["id"], m["sessionId"])
	}
	delete(m, "id")
	delete(m, "sessionId")
	got, err := json.Marshal(m)
	w.must(err)
	want := `{"allowTranscoding":false,"broadcasting":false,"connections":{"content":[],"numberOfElements":0},"customSessionId":"",` +
		`"defaultRecordingProperties":{"frameRate":25,"hasAudio":true,"hasVideo":true,"name":"","outputMode":"COMPOSED","recordingLayout":"BEST_FIT","resolution":"1280x720","shmSize":536870912},` +
		`"forcedVideoCodec":"MEDIA_SERVER_PREFERRED","mediaMode":"ROUTED","object":"session","recording":false,"recordingMode":"MANUAL"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	individual, err := json.Marshal(RecordingProperties{OutputMode: OutputIndividual, HasAudio: true, HasVideo: true})
	w.must(err)
	if string(individual) != `{"name":"","hasAudio":true,"hasVideo":true,"outputMode":"INDIVIDUAL","ignoreFailedStreams":false}` {
		t.Errorf("individual: %s", individual)
	}
}
