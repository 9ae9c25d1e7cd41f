package rtp

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/kerr"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// world has RtpEndpoints on loopback.
func world(t testing.TB) *elementtest.World {
	t.Helper()
	return elementtest.New(t, Types(Deps{ListenIPs: []netip.Addr{loopback}})...)
}

func endpoint(w *elementtest.World, params map[string]any) *Endpoint {
	w.T.Helper()
	return w.Create("RtpEndpoint", params).(*Endpoint)
}

// recorded is a description of a real server, from its recorded frames.
func recorded(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".sdp")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var changing = []struct {
	what *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`(?m)^o=- \d+ \d+ IN IP4 \S+`), "o=- ID ID IN IP4 ADDR"},
	{regexp.MustCompile(`(?m)^c=IN IP4 \S+`), "c=IN IP4 ADDR"},
	{regexp.MustCompile(`(?m)^m=(\w+) [1-9]\d* `), "m=$1 PORT "},
	{regexp.MustCompile(`(?m)^a=rtcp:\d+`), "a=rtcp:PORT"},
	{regexp.MustCompile(`(?m)^a=ssrc:\d+ cname:user\d+@host-[0-9a-f]+`), "a=ssrc:N cname:C"},
}

// normal takes out what differs from run to run.
func normal(sdp string) string {
	sdp = strings.ReplaceAll(sdp, "\r\n", "\n")
	for _, c := range changing {
		sdp = c.what.ReplaceAllString(sdp, c.to)
	}
	return sdp
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if !strings.HasSuffix(got, "\r\n") || strings.Count(got, "\n") != strings.Count(got, "\r\n") {
		t.Error("lines do not end in CRLF")
	}
	g, w := strings.Split(normal(got), "\n"), strings.Split(normal(want), "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("line %d: %q, want %q\n%s", i+1, a, b, got)
		}
	}
}

// The original's descriptions, line by line.
func TestLikeTheOriginal(t *testing.T) {
	w := world(t)
	a, b := endpoint(w, nil), endpoint(w, nil)
	offer := w.Call(a, "generateOffer", nil).(string)
	same(t, offer, recorded(t, "offer"))
	answer := w.Call(b, "processOffer", map[string]any{"offer": offer}).(string)
	same(t, answer, recorded(t, "answer"))
	if local := w.Call(a, "processAnswer", map[string]any{"answer": answer}); local != offer {
		t.Errorf("processAnswer gives %v, want the offer", local)
	}
	c := endpoint(w, map[string]any{"crypto": map[string]any{
		"crypto": "AES_128_CM_HMAC_SHA1_80", "key": "012345678901234567890123456789",
	}})
	same(t, w.Call(c, "generateOffer", nil).(string), recorded(t, "offer_srtp"))
	d := endpoint(w, nil)
	same(t, w.Call(d, "processOffer", map[string]any{"offer": recorded(t, "offer")}).(string), recorded(t, "answer"))
}

func TestOfferOptions(t *testing.T) {
	w := world(t)
	for _, c := range []struct {
		audio, video bool
		want         []string
		never        string
	}{
		{true, false, []string{"m=audio ", " RTP/AVPF 96 0 8 97\r\n", "b=AS:64\r\n"}, "m=video"},
		{false, true, []string{"m=video ", " RTP/AVPF 96 97 98 99 100\r\n", "a=rtpmap:100 H264/90000\r\n", "b=AS:512\r\n"}, "m=audio"},
	} {
		e := endpoint(w, nil)
		w.Call(e, "setMaxAudioRecvBandwidth", map[string]any{"maxAudioRecvBandwidth": 64})
		w.Call(e, "setMaxVideoRecvBandwidth", map[string]any{"maxVideoRecvBandwidth": 512})
		offer := w.Call(e, "generateOffer", map[string]any{"options": map[string]any{
			"offerToReceiveAudio": c.audio, "offerToReceiveVideo": c.video,
		}}).(string)
		for _, text := range c.want {
			if !strings.Contains(offer, text) {
				t.Errorf("offer lacks %q:\n%s", text, offer)
			}
		}
		if strings.Contains(offer, c.never) {
			t.Errorf("offer has %q", c.never)
		}
	}
}

