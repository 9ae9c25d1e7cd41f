package transport

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
)

// What a play of a fuzzed script can do; see scene.act.
const (
	sayMedia    = iota // the next packet of a stream
	sayRTP             // any packet at all, authenticated
	sayRTCP            // any compound, authenticated
	sayFeedback        // a compound about what was heard
	sayRepair          // a retransmission
	sayAnything        // not authenticated
	letTimePass
	wishLayer
)

// scene is a publisher of one video and one of several encodings, with subscribers
// of several kinds, on two shards. All of them may send anything.
type scene struct {
	*studio
	script []byte
	held   []*actor // whose packets wait to be delivered in one turn
	batch  [][]byte
	left   time.Duration // that may still be let pass
}

func newScene(t *testing.T) *scene {
	s := newStudio(t)
	one, many := s.enter(0, actorFull, srtp.AEADAES128GCM), s.enter(1, actorLayers, srtp.AES128CMHMACSHA180)
	full, plain := s.enter(0, actorFull, srtp.AEADAES128GCM), s.enter(1, actorPlain, srtp.AES128CMHMACSHA180)
	layered, plain2 := s.enter(0, actorFull, srtp.AEADAES256GCM), s.enter(1, actorPlain, srtp.AEADAES128GCM)
	fed := s.enter(1, actorFull, srtp.AES128CMHMACSHA180)
	s.watch(one, true, full, plain)
	s.watch(many, true, layered, plain2)
	s.watch(many, false, fed)
	for _, a := range []*actor{full, layered} { // as if sound was lost on the way
		a.peer.audioOut.red = &redundancy{deep: redMost}
		a.peer.videoOut.playout = &playout{}
		a.leg.weather = weather{lossy: true, loss: 0.1, rtt: 2 * fecFar, at: time.Now()}
		a.peer.videoOut.fec = &fecOut{of: fecFewest}
	}
	return &scene{studio: s, left: maxTime}
}

// byte takes the next one of the script; 0 at its end.
func (s *scene) byte() byte {
	if len(s.script) == 0 {
		return 0
	}
	b := s.script[0]
	s.script = s.script[1:]
	return b
}

// bytes takes some that the script tells the number of: up to 127, or from 128 on
// that many times ten.
func (s *scene) bytes() []byte {
	n := int(s.byte())
	if n >= 128 {
		n = (n - 128) * 10
	}
	n = min(n, len(s.script))
	b := s.script[:n:n]
	s.script = s.script[n:]
	return b
}

// Bounds of a script.
const (
	maxActs = 400
	maxTime = 15 * time.Second
)

// play does what the script says.
func (s *scene) play(script []byte) {
	s.script = script
	for range maxActs {
		if len(s.script) == 0 {
			break
		}
		s.act()
	}
	s.flush()
	s.wait(time.Second)
	s.curtain()
}

func (s *scene) act() {
	op := s.byte()
	a := s.actors[int(op>>3&15)%len(s.actors)]
	more := op&0x80 != 0 // in one turn with the next
	switch op & 7 {
	case sayMedia:
		s.say(a, a.media(s), more)
	case sayRTP:
		s.say(a, a.rtp(s.bytes()), more)
	case sayRTCP:
		s.say(a, a.rtcp(s.bytes()), more)
	case sayFeedback:
		s.say(a, a.rtcp(a.about(s.bytes())), more)
	case sayRepair:
		s.say(a, a.repair(s), more)
	case sayAnything:
		s.say(a, s.bytes(), more)
	case letTimePass:
		s.flush()
		d := min(time.Duration(s.byte())*8*time.Millisecond, s.left)
		s.left -= d
		s.wait(d)
	case wishLayer:
		s.flush()
		x := s.byte()
		a.peer.videoOut.SetLayerWish(int(x&3)-1, int(x>>2&3)-1, int(x>>4&3)*160, int(x>>6)*90)
	}
}

