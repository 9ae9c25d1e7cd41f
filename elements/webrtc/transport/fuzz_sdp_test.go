package transport

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// fuzzEngine is an Engine without sockets that negotiates; what it logs as an error
// goes to the test that runs.
func fuzzEngine(f *testing.F, to *studioLog) *Engine {
	e := bareEngine(slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelError})), 1)
	if err := e.loadCertificates(); err != nil {
		f.Fatal(err)
	}
	return e
}

// FuzzSDPOffer wants no panic, no answer that does not parse, and an answer with as
// many sections as the offer, whose media can flow.
func FuzzSDPOffer(f *testing.F) {
	for _, name := range []string{"chromium", "firefox", "kurento", "plain", "upper"} {
		text := seed(f, name)
		f.Add(text)
		f.Add(text[:len(text)*2/3])
	}
	f.Add("v=0\r\nm=audio 0 x 0\r\n")
	f.Add(actorLayers.remote.text(map[int][]string{1: {"candidate:1 1 udp 2130706431 127.0.0.1 1000 typ host"}}))
	log := &studioLog{}
	e := fuzzEngine(f, log)
	f.Fuzz(func(t *testing.T, offer string) {
		log.t = t
		p, err := e.NewPeer(PeerConfig{Epoch: time.Now(), DataChannels: len(offer)%2 == 0, Simulcast: len(offer)%3 > 0})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		answer, err := p.Answer(offer)
		if err != nil {
			if c := code(err); c != int(kerr.SDPParseError) && c != int(kerr.SDPProcessOfferError) {
				t.Fatalf("error %v", err)
			}
			return
		}
		d, err := parseSDP(answer)
		if err != nil {
			t.Fatalf("answer does not parse: %v\n%s", err, answer)
		}
		theirs, err := parseSDP(offer)
		if err != nil || len(theirs.sections) != len(d.sections) {
			t.Fatalf("%d sections for %d: %v", len(d.sections), len(theirs.sections), err)
		}
		for i, s := range d.sections {
			if s.media != theirs.sections[i].media || len(s.formats) == 0 {
				t.Fatalf("section %d: %+v", i, s)
			}
		}
		if _, err := p.Answer(offer); code(err) != int(kerr.SDPAlreadyNegotiated) {
			t.Fatalf("a second time: %v", err)
		}
		negotiated(t, p, offer)
		again, err := p.Answer(renamed(p, offer))
		if c := code(err); err != nil && c != int(kerr.SDPAlreadyNegotiated) {
			t.Fatalf("a restart: %v", err)
		}
		if d, bad := parseSDP(again); err == nil && (bad != nil || len(d.sections) != len(theirs.sections)) {
			t.Fatalf("answer to a restart: %v\n%s", bad, again)
		}
		sound(t, p)
	})
}

// goodAnswer takes an offer of ours of one kind each.
var goodAnswer = strings.NewReplacer("a=mid:audio\r\n", "a=mid:audio0\r\n", "a=mid:video\r\n", "a=mid:video0\r\n", "BUNDLE audio video", "BUNDLE audio0 video0", "actpass", "active").
	Replace(actorFull.remote.text(nil)) +
	"m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:application0\r\n"

// FuzzSDPAnswer has any text answer an offer of ours. What is taken has our sections,
// and its media can flow; what is not leaves the offer open for a good one.
func FuzzSDPAnswer(f *testing.F) {
	f.Add(goodAnswer)
	f.Add(strings.ReplaceAll(goodAnswer, "m=application 0", "m=application 9"))
	f.Add(strings.ReplaceAll(goodAnswer, "active", "passive"))
	f.Add(goodAnswer[:len(goodAnswer)*2/3])
	for _, name := range []string{"chromium", "firefox", "kurento"} {
		f.Add(seed(f, name))
	}
	f.Add("v=0\r\nm=audio 0 x 0\r\nm=video 0 x 0\r\nm=application 0 x 0\r\n")
	log := &studioLog{}
	e := fuzzEngine(f, log)
	f.Fuzz(func(t *testing.T, answer string) {
		log.t = t
		p, err := e.NewPeer(PeerConfig{Epoch: time.Now(), DataChannels: true})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := p.Offer(OfferOptions{Audio: true, Video: true}); err != nil {
			t.Fatal(err)
		}
		if err := p.SetAnswer(answer); err != nil {
			if c := code(err); c != int(kerr.SDPParseError) && c != int(kerr.SDPProcessAnswerError) || p.Negotiated() {
				t.Fatalf("error %v", err)
			}
			if answer = goodAnswer; p.SetAnswer(answer) != nil {
				t.Fatalf("a good answer after %v: %v", err, p.SetAnswer(answer))
			}
		}
		d, err := parseSDP(answer)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range d.sections {
			if want := []string{"audio", "video", "application"}; len(d.sections) != len(want) || s.media != want[i] {
				t.Fatalf("section %d is of %s", i, s.media)
			}
		}
		if err := p.SetAnswer(answer); code(err) != int(kerr.SDPNotOfferGenerated) {
			t.Fatalf("a second time: %v", err)
		}
		negotiated(t, p, answer)
	})
}

