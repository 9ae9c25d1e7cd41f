package transport

import (
	"bytes"
	"slices"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// newTalker is a browser with one data channel of its own, and its Peer.
func newTalker(t *testing.T, e *Engine) (*client, *webrtctest.Channel) {
	t.Helper()
	c := newClientOf(t, e, webrtctest.Options{}, PeerConfig{DataChannels: true})
	ch := c.Channel("chat", nil)
	c.negotiate()
	c.connected()
	eventually(t, "channel open", func() bool { return ch.IsOpen() && len(read(c.heard, func(h *heard) []int { return h.opened })) == 1 })
	return c, ch
}

// relay links one Peer's messages to another.
func relay(t *testing.T, from, to *Peer) *pipeline.Link {
	t.Helper()
	in, _ := from.Data()
	_, sender := to.Data()
	out := pipeline.NewOutput(pipeline.Data, "default", in, nil)
	in.SetOutput(out)
	l, err := out.Connect(sender)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestChannelRelay sends messages of all shapes through two Peers and wants
// them whole, in order, text as text.
func TestChannelRelay(t *testing.T) {
	e := newEngine(t, nil)
	a, from := newTalker(t, e)
	b, to := newTalker(t, e)
	relay(t, a.peer, b.peer)
	big := bytes.Repeat([]byte{1, 2, 3, 4}, MaxMessage/4)
	if err := from.SendText("grüß dich"); err != nil {
		t.Fatal(err)
	}
	for _, m := range [][]byte{{0, 255}, big, {}} {
		if err := from.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.SendText(""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "messages arrive", func() bool { return len(to.Messages()) == 5 })
	got := to.Messages()
	want := []webrtc.DataChannelMessage{{IsString: true, Data: []byte("grüß dich")}, {Data: []byte{0, 255}}, {Data: big}, {}, {IsString: true}}
	for i, m := range got {
		if m.IsString != want[i].IsString || !bytes.Equal(m.Data, want[i].Data) {
			t.Errorf("message %d: text %v, %d bytes", i, m.IsString, len(m.Data))
		}
	}
	if n := len(from.Messages()); n != 0 {
		t.Errorf("%d messages came back", n)
	}
	list, opened, closed := a.peer.Channels()
	if len(list) != 1 || opened != 1 || closed != 0 || list[0].Label != "chat" || list[0].State != "open" ||
		list[0].MessagesReceived != 5 || list[0].BytesReceived != uint64(len(big)+12+1) {
		t.Errorf("statistics %+v, %d opened, %d closed", list, opened, closed)
	}
	if list, _, _ = b.peer.Channels(); list[0].MessagesSent != 5 {
		t.Errorf("statistics %+v", list)
	}
}

// TestChannelLoopback gives a browser its own messages back.
func TestChannelLoopback(t *testing.T) {
	e := newEngine(t, nil)
	c, ch := newTalker(t, e)
	relay(t, c.peer, c.peer)
	if err := ch.SendText("echo"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the echo", func() bool { m := ch.Messages(); return len(m) == 1 && string(m[0].Data) == "echo" })
}

// TestOpenChannel opens from our side, before and after the connection is up,
// and closes from both.
func TestOpenChannel(t *testing.T) {
	e := newEngine(t, nil)
	c := newClientOf(t, e, webrtctest.Options{}, PeerConfig{DataChannels: true})
	if err := c.peer.OpenChannel(ChannelInit{}); code(err) != int(kerr.MediaObjectOperationNotSupported) {
		t.Errorf("a channel before negotiation: %v", err)
	}
	c.Channel("theirs", nil)
	c.offer = c.Offer()
	var err error
	if c.answer, err = c.peer.Answer(c.offer); err != nil {
		t.Fatal(err)
	}
	limit := uint16(3)
	if err := c.peer.OpenChannel(ChannelInit{Label: "early", Protocol: "p", Ordered: true}); err != nil {
		t.Fatal(err)
	}
	c.SetAnswer(c.answer)
	c.trickle(func(Candidate) bool { return true })
	c.connected()
	eventually(t, "two channels", func() bool { return len(c.Channels()) == 2 })
	if err := c.peer.OpenChannel(ChannelInit{Label: "late", MaxRetransmits: &limit}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three channels", func() bool {
		return len(c.Channels()) == 3 && len(read(c.heard, func(h *heard) []int { return h.opened })) == 3 && c.Channels()[2].IsOpen()
	})
	late := c.Channels()[2]
	if late.Label() != "late" || late.Ordered() || late.MaxRetransmits() == nil || *late.MaxRetransmits() != 3 {
		t.Errorf("channel %q, ordered %v, retransmits %v", late.Label(), late.Ordered(), late.MaxRetransmits())
	}
	if err := c.peer.CloseChannel(int(*late.ID())); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both see the end", func() bool {
		return late.IsClosed() && slices.Equal(read(c.heard, func(h *heard) []int { return slices.Clone(h.closed) }), []int{int(*late.ID())})
	})
	if err := c.peer.CloseChannel(int(*late.ID())); code(err) != int(kerr.MediaObjectIllegalParam) {
		t.Errorf("closing it again: %v", err)
	}
	theirs := c.Channels()[0]
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "their end is heard", func() bool { return len(read(c.heard, func(h *heard) []int { return h.closed })) == 2 })
	if _, opened, closed := c.peer.Channels(); opened != 3 || closed != 2 {
		t.Errorf("%d opened, %d closed", opened, closed)
	}
}

