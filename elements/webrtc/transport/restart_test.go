package transport

import (
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/pipeline"
)

// restartOffer is the browser's offer with new ICE credentials.
func (c *client) restartOffer() string {
	c.T.Helper()
	gathered := webrtc.GatheringCompletePromise(c.PC)
	offer, err := c.PC.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		c.T.Fatal(err)
	}
	if err := c.PC.SetLocalDescription(offer); err != nil {
		c.T.Fatal(err)
	}
	<-gathered
	return c.PC.LocalDescription().SDP
}

// theyRestart has the browser restart ICE, weRestart has the Peer.
func theyRestart(c *client) {
	c.T.Helper()
	answer, err := c.peer.Answer(c.restartOffer())
	if err != nil {
		c.T.Fatal(err)
	}
	c.SetAnswer(answer)
}

func weRestart(c *client) {
	c.T.Helper()
	offer, err := c.peer.RestartICE()
	if err != nil {
		c.T.Fatal(err)
	}
	if err := c.peer.SetAnswer(c.Browser.Answer(offer)); err != nil {
		c.T.Fatal(err)
	}
}

// TestRestart restarts ICE of a publisher and of a subscriber, asked for by
// either end and twice, under media: the stream goes on as it was.
func TestRestart(t *testing.T) {
	for name, restart := range map[string]func(*client){"theirs": theyRestart, "ours": weRestart} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, nil)
			wire := newAsked()
			pub, sub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8), newSubscriber(t, e, wire.options(t))
			link(t, graph(pub.peer), sub.peer, true)
			n := 0
			first := func() bool { n++; return n == 1 }
			stream(t, "media", pub, first, func() bool { return len(sub.Packets(videoKind)) > 20 })
			for range 2 {
				for _, c := range []*client{sub, pub} {
					before := read(c.heard, func(h *heard) int { return len(h.ice) })
					plis := pub.PLIs()
					restart(c)
					stream(t, "connected anew", pub, never, func() bool {
						return read(c.heard, func(h *heard) bool {
							return slices.Equal(h.ice[before:], []ICEState{ICEChecking, ICEConnected})
						})
					})
					at := len(sub.Packets(videoKind))
					stream(t, "media goes on", pub, never, func() bool { return len(sub.Packets(videoKind)) > at+20 })
					if pub.PLIs() != plis {
						t.Error("a keyframe was asked for")
					}
				}
			}
			for _, c := range []*client{pub, sub} {
				if up := read(c.heard, func(h *heard) []bool { return h.up }); len(up) != 1 {
					t.Errorf("connected: %v", up)
				}
				if states := read(c.heard, func(h *heard) []DTLSState { return h.dtls }); !slices.Equal(states, []DTLSState{DTLSConnecting, DTLSConnected}) {
					t.Errorf("DTLS: %v", states)
				}
				e.demux.RLock()
				if names := c.peer.legs[0].names; len(names) != 1 || e.ufrags[names[0]] == nil || len(e.ufrags) != 2 {
					t.Errorf("found as %v among %d", names, len(e.ufrags))
				}
				e.demux.RUnlock()
			}
			defer wire.judge(t)
			stream(t, "what was lost on the way is sent again", pub, never, func() bool { return wire.whole(sub.peer) })
			packets := sub.Packets(videoKind)
			for i, p := range packets[1:] {
				if p.SSRC != packets[0].SSRC {
					t.Fatalf("SSRC %d after %d", p.SSRC, packets[0].SSRC)
				}
				if d := int16(p.SequenceNumber - packets[i].SequenceNumber); d > 1000 || d < -1000 {
					t.Fatalf("sequence number %d after %d", p.SequenceNumber, packets[i].SequenceNumber)
				}
			}
		})
	}
}