// negotiated wants what was negotiated to be of use: descriptions that parse,
// candidates that are taken, and media in every format that both ends know.
func negotiated(t *testing.T, p *Peer, remote string) {
	t.Helper()
	if err := p.Gather(); err != nil {
		t.Fatal(err)
	}
	local, ok := p.LocalDescription()
	if _, err := parseSDP(local); !ok || err != nil {
		t.Fatalf("%v: %s", err, local)
	}
	if text, ok := p.RemoteDescription(); !ok || text != remote {
		t.Fatal("it is not what the peer wrote")
	}
	if err := p.AddCandidate(Candidate{Candidate: "candidate:1 1 udp 1 127.0.0.1 5 typ host", SDPMid: "0"}); err != nil && code(err) != int(kerr.ICEAddCandidateError) {
		t.Fatal(err)
	}
	for _, l := range p.legs {
		a := &wellFormed{t: t, own: p}
		p.under(func(tn *turn) {
			l.sealer, l.iceUp, l.other, l.path, l.hasPair = fuzzSealer(t), true, a, nil, false
			l.refresh(tn)
		})
		for _, k := range l.kinds {
			s := p.Sender(k)
			if s == nil {
				continue
			}
			for _, f := range s.Accepts() {
				if f.Framing != pipeline.RTP {
					continue
				}
				for i := range uint16(3) {
					s.Push(&pipeline.Packet{Format: &f, Key: true, Payload: []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 9}, Header: rtp.Header{SSRC: 5, SequenceNumber: i, Timestamp: uint32(i)}})
				}
				if s.leg == l && a.n == 0 {
					t.Errorf("%s of %s is not sent", f.Codec, k)
				}
				a.n = 0
			}
		}
		hear(p, l)
	}
	sound(t, p)
	restart, err := p.RestartICE()
	if err != nil {
		if code(err) != int(kerr.SDPGenerateOfferError) {
			t.Fatal(err)
		}
		return
	}
	if _, err := parseSDP(restart); err != nil {
		t.Fatalf("%v\n%s", err, restart)
	}
	if err := p.SetAnswer(renamed(p, remote)); err != nil && code(err) != int(kerr.SDPProcessAnswerError) && code(err) != int(kerr.SDPParseError) {
		t.Fatal(err)
	}
	sound(t, p)
}

// renamed is the peer's description with other ICE credentials.
func renamed(p *Peer, text string) string {
	for _, l := range p.legs {
		if l.plan != nil && l.plan.ufrag != "" && l.plan.pwd != "" {
			text = strings.NewReplacer(l.plan.ufrag, "a"+l.plan.ufrag, l.plan.pwd, "a"+l.plan.pwd).Replace(text)
		}
	}
	return text
}

// sound has the ticker come, and wants the Peer to be whole after it.
func sound(t *testing.T, p *Peer) {
	t.Helper()
	p.turn(&turn{})
	if p.broken.Load() {
		t.Error("the Peer broke")
	}
}

func fuzzSealer(t *testing.T) *srtp.Sealer {
	s, err := srtp.NewSealer(srtp.AEADAES128GCM, make([]byte, 16), make([]byte, 12))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hear gives a leg a packet of every payload type.
func hear(p *Peer, l *leg) {
	sealer, err := srtp.NewSealer(srtp.AEADAES128GCM, make([]byte, 16), make([]byte, 12))
	if err != nil {
		panic(err)
	}
	p.under(func(t *turn) {
		if l.opener, err = srtp.NewOpener(srtp.AEADAES128GCM, make([]byte, 16), make([]byte, 12), replayWindow); err != nil {
			panic(err)
		}
		for pt := range byte(128) {
			b := make([]byte, 32+srtp.MaxOverhead)
			copy(b, []byte{0x80, pt, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1 + pt/8, 0x10, 0, 0, 1})
			b = sealer.Seal(b, 12, b[12:32], uint32(1+pt/8), uint16(pt), 0)
			l.media(t, b)
		}
	})
}

// wellFormed is a base that reads what is sent.
type wellFormed struct {
	t   *testing.T
	own *Peer
	n   int
}

func (a *wellFormed) send(b []byte, _ netip.AddrPort) {
	if len(b) > 1 && b[0]>>6 == 2 && (b[1] < 192 || b[1] > 223) {
		var h rtp.Header
		if _, err := h.Unmarshal(bytes.Clone(b)); err != nil {
			a.t.Errorf("%v: % x", err, b)
		}
		a.n++
	}
}
func (a *wellFormed) close() {}
