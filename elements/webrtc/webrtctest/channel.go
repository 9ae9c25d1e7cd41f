package webrtctest

import (
	"sync"

	"github.com/pion/webrtc/v4"
)

// Channel is one data channel of a Browser, with the messages that came by it.
type Channel struct {
	*webrtc.DataChannel
	mu     sync.Mutex
	got    []webrtc.DataChannelMessage
	open   bool
	closed bool
}

// Channel makes a data channel; init may be nil.
func (b *Browser) Channel(label string, init *webrtc.DataChannelInit) *Channel {
	b.T.Helper()
	dc, err := b.PC.CreateDataChannel(label, init)
	must(b.T, err)
	return b.keep(dc)
}

func (b *Browser) keep(dc *webrtc.DataChannel) *Channel {
	c := &Channel{DataChannel: dc}
	note := func(f func()) { c.mu.Lock(); defer c.mu.Unlock(); f() }
	dc.OnOpen(func() { note(func() { c.open = true }) })
	dc.OnClose(func() { note(func() { c.closed = true }) })
	dc.OnMessage(func(m webrtc.DataChannelMessage) { note(func() { c.got = append(c.got, m) }) })
	b.With(func() { b.channels = append(b.channels, c) })
	return c
}

// Channels are all data channels, whoever opened them.
func (b *Browser) Channels() []*Channel {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*Channel(nil), b.channels...)
}

// Messages are those received so far.
func (c *Channel) Messages() []webrtc.DataChannelMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]webrtc.DataChannelMessage(nil), c.got...)
}

// IsOpen tells whether messages can be sent.
func (c *Channel) IsOpen() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.open && !c.closed }

// IsClosed tells whether the channel has ended.
func (c *Channel) IsClosed() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.closed }