// TestChannelsRefused is a Peer that was not asked for data channels.
func TestChannelsRefused(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.Receive()
	c.Channel("chat", nil)
	c.negotiate()
	c.connected()
	if err := c.peer.OpenChannel(ChannelInit{}); code(err) != int(kerr.MediaObjectOperationNotSupported) || err.Error() != "Data channels are not supported" {
		t.Errorf("error %v", err)
	}
	if err := c.peer.CloseChannel(1); code(err) != int(kerr.MediaObjectOperationNotSupported) {
		t.Errorf("error %v", err)
	}
}

// TestChannelLimit opens more channels than there may be, from both sides.
func TestChannelLimit(t *testing.T) {
	e := newEngine(t, nil)
	c, _ := newTalker(t, e)
	for range MaxChannels + 3 {
		c.Channel("x", nil)
	}
	// Those over the limit end at once; which of them those are is left to chance.
	eventually(t, "the surplus ends", func() bool {
		open, ended := 0, 0
		for _, ch := range c.Channels() {
			switch {
			case ch.IsClosed():
				ended++
			case ch.IsOpen():
				open++
			}
		}
		return open == MaxChannels && ended == 4
	})
	if err := c.peer.OpenChannel(ChannelInit{}); code(err) != int(kerr.NotEnoughResources) {
		t.Errorf("one more of ours: %v", err)
	}
}

// TestChannelTooLong sends a message over the limit: its channel ends, another
// goes on.
func TestChannelTooLong(t *testing.T) {
	e := newEngine(t, nil)
	c, ch := newTalker(t, e)
	other := c.Channel("other", nil)
	eventually(t, "the other is open", other.IsOpen)
	_, sender := c.peer.Data()
	sender.Push(&pipeline.Packet{Format: DataFormat(), Payload: make([]byte, MaxMessage+1)})
	sender.Push(&pipeline.Packet{Format: DataFormat(), Payload: []byte("short"), Key: true})
	eventually(t, "the short one", func() bool { return len(ch.Messages()) == 1 && len(other.Messages()) == 1 })
	// The library would not send more than we announced; the limit is ours all the same.
	if err := ch.Send(make([]byte, MaxMessage+1)); err == nil {
		eventually(t, "the channel ends", ch.IsClosed)
	}
	relay(t, c.peer, c.peer)
	if err := other.SendText("still here"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other goes on", func() bool { return len(other.Messages()) == 2 })
}