// TestRestartOffered wants the way in use untouched by an offer of ours that is
// never answered, and by one that the peer's own overtakes.
func TestRestartOffered(t *testing.T) {
	e := newEngine(t, nil)
	c := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	var offers []string
	for range 3 {
		offer, err := c.peer.RestartICE()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(offer, "a=setup:actpass") || strings.Contains(offer, "a=setup:passive") || slices.Contains(offers, offer) {
			t.Errorf("offer\n%s", offer)
		}
		offers = append(offers, offer)
	}
	before, _ := c.peer.LocalDescription()
	if !strings.HasPrefix(before, c.answer[:strings.Index(c.answer, "a=")]) {
		t.Errorf("the description changed before an answer:\n%s", before)
	}
	theyRestart(c)
	if err := c.peer.SetAnswer(c.answer); code(err) != 40209 {
		t.Errorf("an answer to the overtaken offer: %v", err)
	}
	outs := graph(c.peer)
	stream(t, "media", c, func() bool { return true }, func() bool {
		n, _ := outs[pipeline.Video].Counters()
		return n > 10 && read(c.heard, func(h *heard) bool { return h.ice[len(h.ice)-1] == ICEConnected && len(h.ice) == 4 })
	})
	// An answer without new credentials is none; the right one is still taken.
	offer, err := c.peer.RestartICE()
	if err != nil {
		t.Fatal(err)
	}
	stale, _ := c.peer.RemoteDescription()
	if err := c.peer.SetAnswer(stale); code(err) != 40206 {
		t.Errorf("a stale answer: %v", err)
	}
	if err := c.peer.SetAnswer("v=0\r\n"); code(err) != 40201 {
		t.Errorf("no answer: %v", err)
	}
	if err := c.peer.SetAnswer(c.Browser.Answer(offer)); err != nil {
		t.Fatal(err)
	}
	stream(t, "connected anew", c, never, func() bool { return read(c.heard, func(h *heard) bool { return len(h.ice) == 6 }) })
}

// TestNoRestart offers a negotiated Peer what is no restart: it is refused as
// before, and nothing changes.
func TestNoRestart(t *testing.T) {
	e := newEngine(t, nil)
	c := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	fresh := func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, "a=ice-ufrag:", "a=ice-ufrag:x"), "a=ice-pwd:", "a=ice-pwd:x")
	}
	replace := func(old, by string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("no %q in the offer", old)
			}
			return strings.ReplaceAll(fresh(s), old, by)
		}
	}
	for name, edit := range map[string]func(string) string{
		"the same":          func(s string) string { return s },
		"nothing":           func(string) string { return "" },
		"user name alone":   func(s string) string { return strings.ReplaceAll(s, "a=ice-ufrag:", "a=ice-ufrag:x") },
		"short password":    func(s string) string { return strings.ReplaceAll(s, "a=ice-pwd:", "a=ice-pwd:x\r\na=x:") },
		"other fingerprint": func(s string) string { return otherPrint(fresh(s)) },
		"other section": func(s string) string {
			s = fresh(s)
			return s + s[strings.Index(s, "m=audio"):strings.Index(s, "m=video")]
		},
		"fewer sections":    func(s string) string { s = fresh(s); return s[:strings.Index(s, "m=video")] },
		"other mid":         replace("a=mid:1", "a=mid:7"),
		"other kind":        replace("m=video", "m=application"),
		"other direction":   replace("a=sendonly", "a=recvonly"),
		"without its codec": replace("a=rtpmap:96 ", "a=rtpmap:96 x"),
		"other roles":       replace("a=setup:actpass", "a=setup:passive"),
	} {
		if _, err := c.peer.Answer(edit(c.offer)); code(err) != 40208 {
			t.Errorf("%s: %v", name, err)
		}
	}
	outs := graph(c.peer)
	stream(t, "media", c, func() bool { return true }, func() bool { n, _ := outs[pipeline.Video].Counters(); return n > 10 })
	if states := read(c.heard, func(h *heard) []ICEState { return h.ice }); len(states) != 2 {
		t.Errorf("ICE states %v", states)
	}
	p, err := e.NewPeer(PeerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.RestartICE(); code(err) == 0 {
		t.Error("a restart before the first negotiation")
	}
}

// otherPrint turns the first digit of the fingerprints.
func otherPrint(s string) string {
	at := "a=fingerprint:sha-256 "
	i := strings.Index(s, at) + len(at)
	print, _, _ := strings.Cut(s[i:], "\r\n")
	other := "F" + print[1:]
	if print[0] == 'F' {
		other = "0" + print[1:]
	}
	return strings.ReplaceAll(s, print, other)
}