func TestAnswers(t *testing.T) {
	head := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	crypto := func(suite, key string) map[string]any {
		return map[string]any{"crypto": map[string]any{"crypto": suite, "key": key}}
	}
	key := "012345678901234567890123456789"
	const peerKey = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNk"
	for name, c := range map[string]struct {
		params map[string]any
		offer  string
		want   []string // in this order
		never  []string
	}{
		"unknown codecs are skipped": {
			offer: head + "m=video 5000 RTP/AVP 34 97 98\r\na=rtpmap:34 H263/90000\r\na=rtpmap:97 MP4V-ES/90000\r\na=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=0\r\na=recvonly\r\n",
			want:  []string{"m=video PORT RTP/AVP 98\n", "a=sendonly\n", "a=rtcp:PORT\n", "a=rtpmap:98 H264/90000\n", "a=fmtp:98 packetization-mode=0\n", "a=ssrc:N cname:C\n"},
			never: []string{"H263", "MP4V", "a=setup", "a=extmap", "a=mid", "a=rtcp-fb"},
		},
		"static payload types need no rtpmap": {
			offer: head + "m=audio 5000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n",
			want:  []string{"m=audio PORT RTP/AVP 8 0\n", "a=recvonly\n"},
			never: []string{"rtpmap", "101"},
		},
		"the offerer's order, numbers and spelling": {
			offer: head + "m=audio 5000 RTP/AVPF 0 111\r\na=rtpmap:111 OPUS/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=mid:sound\r\n",
			want:  []string{"m=audio PORT RTP/AVPF 0 111\n", "a=sendrecv\n", "a=mid:sound\n", "a=rtpmap:111 OPUS/48000/2\n", "a=fmtp:111 useinbandfec=1\n"},
		},
		"a second section of a kind is refused": {
			offer: head + "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\nm=video 5002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=mid:two\r\nm=audio 5004 RTP/AVP 0\r\n",
			want:  []string{"m=video PORT RTP/AVP 96\n", "m=video 0 RTP/AVP 96\na=inactive\na=mid:two\n", "m=audio PORT RTP/AVP 0\n"},
		},
		"no common codec": {
			offer: head + "m=audio 5000 RTP/AVP 3 101\r\nm=video 5002 RTP/AVP 34\r\n",
			want:  []string{"m=audio 0 RTP/AVP 3 101\na=inactive\n", "m=video 0 RTP/AVP 34\na=inactive\n"},
			never: []string{"a=ssrc"},
		},
		"a session's direction counts for sections without": {
			offer: head + "a=recvonly\r\nm=audio 5000 RTP/AVP 0\r\nm=video 5002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=inactive\r\n",
			want:  []string{"m=audio PORT RTP/AVP 0\na=sendonly\n", "m=video PORT RTP/AVP 96\na=inactive\n"},
		},
		"feedback that is not ours is not agreed": {
			offer: head + "m=video 5000 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 ccm fir\r\na=rtcp-fb:* nack pli\r\na=rtcp-fb:96 ccm tmmbr\r\n",
			want:  []string{"a=rtcp-fb:96 ccm fir\na=rtcp-fb:* nack pli\n"},
			never: []string{"transport-cc", "tmmbr"},
		},
		"multiplexed when offered": {
			offer: head + "m=audio 5000 RTP/AVP 0\r\na=rtcp-mux\r\n",
			want:  []string{"a=rtcp-mux\n"},
		},
		"comedia": {
			offer: head + "m=audio 5000 RTP/AVP 0\r\na=direction:active\r\n",
			want:  []string{"a=direction:passive\n"},
		},
		"other profiles are refused": {
			offer: head + "m=audio 5000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + peerKey + "\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n",
			want:  []string{"m=audio 0 RTP/SAVP 0\n", "m=video 0 UDP/TLS/RTP/SAVPF 96\n"},
		},
		"the fitting crypto line is answered": {
			params: crypto("AES_128_CM_HMAC_SHA1_32", key),
			offer: head + "m=audio 5000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + peerKey +
				"\r\na=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:" + peerKey + "|2^31|1:1\r\n",
			want:  []string{"m=audio PORT RTP/SAVP 0\n", "a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5\n"},
			never: []string{"a=crypto:1"},
		},
		"plain is refused with crypto": {
			params: crypto("AES_128_CM_HMAC_SHA1_32", key),
			offer:  head + "m=audio 5000 RTP/AVP 0\r\n",
			want:   []string{"m=audio 0 RTP/AVP 0\n"},
			never:  []string{"a=crypto"},
		},
		"weakened or foreign crypto is refused": {
			params: crypto("AES_128_CM_HMAC_SHA1_80", key),
			offer: head + "m=audio 5000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + peerKey + " UNENCRYPTED_SRTP\r\n" +
				"m=video 5000 RTP/SAVP 96\r\na=rtpmap:96 VP8/90000\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=\r\n",
			want: []string{"m=audio 0 RTP/SAVP 0\n", "m=video 0 RTP/SAVP 96\n"},
		},
		"addresses nobody sends to": {
			offer: "v=0\r\nm=audio 5000 RTP/AVP 0\r\nc=IN IP4 camera.example\r\nm=video 5000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\nc=IN IP4 224.2.1.1/127\r\n",
			want:  []string{"m=audio 0 RTP/AVP 0\n", "m=video 0 RTP/AVP 96\n"},
		},
		"an address of the other family": {
			offer: "v=0\r\nc=IN IP6 ::1\r\nm=audio 5000 RTP/AVP 0\r\n",
			want:  []string{"m=audio 0 RTP/AVP 0\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t)
			e := endpoint(w, c.params)
			answer := normal(w.Call(e, "processOffer", map[string]any{"offer": c.offer}).(string))
			rest := answer
			for _, text := range c.want {
				_, after, ok := strings.Cut(rest, text)
				if !ok {
					t.Fatalf("answer lacks %q in its place:\n%s", text, answer)
				}
				rest = after
			}
			for _, text := range c.never {
				if strings.Contains(answer, text) {
					t.Errorf("answer has %q:\n%s", text, answer)
				}
			}
		})
	}
}

