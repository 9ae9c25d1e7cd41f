package signal

import (
	"bytes"
	"context"
	"encoding/json"
	"math"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
)

// method serves one request of a joined socket. p unmarshals the parameters.
type method func(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error

// methods are the requests a joined browser may send. ping and echo are answered
// by the reader; joinRoom, connect, closeSession and leaveRoom change the socket
// and are the dispatcher's.
var methods = map[string]method{
	"publishVideo":                  publishVideo,
	"unpublishVideo":                unpublishVideo,
	"receiveVideoFrom":              receiveVideoFrom,
	"prepareReceiveVideoFrom":       prepareReceiveVideoFrom,
	"unsubscribeFromVideo":          unsubscribeFromVideo,
	"onIceCandidate":                onIceCandidate,
	"reconnectStream":               reconnectStream,
	"sendMessage":                   sendMessage,
	"forceUnpublish":                forceUnpublish,
	"forceDisconnect":               forceDisconnect,
	"streamPropertyChanged":         streamPropertyChanged,
	"videoData":                     videoData,
	"applyFilter":                   filter("applyFilter", "type"),
	"removeFilter":                  filter("removeFilter"),
	"execFilterMethod":              filter("execFilterMethod", "method"),
	"addFilterEventListener":        filter("addFilterEventListener", "eventType"),
	"removeFilterEventListener":     filter("removeFilterEventListener", "eventType"),
	"setPreferredLayer":             setPreferredLayer,
	"subscribeToActiveSpeakers":     subscribeToActiveSpeakers,
	"unsubscribeFromActiveSpeakers": unsubscribeFromActiveSpeakers,
	"subscribeToSpeechToText":       speechToText("subscribeToSpeechToText"),
	"unsubscribeFromSpeechToText":   speechToText("unsubscribeFromSpeechToText"),
}

// dispatch serves one request; a returned error is the answer.
func (s *socket) dispatch(ctx context.Context, req *jsonrpc.Request) error {
	p := params(req.Params)
	reply := func(result any) { s.reply(req, result) }
	switch req.Method {
	case "joinRoom":
		return s.joinRoom(ctx, p, reply)
	case "connect":
		return s.connect(ctx, p, reply)
	case "closeSession":
		if s.room != nil {
			_ = s.room.Leave(ctx, func(any) {}) // it may have ended already
			s.room = nil
		}
		reply(value{"bye"})
		s.conn.Close(jsonrpc.CloseNormal, "")
		return nil
	}
	if s.room == nil {
		return &openvidu.Error{Code: openvidu.CodeTransport, Text: "no participant on this socket: call joinRoom first"}
	}
	if req.Method == "leaveRoom" {
		c := s.room
		if err := c.Leave(ctx, reply); err != nil {
			return err
		}
		s.room = nil
		return nil
	}
	m, ok := methods[req.Method]
	if !ok {
		return &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "unknown method"}
	}
	return m(ctx, s.room, p, reply)
}

type value struct {
	Value string `json:"value"`
}

// params are a request's parameters; nil when absent.
type params json.RawMessage

func missing(text string) error {
	return &openvidu.Error{Code: openvidu.CodeMissingParameter, Text: text}
}

// into unmarshals the parameters: −1 when they are no object or one has the wrong
// type, or when a required one (by its JSON name) is absent or null.
func (p params) into(v any, required ...string) error {
	raw := orEmpty(json.RawMessage(p))
	var have map[string]json.RawMessage
	if raw[0] != '{' || json.Unmarshal(raw, &have) != nil {
		return missing("params must be an object")
	}
	for _, name := range required {
		if x := have[name]; x == nil || bytes.Equal(x, []byte("null")) {
			return missing("parameter " + name + " is missing")
		}
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return missing("a parameter is of the wrong type")
	}
	return nil
}

func (s *socket) joinRoom(ctx context.Context, p params, reply func(any)) error {
	if s.used {
		return &openvidu.Error{Code: openvidu.CodeExistingUser, Text: "this socket has joined already"}
	}
	var v struct {
		Token      string      `json:"token"`
		Session    string      `json:"session"`
		Metadata   string      `json:"metadata"`
		Platform   string      `json:"platform"`
		SDKVersion string      `json:"sdkVersion"`
		Secret     auth.Secret `json:"secret"`
		Recorder   bool        `json:"recorder"`
		STT        bool        `json:"stt"`
	}
	if err := p.into(&v, "token", "session", "metadata"); err != nil {
		return err
	}
	if len(v.Platform) > 512 || len(v.SDKVersion) > 64 {
		return missing("platform or sdkVersion is too long")
	}
	c, err := s.h.opts.Manager.Join(ctx, openvidu.JoinRequest{
		Token: v.Token, Session: v.Session, Metadata: v.Metadata, Secret: v.Secret, Recorder: v.Recorder, STT: v.STT,
		Platform: v.Platform, SDKVersion: v.SDKVersion, IP: s.ip, FinalUserID: s.user, PrivateID: *s.privateID.Load(),
	}, s, func(r openvidu.JoinResult) { reply(r) })
	if err != nil {
		return err
	}
	s.bind(c)
	return nil
}

