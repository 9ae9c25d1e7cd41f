package transport

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/flexfec"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// mediaPacket is a packet of SSRC 7 with extensions, padding or contributing
// sources, by its number.
func mediaPacket(t testing.TB, seq uint16) []byte {
	t.Helper()
	if b, ok := mediaPackets.Load(seq); ok {
		return b.([]byte)
	}
	r := rand.New(rand.NewPCG(uint64(seq), 1))
	p := rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 96, SSRC: 7, SequenceNumber: seq, Timestamp: r.Uint32(), Marker: seq%3 == 0},
		Payload: make([]byte, 20+r.IntN(1100)),
	}
	for i := range p.Payload {
		p.Payload[i] = byte(r.Uint32())
	}
	if seq%2 == 0 {
		_ = p.Header.SetExtension(3, []byte{byte(seq >> 8), byte(seq)})
		_ = p.Header.SetExtension(4, []byte{1, byte(seq), 3})
		_ = p.Header.SetExtension(5, []byte("mid"))
	}
	if seq%5 == 0 {
		p.CSRC = []uint32{1, 2}
	}
	if seq%7 == 0 {
		p.Header.Padding, p.PaddingSize = true, 9
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	mediaPackets.Store(seq, b)
	return b
}

var mediaPackets sync.Map

// tape is a sink that keeps all.
type tape struct {
	*sink
	got []*rtp.Packet
}

func (x *tape) send(b []byte, to netip.AddrPort) {
	x.sink.send(b, to)
	x.got = append(x.got, &rtp.Packet{Header: x.header, Payload: x.payload})
}

func onTape(t testing.TB) (*Sender, *tape) {
	t.Helper()
	s, out := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	x := &tape{sink: out}
	s.leg.other = x
	s.fecPT, s.fecSSRC = 49, 4321
	return s, x
}

var fecIDs = extIDs{twcc: 3, sendTime: 4}

// asProtected is a packet as parity has it: without what changes on the way out.
func asProtected(b []byte) []byte {
	b = bytes.Clone(b)
	if at, hdr := rtpFixed+4*int(b[0]&15), srtp.HeaderLen(b); b[0]&0x10 != 0 {
		clearMutable(b[at:hdr], &fecIDs)
	}
	return b
}

// parityOf writes the repair packet for some packets.
func parityOf(t testing.TB, base uint16, seqs []uint16) []byte {
	t.Helper()
	var x fecXOR
	var mask fecMask
	for _, seq := range seqs {
		b := asProtected(mediaPacket(t, seq))
		if !x.add(b[:rtpFixed], b[rtpFixed:], nil) {
			t.Fatal("too large")
		}
		mask.set(seq - base)
	}
	dst := make([]byte, 1500)
	n := writeFEC(dst, 7, base, &mask, &x)
	if n == 0 {
		t.Fatal("it does not fit")
	}
	return dst[:n]
}

func give(t testing.TB, f *fecIn, b []byte) {
	t.Helper()
	h, ok := readFEC(b)
	if !ok {
		t.Fatalf("malformed: % x", b[:min(len(b), 40)])
	}
	f.take(h, b)
}

// TestFlexFEC loses each of the packets of groups of all sizes in turn.
func TestFlexFEC(t *testing.T) {
	run := func(base uint16, offsets ...uint16) {
		t.Helper()
		seqs := make([]uint16, len(offsets))
		for i, o := range offsets {
			seqs[i] = base + o
		}
		parity := parityOf(t, base, seqs)
		for _, lost := range seqs {
			for _, early := range []bool{false, true} {
				var f fecIn
				if early {
					give(t, &f, parity)
				}
				for i := range uint16(fecSpan + 3) {
					if b := mediaPacket(t, base+i-1); base+i-1 != lost {
						f.keep(b, srtp.HeaderLen(b), &fecIDs)
					}
				}
				if !early {
					give(t, &f, parity)
				}
				got := f.next()
				if want := asProtected(mediaPacket(t, lost)); !bytes.Equal(got, want) {
					t.Fatalf("base %d, %d packets, lost %d, early %v: % x, want % x", base, len(seqs), lost-base, early, got[:min(len(got), 20)], want[:20])
				}
				if f.next() != nil || len(f.waiting) != 0 {
					t.Errorf("%d repair packets still wait", len(f.waiting))
				}
			}
		}
	}
	all := make([]uint16, fecSpan)
	for i := range all {
		all[i] = uint16(i)
	}
	run(100, 0)
	run(65530, all[:10]...)
	run(65530, all[:15]...)
	run(100, all[:16]...)
	run(65500, all[:46]...)
	run(65500, all[:47]...)
	run(100, all...)
	run(100, 0, 14, 15, 45, 46, 63, 64, 108)
	run(100, 46, 108)
	run(100, 5)
}

