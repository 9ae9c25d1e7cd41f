package rtp

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/kerr"
)

func TestContract(t *testing.T) {
	elementtest.Run(t, Types(Deps{ListenIPs: []netip.Addr{loopback}}), elementtest.Case{
		Type: "RtpEndpoint",
		Ancestors: []string{
			"BaseRtpEndpoint", "SdpEndpoint", "SessionEndpoint", "Endpoint", "MediaElement", "MediaObject",
		},
	})
}

func TestProperties(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	for name, want := range map[string]int{
		"maxAudioRecvBandwidth": 0, "maxVideoRecvBandwidth": 0, "minVideoRecvBandwidth": 100,
		"minVideoSendBandwidth": 100, "maxVideoSendBandwidth": 500, "mtu": 1200,
	} {
		op := strings.ToUpper(name[:1]) + name[1:]
		if got := fmt.Sprint(w.Call(e, "get"+op, nil)); got != fmt.Sprint(want) {
			t.Errorf("%s is %s, want %d", name, got, want)
		}
		w.Call(e, "set"+op, map[string]any{name: 1234})
		if got := fmt.Sprint(w.Call(e, "get"+op, nil)); got != "1234" {
			t.Errorf("%s is %v after 1234 was set", name, got)
		}
		if name == "mtu" {
			continue
		}
		_, err := w.Invoke(e, "set"+op, map[string]any{name: -1})
		elementtest.Code(t, err, kerr.MarshallError, name)
	}
	for _, op := range []string{"getMediaState", "getConnectionState"} {
		if got := w.Call(e, op, nil); got != "DISCONNECTED" {
			t.Errorf("%s gives %v", op, got)
		}
	}
}

func TestNegotiationErrors(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	fails := func(op string, params map[string]any, code kerr.Code, text string) {
		t.Helper()
		_, err := w.Invoke(e, op, params)
		elementtest.Code(t, err, code, text)
	}
	fails("getLocalSessionDescriptor", nil, kerr.SDPNoLocalSDP, "No local SDP")
	fails("getRemoteSessionDescriptor", nil, kerr.SDPNoRemoteSDP, "No remote SDP")
	fails("processAnswer", map[string]any{"answer": "v=0\r\n"}, kerr.SDPNotOfferGenerated, "Offer not generated. It is not possible to process an answer.")
	fails("processOffer", map[string]any{"offer": ""}, kerr.SDPParseError, "Empty offer not valid")
	fails("processOffer", map[string]any{"offer": "garbage"}, kerr.SDPParseError, "Invalid SDP")
	fails("requestKeyframe", nil, kerr.MediaObjectOperationNotSupported, "")
	offer := w.Call(e, "generateOffer", nil).(string)
	if got := w.Call(e, "getLocalSessionDescriptor", nil); got != offer {
		t.Errorf("local description is %v", got)
	}
	fails("generateOffer", nil, kerr.SDPAlreadyNegotiated, "Endpoint already negotiated")
	fails("processOffer", map[string]any{"offer": offer}, kerr.SDPAlreadyNegotiated, "Endpoint already negotiated")
	fails("processAnswer", map[string]any{"answer": ""}, kerr.SDPParseError, "Empty answer not valid")
	fails("processAnswer", map[string]any{"answer": "v=0\r\nm=audio 5000 RTP/AVPF 0\r\n"}, kerr.SDPProcessAnswerError, "1 sections for 2")
	fails("processAnswer", map[string]any{"answer": "v=0\r\nc=IN IP4 127.0.0.1\r\nm=video 5000 RTP/AVPF 96\r\nm=audio 5000 RTP/AVPF 0\r\n"}, kerr.SDPProcessAnswerError, "section 0 is video")
	fails("processAnswer", map[string]any{"answer": "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 5000 RTP/AVPF 3\r\nm=video 0 RTP/AVPF 96\r\n"}, kerr.SDPProcessAnswerError, "section 0 has no codec")
	fails("getRemoteSessionDescriptor", nil, kerr.SDPNoRemoteSDP, "No remote SDP")
	answer := "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 5000 RTP/AVPF 0\r\nm=video 0 RTP/AVPF 96\r\n"
	if got := w.Call(e, "processAnswer", map[string]any{"answer": answer}); got != offer {
		t.Errorf("processAnswer gives %v", got)
	}
	if got := w.Call(e, "getRemoteSessionDescriptor", nil); got != answer {
		t.Errorf("remote description is %v", got)
	}
	fails("processAnswer", map[string]any{"answer": answer}, kerr.SDPNotOfferGenerated, "Offer not generated")
	if got := w.WaitEvents(e, "MediaSessionStarted", 1); len(got) != 1 {
		t.Errorf("MediaSessionStarted %d times", len(got))
	}
	w.WaitEvents(e, "ConnectionStateChanged", 1)
	if n := len(e.usedLegs()); n != 1 {
		t.Errorf("%d sections kept, want the accepted one", n)
	}
}