func (s *socket) connect(ctx context.Context, p params, reply func(any)) error {
	var v struct {
		SessionID string `json:"sessionId"`
	}
	if err := p.into(&v, "sessionId"); err != nil {
		return err
	}
	if s.used && (s.room == nil || s.room.PrivateID() != v.SessionID) {
		return &openvidu.Error{Code: openvidu.CodeReconnection, Text: "reconnection error"}
	}
	c, err := s.h.opts.Manager.Reconnect(ctx, v.SessionID, s, func() {
		s.privateID.Store(&v.SessionID)
		reply(value{"reconnection successful"})
	})
	if err != nil {
		return err
	}
	s.bind(c)
	return nil
}

func (s *socket) bind(c *openvidu.Connection) {
	s.room, s.used = c, true
	s.joinTimer.Stop()
}

func publishVideo(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	yes, unknown := true, -1.0
	v := struct {
		SDPOffer        string   `json:"sdpOffer"`
		DoLoopback      bool     `json:"doLoopback"`
		HasAudio        *bool    `json:"hasAudio"`
		HasVideo        *bool    `json:"hasVideo"`
		AudioActive     *bool    `json:"audioActive"`
		VideoActive     *bool    `json:"videoActive"`
		TypeOfVideo     string   `json:"typeOfVideo"`
		FrameRate       *float64 `json:"frameRate"`
		VideoDimensions string   `json:"videoDimensions"`
		Filter          *struct {
			Type string `json:"type"`
		} `json:"filter"`
	}{}
	if err := p.into(&v, "sdpOffer"); err != nil {
		return err
	}
	for _, b := range []**bool{&v.HasAudio, &v.HasVideo, &v.AudioActive, &v.VideoActive} {
		if *b == nil {
			*b = &yes
		}
	}
	if v.FrameRate == nil {
		v.FrameRate = &unknown
	}
	req := openvidu.PublishRequest{
		SDPOffer: v.SDPOffer, DoLoopback: v.DoLoopback, HasAudio: *v.HasAudio, HasVideo: *v.HasVideo,
		AudioActive: *v.AudioActive, VideoActive: *v.VideoActive, TypeOfVideo: v.TypeOfVideo,
		FrameRate: int(math.Round(min(max(*v.FrameRate, -1), 1000))), VideoDimensions: v.VideoDimensions,
	}
	if v.Filter != nil {
		req.Filter = v.Filter.Type
	}
	return c.Publish(ctx, req, reply)
}

func unpublishVideo(ctx context.Context, c *openvidu.Connection, _ params, reply func(any)) error {
	return c.Unpublish(ctx, reply)
}

func receiveVideoFrom(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		Sender    string `json:"sender"`
		SDPOffer  string `json:"sdpOffer"`
		SDPAnswer string `json:"sdpAnswer"`
	}
	if err := p.into(&v, "sender"); err != nil {
		return err
	}
	return c.Subscribe(ctx, openvidu.SubscribeRequest{Sender: v.Sender, SDPOffer: v.SDPOffer, SDPAnswer: v.SDPAnswer}, reply)
}

func prepareReceiveVideoFrom(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		Sender    string `json:"sender"`
		Reconnect bool   `json:"reconnect"`
	}
	if err := p.into(&v, "sender"); err != nil {
		return err
	}
	return c.PrepareReceive(ctx, openvidu.PrepareRequest{Sender: v.Sender, Reconnect: v.Reconnect}, reply)
}

func unsubscribeFromVideo(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		Sender string `json:"sender"`
	}
	if err := p.into(&v, "sender"); err != nil {
		return err
	}
	return c.Unsubscribe(ctx, v.Sender, reply)
}

func onIceCandidate(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		EndpointName  string `json:"endpointName"`
		Candidate     string `json:"candidate"`
		SDPMid        string `json:"sdpMid"`
		SDPMLineIndex int    `json:"sdpMLineIndex"`
	}
	if err := p.into(&v, "endpointName", "candidate"); err != nil {
		return err
	}
	return c.Candidate(ctx, v.EndpointName, openvidu.ICECandidate{
		Candidate: v.Candidate, SDPMid: v.SDPMid, SDPMLineIndex: v.SDPMLineIndex,
	}, reply)
}