// say has an actor's datagram delivered, after those that are held for the same.
func (s *scene) say(a *actor, b []byte, more bool) {
	if b == nil {
		return
	}
	if len(s.held) > 0 && s.held[0] != a || len(s.batch) >= batchSize {
		s.flush()
	}
	s.held, s.batch = append(s.held, a), append(s.batch, b)
	if !more {
		s.flush()
	}
}

func (s *scene) flush() {
	if len(s.batch) == 0 {
		return
	}
	a := s.held[0]
	before := make([]int, len(s.actors))
	for i, x := range s.actors {
		before[i] = x.bytes
	}
	a.deliver(s.batch...)
	s.modest(a, before)
	s.held, s.batch = s.held[:0], s.batch[:0]
}

// modest wants nobody to get more for a few datagrams than they may cause.
func (s *scene) modest(a *actor, before []int) {
	size := 0
	for _, b := range s.batch {
		size += len(b) + 200
	}
	for i, x := range s.actors {
		most := 3*size + 400*len(s.batch) + 2000 // passed on, and asked for
		if x == a {
			most += 512_000 // sent again: what has been saved up
		}
		if n := x.bytes - before[i]; n > most {
			s.t.Errorf("%d bytes to %d for %d of %d datagrams", n, i, size, len(s.batch))
		}
	}
}

// payloadTypes of media by the number that scripts give them.
var payloadTypes = [8]byte{111, 63, 96, 98, 102, 45, 0, 127}

// media is the next packet of one of the actor's streams.
func (a *actor) media(s *scene) []byte {
	f := s.byte()
	what, enc := f&7, f>>3&3
	pt := payloadTypes[what]
	x := &a.streams[enc]
	ssrc := uint32(2001) + 10*uint32(enc)
	if what < 2 || what == 6 {
		x, ssrc = &a.streams[4], 1001
	}
	skip := uint16(1)
	var descriptor []byte
	if f&0x80 != 0 {
		g := s.byte()
		skip += uint16(g & 15)
		if g&0x10 != 0 {
			skip = -skip
		}
		if g&0x20 != 0 {
			skip <<= 9
		}
		if g&0x40 != 0 {
			ssrc++
			ssrc += uint32(skip)
		}
		if g&0x80 != 0 {
			descriptor = s.bytes()
		}
	}
	x.seq += skip
	if f&0x40 != 0 {
		x.ts += 3000
	}
	payload := s.bytes()
	b := make([]byte, 16, 40+len(payload)+len(descriptor))
	b[0], b[1] = 0x90, pt|f<<2&0x80
	binary.BigEndian.PutUint16(b[2:], x.seq)
	binary.BigEndian.PutUint32(b[4:], x.ts)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	b[12] = 0x10
	a.twcc++
	b = append(b, 3, 2, byte(a.twcc>>8), byte(a.twcc))
	if a.plan == actorLayers && enc < 3 && what >= 2 {
		b = append(b, 10, 1, "lmh"[enc])
	}
	if len(descriptor) > 0 && len(descriptor) < 256 {
		b = append(append(b, 12, byte(len(descriptor))), descriptor...)
	}
	if what < 2 {
		b = append(b, 1, 1, byte(x.seq))
	}
	if f&0x40 != 0 && len(payload) >= 16 { // when it was captured
		b = append(append(b, 5, 16), payload[:16]...)
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-16)/4)
	return a.rtp(append(b, payload...))
}

// repair is a retransmission of a packet of the actor's.
func (a *actor) repair(s *scene) []byte {
	f, back := s.byte(), s.byte()
	enc := f >> 3 & 3
	if f&7 == 7 {
		return a.parity(s, enc, back, f&0x80 != 0)
	}
	x := &a.streams[5]
	x.seq++
	b := make([]byte, 12, 200)
	b[0], b[1] = 0x80, payloadTypes[f&7]+1
	if a.plan == actorLayers && enc < 3 {
		b[0] = 0x90
		b = append(b, 0x10, 0, 0, 1, 11, 1, "lmh"[enc], 0)
	}
	binary.BigEndian.PutUint16(b[2:], x.seq)
	binary.BigEndian.PutUint32(b[4:], a.streams[enc].ts)
	binary.BigEndian.PutUint32(b[8:], 2002+10*uint32(enc))
	b = binary.BigEndian.AppendUint16(b, a.streams[enc].seq-uint16(back))
	return a.rtp(append(b, s.bytes()...))
}

