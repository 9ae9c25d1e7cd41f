package data

import (
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/pion/sctp"

	"github.com/govidu/govidu/elements/webrtc/transport/pionlog"
	"github.com/govidu/govidu/internal/kerr"
)

// Limits of data channels (RFC 8831).
const (
	// MaxChannels is how many streams a peer has at once, whoever opened them.
	MaxChannels = 128
	// MaxMessage is the longest message, in bytes, either way.
	MaxMessage = 64 << 10
	// MaxBuffered is what may wait to be sent on one channel, and on all of them
	// to be read, in bytes.
	MaxBuffered = 1 << 20
)

const (
	mtu        = 1200 // of SCTP, inside of DTLS
	keptClosed = 16   // ended channels that List still shows
	maxStream  = 1023 // the highest id we choose: Chromium knows no higher one
	maxRefused = 1024 // streams over MaxChannels until the peer is given up
)

// Config is what Channels tell and to whom. Callbacks run on goroutines of the
// Channels, one at a time for one channel.
type Config struct {
	// Opened and Closed tell of channels that either side opened.
	Opened, Closed func(id int)
	// Message takes a message of at most MaxMessage bytes; b is the callee's.
	Message func(id int, b []byte, text bool)
	// Oversized tells that a longer one came; it ended its channel.
	Oversized func()
	// Log takes what goes on at debug level; nil discards it.
	Log *slog.Logger
}

// Stats are the counters of one data channel.
type Stats struct {
	ID                              int
	Serial                          int // how many were opened before it
	Label, Protocol                 string
	State                           string // connecting, open, closing, closed
	MessagesSent, BytesSent         uint64
	MessagesReceived, BytesReceived uint64
	// Dropped is messages that an unreliable channel had no room for.
	Dropped uint64
}

// Channels are the data channels of one peer.
type Channels struct {
	cfg Config
	wg  sync.WaitGroup

	mu          sync.Mutex // a leaf, but for the library's send queue
	client      bool
	association *sctp.Association
	conn        net.Conn
	open        []*channel
	waiting     []Init // ours, before the association is there
	closed      []Stats
	next        int // the stream id to try first
	opened      int
	gone        int
	refused     int
	stopped     bool
}

// New makes Channels that wait for Start.
func New(cfg Config) *Channels {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Channels{cfg: cfg}
}

// errNone is what everything gives while there can be no channels; the text is
// Kurento's.
func errNone() error {
	return kerr.New(kerr.MediaObjectOperationNotSupported, "Data channels are not supported")
}

// Start has SCTP come up on a connection, in the background; client is our role
// in DTLS, which tells whose stream ids are even (RFC 8832 §6). Only the first
// Start does something. The connection is closed at the end.
func (c *Channels) Start(conn net.Conn, client bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return
	}
	if c.stopped {
		_ = conn.Close()
		return
	}
	c.conn, c.client = conn, client
	if !client {
		c.next = 1
	}
	c.wg.Go(func() {
		defer c.caught("data.association")
		c.run(conn)
	})
}

// run is the life of the association.
func (c *Channels) run(conn net.Conn) {
	defer conn.Close()
	a, err := sctp.ClientWithOptions(
		sctp.WithNetConn(conn), sctp.WithMTU(mtu), sctp.WithMaxMessageSize(MaxMessage),
		sctp.WithMaxReceiveBufferSize(MaxBuffered), sctp.WithLoggerFactory(pionlog.Factory{Log: c.cfg.Log}),
	)
	if err != nil {
		c.cfg.Log.Debug("no SCTP association", "err", err)
		return
	}
	c.mu.Lock()
	waiting := c.waiting
	c.waiting, c.association = nil, a
	if c.stopped {
		waiting = nil
		c.wg.Go(func() { a.Abort("") })
	}
	for _, i := range waiting {
		if err := c.begin(i); err != nil {
			c.cfg.Log.Debug("data channel not opened", "err", err)
		}
	}
	c.mu.Unlock()
	for {
		s, err := a.AcceptStream()
		if err != nil {
			return
		}
		c.accept(a, s)
	}
}