func reconnectStream(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		Stream    string `json:"stream"`
		SDPOffer  string `json:"sdpOffer"`
		SDPString string `json:"sdpString"`
		Forcibly  bool   `json:"forciblyReconnect"`
	}
	if err := p.into(&v, "stream"); err != nil {
		return err
	}
	return c.ReconnectStream(ctx, openvidu.ReconnectRequest{
		StreamID: v.Stream, SDPOffer: v.SDPOffer, SDPString: v.SDPString, Forcibly: v.Forcibly,
	}, reply)
}

func sendMessage(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		Message string `json:"message"`
	}
	if err := p.into(&v, "message"); err != nil {
		return err
	}
	return c.SendMessage(ctx, v.Message, reply)
}

func forceUnpublish(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		StreamID string `json:"streamId"`
	}
	if err := p.into(&v, "streamId"); err != nil {
		return err
	}
	return c.ForceUnpublish(ctx, v.StreamID, reply)
}

func forceDisconnect(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		ConnectionID string `json:"connectionId"`
	}
	if err := p.into(&v, "connectionId"); err != nil {
		return err
	}
	return c.ForceDisconnect(ctx, v.ConnectionID, reply)
}

func streamPropertyChanged(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		StreamID string          `json:"streamId"`
		Property string          `json:"property"`
		NewValue json.RawMessage `json:"newValue"`
		Reason   string          `json:"reason"`
	}
	if err := p.into(&v, "streamId", "property", "newValue"); err != nil {
		return err
	}
	return c.PropertyChanged(ctx, openvidu.PropertyChange{
		StreamID: v.StreamID, Property: v.Property, Reason: v.Reason, NewValue: compact(v.NewValue),
	}, reply)
}

// compact takes the blanks out of a JSON text, as a client's own serialiser would.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

func videoData(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	var v struct {
		Height      float64 `json:"height"`
		Width       float64 `json:"width"`
		VideoActive bool    `json:"videoActive"`
		AudioActive bool    `json:"audioActive"`
	}
	if err := p.into(&v, "height", "width", "videoActive", "audioActive"); err != nil {
		return err
	}
	size := func(x float64) int { return int(min(max(x, 0), 1<<16)) }
	return c.VideoData(ctx, openvidu.VideoData{
		Width: size(v.Width), Height: size(v.Height), VideoActive: v.VideoActive, AudioActive: v.AudioActive,
	}, reply)
}

// filter serves a filter call; extra names its mandatory texts beside streamId.
func filter(name string, extra ...string) method {
	return func(ctx context.Context, c *openvidu.Connection, p params, _ func(any)) error {
		var v struct {
			StreamID string `json:"streamId"`
			Type     string `json:"type"`
			Method   string `json:"method"`
			Event    string `json:"eventType"`
		}
		if err := p.into(&v, append([]string{"streamId"}, extra...)...); err != nil {
			return err
		}
		return c.Filter(ctx, name, v.StreamID, v.Type)
	}
}

func speechToText(name string) method {
	return func(ctx context.Context, c *openvidu.Connection, p params, _ func(any)) error {
		var v struct {
			ConnectionID string `json:"connectionId"`
		}
		if err := p.into(&v, "connectionId"); err != nil {
			return err
		}
		return c.SpeechToText(ctx, name)
	}
}

// setPreferredLayer is ours. sender is understood as well as streamId.
func setPreferredLayer(ctx context.Context, c *openvidu.Connection, p params, reply func(any)) error {
	v := struct {
		StreamID string  `json:"streamId"`
		Sender   string  `json:"sender"`
		Spatial  float64 `json:"spatialLayer"`
		Temporal float64 `json:"temporalLayer"`
		Width    float64 `json:"width"`
		Height   float64 `json:"height"`
	}{Spatial: -1, Temporal: -1}
	if err := p.into(&v); err != nil {
		return err
	}
	if v.StreamID == "" {
		v.StreamID = v.Sender
	}
	if v.StreamID == "" {
		return missing("parameter streamId is missing")
	}
	whole := func(x float64) int { return int(math.Round(min(max(x, -1<<20), 1<<20))) }
	return c.SetPreferredLayer(ctx, v.StreamID, openvidu.LayerWish{
		Spatial: whole(v.Spatial), Temporal: whole(v.Temporal), Width: whole(v.Width), Height: whole(v.Height),
	}, reply)
}

// The two below are ours.

func subscribeToActiveSpeakers(ctx context.Context, c *openvidu.Connection, _ params, reply func(any)) error {
	return c.SubscribeToActiveSpeakers(ctx, reply)
}

func unsubscribeFromActiveSpeakers(ctx context.Context, c *openvidu.Connection, _ params, reply func(any)) error {
	return c.UnsubscribeFromActiveSpeakers(ctx, reply)
}