// parity is a repair packet of FlexFEC: for the one packet that the script gives the
// bytes of, or with any header.
func (a *actor) parity(s *scene, enc, back byte, wild bool) []byte {
	x := &a.streams[6]
	x.seq++
	b := make([]byte, 12, 200)
	b[0], b[1] = 0x80, 49
	binary.BigEndian.PutUint16(b[2:], x.seq)
	binary.BigEndian.PutUint32(b[8:], 2003)
	head := make([]byte, fecLeast)
	if wild {
		copy(head, s.bytes())
	} else {
		f := s.byte()
		head[0], head[1] = f>>4&0x3f, payloadTypes[f&7]|f&0x80
		head[8], head[18] = 1, 0xc0
	}
	rest := s.bytes()
	if !wild {
		binary.BigEndian.PutUint16(head[2:], uint16(len(rest)))
	}
	binary.BigEndian.PutUint32(head[4:], a.streams[enc].ts)
	binary.BigEndian.PutUint32(head[12:], 2001+10*uint32(enc))
	binary.BigEndian.PutUint16(head[16:], a.streams[enc].seq-uint16(back))
	return a.rtp(append(append(b, head...), rest...))
}

// about makes a compound speak of streams that there are, and of packets that the
// actor was sent or has sent.
func (a *actor) about(compound []byte) []byte {
	b := append([]byte(nil), compound...)
	v := a.peer.videoOut
	for rest := b; len(rest) >= 12; {
		n := min(4*(int(binary.BigEndian.Uint16(rest[2:]))+1), len(rest))
		one := rest[:n]
		rest = rest[n:]
		if n < 12 {
			continue
		}
		blocks := 8
		switch one[1] {
		case 200:
			enc := one[7] & 3
			binary.BigEndian.PutUint32(one[4:], 2001+10*uint32(enc))
			blocks = 28
			fallthrough
		case 201:
			for at := blocks; at+24 <= n; at += 24 {
				ssrc := v.ssrc
				if one[at+3]&1 != 0 {
					ssrc = a.peer.audioOut.ssrc
				}
				binary.BigEndian.PutUint32(one[at:], ssrc)
			}
		case 205, 206:
			binary.BigEndian.PutUint32(one[8:], v.ssrc)
			for at := 12; one[1] == 205 && one[0]&31 == rtcp.FormatTLN && at+4 <= n; at += 4 {
				binary.BigEndian.PutUint16(one[at:], v.resend.latest-binary.BigEndian.Uint16(one[at:]))
			}
			if one[1] == 205 && one[0]&31 == 15 && n >= 16 {
				binary.BigEndian.PutUint16(one[12:], a.leg.sendSeq-uint16(one[13]))
				if n >= 20 && one[16] == 0 { // its time moves on
					binary.BigEndian.PutUint32(one[16:], uint32(time.Since(a.began)/(64*time.Millisecond)+9)<<8|uint32(one[19]))
				}
			}
			if one[1] == 206 && one[0]&31 == rtcp.FormatFIR && n >= 16 {
				binary.BigEndian.PutUint32(one[12:], v.ssrc)
			}
		}
	}
	return b
}

// act is one step of a script, for seeds.
func act(op, who int, rest ...byte) []byte { return append([]byte{byte(op | who<<3)}, rest...) }

// sized is bytes with their number before them, for seeds.
func sized(b ...byte) []byte { return append([]byte{byte(len(b))}, b...) }

func joined(list ...[]byte) (b []byte) {
	for _, x := range list {
		b = append(b, x...)
	}
	return b
}

