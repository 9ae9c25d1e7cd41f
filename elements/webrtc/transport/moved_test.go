package transport

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// nat stands between a browser and the media port, which sees its outside.
type nat struct {
	inside *net.UDPConn
	to     *net.UDPAddr
	drop   func(up bool, b []byte) bool // nil drops nothing; called by two goroutines

	mu      sync.Mutex
	outside *net.UDPConn
	client  atomic.Pointer[net.UDPAddr]
	wg      sync.WaitGroup
}

func newNAT(t testing.TB, port int, drop func(up bool, b []byte) bool) *nat {
	t.Helper()
	inside, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &nat{inside: inside, to: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, drop: drop}
	n.rebind(t)
	n.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, from, err := inside.ReadFromUDP(buf)
			if err != nil {
				return
			}
			n.client.Store(from)
			if n.drop == nil || !n.drop(true, buf[:size]) {
				n.mu.Lock()
				_, _ = n.outside.WriteToUDP(buf[:size], n.to)
				n.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		inside.Close()
		n.mu.Lock()
		n.outside.Close()
		n.mu.Unlock()
		n.wg.Wait()
	})
	return n
}

// rebind gives the browser another address outside; the old one is dead.
func (n *nat) rebind(t testing.TB) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	old := n.outside
	n.outside = conn
	n.mu.Unlock()
	if old != nil {
		old.Close()
	}
	n.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, _, err := conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			if to := n.client.Load(); to != nil && (n.drop == nil || !n.drop(false, buf[:size])) {
				_, _ = n.inside.WriteToUDP(buf[:size], to)
			}
		}
	})
}

// negotiateBehind is negotiate for a browser behind a NAT: neither end knows an
// address of the other but by it.
func (c *client) negotiateBehind(n *nat) {
	c.T.Helper()
	c.offer = c.Offer()
	answer, err := c.peer.Answer(withoutCandidates(c.offer))
	if err != nil {
		c.T.Fatal(err)
	}
	c.answer = answer
	c.SetAnswer(answer)
	n.introduce(c)
}

// answerBehind is the same with an offer of ours.
func (c *client) answerBehind(n *nat) {
	c.T.Helper()
	offer, err := c.peer.Offer(OfferOptions{Audio: true, Video: true})
	if err != nil {
		c.T.Fatal(err)
	}
	if err := c.peer.SetAnswer(withoutCandidates(c.Browser.Answer(offer))); err != nil {
		c.T.Fatal(err)
	}
	n.introduce(c)
}

// introduce tells the browser where the NAT is.
func (n *nat) introduce(c *client) {
	c.T.Helper()
	port := strconv.Itoa(n.inside.LocalAddr().(*net.UDPAddr).Port)
	c.AddCandidate("candidate:1 1 udp 2130706431 127.0.0.1 "+port+" typ host", "", 0)
}

func withoutCandidates(sdp string) string {
	var bare []string
	for line := range strings.SplitSeq(sdp, "\r\n") {
		if !strings.HasPrefix(line, "a=candidate") {
			bare = append(bare, line)
		}
	}
	return strings.Join(bare, "\r\n")
}

// TestMoved gives a publisher and a subscriber behind NATs other addresses: media
// goes on both ways, without a restart.
func TestMoved(t *testing.T) {
	e := newEngine(t, nil)
	pub, sub := newClient(t, e, webrtctest.Options{}), newClient(t, e, webrtctest.Options{})
	pub.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
	sub.Receive()
	var nats []*nat
	for _, c := range []*client{pub, sub} {
		n := newNAT(t, e.Port(), nil)
		nats = append(nats, n)
		c.negotiateBehind(n)
		c.connected()
	}
	link(t, graph(pub.peer), sub.peer, true)
	key := func() bool { return true }
	stream(t, "media", pub, key, func() bool { return len(sub.Packets(videoKind)) > 20 })
	for i, name := range []string{"publisher", "subscriber"} {
		nats[i].rebind(t)
		first, begun := pub.Frame(true), time.Now()
		stream(t, name+" is found again", pub, key, func() bool {
			got := sub.Packets(videoKind)
			return webrtctest.Number(got[len(got)-1].Payload) > first
		})
		t.Logf("%s: %v", name, time.Since(begun))
		for _, c := range []*client{pub, sub} {
			eventually(t, "connected", func() bool { return c.peer.Connected() })
			if states := read(c.heard, func(h *heard) []ICEState { return h.ice }); states[len(states)-1] != ICEConnected {
				t.Errorf("%s: ICE states %v", name, states)
			}
		}
	}
}

// gate counts what goes to a browser, and drops what comes from it while shut.
type gate struct {
	shut          atomic.Bool
	media, checks atomic.Int64
}

func (g *gate) drop(up bool, b []byte) bool {
	switch {
	case up:
		return g.shut.Load()
	case b[0] < 4:
		g.checks.Add(1)
	case b[0] >= 128:
		g.media.Add(1)
	}
	return false
}
