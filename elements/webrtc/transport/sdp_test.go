package transport

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

func seed(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// answerTo runs an offer through a fresh Peer.
func answerTo(t testing.TB, e *Engine, cfg PeerConfig, offer string) (string, *description) {
	t.Helper()
	cfg.Epoch = time.Now()
	p, err := e.NewPeer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	answer, err := p.Answer(offer)
	if err != nil {
		t.Fatalf("%v\n%s", err, offer)
	}
	d, err := parseSDP(answer)
	if err != nil {
		t.Fatalf("our own answer does not parse: %v\n%s", err, answer)
	}
	return answer, d
}

func dir(d *description, i int) string { return d.direction(d.sections[i]) }

func TestAnswerChromium(t *testing.T) {
	e := newEngine(t, nil)
	answer, d := answerTo(t, e, PeerConfig{}, seed(t, "chromium"))
	if len(d.sections) != 2 || dir(d, 0) != sendrecv || dir(d, 1) != sendrecv {
		t.Fatalf("answer\n%s", answer)
	}
	if got := strings.Join(d.sections[0].formats, " "); got != "111 63 0 8" {
		t.Errorf("audio payload types %s", got)
	}
	if got := strings.Join(d.sections[1].formats, " "); got != "96 97 98 99 102 103" {
		t.Errorf("video payload types %s", got)
	}
	if !slices.Equal(d.bundles()[0], []string{"0", "1"}) {
		t.Errorf("bundle %v", d.bundles()[0])
	}
	for _, want := range []string{
		"a=setup:passive", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1",
		"a=rtcp-fb:96 goog-remb", "a=rtcp-fb:96 ccm fir", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 transport-cc",
		"a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
		"a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", "a=fmtp:97 apt=96",
	} {
		if !strings.Contains(answer, want+"\r\n") {
			t.Errorf("answer lacks %q", want)
		}
	}
	for _, never := range []string{"telephone-event", "ulpfec", "G722", "candidate", "b="} {
		if strings.Contains(answer, never) {
			t.Errorf("answer has %q", never)
		}
	}
}

// TestAnswerFirefox has more sections than we serve.
func TestAnswerFirefox(t *testing.T) {
	e := newEngine(t, nil)
	for _, data := range []bool{false, true} {
		answer, d := answerTo(t, e, PeerConfig{DataChannels: data}, seed(t, "firefox"))
		if len(d.sections) != 4 || dir(d, 0) != recvonly || dir(d, 1) != recvonly {
			t.Fatalf("answer\n%s", answer)
		}
		group := []string{"0", "1"}
		if data {
			group = append(group, "3")
		}
		if d.sections[2].port != 0 || dir(d, 2) != inactive || (d.sections[3].port != 0) != data || !slices.Equal(d.bundles()[0], group) {
			t.Errorf("data %v: answer\n%s", data, answer)
		}
		if got := strings.Join(d.sections[1].formats, " "); got != "120 124 121 125 126 127" {
			t.Errorf("video payload types %s", got)
		}
		if data && !strings.Contains(answer, "a=sctp-port:5000") {
			t.Errorf("no SCTP port:\n%s", answer)
		}
	}
}

// TestAnswerPlain is an offer without ICE or DTLS: refused, but answered.
func TestAnswerPlain(t *testing.T) {
	e := newEngine(t, nil)
	p, err := e.NewPeer(PeerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	answer, err := p.Answer(seed(t, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseSDP(answer)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range d.sections {
		if s.port != 0 || s.proto != "RTP/AVP" || dir(d, i) != inactive {
			t.Errorf("answer\n%s", answer)
		}
	}
	if _, err := p.Answer(answer); code(err) != int(kerr.SDPAlreadyNegotiated) {
		t.Errorf("second offer: %v", err)
	}
	if err := p.Gather(); err != nil {
		t.Error(err)
	}
}

// TestAnswerMirrors keeps spelling, mids and protocol, and takes the DTLS role
// that is left.
func TestAnswerMirrors(t *testing.T) {
	e := newEngine(t, nil)
	answer, d := answerTo(t, e, PeerConfig{}, seed(t, "upper"))
	for _, want := range []string{"a=rtpmap:100 OPUS/48000/2", "a=rtpmap:101 vp8/90000", "a=mid:a", "a=mid:v", "a=setup:active"} {
		if !strings.Contains(answer, want+"\r\n") {
			t.Errorf("answer lacks %q\n%s", want, answer)
		}
	}
	if dir(d, 0) != sendonly || dir(d, 1) != sendonly || !slices.Equal(d.sections[1].formats, []string{"101"}) {
		t.Errorf("answer\n%s", answer)
	}
	answer, d = answerTo(t, e, PeerConfig{}, seed(t, "kurento"))
	if d.sections[0].proto != "RTP/SAVPF" || d.sections[0].port == 0 || d.sections[1].port == 0 {
		t.Errorf("answer\n%s", answer)
	}
}

func TestSDPLimits(t *testing.T) {
	offer := seed(t, "chromium")
	head, video, _ := strings.Cut(offer, "m=video")
	video = "m=video" + video
	for name, text := range map[string]string{
		"empty":         "",
		"garbage":       "garbage",
		"no section":    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
		"no version":    offer[5:],
		"bad line":      offer + "hello\r\n",
		"bad media":     strings.Replace(offer, "m=video 9", "m=video x", 1),
		"big":           offer + "a=x:" + strings.Repeat("y", MaxSDPBytes) + "\r\n",
		"many lines":    offer + strings.Repeat("a=x\r\n", MaxSDPLines),
		"many sections": head + strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", MaxSections+1),
		"many types":    strings.Replace(offer, " 111 63", strings.Repeat(" 111", MaxPayloads+1), 1),
		"many extmaps":  offer + strings.Repeat("a=extmap:1 urn:x\r\n", maxExtmaps+1),
		"many candidates": head + video +
			strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", MaxCandidates+1),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, nil)
			p, err := e.NewPeer(PeerConfig{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if _, err := p.Answer(text); code(err) != int(kerr.SDPParseError) || err.Error() != "Invalid SDP" {
				t.Errorf("error %v", err)
			}
			if _, ok := p.LocalDescription(); ok {
				t.Error("a refused offer left a description")
			}
			if _, err := p.Answer(offer); err != nil {
				t.Errorf("the next offer: %v", err)
			}
		})
	}
}

// TestLibraryRefuses gives the library something that our own check lets pass;
// the Peer must be as good as new after it.
func TestLibraryRefuses(t *testing.T) {
	e := newEngine(t, nil)
	p, err := e.NewPeer(PeerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	offer := seed(t, "chromium")
	bad := strings.ReplaceAll(offer, "a=fingerprint:sha-256 0F:1E", "a=fingerprint:0F1E")
	_, err = p.Answer(bad)
	if code(err) != int(kerr.SDPProcessOfferError) {
		t.Errorf("error %v", err)
	}
	if _, err := p.Answer(offer); err != nil {
		t.Errorf("the next offer: %v", err)
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x10, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if demuxable(b) && isPlainBinding(b) {
			if n := len(appendBindingSuccess(nil, b, mustAddr)); n != 32 {
				t.Fatal(n)
			}
		}
		parseAndRead(b)
	})
}
