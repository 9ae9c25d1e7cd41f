package data

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/pion/datachannel"
	"github.com/pion/sctp"

	"github.com/govidu/govidu/internal/kerr"
)

func code(err error) kerr.Code {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code
	}
	return 0
}

// shapes are messages of all kinds.
func shapes() []message {
	return []message{
		{0, []byte("grüß dich"), true}, {0, []byte{0, 255}, false}, {0, bytes.Repeat([]byte{1, 2, 3, 4}, MaxMessage/4), false}, {0, []byte{}, false}, {0, []byte{}, true},
	}
}

// TestMessages sends messages of all shapes both ways over a line that loses
// every tenth packet, and wants them whole, in order, text as text.
func TestMessages(t *testing.T) {
	for _, loss := range []int{0, 10} {
		t.Run(fmt.Sprintf("loss %d", loss), func(t *testing.T) {
			p := newParty(t)
			l := connect(t, p, false, loss)
			dc := l.dial(4, datachannel.Config{Label: "chat", Protocol: "p"})
			eventually(t, "it is open", func() bool { return slices.Equal(p.begun(), []int{4}) })
			for _, m := range shapes() {
				if _, err := dc.WriteDataChannel(m.b, m.text); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all are here", func() bool { return len(p.heard()) == len(shapes()) })
			var size uint64
			for i, m := range p.heard() {
				want := shapes()[i]
				size += uint64(len(m.b))
				if m.id != 4 || m.text != want.text || !bytes.Equal(m.b, want.b) {
					t.Errorf("message %d: text %v, %d bytes", i, m.text, len(m.b))
				}
				p.Send(m.b, m.text)
			}
			b := make([]byte, MaxMessage)
			for i, want := range shapes() {
				n, text, err := dc.ReadDataChannel(b)
				if err != nil || text != want.text || !bytes.Equal(b[:n], want.b) {
					t.Errorf("message %d: text %v, %d bytes, %v", i, text, n, err)
				}
			}
			list, opened, closed := p.List()
			if len(list) != 1 || opened != 1 || closed != 0 {
				t.Fatalf("%+v, %d, %d", list, opened, closed)
			}
			if want := (Stats{4, 0, "chat", "p", "open", 5, size, 5, size, 0}); list[0] != want {
				t.Errorf("statistics %+v", list[0])
			}
		})
	}
}

// TestOpen opens from our side, before and after the association is up, and
// closes from both.
func TestOpen(t *testing.T) {
	for _, client := range []bool{false, true} {
		t.Run(fmt.Sprintf("client %v", client), func(t *testing.T) {
			p := newParty(t)
			first := 1
			if client {
				first = 0
			}
			if err := p.Open(Init{Label: "early", Protocol: "p", Ordered: true}); err != nil {
				t.Fatal(err)
			}
			l := connect(t, p, client, 0)
			early := l.take()
			if early.StreamIdentifier() != uint16(first) || early.Config.Label != "early" || early.Config.Protocol != "p" || early.ChannelType != datachannel.ChannelTypeReliable {
				t.Errorf("channel %+v", early.Config)
			}
			limit := uint16(3)
			kinds := map[datachannel.ChannelType]Init{
				datachannel.ChannelTypePartialReliableRexmitUnordered: {Label: "a", MaxRetransmits: &limit},
				datachannel.ChannelTypePartialReliableTimed:           {Label: "b", MaxPacketLifeTime: &limit, Ordered: true},
				datachannel.ChannelTypeReliableUnordered:              {Label: "c"},
			}
			for kind, i := range kinds {
				if err := p.Open(i); err != nil {
					t.Fatal(err)
				}
				dc := l.take()
				if dc.ChannelType != kind || dc.Config.Label != i.Label || kind != datachannel.ChannelTypeReliableUnordered && dc.ReliabilityParameter != 3 {
					t.Errorf("channel %+v", dc.Config)
				}
			}
			eventually(t, "four are open", func() bool { return len(p.begun()) == 4 })
			// ours ends by us …
			if err := p.CloseChannel(first); err != nil {
				t.Fatal(err)
			}
			if _, _, err := early.ReadDataChannel(make([]byte, 10)); !errors.Is(err, io.EOF) {
				t.Errorf("the peer reads on: %v", err)
			}
			eventually(t, "the end", func() bool { return slices.Equal(p.ended(), []int{first}) })
			if err := p.CloseChannel(first); code(err) != kerr.MediaObjectIllegalParam {
				t.Errorf("closing again: %v", err)
			}
			// … and theirs by them.
			theirs := l.dial(uint16(100+1-first), datachannel.Config{Label: "theirs"})
			eventually(t, "theirs is open", func() bool { return len(p.begun()) == 5 })
			if err := theirs.Close(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "their end", func() bool { return len(p.ended()) == 2 })
			if list, opened, closed := p.List(); len(list) != 5 || opened != 5 || closed != 2 || list[0].State != "closed" {
				t.Errorf("%+v, %d opened, %d closed", list, opened, closed)
			}
			// Another one does not take the id of the one that has just ended.
			if err := p.Open(Init{Label: "next", Ordered: true}); err != nil {
				t.Fatal(err)
			}
			if id := l.take().StreamIdentifier(); id != uint16(first+8) {
				t.Errorf("id %d", id)
			}
		})
	}
}

// TestRefused asks for what cannot be.
func TestRefused(t *testing.T) {
	p := newParty(t)
	long := string(make([]byte, MaxMessage))
	limit := uint16(1)
	for name, i := range map[string]Init{"label": {Label: long}, "protocol": {Protocol: long}, "both": {MaxRetransmits: &limit, MaxPacketLifeTime: &limit}} {
		if err := p.Open(i); code(err) != kerr.MediaObjectIllegalParam {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.CloseChannel(1); code(err) != kerr.MediaObjectIllegalParam {
		t.Errorf("closing: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Open(Init{}); code(err) != kerr.MediaObjectOperationNotSupported || err.Error() != "Data channels are not supported" {
		t.Errorf("after the end: %v", err)
	}
	a, b := newLine(0)
	p.Start(a, false)
	if _, err := b.other.Write(nil); err == nil {
		t.Error("the connection is not closed")
	}
}

// TestLimit opens more channels than there may be, from both sides; the surplus
// ends, the others stay.
func TestLimit(t *testing.T) {
	p := newParty(t)
	l := connect(t, p, false, 0)
	var list []*datachannel.DataChannel
	for i := range MaxChannels + 3 {
		list = append(list, l.dial(uint16(2*i), datachannel.Config{}))
		if i%8 == 7 { // the library holds sixteen that were not accepted, and drops the rest
			eventually(t, "they are taken", func() bool { return len(p.begun()) >= min(i+1, MaxChannels) })
		}
	}
	for _, dc := range list[MaxChannels:] {
		if _, _, err := dc.ReadDataChannel(make([]byte, 10)); !errors.Is(err, io.EOF) {
			t.Errorf("channel %d: %v", dc.StreamIdentifier(), err)
		}
	}
	if err := p.Open(Init{}); code(err) != kerr.NotEnoughResources {
		t.Errorf("one more of ours: %v", err)
	}
	if list, opened, closed := p.List(); len(list) != MaxChannels || opened != MaxChannels || closed != 0 {
		t.Errorf("%d open, %d opened, %d closed", len(list), opened, closed)
	}
}

// TestTooLong sends a message over the limit: its channel ends, another goes on.
func TestTooLong(t *testing.T) {
	p := newParty(t)
	l := connect(t, p, false, 0)
	one, other := l.dial(2, datachannel.Config{}), l.dial(4, datachannel.Config{})
	eventually(t, "both are open", func() bool { return len(p.begun()) == 2 })
	p.Send(make([]byte, MaxMessage+1), false)
	p.Send([]byte("short"), true)
	b := make([]byte, 2*MaxMessage)
	if n, text, err := other.ReadDataChannel(b); err != nil || !text || string(b[:n]) != "short" {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := one.Write(make([]byte, MaxMessage+1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the channel ends", func() bool { return slices.Equal(p.ended(), []int{2}) })
	if _, err := other.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other goes on", func() bool { return len(p.heard()) == 1 })
	if p.oversized != 1 {
		t.Errorf("%d told", p.oversized)
	}
}

// TestNoOpen has streams begin with something else: they end, alone.
func TestNoOpen(t *testing.T) {
	p := newParty(t)
	l := connect(t, p, false, 0)
	for i, b := range [][]byte{{dcepOpen}, {dcepAck}, append(make([]byte, openSize), 1), {dcepOpen, 0x33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {dcepOpen, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0}} {
		s, err := l.OpenStream(uint16(10+2*i), sctp.PayloadTypeWebRTCBinary)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteSCTP(b, sctp.PayloadTypeWebRTCDCEP); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
			t.Errorf("stream %d: %v", i, err)
		}
	}
	s, err := l.OpenStream(2, sctp.PayloadTypeWebRTCBinary)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteSCTP((&Init{Ordered: true}).marshal(), sctp.PayloadTypeWebRTCBinary); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
		t.Errorf("an OPEN as a message: %v", err)
	}
	l.dial(4, datachannel.Config{})
	eventually(t, "a good one opens", func() bool { return slices.Equal(p.begun(), []int{4}) })
}

// stuck is a stream that sends nothing.
type stuck struct {
	waiting uint64
	closed  bool
}

func (s *stuck) ReadSCTP([]byte) (int, sctp.PayloadProtocolIdentifier, error) { return 0, 0, io.EOF }
func (s *stuck) WriteSCTP(b []byte, _ sctp.PayloadProtocolIdentifier) (int, error) {
	s.waiting += uint64(len(b))
	return len(b), nil
}
func (s *stuck) SetReliabilityParams(bool, byte, uint32) {}
func (s *stuck) BufferedAmount() uint64                  { return s.waiting }
func (s *stuck) Close() error                            { s.closed = true; return nil }

// TestSlow fills channels whose reader does not read: what is unreliable loses
// messages, what is reliable ends.
func TestSlow(t *testing.T) {
	c := New(Config{})
	lossy, sure := &stuck{}, &stuck{}
	c.open = []*channel{{stream: lossy, stats: Stats{State: "open"}}, {stream: sure, reliable: true, stats: Stats{State: "open"}}}
	for range 40 {
		c.Send(make([]byte, MaxMessage), false)
	}
	if lossy.waiting > MaxBuffered || lossy.closed || c.open[0].stats.Dropped != 40-MaxBuffered/MaxMessage {
		t.Errorf("unreliable: %d waiting, %+v", lossy.waiting, c.open[0].stats)
	}
	if sure.waiting > MaxBuffered || !sure.closed {
		t.Errorf("reliable: %d waiting, closed %v", sure.waiting, sure.closed)
	}
}

// TestPeerGone has the peer end the association: channels end, and are told.
func TestPeerGone(t *testing.T) {
	p := newParty(t)
	l := connect(t, p, false, 0)
	l.dial(2, datachannel.Config{})
	eventually(t, "it is open", func() bool { return len(p.begun()) == 1 })
	l.Abort("gone")
	eventually(t, "it ends", func() bool { return slices.Equal(p.ended(), []int{2}) })
}

// TestCloseEarly ends Channels before and while the association comes up, and
// while channels are open; nothing is told then.
func TestCloseEarly(t *testing.T) {
	if err := newParty(t).Close(); err != nil {
		t.Error(err)
	}
	p := newParty(t)
	a, _ := newLine(0)
	p.Start(a, true)
	p.Start(a, true)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	p = newParty(t)
	l := connect(t, p, false, 0)
	dc := l.dial(2, datachannel.Config{})
	eventually(t, "it is open", func() bool { return len(p.begun()) == 1 })
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := dc.ReadDataChannel(make([]byte, 10)); err == nil {
		t.Error("the peer reads on")
	}
	if len(p.ended()) != 0 {
		t.Error("Closed was called")
	}
}

// TestCallbackPanics ends one channel, not the process.
func TestCallbackPanics(t *testing.T) {
	p := newParty(t)
	p.cfg.Message = func(int, []byte, bool) { panic("message") }
	l := connect(t, p, false, 0)
	dc := l.dial(2, datachannel.Config{})
	if _, err := dc.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it ends", func() bool { return slices.Equal(p.ended(), []int{2}) })
}

// FuzzOpen reads DATA_CHANNEL_OPEN messages; what is read is written the same.
func FuzzOpen(f *testing.F) {
	limit := uint16(7)
	for _, i := range []Init{{}, {Label: "chat", Protocol: "p", Ordered: true}, {MaxRetransmits: &limit}, {MaxPacketLifeTime: &limit}} {
		f.Add(i.marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := parseInit(b)
		if err != nil {
			return
		}
		j, err := parseInit(i.marshal())
		if err != nil || i.Label != j.Label || i.Protocol != j.Protocol || i.Ordered != j.Ordered {
			t.Errorf("%+v became %+v, %v", i, j, err)
		}
	})
}
