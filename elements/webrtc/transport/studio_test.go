package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/elements/webrtc/transport/ice"
	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
	"github.com/govidu/govidu/pipeline"
)

// bareEngine is an Engine without sockets and goroutines: what its shards send goes
// nowhere, and nothing happens in it unless a test makes it happen.
func bareEngine(log *slog.Logger, shards int) *Engine {
	e := &Engine{
		log: log, port: 9, addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, loopback: true, announced: map[netip.Addr]bool{},
		ufrags: map[string]*leg{}, tags: map[uint32]*leg{}, queries: map[uint32]*query{}, peers: map[*Peer]struct{}{},
		offers: map[string]*Peer{}, done: make(chan struct{}), stunRate: &perSource{limit: stunPerSecond},
	}
	for i := range shards {
		e.shards = append(e.shards, &shard{
			engine: e, index: i, inbox: make(chan letter, 2*batchSize), writer: udp.NewWriter(1), addrs: map[netip.AddrPort]*leg{},
		})
	}
	return e
}

// What the actors of a studio negotiate: everything, one video in several encodings,
// and little.
var (
	actorFull   = actorPlan(true, "")
	actorLayers = actorPlan(true, "a=rid:l send\r\na=rid:m send\r\na=rid:h send\r\na=simulcast:send l;m;h\r\n")
	actorPlain  = actorPlan(false, "")
)

// rtx is the payload type of retransmissions of another: the next one.
func rtx(pt string) string {
	n, _ := strconv.Atoi(pt)
	return strconv.Itoa(n + 1)
}

