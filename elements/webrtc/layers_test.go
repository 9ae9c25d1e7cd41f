package webrtc

import (
	"errors"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/kerr"
)

// TestLayerWishes: bad wishes are told; where nothing is forwarded by layers there
// is no such endpoint, and the original's has none anywhere.
func TestLayerWishes(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	if _, err := w.Invoke(w.Element("WebRtcEndpoint", nil), "setPreferredLayer", nil); !errors.Is(err, kerr.MalformedTransaction) {
		t.Errorf("Kurento's endpoint: %v", err)
	}
	if !CanLayer() {
		if _, err := w.TryCreate("LayeredEndpoint", nil); !errors.Is(err, kerr.MediaObjectOperationNotSupported) {
			t.Errorf("created without layers: %v", err)
		}
		return
	}
	e := w.Element("LayeredEndpoint", nil)
	// As with every operation, what stands after an absent parameter is not read.
	for _, x := range [][4]int{{-2, -1, 0, 0}, {8, -1, 0, 0}, {-1, 8, 0, 0}, {-1, -1, -1, 0}, {-1, -1, 0, 1 << 20}} {
		bad := map[string]any{"spatial": x[0], "temporal": x[1], "maxWidth": x[2], "maxHeight": x[3]}
		if _, err := w.Invoke(e, "setPreferredLayer", bad); !errors.Is(err, kerr.MediaObjectIllegalParam) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	w.Call(e, "setPreferredLayer", map[string]any{"spatial": 1})
	if list := w.Call(e, "getLayers", nil).([]any); len(list) != 0 {
		t.Errorf("layers %v", list)
	}
	if now := w.Call(e, "getCurrentLayer", nil).(map[string]any); now["spatial"] != int64(-1) || now["temporal"] != int64(-1) {
		t.Errorf("current layer %v", now)
	}
}

// TestSimulcast: who asks for all encodings of a peer is answered so, or is told at
// once that there is no such thing; who does not ask gets one.
func TestSimulcast(t *testing.T) {
	w := elementtest.New(t, Types(newEngine(t), Defaults{})...)
	offer := func() string {
		b := webrtctest.New(t, webrtctest.Options{})
		var sender *webrtc.RTPSender
		for i, rid := range []string{"rdiv2", "rdiv1"} {
			track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "v", "s", webrtc.WithRTPStreamID(rid))
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				tc, err := b.PC.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
				if err != nil {
					t.Fatal(err)
				}
				sender = tc.Sender()
			} else if err := sender.AddEncoding(track); err != nil {
				t.Fatal(err)
			}
		}
		return b.Offer()
	}
	params := map[string]any{"simulcast": true}
	if !CanLayer() {
		if _, err := w.TryCreate("LayeredEndpoint", params); !errors.Is(err, kerr.MediaObjectOperationNotSupported) {
			t.Errorf("created without layers: %v", err)
		}
		return
	}
	plain := w.Element("WebRtcEndpoint", nil)
	if answer := w.Call(plain, "processOffer", map[string]any{"offer": offer()}).(string); strings.Contains(answer, "a=simulcast") {
		t.Errorf("Kurento's endpoint takes simulcast:\n%s", answer)
	}
	e := w.Element("LayeredEndpoint", params)
	if answer := w.Call(e, "processOffer", map[string]any{"offer": offer()}).(string); !strings.Contains(answer, "a=simulcast:recv rdiv2;rdiv1") {
		t.Errorf("answer\n%s", answer)
	}
}
