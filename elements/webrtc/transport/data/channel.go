package data

import (
	"errors"
	"io"
	"slices"

	"github.com/pion/sctp"
)

// stream is what a channel needs of an SCTP stream.
type stream interface {
	ReadSCTP(b []byte) (int, sctp.PayloadProtocolIdentifier, error)
	WriteSCTP(b []byte, ppi sctp.PayloadProtocolIdentifier) (int, error)
	SetReliabilityParams(unordered bool, kind byte, value uint32)
	BufferedAmount() uint64
	Close() error
}

// channel is one data channel. Guarded by Channels.mu.
type channel struct {
	stream   stream
	init     Init
	stats    Stats
	reliable bool
}

// accept takes a stream that the remote end opened, unless there are too many.
// The first message says what it is; while that is not there no other stream is
// accepted, which keeps them in order.
func (c *Channels) accept(a *sctp.Association, s *sctp.Stream) {
	c.mu.Lock()
	full := c.full() || c.stopped
	if full {
		c.refused++
	}
	lost := c.refused > maxRefused
	c.mu.Unlock()
	switch {
	case lost:
		c.cfg.Log.Debug("SCTP association ended: too many streams")
		c.wg.Go(func() { a.Abort("too many streams") })
		return
	case full:
		_ = s.Close()
		return
	}
	b, ppi, err := receive(s)
	if err != nil {
		_ = s.Close()
		return
	}
	i, err := parseInit(b)
	if err != nil || ppi != sctp.PayloadTypeWebRTCDCEP {
		c.cfg.Log.Debug("stream refused: it was not opened by a DATA_CHANNEL_OPEN", "stream", s.StreamIdentifier())
		_ = s.Close()
		return
	}
	if _, err := s.WriteSCTP([]byte{dcepAck}, sctp.PayloadTypeWebRTCDCEP); err != nil {
		return
	}
	kind, value := i.reliability()
	s.SetReliabilityParams(!i.Ordered, kind, value)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.full() {
		_ = s.Close()
		return
	}
	c.register(s, i)
}

// register starts to read an open channel; mu is held.
func (c *Channels) register(s *sctp.Stream, i Init) {
	ch := &channel{stream: s, init: i, reliable: i.MaxPacketLifeTime == nil && i.MaxRetransmits == nil}
	ch.stats = Stats{ID: int(s.StreamIdentifier()), Serial: c.opened, Label: i.Label, Protocol: i.Protocol, State: "open"}
	c.open = append(c.open, ch)
	c.opened++
	id := ch.stats.ID
	c.wg.Go(func() {
		defer c.end(ch)
		defer c.caught("data.channel")
		if c.cfg.Opened != nil {
			c.cfg.Opened(id)
		}
		c.read(ch, id)
	})
}

// receive gives the next message in a buffer of its own size.
func receive(s stream) ([]byte, sctp.PayloadProtocolIdentifier, error) {
	var b []byte
	for {
		n, ppi, err := s.ReadSCTP(b)
		if !errors.Is(err, io.ErrShortBuffer) {
			return b[:n], ppi, err
		}
		if n > MaxMessage || n <= len(b) {
			return nil, ppi, io.ErrShortBuffer
		}
		b = make([]byte, n)
	}
}

// read hands on what comes by a channel until it ends. A message that is too
// long ends it.
func (c *Channels) read(ch *channel, id int) {
	for {
		b, ppi, err := receive(ch.stream)
		if err != nil {
			if errors.Is(err, io.ErrShortBuffer) && c.cfg.Oversized != nil {
				c.cfg.Oversized()
			}
			return
		}
		text := false
		switch ppi {
		case sctp.PayloadTypeWebRTCDCEP:
			if len(b) == 1 && b[0] == dcepAck {
				kind, value := ch.init.reliability()
				ch.stream.SetReliabilityParams(!ch.init.Ordered, kind, value)
			}
			continue
		case sctp.PayloadTypeWebRTCString:
			text = true
		case sctp.PayloadTypeWebRTCStringEmpty:
			text, b = true, b[:0]
		case sctp.PayloadTypeWebRTCBinary:
		case sctp.PayloadTypeWebRTCBinaryEmpty:
			b = b[:0]
		default:
			continue // an identifier of nobody's (RFC 8831 §8)
		}
		c.mu.Lock()
		ch.stats.MessagesReceived++
		ch.stats.BytesReceived += uint64(len(b))
		stopped := c.stopped
		c.mu.Unlock()
		if c.cfg.Message != nil && !stopped {
			c.cfg.Message(id, b, text)
		}
	}
}

// end forgets a channel. Who hears a reset sends one (RFC 8831 §6.7).
func (c *Channels) end(ch *channel) {
	defer c.caught("data.channel")
	_ = ch.stream.Close()
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
	if c.cfg.Closed != nil {
		c.cfg.Closed(id)
	}
}

// send writes a message; full tells that the channel is to end. Channels.mu is
// held.
func (ch *channel) send(b []byte, text bool) (full bool) {
	if ch.stats.State != "open" {
		return false
	}
	if ch.stream.BufferedAmount()+uint64(len(b)) > MaxBuffered {
		ch.stats.Dropped++
		if ch.reliable {
			ch.stats.State = "closing"
		}
		return ch.reliable
	}
	// SCTP has no empty messages: one byte and an identifier stand for them.
	ppi, content := sctp.PayloadTypeWebRTCBinary, b
	switch {
	case text && len(b) == 0:
		ppi, content = sctp.PayloadTypeWebRTCStringEmpty, []byte{0}
	case text:
		ppi = sctp.PayloadTypeWebRTCString
	case len(b) == 0:
		ppi, content = sctp.PayloadTypeWebRTCBinaryEmpty, []byte{0}
	}
	if _, err := ch.stream.WriteSCTP(content, ppi); err != nil {
		ch.stats.Dropped++
		return false
	}
	ch.stats.MessagesSent++
	ch.stats.BytesSent += uint64(len(b))
	return false
}
