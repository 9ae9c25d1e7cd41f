package webrtc

import (
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/kerr"
)

// talk is dial with an endpoint and a browser that have data channels.
func talk(t *testing.T, w *elementtest.World) (*call, *webrtctest.Channel) {
	t.Helper()
	var ch *webrtctest.Channel
	c := dialWith(t, w, map[string]any{"useDataChannels": true}, func(b *webrtctest.Browser) { ch = b.Channel("chat", nil) })
	w.WaitEvents(c.ep, "DataChannelOpened", 1)
	webrtctest.Eventually(t, "channel open", ch.IsOpen)
	return c, ch
}

// TestDataChannels relays messages from one endpoint to another along a DATA
// connection, and back to their sender along another.
func TestDataChannels(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	a, from := talk(t, w)
	b, to := talk(t, w)
	w.Call(a.ep, "connect", map[string]any{"sink": b.ep, "mediaType": "DATA"})
	if err := from.SendText("hello"); err != nil {
		t.Fatal(err)
	}
	if err := from.Send([]byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	webrtctest.Eventually(t, "both messages", func() bool { return len(to.Messages()) == 2 })
	if m := to.Messages(); !m[0].IsString || string(m[0].Data) != "hello" || m[1].IsString {
		t.Errorf("messages %+v", m)
	}
	w.Call(a.ep, "disconnect", map[string]any{"sink": b.ep, "mediaType": "DATA"})
	w.Call(a.ep, "connect", map[string]any{"sink": a.ep})
	if err := from.SendText("to myself"); err != nil {
		t.Fatal(err)
	}
	webrtctest.Eventually(t, "the echo", func() bool { return len(from.Messages()) == 1 })
	if n := len(to.Messages()); n != 2 {
		t.Errorf("%d messages after disconnect", n)
	}
	channelRows(t, w, a.ep)
}

func channelRows(t *testing.T, w *elementtest.World, ep elements.Object) {
	t.Helper()
	found := map[string]int{}
	for id, r := range w.Call(ep, "getStats", map[string]any{"mediaType": "DATA"}).(map[string]any) {
		row := r.(map[string]any)
		if row["id"] != id {
			t.Errorf("row %s has id %v", id, row["id"])
		}
		typ, _ := row["type"].(string)
		found[typ]++
		switch typ {
		case "session":
			if row["__type__"] != "RTCPeerConnectionStats" || row["dataChannelsOpened"] != int64(1) || row["dataChannelsClosed"] != int64(0) {
				t.Errorf("row %v", row)
			}
		case "datachannel":
			if row["__type__"] != "RTCDataChannelStats" || row["label"] != "chat" || row["state"] != "open" || row["messagesReceived"] != int64(3) ||
				row["messagesSent"] != int64(1) || row["bytesReceived"] != int64(16) {
				t.Errorf("row %v", row)
			}
		}
	}
	if found["session"] != 1 || found["datachannel"] != 1 || found["inboundrtp"]+found["outboundrtp"] != 0 {
		t.Errorf("rows %v", found)
	}
}

// TestCreateDataChannel opens and closes channels by the API, with its events
// under all their names.
func TestCreateDataChannel(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	c, _ := talk(t, w)
	fails := func(op string, params map[string]any, code kerr.Code, text string) {
		t.Helper()
		_, err := w.Invoke(c.ep, op, params)
		elementtest.Code(t, err, code, text)
	}
	// Parameters after one that is left out are not read, as in the original.
	fails("createDataChannel", map[string]any{"label": "x", "ordered": true, "maxPacketLifeTime": 10, "maxRetransmits": 1}, kerr.MediaObjectIllegalParam, "Syntax error")
	fails("closeDataChannel", map[string]any{"channelId": 999}, kerr.MediaObjectIllegalParam, "Data channel 999 does not exist")
	w.Call(c.ep, "createDataChannel", map[string]any{"label": "events", "ordered": false, "maxPacketLifeTime": 100000, "maxRetransmits": -1, "protocol": "json"})
	opened := w.WaitEvents(c.ep, "DataChannelOpened", 2)
	webrtctest.Eventually(t, "the browser has it", func() bool { return len(c.Channels()) == 2 })
	ch := c.Channels()[1]
	if ch.Label() != "events" || ch.Protocol() != "json" || ch.Ordered() || ch.MaxPacketLifeTime() == nil || *ch.MaxPacketLifeTime() != 65535 {
		t.Errorf("channel %q %q ordered %v life %v", ch.Label(), ch.Protocol(), ch.Ordered(), ch.MaxPacketLifeTime())
	}
	id := opened[1].Data["channelId"]
	w.Call(c.ep, "closeDataChannel", map[string]any{"channelId": id})
	for _, name := range []string{"DataChannelClosed", "OnDataChannelClosed", "DataChannelClose"} {
		for _, e := range w.WaitEvents(c.ep, name, 2) { // the original's double event
			if e.Data["channelId"] != id {
				t.Errorf("%s %v, want channel %v", name, e.Data, id)
			}
		}
	}
	for _, name := range []string{"OnDataChannelOpened", "DataChannelOpen"} {
		if n := len(w.Events(c.ep, name)); n != 2 {
			t.Errorf("%d events %s", n, name)
		}
	}
	webrtctest.Eventually(t, "the browser's end", ch.IsClosed)

	without := dial(t, w, receive)
	for _, op := range []string{"createDataChannel", "closeDataChannel"} {
		_, err := w.Invoke(without.ep, op, map[string]any{"channelId": 1})
		elementtest.Code(t, err, kerr.MediaObjectOperationNotSupported, "Data channels are not supported")
	}
	// Offered, but not answered yet.
	early := w.Element("WebRtcEndpoint", map[string]any{"useDataChannels": true})
	w.Call(early, "generateOffer", nil)
	_, err := w.Invoke(early, "createDataChannel", nil)
	elementtest.Code(t, err, kerr.MediaObjectOperationNotSupported, "Data channels are not supported")
}