func TestCryptoParameters(t *testing.T) {
	w := world(t)
	key30, key46 := strings.Repeat("k", 30), strings.Repeat("k", 46)
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct {
		crypto map[string]any
		fails  string // "" means the offer has the line
		line   string
	}{
		"short key":        {map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_80", "key": "short"}, "Master key size is wrong", ""},
		"long key":         {map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_32", "key": key46}, "Master key size is wrong", ""},
		"short for 256":    {map[string]any{"crypto": "AES_256_CM_HMAC_SHA1_80", "key": key30}, "Master key size is wrong", ""},
		"wrong base64":     {map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_80", "keyBase64": b64("short")}, "Master key size is wrong", ""},
		"no base64":        {map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_80", "keyBase64": "???"}, "not base64", ""},
		"key, no suite":    {map[string]any{"key": key30}, "suite is needed", ""},
		"128, 32 bits":     {map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_32", "key": key30}, "", "a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:" + b64(key30) + "\r\n"},
		"256, 32 bits":     {map[string]any{"crypto": "AES_256_CM_HMAC_SHA1_32", "key": key46}, "", "a=crypto:1 AES_256_CM_HMAC_SHA1_32 inline:" + b64(key46) + "\r\n"},
		"256, 80, base64":  {map[string]any{"crypto": "AES_256_CM_HMAC_SHA1_80", "keyBase64": b64(key46)}, "", "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:" + b64(key46) + "\r\n"},
		"a random key":     {map[string]any{"crypto": "AES_256_CM_HMAC_SHA1_80"}, "", "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:"},
		"empty is plain":   {map[string]any{}, "", "RTP/AVPF"},
		"unknown suite":    {map[string]any{"crypto": "ROT13"}, "Invalid value for 'CryptoSuite'", ""},
		"absent is a null": {nil, "", "RTP/AVPF"},
	} {
		t.Run(name, func(t *testing.T) {
			params := map[string]any{}
			if c.crypto != nil {
				params["crypto"] = c.crypto
			}
			o, err := w.TryCreate("RtpEndpoint", params)
			if c.fails != "" {
				code := kerr.MediaObjectIllegalParam
				if strings.HasPrefix(c.fails, "Invalid") {
					code = kerr.MarshallError
				}
				elementtest.Code(t, err, code, c.fails)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if offer := w.Call(o, "generateOffer", nil).(string); !strings.Contains(offer, c.line) {
				t.Errorf("offer lacks %q:\n%s", c.line, offer)
			}
		})
	}
}

// Ports come in pairs, even and odd, from the range; none left is an error
// that can be tried again.
func TestPorts(t *testing.T) {
	low := 0
	for n := range 50 { // some free stretch
		p, err := bindPorts(loopback, 20000+100*n, 20000+100*n+7)
		if err != nil {
			continue
		}
		p.close()
		low = 20000 + 100*n
		break
	}
	w := elementtest.New(t, Types(Deps{ListenIPs: []netip.Addr{loopback}, MinPort: low + 1, MaxPort: low + 6})...)
	first := endpoint(w, nil) // two pairs: low+2 and low+4
	w.Call(first, "generateOffer", nil)
	for _, l := range first.usedLegs() {
		p := l.ports
		if p.rtpPort%2 != 0 || p.rtcpPort != p.rtpPort+1 || p.rtpPort < low+1 || p.rtcpPort > low+6 {
			t.Errorf("ports %d and %d", p.rtpPort, p.rtcpPort)
		}
	}
	second := endpoint(w, nil)
	_, err := w.Invoke(second, "generateOffer", nil)
	elementtest.Code(t, err, kerr.SDPGenerateOfferError, "")
	_, err = w.Invoke(second, "processOffer", map[string]any{"offer": recorded(t, "offer")})
	elementtest.Code(t, err, kerr.SDPProcessOfferError, "")
	w.Release(first)
	w.Call(second, "generateOffer", nil)
	if _, err := bindPorts(loopback, 5, 5); err == nil {
		t.Error("a range without a pair is taken")
	}
}

func TestIPv6(t *testing.T) {
	c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	c.Close()
	w := elementtest.New(t, Types(Deps{})...)
	e := endpoint(w, map[string]any{"useIpv6": true})
	answer := w.Call(e, "processOffer", map[string]any{"offer": "v=0\r\nc=IN IP6 ::1\r\nm=audio 5000 RTP/AVP 0\r\n"}).(string)
	if !strings.Contains(answer, "\r\nc=IN IP6 ::1\r\n") || strings.Contains(answer, "m=audio 0 ") {
		t.Errorf("answer on IPv6 loopback:\n%s", answer)
	}
}

func TestAnnouncedAddress(t *testing.T) {
	w := elementtest.New(t, Types(Deps{
		ListenIPs:    []netip.Addr{netip.IPv6Loopback(), loopback},
		AnnouncedIPs: []netip.Addr{netip.MustParseAddr("203.0.113.9")},
	})...)
	offer := w.Call(endpoint(w, nil), "generateOffer", nil).(string)
	if !strings.Contains(offer, "c=IN IP4 203.0.113.9\r\n") {
		t.Errorf("offer does not tell the announced address:\n%s", offer)
	}
	only6 := elementtest.New(t, Types(Deps{ListenIPs: []netip.Addr{netip.IPv6Loopback()}})...)
	_, err := only6.Invoke(endpoint(only6, nil), "generateOffer", nil)
	elementtest.Code(t, err, kerr.SDPGenerateOfferError, "")
}
