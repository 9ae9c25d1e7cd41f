package rtp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/pipeline"
)

// pair negotiates two endpoints of one server with each other.
func pair(t testing.TB, w *elementtest.World, a, b *Endpoint) {
	t.Helper()
	offer := w.Call(a, "generateOffer", nil)
	answer := w.Call(b, "processOffer", map[string]any{"offer": offer})
	w.Call(a, "processAnswer", map[string]any{"answer": answer})
}

// Two endpoints of one server, both ways, plain and with every suite.
func TestPair(t *testing.T) {
	for name, params := range map[string]map[string]any{
		"plain":                   nil,
		"AES_128_CM_HMAC_SHA1_32": {"crypto": map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_32"}},
		"AES_128_CM_HMAC_SHA1_80": {"crypto": map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_80"}},
		"AES_256_CM_HMAC_SHA1_32": {"crypto": map[string]any{"crypto": "AES_256_CM_HMAC_SHA1_32"}},
		"AES_256_CM_HMAC_SHA1_80": {"crypto": map[string]any{"crypto": "AES_256_CM_HMAC_SHA1_80"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t)
			a, b := endpoint(w, params), endpoint(w, params)
			fromA, fromB, toA, toB := source(w, a), source(w, b), sink(w, a), sink(w, b)
			pair(t, w, a, b)
			for _, x := range []struct {
				from *elementtest.Source
				to   *elementtest.Sink
			}{{fromA, toB}, {fromB, toA}} {
				for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
					x.from.Send(kind, 40)
					for i, p := range got(t, x.to, kind, 40) {
						if p.Payload[0] != byte(i) {
							t.Fatalf("%s packet %d holds %v", kind, i, p.Payload)
						}
					}
				}
			}
			for _, e := range []*Endpoint{a, b} {
				if got := w.WaitEvents(e, "MediaStateChanged", 1); got[0].Data["newState"] != "CONNECTED" {
					t.Errorf("media state %v", got)
				}
				// A report each way is answered by one with a round trip.
				elementtest.Eventually(t, "reports go both ways", func() bool {
					n := 0
					for _, row := range e.stats(t.Context(), 0) {
						if o, ok := row.(elements.RTCOutboundRTPStreamStats); ok && o.RoundTripTime > 0 {
							n++
						}
					}
					return n == 2
				})
				if n := e.counters.forged.Load() + e.counters.malformed.Load() + e.counters.refused.Load(); n != 0 {
					t.Errorf("%d datagrams were not taken", n)
				}
			}
		})
	}
}

// What is not encrypted with the peer's key, or comes twice, is nobody's media.
func TestForged(t *testing.T) {
	w := world(t)
	params := map[string]any{"crypto": map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_80"}}
	a, b := endpoint(w, params), endpoint(w, params)
	from, to := source(w, a), sink(w, b)
	pair(t, w, a, b)
	from.Send(pipeline.Audio, 1)
	got(t, to, pipeline.Audio, 1)
	p := newPeer(t, "127.0.0.1") // the right address, no key
	l := b.usedLegs()[0]
	plain, _ := vp8(1, true).Marshal()
	p.raw(p.rtp, plain, addrPort(l.ports.rtpPort))
	report, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}})
	p.raw(p.rtcp, append(report, make([]byte, 20)...), addrPort(l.ports.rtcpPort))
	elementtest.Eventually(t, "the forged are counted", func() bool { return b.counters.forged.Load() == 2 })
	from.Send(pipeline.Audio, 1)
	if n := len(got(t, to, pipeline.Audio, 2)); n != 2 {
		t.Errorf("%d packets", n)
	}
}

// Near the end of a key the event comes, once; at its end nothing goes out.
func TestKeyLimit(t *testing.T) {
	w := world(t)
	params := map[string]any{"crypto": map[string]any{"crypto": "AES_256_CM_HMAC_SHA1_80"}}
	a, b := endpoint(w, params), endpoint(w, params)
	from, to := source(w, a), sink(w, b)
	pair(t, w, a, b)
	s := a.usedLegs()[0].security
	s.out.Lock()
	s.out.rtp.limit = softMargin + 3
	s.out.Unlock()
	from.Send(pipeline.Audio, 3)
	got(t, to, pipeline.Audio, 3)
	if events := w.Events(a, "OnKeySoftLimit"); len(events) != 0 {
		t.Errorf("told too early: %v", events)
	}
	from.Send(pipeline.Audio, 5)
	if got := w.WaitEvents(a, "OnKeySoftLimit", 1); got[0].Data["mediaType"] != "AUDIO" {
		t.Errorf("event %v", got)
	}
	got(t, to, pipeline.Audio, 8)
	s.out.Lock()
	s.out.rtp.used = s.out.rtp.limit
	s.out.Unlock()
	from.Send(pipeline.Audio, 5)
	for _, row := range a.stats(t.Context(), pipeline.Audio) {
		if o, ok := row.(elements.RTCOutboundRTPStreamStats); ok && o.PacketsSent != 8 {
			t.Errorf("%d packets sent, some with a key at its end", o.PacketsSent)
		}
	}
	if got := w.Events(a, "OnKeySoftLimit"); len(got) != 1 {
		t.Errorf("told %d times", len(got))
	}
}

func TestMKI(t *testing.T) {
	x, err := SDES{Crypto: ptr(CryptoSuite("AES_128_CM_HMAC_SHA1_80")), Key: ptr(strings.Repeat("k", 30))}.secret()
	if err != nil {
		t.Fatal(err)
	}
	inline := strings.TrimPrefix(x.line("1"), "a=crypto:1 "+x.sdp+" ")
	for params, want := range map[string]string{
		"": "[]", "|2^20": "[]", "|2^20|1:4": "[0 0 0 1]", "|258:2": "[1 2]",
	} {
		k, ok := x.match([]string{"1 " + x.sdp + " " + inline + params})
		if !ok || fmt.Sprint(k.mki) != want || string(k.master) != strings.Repeat("k", 30) {
			t.Errorf("%q gives %v, %v", params, k, ok)
		}
	}
	for _, params := range []string{"|2^20|1:0", "|2^20|1:129", "|2^20|300:1", "|a|b|c", ";inline:x", " KDR=1"} {
		if _, ok := x.match([]string{"1 " + x.sdp + " " + inline + params}); ok {
			t.Errorf("%q is taken", params)
		}
	}
	if text := fmt.Sprintf("%v %+v %s", x, x, x); strings.Contains(text, "kk") {
		t.Errorf("a key is printed: %s", text)
	}
}
