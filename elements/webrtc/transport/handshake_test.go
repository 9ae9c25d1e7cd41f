package transport

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// loseOne drops one datagram: the n-th of a sort in one direction.
type loseOne struct {
	mu   sync.Mutex
	stun bool // of STUN, else of DTLS
	up   bool // to us
	n    int
	seen int
	did  bool
}

func (l *loseOne) drop(up bool, b []byte) bool {
	if up != l.up || (b[0] < 4) != l.stun || b[0] > 63 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen++
	l.did = l.did || l.seen == l.n
	return l.seen == l.n
}

// TestLosesOne drops each of the first datagrams of ICE and of the DTLS handshake
// in turn, in both directions and both roles: every peer gets there all the same, and a
// join takes one retransmission more at most.
func TestLosesOne(t *testing.T) {
	const most = 12 // datagrams one way: three times those of a join without loss
	const least = 2 // optional datagrams that are lost of all cases
	e := newEngine(t, nil)
	var ran, optional atomic.Int32
	cases := 0
	t.Cleanup(func() {
		if int(ran.Load()) == cases && optional.Load() < least {
			t.Errorf("%d optional datagrams were lost, want %d at least", optional.Load(), least)
		}
	})
	for _, role := range []string{"we serve DTLS", "we are its client"} {
		for _, x := range []struct {
			stun, up  bool
			always, n int // datagrams that each join has, and those that are tried; the rest depends on how flights meet
		}{{false, true, 2, 4}, {false, false, 2, 4}, {true, true, 2, 6}, {true, false, 2, 6}} {
			for n := range x.n {
				cases++
				lose := &loseOne{stun: x.stun, up: x.up, n: n + 1}
				t.Run(fmt.Sprintf("%s/stun %v up %v/%d", role, x.stun, x.up, n+1), func(t *testing.T) {
					t.Parallel()
					defer ran.Add(1)
					c := newClient(t, e, webrtctest.Options{Setting: func(s *webrtc.SettingEngine) {
						if role == "we are its client" {
							_ = s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer)
						}
					}})
					c.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
					begun := time.Now()
					wall := newNAT(t, e.Port(), lose.drop)
					if role == "we are its client" {
						c.answerBehind(wall)
					} else {
						c.negotiateBehind(wall)
					}
					c.connected()
					took := time.Since(begun)
					lose.mu.Lock()
					defer lose.mu.Unlock()
					t.Logf("%v, lost %v", took, lose.did)
					switch {
					case n >= x.always && lose.did:
						optional.Add(1)
					case n < x.always && !lose.did:
						t.Errorf("there was no datagram %d to lose", lose.n)
					}
					if lose.seen > most && !lose.stun {
						t.Errorf("%d datagrams", lose.seen)
					}
				})
			}
		}
	}
}
