package transport

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Limits of data channels (RFC 8831).
const (
	// MaxChannels is how many streams a Peer has at once, whoever opened them.
	MaxChannels = 128
	// MaxMessage is the longest message, in bytes, either way.
	MaxMessage = 64 << 10
	// maxBuffered is what may wait to be sent on one channel, in bytes.
	maxBuffered = 1 << 20
)

// ChannelInit are the parameters of a data channel (RFC 8832 §5.1). Of
// MaxPacketLifeTime (ms) and MaxRetransmits at most one may be set.
type ChannelInit struct {
	Label, Protocol                   string
	Ordered                           bool
	MaxPacketLifeTime, MaxRetransmits *uint16
}

// ChannelStats are the counters of one data channel.
type ChannelStats struct {
	ID                              int
	Serial                          int // how many were opened before it
	Label, Protocol                 string
	State                           string // connecting, open, closing, closed
	MessagesSent, BytesSent         uint64
	MessagesReceived, BytesReceived uint64
	// Dropped is messages that an unreliable channel had no room for.
	Dropped uint64
}

// channels are the data channels of one Peer.
type channels struct {
	peer *Peer
	in   *DataReceiver
	out  *DataSender

	mu      sync.Mutex // leaf, but for the library's send queue
	open    []*channel
	waiting []*channel // ours, before their stream is there
	closed  []ChannelStats
	opened  int
	gone    int
	stopped bool
}

// keptClosed is how many ended channels statistics still show.
const keptClosed = 16

// channel is one data channel. Guarded by channels.mu.
type channel struct {
	dc       *webrtc.DataChannel
	raw      datachannel.ReadWriteCloser
	stats    ChannelStats
	reliable bool
}

// queued is what the library tells of its send queue.
type queued interface{ BufferedAmount() uint64 }

// texter writes text and binary messages apart.
type texter interface {
	WriteDataChannel(b []byte, isString bool) (int, error)
	ReadDataChannel(b []byte) (int, bool, error)
}

func newChannels(p *Peer) *channels {
	c := &channels{peer: p}
	c.in, c.out = &DataReceiver{}, &DataSender{channels: c}
	return c
}

// errNoChannels is what everything about data channels gives while there can be
// none; the text is Kurento's.
func errNoChannels() error {
	return kerr.New(kerr.MediaObjectOperationNotSupported, "Data channels are not supported")
}

// OpenChannel opens a data channel; its id is told by ChannelOpened, at once or
// when the connection is up. kerr.MediaObjectOperationNotSupported while none
// were negotiated, kerr.NotEnoughResources beyond MaxChannels.
func (p *Peer) OpenChannel(c ChannelInit) error {
	l := p.dataLeg()
	if l == nil {
		return errNoChannels()
	}
	if len(c.Label) > MaxMessage-1 || len(c.Protocol) > MaxMessage-1 {
		return kerr.New(kerr.MediaObjectIllegalParam, "Label or protocol is too long")
	}
	if p.channels.full() {
		return kerr.New(kerr.NotEnoughResources, "Too many data channels: %d are open", MaxChannels)
	}
	dc, err := l.pc.CreateDataChannel(c.Label, &webrtc.DataChannelInit{
		Ordered: &c.Ordered, MaxPacketLifeTime: c.MaxPacketLifeTime, MaxRetransmits: c.MaxRetransmits, Protocol: &c.Protocol,
	})
	if err != nil {
		return fmt.Errorf("open data channel: %w: %w", kerr.MediaObjectOperationNotSupported, err)
	}
	ch := p.channels.watch(dc)
	if ch == nil {
		return errNoChannels()
	}
	return nil
}

// dataLeg is the transport of the data section, nil when none was negotiated.
func (p *Peer) dataLeg() *leg {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.stage != settled {
		return nil
	}
	for _, l := range p.legs {
		for _, i := range l.at {
			if kindOf(p.local.sections[i].media) == pipeline.Data && p.remoteSDP.sections[i].port != 0 {
				return l
			}
		}
	}
	return nil
}

// CloseChannel ends a channel that either side opened. An id that is not open
// is kerr.MediaObjectIllegalParam.
func (p *Peer) CloseChannel(id int) error {
	if p.dataLeg() == nil {
		return errNoChannels()
	}
	c := p.channels
	c.mu.Lock()
	i := slices.IndexFunc(c.open, func(ch *channel) bool { return ch.stats.ID == id })
	if i < 0 {
		c.mu.Unlock()
		return kerr.New(kerr.MediaObjectIllegalParam, "Data channel %d does not exist", id)
	}
	ch := c.open[i]
	ch.stats.State = "closing"
	c.mu.Unlock()
	if err := ch.raw.Close(); err != nil {
		return fmt.Errorf("close data channel: %w: %w", kerr.MediaObjectOperationNotSupported, err)
	}
	return nil
}

func (c *channels) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)+len(c.waiting) >= MaxChannels
}

