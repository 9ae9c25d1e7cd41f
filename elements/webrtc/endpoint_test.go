package webrtc

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/kerr"
)

const (
	audio = webrtc.RTPCodecTypeAudio
	video = webrtc.RTPCodecTypeVideo
)

func newEngine(t testing.TB) *transport.Engine {
	t.Helper()
	e, err := transport.NewEngine(transport.Config{
		ListenIPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Loopback: true, ICETCP: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestContract(t *testing.T) {
	elementtest.Run(t, Types(newEngine(t), Defaults{}), elementtest.Case{
		Type:      "WebRtcEndpoint",
		Ancestors: []string{"BaseRtpEndpoint", "SdpEndpoint", "SessionEndpoint", "Endpoint", "MediaElement", "MediaObject"},
	})
}

// call is one WebRtcEndpoint with a browser at its other end.
type call struct {
	*webrtctest.Browser
	w  *elementtest.World
	ep elements.Element
}

// dial negotiates as every tutorial does: processOffer, gatherCandidates,
// candidates as events.
func dial(t *testing.T, w *elementtest.World, shape func(*webrtctest.Browser)) *call {
	t.Helper()
	return dialWith(t, w, nil, shape)
}

func dialWith(t *testing.T, w *elementtest.World, params map[string]any, shape func(*webrtctest.Browser)) *call {
	t.Helper()
	c := &call{Browser: webrtctest.New(t, webrtctest.Options{}), w: w, ep: w.Element("WebRtcEndpoint", params)}
	shape(c.Browser)
	c.SetAnswer(w.Call(c.ep, "processOffer", map[string]any{"offer": c.Offer()}).(string))
	w.Call(c.ep, "gatherCandidates", nil)
	w.WaitEvents(c.ep, "IceGatheringDone", 1)
	for _, e := range w.Events(c.ep, "IceCandidateFound") {
		x := e.Data["candidate"].(map[string]any)
		if x["__type__"] != "IceCandidate" || x["__module__"] != "kurento" {
			t.Errorf("candidate %v", x)
		}
		c.AddCandidate(x["candidate"].(string), x["sdpMid"].(string), int(x["sdpMLineIndex"].(int64)))
	}
	w.WaitEvents(c.ep, "ConnectionStateChanged", 1)
	webrtctest.Eventually(t, "browser connected", c.Connected)
	return c
}

func publish(b *webrtctest.Browser) {
	b.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
}
func loop(b *webrtctest.Browser) {
	b.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendrecv)
}
func receive(b *webrtctest.Browser) { b.Receive() }

// send pushes keyframes until the condition holds.
func (c *call) send(what string, ok func() bool) {
	c.T.Helper()
	webrtctest.Eventually(c.T, what, func() bool { c.Frame(true); return ok() })
}

// TestCall is a publisher and a subscriber, joined by connect, with what a
// Kurento application sees of it.
func TestCall(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	pub, sub := dial(t, w, publish), dial(t, w, receive)
	w.Call(pub.ep, "connect", map[string]any{"sink": sub.ep})
	pub.send("audio and video", func() bool { return len(sub.Packets(video)) > 20 && len(sub.Packets(audio)) > 20 })

	names := func(o elements.Object, event, field string) []string {
		var out []string
		for _, e := range w.Events(o, event) {
			out = append(out, e.Data[field].(string))
		}
		return out
	}
	if got := names(pub.ep, "IceComponentStateChanged", "state"); !slices.Equal(got, []string{
		"GATHERING", "GATHERING", "CONNECTING", "CONNECTING", "CONNECTED", "READY", "CONNECTED", "READY",
	}) {
		t.Errorf("ICE states %v", got)
	}
	if got := names(pub.ep, "DtlsConnectionStateChange", "state"); !slices.Equal(got, []string{"CONNECTING", "CONNECTED"}) {
		t.Errorf("DTLS states %v", got)
	}
	if got := names(sub.ep, "ConnectionStateChanged", "newState"); !slices.Equal(got, []string{"CONNECTED"}) {
		t.Errorf("connection states %v", got)
	}
	for event, want := range map[string]int{"MediaSessionStarted": 1, "NewCandidatePairSelected": 2} {
		if n := len(w.Events(pub.ep, event)); n != want {
			t.Errorf("%d events %s", n, event)
		}
	}
	for six, seven := range map[string]string{"OnIceCandidate": "IceCandidateFound", "OnIceGatheringDone": "IceGatheringDone", "OnIceComponentStateChanged": "IceComponentStateChanged", "IceComponentStateChange": "IceComponentStateChanged"} {
		if a, b := len(w.Events(pub.ep, six)), len(w.Events(pub.ep, seven)); a != b || a == 0 {
			t.Errorf("%d %s for %d %s", a, six, b, seven)
		}
	}
	pub.send("media state", func() bool { return len(w.Events(pub.ep, "MediaStateChanged")) > 0 })
	for op, want := range map[string]any{"getConnectionState": "CONNECTED", "getMediaState": "CONNECTED"} {
		if got := w.Call(pub.ep, op, nil); got != want {
			t.Errorf("%s: %v", op, got)
		}
	}
	pairs := w.Call(pub.ep, "getICECandidatePairs", nil).([]any)
	if len(pairs) != 2 || pairs[0].(map[string]any)["__type__"] != "IceCandidatePair" || pairs[0].(map[string]any)["streamId"] != "1" {
		t.Errorf("pairs %v", pairs)
	}
	rows := w.Call(pub.ep, "getIceConnectionState", nil).([]any)
	if len(rows) != 2 || rows[0].(map[string]any)["state"] != "READY" || rows[1].(map[string]any)["componentId"] != int64(2) {
		t.Errorf("ICE rows %v", rows)
	}
	rows = w.Call(pub.ep, "getDtlsConnectionState", nil).([]any)
	if len(rows) != 1 || rows[0].(map[string]any)["state"] != "CONNECTED" {
		t.Errorf("DTLS rows %v", rows)
	}
	flowing(t, w, pub, sub)
	statistics(t, w, pub.ep, "inboundrtp", "packetsReceived")
	statistics(t, w, sub.ep, "outboundrtp", "packetsSent")
}

func flowing(t *testing.T, w *elementtest.World, pub, sub *call) {
	t.Helper()
	pub.send("flow events", func() bool {
		return len(w.Events(pub.ep, "MediaFlowOutStateChanged")) >= 2 && len(w.Events(sub.ep, "MediaFlowInStateChanged")) >= 2
	})
	for _, kind := range []string{"AUDIO", "VIDEO"} {
		if got := w.Call(sub.ep, "isMediaFlowingIn", map[string]any{"mediaType": kind}); got != true {
			t.Errorf("%s flows in: %v", kind, got)
		}
	}
}

func statistics(t *testing.T, w *elementtest.World, o elements.Object, typ, counter string) {
	t.Helper()
	for kind, want := range map[string]int{"": 2, "AUDIO": 1, "VIDEO": 1} {
		var params map[string]any
		if kind != "" {
			params = map[string]any{"mediaType": kind}
		}
		stats := w.Call(o, "getStats", params).(map[string]any)
		if len(stats) != want {
			t.Errorf("%d rows for %q, want %d", len(stats), kind, want)
		}
		for id, r := range stats {
			row := r.(map[string]any)
			if row["id"] != id {
				t.Errorf("row %s has id %v", id, row["id"])
			}
			if n, _ := row[counter].(int64); row["type"] != typ || n == 0 || row["ssrc"] == "" {
				t.Errorf("row %v", row)
			}
		}
	}
}

// TestLoopback connects an endpoint with itself: the browser gets its own media
// back on the same connection.
func TestLoopback(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	c := dial(t, w, loop)
	w.Call(c.ep, "connect", map[string]any{"sink": c.ep})
	c.send("own media", func() bool { return len(c.Packets(video)) > 10 && len(c.Packets(audio)) > 10 })
}

// TestResubscribe feeds one endpoint from another source later on.
func TestResubscribe(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	one, two, sub := dial(t, w, publish), dial(t, w, publish), dial(t, w, receive)
	w.Call(one.ep, "connect", map[string]any{"sink": sub.ep})
	one.send("the first", func() bool { return len(sub.Packets(video)) > 10 })
	w.Call(two.ep, "connect", map[string]any{"sink": sub.ep})
	if got := w.Events(one.ep, "ElementDisconnected"); len(got) != 3 {
		t.Errorf("%d disconnected events of the first", len(got))
	}
	n := len(sub.Packets(video))
	two.send("the second", func() bool { return len(sub.Packets(video)) > n+10 })
	got := sub.Packets(video)
	for i, p := range got[1:] {
		if p.SequenceNumber != got[i].SequenceNumber+1 || p.SSRC != got[i].SSRC {
			t.Fatalf("packet %d: sequence %d after %d", i, p.SequenceNumber, got[i].SequenceNumber)
		}
	}
	w.Release(two.ep)
	one.send("the first again", func() bool {
		w.Call(one.ep, "connect", map[string]any{"sink": sub.ep})
		return len(sub.Packets(video)) > len(got)+10
	})
}

// TestBrowserGoes closes the browser.
func TestBrowserGoes(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	c := dial(t, w, publish)
	c.Close()
	w.WaitEvents(c.ep, "ConnectionStateChanged", 2)
	if got := w.Call(c.ep, "getConnectionState", nil); got != "DISCONNECTED" {
		t.Errorf("connection state %v", got)
	}
}

// TestOnce goes through the rules of negotiation and their codes.
func TestOnce(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	offer, err := os.ReadFile("transport/testdata/chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	ep := w.Element("WebRtcEndpoint", nil)
	fails := func(op string, params map[string]any, code kerr.Code, text string) {
		t.Helper()
		_, err := w.Invoke(ep, op, params)
		elementtest.Code(t, err, code, text)
	}
	fails("getLocalSessionDescriptor", nil, kerr.SDPNoLocalSDP, "No local SDP")
	fails("getRemoteSessionDescriptor", nil, kerr.SDPNoRemoteSDP, "No remote SDP")
	fails("processAnswer", map[string]any{"answer": "v=0\r\n"}, kerr.SDPNotOfferGenerated, "Offer not generated. It is not possible to process an answer.")
	fails("processOffer", map[string]any{"offer": ""}, kerr.SDPParseError, "Empty offer not valid")
	fails("processOffer", map[string]any{"offer": "garbage"}, kerr.SDPParseError, "Invalid SDP")
	fails("processOffer", map[string]any{"offer": 5}, kerr.SDPParseError, "Invalid SDP")
	fails("createDataChannel", nil, kerr.MediaObjectOperationNotSupported, "Data channels are not supported")
	fails("requestKeyframe", nil, kerr.MediaObjectOperationNotSupported, "")
	w.Call(ep, "gatherCandidates", nil) // too early is no error
	if got := w.Call(ep, "getIceConnectionState", nil).([]any); len(got) != 0 {
		t.Errorf("ICE rows before negotiation: %v", got)
	}
	cand := map[string]any{"candidate": "candidate:1 1 udp 2122260223 127.0.0.1 50000 typ host generation 0 ufrag abcd", "sdpMid": "0", "sdpMLineIndex": 0}
	w.Call(ep, "addIceCandidate", map[string]any{"candidate": cand})
	answer := w.Call(ep, "processOffer", map[string]any{"offer": string(offer)}).(string)
	for _, text := range []string{"not a candidate", "", "candidate:1 1 udp 1 3f2c9a7e.local 5 typ host"} {
		w.Call(ep, "addIceCandidate", map[string]any{"candidate": map[string]any{"candidate": text, "sdpMid": "0", "sdpMLineIndex": 0}})
	}
	fails("addIceCandidate", map[string]any{"candidate": "x"}, kerr.MarshallError, "'candidate' parameter should be a object")
	fails("addIceCandidate", map[string]any{"candidate": map[string]any{"candidate": "x"}}, kerr.MarshallError, "'sdpMid' property should be a string")
	fails("processOffer", map[string]any{"offer": string(offer)}, kerr.SDPAlreadyNegotiated, "Endpoint already negotiated")
	// New credentials alone are an ICE restart; with another key it is another peer.
	restart := strings.NewReplacer("a=ice-ufrag:", "a=ice-ufrag:x", "a=ice-pwd:", "a=ice-pwd:x").Replace(string(offer))
	fails("processOffer", map[string]any{"offer": strings.ReplaceAll(restart, "a=fingerprint:sha-256 ", "a=fingerprint:sha-1 ")}, kerr.SDPAlreadyNegotiated, "Endpoint already negotiated")
	if got := w.Call(ep, "getRemoteSessionDescriptor", nil); got != string(offer) {
		t.Error("the remote description changed")
	}
	again := w.Call(ep, "processOffer", map[string]any{"offer": restart}).(string)
	if was, is := between(answer, "a=ice-ufrag:", "\r"), between(again, "a=ice-ufrag:", "\r"); was == is || between(answer, "a=fingerprint:", "\r") != between(again, "a=fingerprint:", "\r") {
		t.Errorf("restarted by\n%s", again)
	}
	if got := w.Call(ep, "getRemoteSessionDescriptor", nil); got != restart {
		t.Error("the remote description is the old one")
	}
	w.Call(ep, "processOffer", map[string]any{"offer": string(offer)}) // and back again
	fails("generateOffer", nil, kerr.SDPAlreadyNegotiated, "Endpoint already negotiated")
	fails("processAnswer", map[string]any{"answer": answer}, kerr.SDPNotOfferGenerated, "Offer not generated")
	if got := w.Call(ep, "getRemoteSessionDescriptor", nil); got != string(offer) {
		t.Error("the remote description changed")
	}
	w.WaitEvents(ep, "IceGatheringDone", 1)
	if got := w.Call(ep, "getLocalSessionDescriptor", nil).(string); !strings.Contains(got, "a=candidate:") || strings.Contains(answer, "a=candidate:") {
		t.Errorf("local description\n%s", got)
	}
	w.Call(ep, "gatherCandidates", nil) // again is no error
}

// between is the text between two others.
func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// TestGenerateOffer offers, the browser answers.
func TestGenerateOffer(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	ep := w.Element("WebRtcEndpoint", nil)
	if got := w.Call(w.Element("WebRtcEndpoint", nil), "generateOffer", map[string]any{"options": map[string]any{"offerToReceiveAudio": false}}).(string); strings.Contains(got, "m=audio") {
		t.Error("an audio section nobody wanted")
	}
	w.Call(ep, "generateOffer", nil)
	w.Call(ep, "gatherCandidates", nil)
	w.WaitEvents(ep, "IceGatheringDone", 1)
	b := webrtctest.New(t, webrtctest.Options{})
	answer := b.Answer(w.Call(ep, "getLocalSessionDescriptor", nil).(string))
	if got := w.Call(ep, "processAnswer", map[string]any{"answer": answer}); !strings.HasPrefix(got.(string), "v=0") {
		t.Errorf("processAnswer gave %v", got)
	}
	w.WaitEvents(ep, "ConnectionStateChanged", 1)
}

// TestProperties wants Kurento's defaults and what was set back.
func TestProperties(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	ep := w.Element("WebRtcEndpoint", map[string]any{"recvonly": true, "certificateKeyType": "ECDSA", "qosDscp": "AUDIO_HIGH"})
	for op, want := range map[string]any{
		"getMaxVideoRecvBandwidth": int64(0), "getMinVideoRecvBandwidth": int64(100), "getMaxVideoSendBandwidth": int64(500),
		"getMinVideoSendBandwidth": int64(100), "getMaxAudioRecvBandwidth": int64(0), "getStunServerAddress": "",
		"getStunServerPort": int64(3478), "getTurnUrl": "", "getExternalIPv4": "", "getMtu": int64(1200), "getIceTcp": true,
		"getConnectionState": "DISCONNECTED", "getMediaState": "DISCONNECTED",
	} {
		if got := w.Call(ep, op, nil); got != want {
			t.Errorf("%s: %v (%T), want %v", op, got, got, want)
		}
	}
	remb := w.Call(ep, "getRembParams", nil).(map[string]any)
	if remb["exponentialFactor"] != elements.Double(0.03999999910593033) || remb["rembOnConnect"] != int64(300000) || remb["__type__"] != "RembParams" {
		t.Errorf("RembParams %v", remb)
	}
	for name, v := range map[string]any{"maxVideoRecvBandwidth": 300, "externalIPv4": "198.51.100.7", "iceTcp": false, "turnUrl": "u:p@h:1?transport=tls", "stunServerAddress": "192.0.2.9", "stunServerPort": 19302, "networkInterfaces": "lo", "mtu": 1400} {
		upper := strings.ToUpper(name[:1]) + name[1:]
		w.Call(ep, "set"+upper, map[string]any{name: v})
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		if got := w.Call(ep, "get"+upper, nil); got != v {
			t.Errorf("%s: %v, want %v", name, got, v)
		}
	}
	if got := w.Call(ep, "getExternalAddress", nil); got != "198.51.100.7" {
		t.Errorf("externalAddress %v", got)
	}
	for _, name := range []string{"turnUrl", "stunServerAddress"} { // nobody is there to answer
		w.Call(ep, "set"+strings.ToUpper(name[:1])+name[1:], map[string]any{name: ""})
	}
	for name, list := range map[string][]any{
		"externalIPv4": {"nowhere", "2001:db8::1"}, "externalIPv6": {"198.51.100.7"}, "externalAddress": {"x"},
		"turnUrl": {"host:3478", "u:p@host:0"}, "stunServerAddress": {"a b", "192.0.2.1:5"}, "stunServerPort": {0, 70000}, "mtu": {100, 9000},
	} {
		for _, v := range list {
			_, err := w.Invoke(ep, "set"+strings.ToUpper(name[:1])+name[1:], map[string]any{name: v})
			elementtest.Code(t, err, kerr.MediaObjectIllegalParam, "'"+name+"' is not valid")
		}
	}
	if _, err := w.Invoke(ep, "setMaxVideoRecvBandwidth", map[string]any{"maxVideoRecvBandwidth": -1}); err == nil {
		t.Error("a negative bandwidth was taken")
	}
	_, err := w.TryCreate("WebRtcEndpoint", map[string]any{"qosDscp": "FAST"})
	elementtest.Code(t, err, kerr.MarshallError, "Invalid value for 'DSCPValue'")

	b := webrtctest.New(t, webrtctest.Options{})
	publish(b)
	answer := w.Call(ep, "processOffer", map[string]any{"offer": b.Offer()}).(string)
	if !strings.Contains(answer, "b=AS:300\r\n") {
		t.Errorf("no cap in the answer\n%s", answer)
	}
	w.Call(ep, "gatherCandidates", nil)
	w.WaitEvents(ep, "IceGatheringDone", 1)
	for _, e := range w.Events(ep, "IceCandidateFound") {
		text := e.Data["candidate"].(map[string]any)["candidate"].(string)
		if !strings.Contains(text, " 198.51.100.7 ") || strings.Contains(text, " tcp ") {
			t.Errorf("candidate %s", text)
		}
	}
}

// TestUnsupported connects what cannot flow: one Error event, nothing else.
func TestUnsupported(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	pub := dial(t, w, func(b *webrtctest.Browser) { b.Publish(webrtc.MimeTypeAV1, webrtc.RTPTransceiverDirectionSendonly) })
	sub := &call{Browser: webrtctest.New(t, webrtctest.Options{}), w: w, ep: w.Element("WebRtcEndpoint", nil)}
	sub.Receive()
	offer := strings.ReplaceAll(sub.Offer(), "AV1/90000", "XX1/90000")
	sub.SetAnswer(w.Call(sub.ep, "processOffer", map[string]any{"offer": offer}).(string))
	w.Call(sub.ep, "gatherCandidates", nil)
	w.WaitEvents(sub.ep, "ConnectionStateChanged", 1)
	w.Call(pub.ep, "connect", map[string]any{"sink": sub.ep})
	pub.send("audio", func() bool { return len(sub.Packets(audio)) > 50 })
	if got := len(w.Events(sub.ep, "Error")) + len(w.Events(pub.ep, "Error")); got != 1 {
		t.Errorf("%d Error events, want one", got)
	}
}

// TestDefaults: what the server is told is what new endpoints begin with, and
// what an endpoint would refuse is refused at the start.
func TestDefaults(t *testing.T) {
	d := Defaults{STUNAddress: "192.0.2.7", STUNPort: 3479, TURNURL: "u:p@192.0.2.7:3478?transport=tcp", NoICETCP: true, MTU: 1100, NetworkInterfaces: "lo"}
	if err := d.Check(); err != nil {
		t.Fatal(err)
	}
	w := elementtest.New(t, Types(newEngine(t), d)...)
	ep := w.Element("WebRtcEndpoint", nil)
	for op, want := range map[string]any{
		"getStunServerAddress": d.STUNAddress, "getStunServerPort": int64(3479), "getTurnUrl": d.TURNURL, "getIceTcp": false, "getMtu": int64(1100), "getNetworkInterfaces": "lo",
	} {
		if got := w.Call(ep, op, nil); got != want {
			t.Errorf("%s: %v, want %v", op, got, want)
		}
	}
	for _, bad := range []Defaults{{STUNAddress: "a b"}, {STUNPort: 70000}, {TURNURL: "nonsense"}, {MTU: 1}} {
		if bad.Check() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