// Payloads of video that a subscriber can begin with, and that go on, by the number
// of the payload type.
var (
	keyPayload = map[byte][]byte{
		2: {0x90, 0xe0, 0x81, 0x01, 0x05, 0x20, 0x10, 0, 0, 0x9d, 1, 0x2a, 64, 1, 180, 0, 9, 9},
		3: {0xaa, 0x81, 0x01, 0x00, 0x01, 0x38, 1, 64, 0, 180, 1, 128, 1, 104, 0x01, 0x00, 0x82, 0x49, 0x83, 0x42},
		4: {24, 0, 8, 0x67, 0x42, 0xe0, 0x1f, 0xda, 2, 0x80, 0xf6, 0, 3, 0x68, 0xce, 6, 0, 3, 0x65, 0x88, 0x80},
		5: {0x18, 0x0a, 0x0b, 0, 0, 0, 4, 0x3c, 0xff, 0xbd, 0xff, 0x20, 0x32, 0x10, 0, 1},
	}
	nextPayload = map[byte][]byte{
		2: {0x90, 0xe0, 0x81, 0x02, 0x06, 0x60, 0x31, 0, 0, 1, 2, 3},
		3: {0xec, 0x81, 0x02, 0x20, 0x02, 0x01, 1, 2, 3},
		4: {0x7c, 0x81, 0x9a, 1, 2, 3},
		5: {0x10, 0x32, 0x30, 1, 2, 3},
	}
)

// opening is a keyframe and what follows it, of every encoding of a publisher.
func opening(who int, codec byte) (b []byte) {
	for enc := range byte(3) {
		if who == 0 && enc > 0 {
			break
		}
		b = append(b, joined(act(sayMedia, who, codec|enc<<3|0x60), sized(keyPayload[codec]...))...)
		for range 3 {
			b = append(b, joined(act(sayMedia, who, codec|enc<<3|0x60), sized(nextPayload[codec]...))...)
		}
	}
	return joined(b, act(sayMedia, who, 0), sized(1, 2, 3), act(letTimePass, 0, 5))
}

// FuzzRTPIn has publishers and subscribers send authenticated packets of any kind.
// Nothing panics; whoever is forwarded to hears well-formed packets only, none twice,
// sealed under their right numbers, and never more than a few datagrams may cause.
func FuzzRTPIn(f *testing.F) {
	for c := range byte(6) {
		if c < 2 {
			continue
		}
		f.Add(joined(opening(0, c), opening(1, c), opening(0, c)))
		f.Add(joined(opening(1, c), act(wishLayer, 4, 0x11), opening(1, c), act(letTimePass, 0, 200), opening(1, c)))
		// Numbers that jump, packets that come late or again, another name.
		f.Add(joined(opening(0, c), act(sayMedia, 0, c|0xe0, 0x03), sized(nextPayload[c]...), act(sayMedia, 0, c|0xe0, 0x11), sized(nextPayload[c]...),
			act(sayMedia, 0, c|0xe0, 0x2f), sized(nextPayload[c]...), act(sayMedia, 0, c|0xe0, 0x40), sized(keyPayload[c]...), act(sayRepair, 0, c, 2), sized(nextPayload[c]...)))
	}
	// More names than are kept at once.
	many := opening(1, 2)
	for i := range byte(48) {
		many = joined(many, act(sayMedia, 1, 0x80|2|i%3<<3|0x40, 0x40|i/3), sized(keyPayload[2]...))
	}
	f.Add(joined(many, act(letTimePass, 0, 200), many))
	descriptor := []byte{0xc5, 0x12, 0x34, 0x80, 0x50, 0x81, 0xaa, 0x14, 0x48, 0x82, 0x24, 0x4f, 0xd0, 0xb3}
	f.Add(joined(act(sayMedia, 1, 5|0xe0, 0x80), sized(descriptor...), sized(keyPayload[5]...), opening(1, 5)))
	f.Add(joined(act(sayMedia, 0, 5|0xe0, 0x80), sized(append(descriptor, make([]byte, 9)...)...), sized(keyPayload[5]...), opening(0, 5)))
	for _, who := range []int{0, 1} {
		f.Add(joined(opening(who, 2), act(sayMedia, who, 2|0xc0, 2), sized(nextPayload[2]...), act(sayRepair, who, 7, 1, 2), sized(nextPayload[2]...),
			act(sayRepair, who, 0x87, 3), sized(0, 1, 0, 9, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0xff), sized(0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5), opening(who, 2)))
	}
	f.Add(joined(act(sayMedia, 0, 1), sized(0xef, 0x0f, 0, 2, 0x6f, 1, 2, 3), act(sayMedia, 0, 1), sized(0xef, 0x0f, 0, 2, 0xef, 1, 2, 1, 0x6f, 1, 2, 3, 4)))
	f.Add(joined(act(sayRTP, 0), sized(0xbf, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x10, 0), act(sayAnything, 3), sized(0x80, 96, 0, 1)))
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { newScene(t).play(script) })
	})
}