// Open opens a data channel; its id is told by Opened, at once or when the
// association is up. kerr.MediaObjectOperationNotSupported after Close,
// kerr.MediaObjectIllegalParam for texts that are too long,
// kerr.NotEnoughResources beyond MaxChannels.
func (c *Channels) Open(i Init) error {
	if len(i.Label)+len(i.Protocol) > MaxMessage-openSize {
		return kerr.New(kerr.MediaObjectIllegalParam, "Label or protocol is too long")
	}
	if i.MaxPacketLifeTime != nil && i.MaxRetransmits != nil {
		return kerr.New(kerr.MediaObjectIllegalParam, "Either a life time or a number of retransmissions limits a data channel")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return errNone()
	case c.full():
		return kerr.New(kerr.NotEnoughResources, "Too many data channels: %d are open", MaxChannels)
	case c.association == nil:
		c.waiting = append(c.waiting, i)
		return nil
	}
	return c.begin(i)
}

func (c *Channels) full() bool { return len(c.open)+len(c.waiting) >= MaxChannels }

// begin opens a stream of ours; mu is held.
func (c *Channels) begin(i Init) error {
	id, ok := c.free()
	if !ok {
		return kerr.New(kerr.NotEnoughResources, "Too many data channels: %d are open", MaxChannels)
	}
	s, err := c.association.OpenStream(uint16(id), sctp.PayloadTypeWebRTCBinary)
	if err == nil {
		_, err = s.WriteSCTP(i.marshal(), sctp.PayloadTypeWebRTCDCEP)
	}
	if err != nil {
		return fmt.Errorf("open data channel: %w: %w", kerr.MediaObjectOperationNotSupported, err)
	}
	// Until the peer has acknowledged, messages are in order (RFC 8832 §6).
	kind, value := i.reliability()
	s.SetReliabilityParams(false, kind, value)
	c.register(s, i)
	return nil
}

// free gives the next stream id of ours that is not in use. Ids go round, so
// that a new channel does not meet the reset of the one before; mu is held.
func (c *Channels) free() (int, bool) {
	for range maxStream/2 + 1 {
		id := c.next
		if c.next += 2; c.next > maxStream {
			c.next = c.next % 2
		}
		if !slices.ContainsFunc(c.open, func(ch *channel) bool { return ch.stats.ID == id }) {
			return id, true
		}
	}
	return 0, false
}

// CloseChannel ends a channel that either side opened. An id that is not open
// is kerr.MediaObjectIllegalParam.
func (c *Channels) CloseChannel(id int) error {
	c.mu.Lock()
	i := slices.IndexFunc(c.open, func(ch *channel) bool { return ch.stats.ID == id })
	if i < 0 {
		c.mu.Unlock()
		return kerr.New(kerr.MediaObjectIllegalParam, "Data channel %d does not exist", id)
	}
	ch := c.open[i]
	ch.stats.State = "closing"
	c.mu.Unlock()
	if err := ch.stream.Close(); err != nil {
		return fmt.Errorf("close data channel: %w: %w", kerr.MediaObjectOperationNotSupported, err)
	}
	return nil
}

// Send sends a message to every open channel. A channel that holds more than
// MaxBuffered unsent loses the message when it is unreliable, and ends when it
// is not: a reliable channel with a hole would be a lie. A message longer than
// MaxMessage is lost.
func (c *Channels) Send(b []byte, text bool) {
	if len(b) > MaxMessage {
		return
	}
	var full []*channel
	c.mu.Lock()
	for _, ch := range c.open {
		if ch.send(b, text) {
			full = append(full, ch)
		}
	}
	c.mu.Unlock()
	for _, ch := range full {
		c.cfg.Log.Debug("data channel closed: its reader is too slow", "channel", ch.stats.ID)
		_ = ch.stream.Close()
	}
}

// List are the counters of the channels that are open or ended lately, and how
// many were opened and closed since birth.
func (c *Channels) List() (list []Stats, opened, closed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list = slices.Clone(c.closed)
	for _, ch := range c.open {
		list = append(list, ch.stats)
	}
	return list, c.opened, c.gone
}

// Close ends all channels without a word to the callbacks, tells the peer (SCTP
// ABORT), closes the connection and waits for the goroutines: do not call it
// inside of a callback, nor with a lock that one of them takes.
func (c *Channels) Close() error {
	c.mu.Lock()
	c.stopped = true
	c.waiting, c.open = nil, nil
	a, conn := c.association, c.conn
	c.mu.Unlock()
	if a != nil {
		a.Abort("")
	}
	if conn != nil {
		_ = conn.Close()
	}
	c.wg.Wait()
	return nil
}

// caught ends a panic of the deferring goroutine.
func (c *Channels) caught(where string) {
	if r := recover(); r != nil {
		c.cfg.Log.Error("panic caught", "where", where, "err", fmt.Sprintf("%.256v", r), "stack", string(debug.Stack()))
	}
}