// accept takes a channel that the remote end opened, unless there are too many.
func (c *channels) accept(dc *webrtc.DataChannel) {
	defer guard(c.peer.log, "transport.channel", c.peer.panicked)
	if c.full() || c.watch(dc) == nil {
		dc.OnOpen(func() {
			defer guard(c.peer.log, "transport.channel", c.peer.panicked)
			if raw, err := dc.Detach(); err == nil {
				_ = raw.Close()
			}
		})
	}
}

// watch takes a channel in; nil when the Peer is closing.
func (c *channels) watch(dc *webrtc.DataChannel) *channel {
	ch := &channel{dc: dc, reliable: dc.MaxPacketLifeTime() == nil && dc.MaxRetransmits() == nil}
	ch.stats = ChannelStats{ID: -1, Label: dc.Label(), Protocol: dc.Protocol(), State: "connecting"}
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return nil
	}
	c.waiting = append(c.waiting, ch)
	c.mu.Unlock()
	dc.OnOpen(func() {
		defer guard(c.peer.log, "transport.channel", c.peer.panicked)
		c.begin(ch)
	})
	return ch
}

// begin starts to read an open channel.
func (c *channels) begin(ch *channel) {
	raw, err := ch.dc.Detach()
	c.mu.Lock()
	c.waiting = slices.DeleteFunc(c.waiting, func(x *channel) bool { return x == ch })
	if err != nil || c.stopped || ch.dc.ID() == nil {
		c.mu.Unlock()
		if err == nil {
			_ = raw.Close()
		}
		return
	}
	ch.raw = raw
	ch.stats.ID, ch.stats.State = int(*ch.dc.ID()), "open"
	ch.stats.Serial = c.opened
	c.open = append(c.open, ch)
	c.opened++
	id := ch.stats.ID
	c.mu.Unlock()
	if f := c.peer.cfg.ChannelOpened; f != nil {
		c.peer.post(func() { f(id) })
	}
	if !c.peer.goRead("transport.channel", func() { c.read(ch) }) {
		_ = raw.Close()
	}
}

// read hands on what comes by a channel until it ends. A message that is too
// long ends it.
func (c *channels) read(ch *channel) {
	defer c.end(ch)
	from, ok := ch.raw.(texter)
	if !ok {
		return
	}
	buf := make([]byte, MaxMessage)
	for {
		n, text, err := from.ReadDataChannel(buf)
		if err != nil {
			if errors.Is(err, io.ErrShortBuffer) {
				c.peer.engine.counters.oversized.Add(1)
				_ = ch.raw.Close()
			}
			return
		}
		c.mu.Lock()
		ch.stats.MessagesReceived++
		ch.stats.BytesReceived += uint64(n)
		c.mu.Unlock()
		now := time.Now()
		c.in.push(&pipeline.Packet{
			Format: &dataFormat, Payload: slices.Clone(buf[:n]), Key: text,
			Arrival: now, PTS: now.Sub(c.peer.cfg.Epoch),
		})
	}
}

// end forgets a channel.
func (c *channels) end(ch *channel) {
	c.mu.Lock()
	i := slices.Index(c.open, ch)
	if i < 0 {
		c.mu.Unlock()
		return
	}
	c.open = slices.Delete(c.open, i, i+1)
	c.gone++
	ch.stats.State = "closed"
	c.closed = append(c.closed, ch.stats)
	if len(c.closed) > keptClosed {
		c.closed = c.closed[1:]
	}
	id := ch.stats.ID
	c.mu.Unlock()
	if f := c.peer.cfg.ChannelClosed; f != nil {
		c.peer.post(func() { f(id) })
	}
}

// stop refuses what comes late.
func (c *channels) stop() {
	c.mu.Lock()
	c.stopped = true
	c.waiting, c.open = nil, nil
	c.mu.Unlock()
}

// send writes a message to every open channel. A channel that holds more than
// maxBuffered unsent loses the message when it is unreliable, and ends when it
// is not: a reliable channel with a hole would be a lie.
func (c *channels) send(b []byte, text bool) {
	var full []*channel
	c.mu.Lock()
	for _, ch := range c.open {
		to, ok := ch.raw.(texter)
		if !ok || ch.stats.State != "open" {
			continue
		}
		if q, ok := ch.raw.(queued); ok && q.BufferedAmount()+uint64(len(b)) > maxBuffered {
			ch.stats.Dropped++
			if ch.reliable {
				ch.stats.State = "closing"
				full = append(full, ch)
			}
			continue
		}
		if _, err := to.WriteDataChannel(b, text); err != nil {
			ch.stats.Dropped++
			continue
		}
		ch.stats.MessagesSent++
		ch.stats.BytesSent += uint64(len(b))
	}
	c.mu.Unlock()
	for _, ch := range full {
		c.peer.debug("data channel closed: its reader is too slow", "channel", ch.stats.ID)
		_ = ch.raw.Close()
	}
}

// Channels are the counters of the channels that are open or ended lately, and
// how many were opened and closed since birth.
func (p *Peer) Channels() (list []ChannelStats, opened, closed int) {
	c := p.channels
	c.mu.Lock()
	defer c.mu.Unlock()
	list = slices.Clone(c.closed)
	for _, ch := range c.open {
		list = append(list, ch.stats)
	}
	return list, c.opened, c.gone
}