// FuzzRTCPIn has publishers and subscribers send compounds while media flows: as they
// are, and about the streams that there are. What FuzzRTPIn wants holds.
func FuzzRTCPIn(f *testing.F) {
	marshal := func(list ...rtcp.Packet) []byte {
		b, err := rtcp.Marshal(list)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	nack := &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: 21, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 5}, {PacketID: 3}}}
	report := rtcp.ReceptionReport{SSRC: 20, FractionLost: 60, TotalLost: 5, LastSequenceNumber: 1000, Jitter: 9, LastSenderReport: 3, Delay: 4}
	feedback := []byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 8, 0, 8, 0, 0, 1, 1, 0x20, 8, 4, 4, 4, 4, 4, 4, 4, 4, 0, 0}
	feedback[3] = byte(len(feedback)/4 - 1)
	// Reports of loss, and feedback about all that was sent, while layers come.
	var lossy, heard []byte
	for i := range byte(20) {
		report.LastSequenceNumber, report.TotalLost = uint32(i)*100, uint32(i)*12
		rr := marshal(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{report}})
		lossy = joined(lossy, act(sayFeedback, 3+2*int(i%2)), sized(rr...), act(letTimePass, 0, 30), opening(0, 2))
		for _, who := range []int{2, 4} {
			heard = joined(heard, act(sayFeedback, who), sized(feedback...))
		}
		heard = joined(heard, opening(1, 2), opening(0, 2), act(letTimePass, 0, 20))
	}
	f.Add(lossy)
	f.Add(heard)
	for _, b := range [][]byte{
		marshal(nack), marshal(&rtcp.PictureLossIndication{MediaSSRC: 21}), marshal(&rtcp.FullIntraRequest{MediaSSRC: 21, FIR: []rtcp.FIREntry{{SSRC: 21, SequenceNumber: 1}}}),
		marshal(&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 200_000, SSRCs: []uint32{21}}), feedback,
		marshal(&rtcp.SenderReport{SSRC: 1, NTPTime: 1 << 60, RTPTime: 9, Reports: []rtcp.ReceptionReport{report}}, &rtcp.Goodbye{Sources: []uint32{2001}}),
		marshal(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{report, report}}, rtcp.NewCNAMESourceDescription(1, "x"), nack),
		marshal(&rtcp.ExtendedReport{SenderSSRC: 1, Reports: []rtcp.ReportBlock{&rtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 5}, &rtcp.DLRRReportBlock{Reports: []rtcp.DLRRReport{{SSRC: 1}}}}}),
		{0x80, 204, 0, 2, 0, 0, 0, 1, 'n', 'a', 'm', 'e'}, {0x81, 192, 0, 1, 0, 0, 0, 1}, {0x8b, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9},
	} {
		script := []byte{}
		for who := range 7 {
			script = joined(script, act(sayFeedback, who), sized(b...), act(sayRTCP, who), sized(b...), act(letTimePass, 0, 4))
		}
		f.Add(script)
		f.Add(joined(script, script[:len(script)/2], act(letTimePass, 0, 255), script))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t)
			s.script = joined(opening(0, 2), opening(1, 4))
			for len(s.script) > 0 {
				s.act()
			}
			for _, i := range []int{2, 3, 4, 5, 6} {
				if s.actors[i].packets < 4 {
					t.Fatalf("%d packets to %d", s.actors[i].packets, i)
				}
			}
			s.play(script)
		})
	})
}