// TestFlexFECTwice recovers two packets, the second by help of the first.
func TestFlexFECTwice(t *testing.T) {
	var f fecIn
	for _, seq := range []uint16{1, 2, 5, 6} {
		b := mediaPacket(t, seq)
		f.keep(b, srtp.HeaderLen(b), &fecIDs)
	}
	give(t, &f, parityOf(t, 1, []uint16{1, 2, 3, 4}))
	if f.next() != nil {
		t.Fatal("two are missing")
	}
	give(t, &f, parityOf(t, 3, []uint16{3, 5, 6}))
	for _, want := range []uint16{3, 4} {
		if got := f.next(); !bytes.Equal(got, asProtected(mediaPacket(t, want))) {
			t.Fatalf("packet %d: % x", want, got)
		}
	}
	if f.next() != nil || len(f.waiting) != 0 {
		t.Error("there is more")
	}
}

// TestFlexFECBounds floods with repair packets for what never comes.
func TestFlexFECBounds(t *testing.T) {
	var f fecIn
	for i := range uint16(2000) {
		give(t, &f, parityOf(t, 1000+i, []uint16{1000 + i, 1001 + i}))
		if f.next() != nil {
			t.Fatal("recovered from nothing")
		}
	}
	if len(f.waiting) > fecWaiting || cap(f.waiting) > 2*fecWaiting {
		t.Errorf("%d wait, room for %d", len(f.waiting), cap(f.waiting))
	}
	b := mediaPacket(t, 20000) // far ahead: what waits is of no use any more
	f.keep(b, srtp.HeaderLen(b), &fecIDs)
	if f.next() != nil || len(f.waiting) != 0 {
		t.Errorf("%d wait still", len(f.waiting))
	}
	parity := parityOf(t, 20001, []uint16{20001, 20002})
	h, _ := readFEC(parity)
	if n := testing.AllocsPerRun(100, func() {
		f.keep(b, srtp.HeaderLen(b), &fecIDs)
		f.take(h, parity)
		f.next()
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func TestMalformedFEC(t *testing.T) {
	good := parityOf(t, 1, []uint16{1, 2})
	long := parityOf(t, 1, []uint16{1, 109})
	change := func(b []byte, at int, to byte) []byte {
		b = bytes.Clone(b)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"a retransmission":     change(good, 0, 0x80),
		"a fixed mask":         change(good, 0, 0x40),
		"no stream":            change(good, 8, 0),
		"two streams":          change(good, 8, 2),
		"nothing is protected": append(append(bytes.Clone(good[:18]), 0x80, 0), good[20:]...),
		"without parity":       good[:20],
		"half a mask":          change(good, 18, 0)[:22],
		"half a long mask":     long[:30],
		"a mask without end":   change(long, 24, 0),
	} {
		if _, ok := readFEC(b); ok {
			t.Errorf("%s was taken", name)
		}
	}
	// Parity that makes no packet.
	for name, b := range map[string][]byte{
		"longer than it is": change(good, 2, 0xff),
		"header too long":   change(good, 0, good[0]^0x0f),
	} {
		var f fecIn
		m := mediaPacket(t, 1)
		f.keep(m, srtp.HeaderLen(m), &fecIDs)
		if name == "header too long" {
			b = b[:40]
			b[2], b[3] = byte((len(m)-rtpFixed)>>8), byte(len(m)-rtpFixed)^4 // four bytes
		}
		give(t, &f, b)
		if got := f.next(); got != nil {
			t.Errorf("%s: % x", name, got)
		}
	}
}

// TestFlexFECPion recovers what pion's encoder protects.
func TestFlexFECPion(t *testing.T) {
	plain := func(seq uint16) (p rtp.Packet, b []byte) { // its encoder has what lay in its buffer for padding
		if err := p.Unmarshal(asProtected(mediaPacket(t, seq))); err != nil {
			t.Fatal(err)
		}
		p.Header.Padding, p.PaddingSize, p.Header.PaddingSize = false, 0, 0
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return p, b
	}
	for _, n := range []int{5, 20, 60} {
		encoder := flexfec.NewFlexEncoder03(49, 99)
		var packets []rtp.Packet
		for seq := range uint16(n) {
			p, _ := plain(65500 + seq)
			packets = append(packets, p)
		}
		repairs := encoder.EncodeFec(packets, 3)
		for lost := range uint16(n) {
			var f fecIn
			for seq := range uint16(n) {
				if _, b := plain(65500 + seq); seq != lost {
					f.keep(b, srtp.HeaderLen(b), &fecIDs)
				}
			}
			var got []byte
			for _, r := range repairs {
				give(t, &f, r.Payload)
				if b := f.next(); b != nil {
					got = bytes.Clone(b)
				}
			}
			if _, want := plain(65500 + lost); !bytes.Equal(got, want) {
				t.Fatalf("%d packets, lost %d: % x, want % x", n, lost, got[:min(len(got), 20)], want[:20])
			}
		}
	}
}

// FuzzFlexFEC takes packets of media and repair packets from outside.
func FuzzFlexFEC(f *testing.F) {
	f.Add([]byte{2, 1, 2, 5, 3}, parityOf(f, 1, []uint16{1, 2, 3}))
	f.Add([]byte{1, 9}, parityOf(f, 1, []uint16{1, 100}))
	f.Add([]byte{}, parityOf(f, 65535, []uint16{65535}))
	f.Fuzz(func(t *testing.T, seqs, parity []byte) {
		x := &fecIn{}
		for i := 0; len(parity) > 0 && i < 100; i++ {
			n := min(len(parity), 60+i)
			if h, ok := readFEC(parity[:n]); ok {
				x.take(h, parity[:n])
			}
			parity = parity[n:]
			if i < len(seqs) {
				b := mediaPacket(t, uint16(int8(seqs[i])))
				x.keep(b, srtp.HeaderLen(b), &fecIDs)
			}
			for range fecWaiting + 1 {
				b := x.next()
				if b == nil {
					break
				}
				var in rtpIn
				if len(b) > fecPacket || !readRTP(b, &in) || !x.has(in.header.SequenceNumber) {
					t.Fatalf("recovered % x", b)
				}
				_, _ = unpad(b[in.size:], in.header.Padding)
				in.extension(3)
			}
			if len(x.waiting) > fecWaiting || x.next() != nil {
				t.Fatalf("%d wait, and more can be recovered", len(x.waiting))
			}
		}
	})
}

func TestAnswerFlexFEC(t *testing.T) {
	e := newEngine(t, nil)
	offer := strings.Replace(seed(t, "chromium"), "a=rtpmap:117 ulpfec/90000", "a=rtpmap:117 flexfec-03/90000\r\na=rtcp-fb:117 goog-remb\r\na=rtcp-fb:117 transport-cc\r\na=fmtp:117 repair-window=10000000", 1)
	answer, d := answerTo(t, e, PeerConfig{}, offer)
	for _, want := range []string{
		"a=rtpmap:117 flexfec-03/90000", "a=fmtp:117 repair-window=10000000", "a=rtcp-fb:117 goog-remb", "a=rtcp-fb:117 transport-cc", "a=ssrc-group:FEC-FR ",
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("answer lacks %q\n%s", want, answer)
		}
	}
	if !slices.Contains(d.sections[1].formats, "117") || slices.Contains(d.sections[0].formats, "117") {
		t.Errorf("payload types %v, %v", d.sections[0].formats, d.sections[1].formats)
	}
	if answer, _ := answerTo(t, e, PeerConfig{FlexFEC: true}, seed(t, "chromium")); strings.Contains(answer, "FEC") {
		t.Errorf("answered what was not offered\n%s", answer)
	}
	for _, on := range []bool{false, true} {
		p, err := e.NewPeer(PeerConfig{FlexFEC: on, Epoch: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if offer, err := p.Offer(OfferOptions{Audio: true, Video: true}); err != nil || strings.Contains(offer, "flexfec-03") != on || strings.Contains(offer, "FEC-FR") != on {
			t.Errorf("offer with FlexFEC %v: %v\n%s", on, err, offer)
		}
	}
	d, err := parseSDP(strings.Replace(offer, "a=ssrc:", "a=ssrc-group:FEC-FR 4 5\r\na=ssrc:5 cname:x\r\na=ssrc:", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range d.sections {
		if m := d.negotiate(s, false, false); slices.Contains(m.declared, 5) {
			t.Error("the stream of repair packets is taken for one of media")
		}
	}
}

// TestSendFlexFEC looks at what a Sender sends to a peer far away that loses.
func TestSendFlexFEC(t *testing.T) {
	for _, c := range []struct {
		name string
		loss float64
		rtt  time.Duration
		pt   uint8
		some bool
	}{
		{"far and lossy", 0.1, 160 * time.Millisecond, 49, true},
		{"near", 0.1, 60 * time.Millisecond, 49, false},
		{"nothing lost", 0.005, 160 * time.Millisecond, 49, false},
		{"much lost", 0.4, 160 * time.Millisecond, 49, false},
		{"not negotiated", 0.1, 160 * time.Millisecond, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, out := onTape(t)
			s.fecPT = c.pt
			s.ext.twcc, s.ext.playout = 3, 6
			at, n := time.Now(), uint16(0)
			frame := func(packets int) {
				for i := range packets {
					n++
					p := vp8Packet(n, 3000*uint32(n), n == 1)
					p.Payload = append([]byte{0x10, byte(n)}, p.Payload[:200+int(n)%700]...)
					p.Payload[10] = byte(n)
					p.Header.Marker = i == packets-1
					s.Push(p)
				}
			}
			frame(1)
			s.peer.under(func(*turn) {
				s.leg.weather.rtt = c.rtt
				s.leg.weather.heard(c.loss, at)
				s.leg.weather.heard(c.loss, at)
				s.resend.budget.Lossy(s.leg.weather.loss)
				s.leg.protect(s)
			})
			if got := s.fec != nil; got != c.some {
				t.Fatalf("repair packets: %v", got)
			}
			for range 40 {
				frame(5)
			}
			var media, repairs int
			f, lost := &fecIn{}, map[uint16][]byte{}
			for _, p := range out.got {
				b, err := p.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				switch p.SSRC {
				case s.ssrc:
					media++
					if media%5 == 2 && media > 10 {
						lost[p.SequenceNumber] = b
						continue
					}
					f.keep(b, srtp.HeaderLen(b), &s.ext)
				case 4321:
					repairs++
					if p.PayloadType != 49 || int(p.SequenceNumber) != repairs-1 {
						t.Fatalf("repair packet %v", p.Header)
					}
					give(t, f, p.Payload)
					if got := f.next(); got != nil {
						seq := binary.BigEndian.Uint16(got[2:])
						want := lost[seq]
						delete(lost, seq)
						if want == nil {
							t.Fatalf("recovered %d, which was there", seq)
						}
						clearMutable(want[rtpFixed:srtp.HeaderLen(want)], &s.ext)
						if !bytes.Equal(got, want) {
							t.Fatalf("packet %d: % x, want % x", seq, got[:40], want[:40])
						}
					}
				}
			}
			if media != 201 || (repairs > 0) != c.some || repairs > media*2/5 {
				t.Errorf("%d repair packets for %d", repairs, media)
			}
			if c.some && len(lost) > 1 { // the last group is not closed
				t.Errorf("%d were not recovered", len(lost))
			}
			if st, _ := s.stream(); int(st.Repairs) != repairs {
				t.Errorf("counted %d, sent %d", st.Repairs, repairs)
			}
		})
	}
}

// TestFECBudget: repair packets are paid from the purse.
func TestFECBudget(t *testing.T) {
	s, out := onTape(t)
	s.fec = &fecOut{of: 3}
	for s.resend.budget.Spend(100) {
	}
	for i := range uint16(600) {
		s.Push(vp8Packet(1+i, uint32(i), i == 0))
	}
	repairs := 0
	for _, p := range out.got {
		if p.SSRC == 4321 {
			repairs++
		}
	}
	if repairs == 0 || repairs > 62 {
		t.Errorf("%d repair packets for 600, from a purse of a tenth", repairs)
	}
}

// withFlexFEC is a browser of the plain library that sends repair packets, and loses
// some of its video.
func withFlexFEC(t *testing.T, losing *atomic.Bool, lost *atomic.Int32) webrtctest.Options {
	reg := &interceptor.Registry{}
	return webrtctest.Options{
		Codecs: func(m *webrtc.MediaEngine) {
			vp8WithoutRTX(t)(m)
			reg.Add(&dropper{losing: losing, lost: lost})
			if err := webrtc.ConfigureFlexFEC03(49, m, reg, flexfec.NumMediaPackets(5), flexfec.NumFECPackets(1)); err != nil {
				t.Fatal(err)
			}
		},
		Interceptors: func(r *interceptor.Registry) { *r = *reg },
	}
}

// TestFlexFECPublished has a publisher lose a tenth of its packets, and nobody asks:
// subscribers and others get what its repair packets bring back.
func TestFlexFECPublished(t *testing.T) {
	e := newEngine(t, nil)
	var losing atomic.Bool
	var lost atomic.Int32
	pub := newPublisher(t, e, withFlexFEC(t, &losing, &lost), webrtc.MimeTypeVP8)
	if !strings.Contains(pub.offer, "FEC-FR") || !strings.Contains(pub.answer, "a=rtpmap:49 flexfec-03/90000") {
		t.Fatalf("offer\n%s\nanswer\n%s", pub.offer, pub.answer)
	}
	sub := newSubscriber(t, e, webrtctest.Options{NoNACK: true})
	outs := graph(pub.peer)
	link(t, outs, sub.peer, true)
	pub.Frame(true)
	eventually(t, "the first packet", func() bool { pub.Frame(false); return len(sub.Packets(videoKind)) > 12 })
	losing.Store(true)
	first := pub.Frame(false)
	var last uint32
	for range 400 {
		last = pub.Frame(false)
		time.Sleep(time.Millisecond)
	}
	losing.Store(false)
	eventually(t, "all packets", func() bool {
		pub.Frame(false)
		seen := map[uint32]bool{}
		for _, p := range sub.Packets(videoKind) {
			if n := webrtctest.Number(p.Payload); seen[n] {
				t.Fatalf("packet %d came twice", n)
			} else {
				seen[n] = true
			}
		}
		for n := first; n <= last; n++ {
			if !seen[n] {
				return false
			}
		}
		return true
	})
	st := pub.peer.Stats(pipeline.Video).Inbound[0]
	if lost.Load() < 30 || st.Recovered < uint64(lost.Load()) || st.Repairs < 80 || st.Lost != 0 {
		t.Errorf("lost %d; %+v", lost.Load(), st)
	}
	packets := sub.Packets(videoKind)
	slices.SortFunc(packets, func(a, b *rtp.Packet) int { return int(int16(a.SequenceNumber - b.SequenceNumber)) })
	for i, p := range packets[1:] {
		if p.SequenceNumber != packets[i].SequenceNumber+1 {
			t.Fatalf("from %d to %d", packets[i].SequenceNumber, p.SequenceNumber)
		}
	}
}

// TestFlexFECHostile sends repair packets that bring back what is none.
func TestFlexFECHostile(t *testing.T) {
	e := newEngine(t, nil)
	var losing atomic.Bool
	var lost atomic.Int32
	pub := newPublisher(t, e, withFlexFEC(t, &losing, &lost), webrtc.MimeTypeVP8)
	graph(pub.peer)
	pub.Frame(true)
	r := pub.peer.Receiver(pipeline.Video)
	eventually(t, "a packet", func() bool { pub.Frame(false); st, _ := r.stream(); return st.Packets > 3 })
	before := e.Counters().Malformed
	pub.peer.under(func(tn *turn) {
		ssrc := r.encs[0].ssrc
		for i, edit := range []func(b []byte){
			func(b []byte) { b[1] ^= 33 },        // another payload type
			func(b []byte) { b[0] |= 0x20 },      // padding of no length
			func(b []byte) { b[0], b[8] = 0, 9 }, // nine streams
		} {
			b := parityOf(t, 1000, []uint16{1000})
			binary.BigEndian.PutUint32(b[12:], ssrc)
			binary.BigEndian.PutUint16(b[16:], uint16(30000+i))
			b[len(b)-1] = 0
			edit(b)
			r.mend(tn, b)
		}
		r.mend(tn, parityOf(t, 1, []uint16{1, 2})) // of a stream that is not there
	})
	if n := e.Counters().Malformed - before; n != 3 {
		t.Errorf("%d counted as malformed", n)
	}
	if n := e.Counters().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
	st, _ := r.stream()
	if st.Recovered != 0 {
		t.Errorf("%d recovered", st.Recovered)
	}
}
