package openvidu

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/mediatest"
)

// TestRoles walks every request × role × target (own, another's, another
// session's) through a real session. want is the code, 0 for success.
func TestRoles(t *testing.T) {
	type target struct{ stream, connection string }
	call := map[string]func(c *Connection, x target) error{
		"publishVideo": func(c *Connection, _ target) error {
			return c.Publish(context.Background(), publication(c.id), func(any) {})
		},
		"unpublishVideo": func(c *Connection, _ target) error { return c.Unpublish(context.Background(), func(any) {}) },
		"receiveVideoFrom": func(c *Connection, x target) error {
			return c.Subscribe(context.Background(), SubscribeRequest{Sender: x.stream, SDPOffer: mediatest.Offer("U", "VP8")}, func(any) {})
		},
		"reconnectStream": func(c *Connection, x target) error {
			return c.ReconnectStream(context.Background(), ReconnectRequest{StreamID: x.stream, SDPOffer: mediatest.Offer("U", "VP8")}, func(any) {})
		},
		"forceUnpublish": func(c *Connection, x target) error {
			return c.ForceUnpublish(context.Background(), x.stream, func(any) {})
		},
		"forceDisconnect": func(c *Connection, x target) error {
			return c.ForceDisconnect(context.Background(), x.connection, func(any) {})
		},
		"streamPropertyChanged": func(c *Connection, x target) error {
			return c.PropertyChanged(context.Background(), PropertyChange{x.stream, "videoActive", "publishVideo", json.RawMessage("false")}, func(any) {})
		},
		"videoData": func(c *Connection, _ target) error {
			return c.VideoData(context.Background(), VideoData{Width: 1, Height: 1}, func(any) {})
		},
		"sendMessage": func(c *Connection, x target) error {
			return c.SendMessage(context.Background(), `{"to":["`+x.connection+`"]}`, func(any) {})
		},
		"applyFilter": func(c *Connection, x target) error {
			return c.Filter(context.Background(), "applyFilter", x.stream, "F")
		},
		"removeFilter": func(c *Connection, x target) error {
			return c.Filter(context.Background(), "removeFilter", x.stream, "")
		},
		"subscribeToSpeechToText": func(c *Connection, _ target) error {
			return c.SpeechToText(context.Background(), "subscribeToSpeechToText")
		},
		"prepareReceiveVideoFrom": func(c *Connection, x target) error {
			return c.PrepareReceive(context.Background(), PrepareRequest{Sender: x.stream}, func(any) {})
		},
		"onIceCandidate": func(c *Connection, x target) error {
			return c.Candidate(context.Background(), x.connection, ICECandidate{Candidate: "candidate:1"}, func(any) {})
		},
	}
	// Columns: subscriber, publisher, moderator. A subscriber's own stream does not
	// exist: it is "not streaming".
	const (
		no, nobody, idle = CodeUnauthorized, CodeUserNotFound, CodeUserNotStreaming
		media            = CodeMediaGeneric
	)
	want := map[string]map[string][3]Code{
		"publishVideo":            {"own": {no, CodeUserAlreadyStreaming, CodeUserAlreadyStreaming}},
		"unpublishVideo":          {"own": {idle, 0, 0}},
		"receiveVideoFrom":        {"own": {idle, idle, idle}, "another's": {0, 0, 0}, "another session's": {nobody, nobody, nobody}},
		"reconnectStream":         {"own": {idle, 0, 0}, "another's": {0, 0, 0}, "another session's": {nobody, nobody, nobody}},
		"forceUnpublish":          {"own": {no, no, 0}, "another's": {no, no, 0}, "another session's": {no, no, nobody}},
		"forceDisconnect":         {"own": {no, no, 0}, "another's": {no, no, 0}, "another session's": {no, no, nobody}},
		"streamPropertyChanged":   {"own": {idle, 0, 0}, "another's": {no, no, no}, "another session's": {nobody, nobody, nobody}},
		"videoData":               {"own": {no, 0, 0}},
		"sendMessage":             {"own": {0, 0, 0}, "another's": {0, 0, 0}, "another session's": {CodeSignalTo, CodeSignalTo, CodeSignalTo}},
		"applyFilter":             {"own": {no, no, CodeMediaEndpoint}, "another's": {no, no, CodeMediaEndpoint}, "another session's": {no, no, nobody}},
		"removeFilter":            {"own": {no, no, CodeFilterNotApplied}, "another's": {no, no, CodeFilterNotApplied}, "another session's": {no, no, nobody}},
		"subscribeToSpeechToText": {"own": {CodeWrongEdition, CodeWrongEdition, CodeWrongEdition}},
		"prepareReceiveVideoFrom": {"own": {idle, idle, idle}, "another's": {media, media, media}, "another session's": {nobody, nobody, nobody}},
		"onIceCandidate":          {"own": {0, 0, 0}, "another's": {0, 0, 0}, "another session's": {0, 0, 0}},
	}
	for method, rows := range want {
		for name, codes := range rows {
			for i, role := range []auth.Role{auth.Subscriber, auth.Publisher, auth.Moderator} {
				w := newWorld(t)
				w.session("S")
				w.session("T")
				u := w.join("S", "U", role)
				other, foreign := w.join("S", "O", auth.Publisher), w.join("T", "F", auth.Publisher)
				x := target{"str_CAM_None_con_U", "con_U"}
				if role != auth.Subscriber {
					x.stream = u.publish().ID
				}
				o, f := other.publish().ID, foreign.publish().ID
				switch name {
				case "another's":
					x = target{o, "con_O"}
				case "another session's":
					x = target{f, "con_F"}
				}
				foreignBefore := w.sessionDigest("T")
				before := w.digest()
				err := call[method](u.c, x)
				var got Code
				var own *Error
				if errors.As(err, &own) {
					got = own.Code
				} else if err != nil {
					t.Errorf("%s, %s, %s: %v is no refusal", method, role, name, err)
				}
				if got != codes[i] {
					t.Errorf("%s by %s on %s: code %d (%v), want %d", method, role, name, got, err, codes[i])
				}
				if got != 0 && w.digest() != before {
					t.Errorf("%s by %s on %s was refused and changed the state", method, role, name)
				}
				if w.sessionDigest("T") != foreignBefore {
					t.Errorf("%s by %s on %s changed another session", method, role, name)
				}
				_ = w.m.Close()
			}
		}
	}
}

