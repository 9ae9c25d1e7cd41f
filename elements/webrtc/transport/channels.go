package transport

import (
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/data"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Limits of data channels (RFC 8831).
const (
	// MaxChannels is how many streams a Peer has at once, whoever opened them.
	MaxChannels = data.MaxChannels
	// MaxMessage is the longest message, in bytes, either way.
	MaxMessage = data.MaxMessage
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

	mu      sync.Mutex     // leaf: what follows
	list    *data.Channels // nil until negotiated
	stopped bool
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
	list := p.channels.use()
	if list == nil {
		return errNoChannels()
	}
	return list.Open(data.Init(c))
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
	list := p.channels.existing()
	if list == nil {
		return kerr.New(kerr.MediaObjectIllegalParam, "Data channel %d does not exist", id)
	}
	return list.CloseChannel(id)
}

// hasChannels tells whether data channels run over a leg. The caller holds the
// shard's lock.
func (p *Peer) hasChannels(l *leg) bool { return slices.Contains(l.kinds, pipeline.Data) }

func (c *channels) existing() *data.Channels {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}

// use makes the list when it is first needed; nil when the Peer is closing.
func (c *channels) use() *data.Channels {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.list != nil {
		return c.list
	}
	p := c.peer
	c.list = data.New(data.Config{
		Log: p.log,
		Opened: func(id int) {
			if f := p.cfg.ChannelOpened; f != nil {
				p.post(func() { f(id) })
			}
		},
		Closed: func(id int) {
			if f := p.cfg.ChannelClosed; f != nil {
				p.post(func() { f(id) })
			}
		},
		Message: func(_ int, b []byte, text bool) {
			now := time.Now()
			c.in.push(&pipeline.Packet{Format: &dataFormat, Payload: b, Key: text, Arrival: now, PTS: now.Sub(p.cfg.Epoch)})
		},
		Oversized: func() { p.engine.counters.oversized.Add(1) },
	})
	return c.list
}

// openChannels starts SCTP over a leg whose handshake is done, if data channels
// were negotiated. The caller holds the shard's lock.
func (l *leg) openChannels(t *turn) {
	p := l.peer
	if !p.hasChannels(l) {
		return
	}
	conn, client := l.conn, l.plan.active
	t.after = append(t.after, func() {
		p.goSafe("transport.channels", func() {
			list := p.channels.use()
			if list == nil {
				return
			}
			stream, err := conn.Stream()
			if err != nil {
				p.debug("data channels", "err", err)
				return
			}
			list.Start(stream, client)
		})
	})
}

// stop ends all channels and refuses what comes late.
func (c *channels) stop() {
	c.mu.Lock()
	c.stopped = true
	list := c.list
	c.mu.Unlock()
	if list != nil {
		if err := list.Close(); err != nil {
			c.peer.debug("close data channels", "err", err)
		}
	}
}

// send writes a message to every open channel (see data.Channels.Send).
func (c *channels) send(b []byte, text bool) {
	if list := c.existing(); list != nil {
		list.Send(b, text)
	}
}

// Channels are the counters of the channels that are open or ended lately, and
// how many were opened and closed since birth.
func (p *Peer) Channels() (list []ChannelStats, opened, closed int) {
	l := p.channels.existing()
	if l == nil {
		return nil, 0, 0
	}
	all, opened, closed := l.List()
	for _, s := range all {
		list = append(list, ChannelStats(s))
	}
	return list, opened, closed
}