// A peer whose SDP asks for too much is refused before anything is made of it.
func TestLimits(t *testing.T) {
	many := func(n int, line string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, line+"\r\n", i)
		}
		return b.String()
	}
	const head = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 5000 RTP/AVP 0\r\n"
	var formats strings.Builder
	for i := range maxPayloads + 1 {
		fmt.Fprintf(&formats, " %d", i)
	}
	for name, sdp := range map[string]string{
		"bytes": head + strings.Repeat("a=x:"+strings.Repeat("y", 1000)+"\r\n", 140), "lines": head + many(maxSDPLines, "a=x:%d"),
		"sections": "v=0\r\n" + many(maxSections+1, "m=audio 5%03d RTP/AVP 0"), "payloads": "v=0\r\nm=audio 5000 RTP/AVP" + formats.String() + "\r\n",
		"extmaps": head + many(maxExtmaps+1, "a=extmap:%d urn:x"), "ssrcs": head + many(maxSSRCLines+1, "a=ssrc:%d cname:x"),
		"no version": "o=- 1 1 IN IP4 0.0.0.0\r\n", "no section": "v=0\r\ns=-\r\n", "no SDP": "garbage", "bad port": "v=0\r\nm=audio x RTP/AVP 0\r\n",
		"port too large": "v=0\r\nm=audio 65536 RTP/AVP 0\r\n", "short m-line": "v=0\r\nm=audio 1 RTP/AVP\r\n", "NUL": "v=0\r\ns=\x00\r\nm=audio 1 RTP/AVP 0\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t)
			e := endpoint(w, nil)
			_, err := w.Invoke(e, "processOffer", map[string]any{"offer": sdp})
			elementtest.Code(t, err, kerr.SDPParseError, "Invalid SDP")
			// Nothing is lost by it.
			w.Call(e, "processOffer", map[string]any{"offer": head})
		})
	}
}

func FuzzOffer(f *testing.F) {
	f.Add(recorded(f, "offer"))
	f.Add(recorded(f, "answer"))
	f.Add(recorded(f, "offer_srtp"))
	f.Add("v=0\r\nc=IN IP6 ::1\r\nm=audio 65535 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:|:|\r\na=rtcp:0 IN IP4\r\n")
	x, err := SDES{Crypto: ptr(CryptoSuite("AES_128_CM_HMAC_SHA1_80"))}.secret()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseSDP(text)
		if err != nil {
			return
		}
		for _, tm := range []terms{{}, {secret: x}, {ipv6: true}} {
			answer := identity{1, "c"}.head(loopback)
			for _, s := range d.sections {
				if r, ok := tm.read(d, s); ok {
					answer += identity{1, "c"}.answerSection(s, r, own{kind: r.kind, ports: ports{rtpPort: 2, rtcpPort: 3}}, tm.secret)
				} else {
					answer += refusedSection(s)
				}
			}
			// What we answer can be read, section by section.
			again, err := parseSDP(answer)
			if len(answer) <= maxSDPBytes && (err != nil || len(again.sections) != len(d.sections)) {
				t.Fatalf("answer cannot be read: %v\n%q", err, answer)
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }

var _ elements.RTPEndpoint = (*Endpoint)(nil)
