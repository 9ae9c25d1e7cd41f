package transport

import (
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// cut gives the section of a kind out of an offer of two.
func cut(t *testing.T, sdp, media string) (head, section string) {
	t.Helper()
	head, rest, _ := strings.Cut(sdp, "m=")
	for _, s := range strings.Split("\r\n"+rest, "\r\nm=") {
		s = strings.TrimPrefix(s, "\r\n")
		if strings.HasPrefix(s, media) {
			return head, "m=" + strings.TrimSuffix(s, "\r\n") + "\r\n"
		}
	}
	t.Fatalf("no %s in\n%s", media, sdp)
	return "", ""
}

// TestNoBundle answers an offer without a BUNDLE group: each section gets a
// transport of its own, and media flows on both.
func TestNoBundle(t *testing.T) {
	e := newEngine(t, nil)
	one := map[string]*webrtctest.Browser{}
	offers := map[string]string{}
	for _, media := range []string{"audio", "video"} {
		b := webrtctest.New(t, webrtctest.Options{})
		typ := audioKind
		if media == "video" {
			typ = videoKind
		}
		if _, err := b.PC.AddTransceiverFromKind(typ, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
		one[media], offers[media] = b, b.Offer()
	}
	head, audio := cut(t, offers["audio"], "audio")
	_, video := cut(t, offers["video"], "video")
	var lines []string
	for l := range strings.SplitSeq(head, "\r\n") {
		if !strings.HasPrefix(l, "a=group:") && !strings.HasPrefix(l, "a=fingerprint:") && l != "" {
			lines = append(lines, l)
		}
	}
	// The fingerprints differ, so each goes to its section.
	print := func(media string) string {
		for l := range strings.SplitSeq(offers[media], "\r\n") {
			if strings.HasPrefix(l, "a=fingerprint:") {
				return l + "\r\n"
			}
		}
		return ""
	}
	video = strings.Replace(video, "a=mid:0", "a=mid:1", 1)
	offer := strings.Join(lines, "\r\n") + "\r\n" + audio + print("audio") + video + print("video")

	c := &heard{}
	p, err := e.NewPeer(PeerConfig{Epoch: pipeline.New("x").Epoch(), Handler: c.handler()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	answer, err := p.Answer(offer)
	if err != nil {
		t.Fatalf("%v\n%s", err, offer)
	}
	if strings.Contains(answer, "BUNDLE") || strings.Count(answer, "a=ice-ufrag:") != 2 || p.Streams() != 2 {
		t.Fatalf("answer\n%s", answer)
	}
	head, audio = cut(t, answer, "audio")
	_, video = cut(t, answer, "video")
	video = strings.Replace(video, "a=mid:1", "a=mid:0", 1)
	group := "a=group:BUNDLE 0\r\n"
	one["audio"].SetAnswer(head + group + audio)
	one["video"].SetAnswer(head + group + video)
	if err := p.Gather(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "gathered", func() bool { return read(c, func(h *heard) bool { return h.done }) })
	for _, x := range read(c, func(h *heard) []Candidate { return h.candidates }) {
		media := []string{"audio", "video"}[x.SDPMLineIndex]
		one[media].AddCandidate(x.Candidate, "0", 0)
	}
	eventually(t, "both transports are up", p.Connected)
	if pairs := p.Pairs(); len(pairs) != 2 || pairs[0].Stream+pairs[1].Stream != 3 {
		t.Errorf("pairs %+v", pairs)
	}
	pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	link(t, graph(pub.peer), p, true)
	stream(t, "media on both", pub, func() bool { return true }, func() bool {
		return len(one["audio"].Packets(audioKind)) > 10 && len(one["video"].Packets(videoKind)) > 10
	})
}

// TestCandidatePerSection tells each candidate once for every bundled section.
func TestCandidatePerSection(t *testing.T) {
	e := newEngine(t, nil)
	c := newSubscriber(t, e, webrtctest.Options{})
	seen := map[string]string{}
	for _, x := range read(c.heard, func(h *heard) []Candidate { return h.candidates }) {
		seen[x.Candidate] += x.SDPMid
	}
	for text, mids := range seen {
		if mids != "01" {
			t.Errorf("%s for %q", text, mids)
		}
	}
	if len(seen) == 0 {
		t.Error("no candidates")
	}
}

// TestAdmission refuses negotiations while too many handshakes are under way.
func TestAdmission(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.Receive()
	offer := c.Offer()
	e.handshakes.Add(MaxHandshakes)
	if _, err := c.peer.Answer(offer); code(err) != int(kerr.NotEnoughResources) {
		t.Errorf("answer: %v", err)
	}
	if _, err := c.peer.Offer(OfferOptions{Audio: true}); code(err) != int(kerr.NotEnoughResources) {
		t.Errorf("offer: %v", err)
	}
	e.handshakes.Add(-MaxHandshakes)
	var err error
	if c.answer, err = c.peer.Answer(offer); err != nil {
		t.Fatal(err)
	}
	c.SetAnswer(c.answer)
	c.trickle(func(Candidate) bool { return true })
	c.connected()
	eventually(t, "no handshake is left in flight", func() bool { return e.handshakes.Load() == 0 })
}

// TestOfferLooks wants our offers with the original's names and protocol.
func TestOfferLooks(t *testing.T) {
	e := newEngine(t, nil)
	p, err := e.NewPeer(PeerConfig{DataChannels: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	offer, err := p.Offer(OfferOptions{Audio: true, Video: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a=group:BUNDLE audio0 video0 application0\r\n", "a=mid:audio0\r\n", "a=mid:video0\r\n", "a=mid:application0\r\n",
		" RTP/SAVPF ", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "a=sctp-port:5000\r\n", "a=max-message-size:65536\r\n",
	} {
		if !strings.Contains(offer, want) {
			t.Errorf("offer lacks %q\n%s", want, offer)
		}
	}
	q, err := e.NewPeer(PeerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if _, err := q.Offer(OfferOptions{}); code(err) != int(kerr.SDPGenerateOfferError) {
		t.Errorf("an offer of nothing: %v", err)
	}
}