func actorPlan(full bool, more string) *plan {
	var b strings.Builder
	section := func(media, formats string) {
		fmt.Fprintf(&b, "m=%s 9 UDP/TLS/RTP/SAVPF %s\r\na=mid:%s\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=rtcp-mux\r\n", media, formats, media)
		b.WriteString("a=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("0F:", 32), ":") + "\r\na=extmap:2 " + extAbsSendTime + "\r\n")
		if full {
			for id, uri := range map[int]string{1: extAudioLevel, 3: extTransportCC, 4: extMid, 5: extCaptureTime, 6: extPlayout, 10: extRID, 11: extRepairedRID, 12: extDescriptor} {
				fmt.Fprintf(&b, "a=extmap:%d %s\r\n", id, uri)
			}
		}
	}
	b.WriteString("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE audio video\r\na=extmap-allow-mixed\r\n")
	section("audio", "111 63 0")
	b.WriteString("a=rtpmap:111 opus/48000/2\r\n")
	if full {
		b.WriteString("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=ssrc:1001 cname:x\r\n")
	}
	list := []string{"96 VP8", "102 H264", "98 VP9", "45 AV1"}
	if !full {
		list = list[:2]
	}
	formats := ""
	for _, x := range list {
		pt, _, _ := strings.Cut(x, " ")
		formats += " " + pt
		if full {
			formats += " " + rtx(pt)
		}
	}
	if full {
		formats += " 49"
	}
	section("video", formats[1:])
	if full {
		b.WriteString("a=rtpmap:49 flexfec-03/90000\r\na=fmtp:49 repair-window=10000000\r\n")
	}
	for _, x := range list {
		pt, name, _ := strings.Cut(x, " ")
		fmt.Fprintf(&b, "a=rtpmap:%s %s/90000\r\na=rtcp-fb:%s goog-remb\r\na=rtcp-fb:%s ccm fir\r\na=rtcp-fb:%s nack\r\na=rtcp-fb:%s nack pli\r\n", pt, name, pt, pt, pt, pt)
		if name == "H264" {
			fmt.Fprintf(&b, "a=fmtp:%s packetization-mode=1;profile-level-id=42e01f\r\n", pt)
		}
		if full {
			fmt.Fprintf(&b, "a=rtcp-fb:%s transport-cc\r\na=rtpmap:%s rtx/90000\r\na=fmtp:%s apt=%s\r\n", pt, rtx(pt), rtx(pt), pt)
		}
	}
	if full && more == "" {
		b.WriteString("a=ssrc-group:FID 2001 2002\r\na=ssrc:2001 cname:x\r\na=ssrc:2002 cname:x\r\n")
	}
	b.WriteString(more)
	d, err := parseSDP(b.String())
	if err != nil {
		panic(err)
	}
	plans := planOffer(d, false)
	if len(plans) != 1 || len(plans[0].use) != 2 {
		panic("not one transport of two sections")
	}
	if err := plans[0].read(true, false); err != nil {
		panic(err)
	}
	return plans[0]
}

// studio is a room of Peers whose connections are up. Its other ends are actors, who
// know the keys, and say and hear whatever a test wants. It lives in a bubble of
// synctest.
type studio struct {
	t      *testing.T
	e      *Engine
	turn   turn
	actors []*actor
	outs   []*pipeline.Output
}

// actor is the other end of a Peer.
type actor struct {
	*studio
	peer    *Peer
	leg     *leg
	plan    *plan
	from    netip.AddrPort
	profile srtp.Profile
	sealer  *srtp.Sealer
	opener  *srtp.Opener
	top     map[uint32]uint64 // index of the newest packet that was said, by SSRC
	streams [8]said
	twcc    uint16

	heard   map[uint64]uint64 // hash of what was heard under an SSRC and number
	packets int               // media heard
	bytes   int               // heard
	again   int               // bytes of it that were sent again, or filled
	keys    map[uint32]int    // requests for keyframes, by SSRC
	began   time.Time
}

// said is where an actor's stream is.
type said struct {
	seq uint16
	ts  uint32
}

var studioSeed = maphash.MakeSeed()

// studioLog has what is logged as an error, that is a caught panic, fail the test.
type studioLog struct{ t *testing.T }

func (l *studioLog) Write(b []byte) (int, error) {
	l.t.Errorf("%s", b)
	return len(b), nil
}

func newStudio(t *testing.T) *studio {
	log := slog.New(slog.NewTextHandler(&studioLog{t}, &slog.HandlerOptions{Level: slog.LevelError}))
	return &studio{t: t, e: bareEngine(log, 2)}
}

// enter makes a Peer on a shard, and its actor.
func (s *studio) enter(shard int, pl *plan, profile srtp.Profile) *actor {
	s.t.Helper()
	n := len(s.actors)
	p, err := s.e.NewPeer(PeerConfig{Epoch: time.Now()})
	if err != nil {
		s.t.Fatal(err)
	}
	a := &actor{
		studio: s, peer: p, plan: pl, profile: profile, from: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(1000+n)),
		top: map[uint32]uint64{}, heard: map[uint64]uint64{}, keys: map[uint32]int{}, began: time.Now(),
	}
	for i := range a.streams {
		a.streams[i] = said{uint16(65500 + i), uint32(i) << 28}
	}
	s.actors = append(s.actors, a)
	key, salt := bytes.Repeat([]byte{byte(n)}, profile.KeyLen()), make([]byte, profile.SaltLen())
	l := &leg{
		peer: p, n: 1, plan: pl, iceUp: true, retired: true, other: a, heardAt: time.Now(),
		agent: ice.New(ice.Config{Ufrag: "abcd", Pwd: "abcdefghijklmnopqrstuvwx"}),
	}
	must := func(err error) {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	l.sealer, err = srtp.NewSealer(profile, key, salt)
	must(err)
	a.opener, err = srtp.NewOpener(profile, key, salt, 1<<15)
	must(err)
	key[0] ^= 0x80
	a.sealer, err = srtp.NewSealer(profile, key, salt)
	must(err)
	l.opener, err = srtp.NewOpener(profile, key, salt, replayWindow)
	must(err)
	a.leg = l
	p.shard.Store(s.e.shards[shard])
	p.audioOut.ssrc, p.audioOut.rtxSSRC, p.videoOut.ssrc, p.videoOut.rtxSSRC = 11, 12, 21, 22
	p.videoOut.fecSSRC = 23
	p.under(func(t *turn) {
		for _, i := range pl.use {
			m := pl.media[i]
			l.kinds = append(l.kinds, m.kind)
			p.Sender(m.kind).bind(l, &m)
			p.Receiver(m.kind).bind(l, &m)
			if m.ext.twcc != 0 {
				l.record = &congestion.Recorder{}
			}
		}
		p.transports = append(p.transports, l)
		t.shard.addrs[a.from] = l
		l.refresh(t)
	})
	return a
}

// watch has actors see what another one says.
func (s *studio) watch(pub *actor, spliced bool, subs ...*actor) {
	outs := graph(pub.peer)
	for _, k := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		s.outs = append(s.outs, outs[k])
		for _, sub := range subs {
			var in pipeline.Input = sub.peer.Sender(k)
			if !spliced {
				in = pushed{sub.peer.Sender(k)}
			}
			if _, err := outs[k].Connect(in); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// deliver gives the Peer one datagram after the other, in one turn.
func (a *actor) deliver(list ...[]byte) {
	sh := a.peer.shard.Load()
	a.turn.begin(sh)
	for _, b := range list {
		a.take(sh, b)
	}
	a.turn.end()
	a.open()
}

func (a *actor) take(sh *shard, b []byte) {
	defer func() {
		if r := recover(); r != nil {
			a.t.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	if len(b) <= MaxDatagram {
		sh.datagram(&a.turn, b, a.from)
	}
}

// open serves the shards' inboxes.
func (s *studio) open() {
	for _, sh := range s.e.shards {
		for len(sh.inbox) > 0 {
			l := <-sh.inbox
			s.turn.begin(sh)
			sh.letter(&s.turn, &l)
			s.turn.end()
			sh.unread.Add(-1)
		}
	}
}

// wait lets time pass, with the ticker, which leaves out the ticks that nobody is due
// at.
func (s *studio) wait(d time.Duration) {
	for end := time.Now().Add(d); ; {
		next := end
		for _, a := range s.actors {
			if due := a.peer.start.Add(time.Duration(a.peer.due.Load())); due.Before(next) {
				next = due
			}
		}
		time.Sleep((max(time.Until(next), 1) + tickEvery - 1) / tickEvery * tickEvery)
		synctest.Wait()
		if !time.Now().Before(end) {
			return
		}
		for _, a := range s.actors {
			if p := a.peer; p.due.Load() <= int64(time.Since(p.start)) {
				p.turn(&s.turn)
			}
		}
		s.open()
	}
}

// rtp seals an RTP packet as the peer would; nil when it is none.
func (a *actor) rtp(b []byte) []byte {
	n := srtp.HeaderLen(b)
	if n == 0 {
		return nil
	}
	ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	index := uint64(seq)
	if _, known := a.leg.opener.ROC(ssrc); known {
		// As the other end guesses it (RFC 3711 §3.3.1).
		index = a.top[ssrc] + uint64(int64(int16(seq-uint16(a.top[ssrc]))))
		if index>>48 != 0 {
			return nil
		}
		a.top[ssrc] = max(a.top[ssrc], index)
	} else {
		a.top[ssrc] = index
	}
	out := make([]byte, len(b)+srtp.MaxOverhead)
	copy(out, b)
	return a.sealer.Seal(out, n, out[n:len(b)], ssrc, seq, uint32(index>>16))
}

// rtcp seals a compound as the peer would; nil when it is too short for one.
func (a *actor) rtcp(b []byte) []byte {
	out := make([]byte, len(b)+srtp.MaxOverheadRTCP)
	return a.sealer.SealRTCP(out, b)
}

// send implements base: the actor hears what its Peer sends.
func (a *actor) send(b []byte, _ netip.AddrPort) {
	a.bytes += len(b)
	if len(b) > udp.SlotSize {
		a.t.Errorf("%d bytes in a packet", len(b))
	}
	b = bytes.Clone(b)
	if b[1] >= 192 && b[1] <= 223 {
		a.hearControl(b)
		return
	}
	a.hearMedia(b)
}

func (a *actor) close() {}

func (a *actor) hearControl(b []byte) {
	plain, err := a.opener.OpenRTCP(b)
	if err != nil {
		a.t.Errorf("RTCP: %v", err)
		return
	}
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		a.t.Errorf("RTCP % x: %v", plain, err)
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.PictureLossIndication:
			a.keys[p.MediaSSRC]++
		case *rtcp.FullIntraRequest:
			a.keys[p.MediaSSRC]++
		}
	}
}

func (a *actor) hearMedia(b []byte) {
	n := srtp.HeaderLen(b)
	if n == 0 {
		a.t.Errorf("no RTP: % x", b)
		return
	}
	ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	v := a.peer.videoOut
	kind := pipeline.Video
	switch ssrc {
	case v.ssrc, v.rtxSSRC, v.fecSSRC:
	case a.peer.audioOut.ssrc:
		kind = pipeline.Audio
	default:
		a.t.Errorf("SSRC %d", ssrc)
		return
	}
	size := len(b)
	name := uint64(ssrc)<<16 | uint64(seq)
	same := b // of a packet that is sent again
	if a.profile == srtp.AES128CMHMACSHA180 {
		same = b[n : len(b)-10]
	}
	sum := maphash.Bytes(studioSeed, same)
	if old, ok := a.heard[name]; ok && old == sum {
		a.again += size
		return
	}
	a.heard[name] = sum
	payload, err := a.opener.Open(b, n)
	if err != nil {
		a.t.Errorf("SSRC %d number %d: %v", ssrc, seq, err)
		return
	}
	var h rtp.Header
	if _, err := h.Unmarshal(b); err != nil {
		a.t.Errorf("%v: % x", err, b[:n])
		return
	}
	if ssrc == v.fecSSRC {
		if _, ok := readFEC(payload); !ok || h.PayloadType != v.fecPT {
			a.t.Errorf("FlexFEC % x", payload)
		}
		a.again += size
		return
	}
	c, repair := a.codecOf(kind, h.PayloadType)
	switch {
	case c == nil || repair != (ssrc == v.rtxSSRC):
		a.t.Errorf("payload type %d of SSRC %d", h.PayloadType, ssrc)
		return
	case repair:
		a.again += size
		if !h.Padding && len(payload) < 2 {
			a.t.Errorf("%d bytes of a retransmission", len(payload))
			return
		}
		return
	case c.red != 0 && c.red == h.PayloadType:
		var room [redBlocks]redPart
		if splitRED(payload, &room) == nil {
			a.t.Errorf("RED % x", payload)
			return
		}
	}
	a.packets++
}

func (a *actor) codecOf(kind pipeline.Kind, pt uint8) (*rtpCodec, bool) {
	r := a.peer.Receiver(kind)
	return r.codecOf(pt)
}

// curtain ends the play and looks at what is left of it.
func (s *studio) curtain() {
	for _, o := range s.outs {
		o.Close()
	}
	synctest.Wait()
	for _, a := range s.actors {
		p := a.peer
		p.Stats(0)
		for _, k := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
			r := p.Receiver(k)
			r.Layers()
			r.AudioLevel()
			p.Sender(k).Layer()
			if len(r.formats) > len(r.codecs) {
				s.t.Errorf("%d formats of %d codecs", len(r.formats), len(r.codecs))
			}
			if n := len(p.Sender(k).resend.slots); n > maxResend {
				s.t.Errorf("%d packets kept", n)
			}
		}
		if n := len(a.leg.streams); n > maxStreams {
			s.t.Errorf("%d streams", n)
		}
		for ssrc, n := range a.keys {
			if most := int(time.Since(a.began)/keyPause) + 2; n > most {
				s.t.Errorf("%d keyframes asked of %d in %v", n, ssrc, time.Since(a.began))
			}
		}
		if p.broken.Load() {
			s.t.Error("a Peer broke")
		}
		if err := p.Close(); err != nil {
			s.t.Error(err)
		}
	}
	if c := s.e.Counters(); c.Panics != 0 || c.LateMail != 0 {
		s.t.Errorf("%+v", c)
	}
}