// sessionDigest is the digest of one session.
func (w *world) sessionDigest(id string) string {
	info, err := w.m.Session(context.Background(), id, ViewOptions{PendingConnections: true})
	w.must(err)
	b, err := json.Marshal(info)
	w.must(err)
	return string(b)
}

func TestSignalRules(t *testing.T) {
	w, a, _, _, _ := room(t)
	for what, c := range map[string]struct {
		message string
		code    Code
	}{
		"no JSON": {"hello", CodeSignalFormat}, "no object": {"[1]", CodeSignalFormat}, "null": {"null", CodeSignalFormat},
		"to a number": {`{"to":7}`, CodeSignalTo}, "to numbers": {`{"to":[7]}`, CodeSignalTo}, "to nobody": {`{"to":["con_A","con_X"]}`, CodeSignalTo},
		"data a number": {`{"data":7}`, CodeSignalFormat}, "too long": {`{"data":"` + strings.Repeat("x", 65<<10) + `"}`, CodeSignalFormat},
	} {
		wantCode(t, what, a.c.SendMessage(t.Context(), c.message, func(any) { t.Errorf("%s: replied", what) }), c.code)
	}
	w.expect("a refused signal reaches nobody")
	w.must(a.c.SendMessage(t.Context(), `{"to":["con_B","con_B"],"type":"signal:chat"}`, a.reply))
	w.expect("once to each, without data", "B<sendMessage con_A", "A<reply")
	typ := "MY_TYPE"
	w.must(w.m.Signal(t.Context(), SignalRequest{SessionID: "S", Type: &typ}))
	var sent []events.SignalSent
	for _, e := range w.events.Events() {
		if s, ok := e.Fields.(events.SignalSent); ok {
			sent = append(sent, s)
		}
	}
	if len(sent) != 2 || *sent[0].Type != "chat" || *sent[0].From != "con_A" || len(sent[0].To) != 1 || sent[0].Data != nil ||
		sent[1].From != nil || *sent[1].Type != "MY_TYPE" || len(sent[1].To) != 3 {
		t.Errorf("signalSent %+v", sent)
	}
	for what, c := range map[string]struct {
		req  SignalRequest
		want error
	}{
		"unknown session": {SignalRequest{SessionID: "X"}, ErrSessionNotFound},
		"unknown target":  {SignalRequest{SessionID: "S", To: []string{"con_A", "con_X"}}, ErrSignalTarget},
	} {
		if err := w.m.Signal(t.Context(), c.req); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	w.session("empty")
	if err := w.m.Signal(t.Context(), SignalRequest{SessionID: "empty"}); !errors.Is(err, ErrSessionNotActive) {
		t.Errorf("empty session: %v", err)
	}
}

func TestPropertyRules(t *testing.T) {
	w, a, _, _, stream := room(t)
	before := w.digest()
	for what, p := range map[string]PropertyChange{
		"unknown property": {stream, "filter", "x", json.RawMessage("{}")},
		"text for a bool":  {stream, "audioActive", "x", json.RawMessage(`"false"`)},
		"null":             {stream, "audioActive", "x", json.RawMessage("null")},
		"size no text":     {stream, "videoDimensions", "x", json.RawMessage(`{"width":1}`)},
		"size no JSON":     {stream, "videoDimensions", "x", json.RawMessage(`"big"`)},
		"long reason":      {stream, "audioActive", strings.Repeat("x", 100), json.RawMessage("true")},
	} {
		wantCode(t, what, a.c.PropertyChanged(t.Context(), p, func(any) { t.Errorf("%s: replied", what) }), CodeMissingParameter)
	}
	w.expect("refused changes reach nobody")
	if w.digest() != before {
		t.Error("refused changes changed the state")
	}
	w.must(a.c.PropertyChanged(t.Context(), PropertyChange{stream, "videoTrack", "trackReplaced", json.RawMessage(`{"id":"x"}`)}, a.reply))
	w.expect("an object is passed on as its JSON text", "A<reply", `B<streamPropertyChanged con_A videoTrack {"id":"x"} trackReplaced`, `M<streamPropertyChanged con_A videoTrack {"id":"x"} trackReplaced`)
}

func TestForceCodec(t *testing.T) {
	offer := mediatest.Offer("u", "VP8", "H264", "VP9")
	got, found := forceCodec(offer, "H264")
	if !found || !strings.Contains(got, "m=video 9 UDP/TLS/RTP/SAVPF 98 99\r\n") {
		t.Fatalf("found %v:\n%s", found, got)
	}
	for _, gone := range []string{"VP8", "VP9", ":96 ", ":97 ", ":100 ", ":101 "} {
		if strings.Contains(got, gone) {
			t.Errorf("%q is still there:\n%s", gone, got)
		}
	}
	for _, kept := range []string{"a=rtpmap:99 rtx/90000", "a=fmtp:99 apt=98", "a=rtcp-fb:98 nack pli", "a=rtpmap:111 opus/48000/2", "a=mid:1"} {
		if !strings.Contains(got, kept) {
			t.Errorf("%q is gone:\n%s", kept, got)
		}
	}
	if _, found := forceCodec(offer, "AV1"); found {
		t.Error("found a codec that is not there")
	}
	audio := "v=0\r\nm=audio 9 RTP/AVP 0\r\n"
	if got, found := forceCodec(audio, "VP8"); !found || got != audio {
		t.Errorf("audio alone: %v %q", found, got)
	}
	red := "v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96 100 101 102\na=rtpmap:96 VP8/90000\na=rtpmap:100 red/90000\na=rtpmap:101 ulpfec/90000\na=rtpmap:102 rtx/90000\na=fmtp:102 apt=100;x=1\na=rtcp-fb:* nack\n"
	if got, found := forceCodec(red, "VP8"); !found || got != red {
		t.Errorf("error correction was removed: %v\n%s", found, got)
	}
}

func FuzzForceCodec(f *testing.F) {
	f.Add(mediatest.Offer("u", "VP8", "H264"), "VP8")
	f.Add("v=0\nm=video", "VP8")
	f.Add("m=video 9 x\r\nm=video 0 x 1\na=rtpmap:1 VP8/90000", "VP8")
	f.Add("v=0\r\nm=video 9 UDP 96 97\r\na=rtpmap:96 VP8\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=97", "VP8")
	f.Fuzz(func(t *testing.T, offer, codec string) {
		out, found := forceCodec(offer, codec)
		if !found && out != offer {
			t.Error("not found, yet changed")
		}
		if found {
			again, still := forceCodec(out, codec)
			if !still || again != out {
				t.Errorf("not stable:\n%q\n%q", out, again)
			}
			if len(out) > len(offer)+4*strings.Count(offer, "\n")+16 {
				t.Errorf("grew from %d to %d bytes", len(offer), len(out))
			}
		}
		firstCodecs(offer)
		ufrags(offer)
	})
}
