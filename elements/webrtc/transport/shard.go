package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/ice"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
)

const (
	batchSize = 64  // datagrams taken at once
	arenaSize = 128 // sealed packets held before they are sent: stays in the cache
	// inboxSize is how many letters wait for a shard; more are dropped, as a
	// network would.
	inboxSize = 512
	// littleWork is how many packets a goroutine seals for a shard that is not its
	// own rather than wake that shard's: two to three milliseconds.
	littleWork = 1024
	// maxShards is how many shards there may be (see turn.forward).
	maxShards = 64
)

// shard is one UDP socket of the media port with its reader, and the lock of the
// Peers that live on it. The lock is taken once for a batch of datagrams, not for
// each. Of two shards' locks the lower index is taken first.
type shard struct {
	engine *Engine
	index  int
	base   int // which of the Engine's addresses: the ICE agents' name of it
	socket *udp.Socket
	inbox  chan letter
	unread atomic.Int32 // letters in the inbox, or being served
	reply  [64]byte     // the reader's
	born   time.Time
	look   atomic.Int64 // when the reader last looked what is due, in nanoseconds since born

	mu      sync.Mutex
	writer  *udp.Writer
	addrs   map[netip.AddrPort]*leg // by the addresses that have passed a check
	scratch [udp.SlotSize]byte      // of packets that do not go by the writer
	tally   tally
	busy    atomic.Int64 // nanoseconds of the reader and of who opens the inbox
}

// letter is something for a shard from outside: a datagram that came elsewhere,
// or packets for Senders that live here.
type letter struct {
	job      job
	to       *leg
	from     netip.AddrPort
	datagram []byte
	base     int
	came     *shard // where the datagram came, nil when not at a shard
}

func (e *Engine) newShard(socket *udp.Socket, base int) *shard {
	return &shard{
		engine: e, index: len(e.shards), base: base, socket: socket, inbox: make(chan letter, inboxSize), born: time.Now(),
		writer: udp.NewWriter(arenaSize), addrs: map[netip.AddrPort]*leg{},
	}
}

// post leaves a letter; it never blocks.
func (s *shard) post(l letter) {
	s.unread.Add(1)
	select {
	case s.inbox <- l:
	default:
		s.unread.Add(-1)
		s.engine.counters.lateMail.Add(1)
	}
}

// serve does the job of a letter on the caller's goroutine, with no shard's lock
// held, when it is little and nothing is before it; else it gives false and the letter
// is to be posted. Waking another thread costs as much as sealing some dozen packets,
// and the packets leave later.
func (s *shard) serve(now time.Time, l *letter) bool {
	if l.to != nil || s.unread.Load() > 0 {
		return false
	}
	list := l.job.from.spliced.Load()
	if list == nil || len(*list)*len(l.job.items) > littleWork || !s.mu.TryLock() {
		return false
	}
	t := turns.Get().(*turn)
	defer turns.Put(t)
	t.shard, t.now = s, now
	t.jobs = append(t.jobs, l.job)
	t.end()
	return true
}

// read serves the socket until it is closed.
func (s *shard) read() {
	batch := udp.NewBatch(batchSize, MaxDatagram)
	t, ticks := &turn{}, &turn{}
	var wait time.Duration
	for {
		n, err := s.socket.ReadWithin(batch, wait)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			s.engine.log.Debug("media socket", "err", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		t.begin(s)
		s.tally.batch(n)
		for i := 0; i < n; {
			i = s.take(t, batch, i, n)
		}
		wait = t.hold()
		t.end()
		if wait == 0 && s.looked(t.now) >= tickEvery {
			s.tick(ticks, t.now)
		}
		s.worked(t)
	}
}

// take handles datagrams from the i-th on; after a panic, which ends the Peer
// that was served, it gives the next one.
func (s *shard) take(t *turn, batch *udp.Batch, i, n int) (next int) {
	defer func() {
		if r := recover(); r != nil {
			s.engine.blame(t, "transport.datagram", r)
			next++
		}
	}()
	for next = i; next < n; next++ {
		t.who = nil
		b, from, truncated := batch.Datagram(next)
		s.tally.came(len(b))
		if truncated || len(b) > MaxDatagram {
			s.engine.counters.oversized.Add(1)
			continue
		}
		s.datagram(t, b, from)
	}
	return next
}

// open serves the inbox until the Engine ends.
func (s *shard) open(done <-chan struct{}) {
	t := &turn{}
	for {
		select {
		case <-done:
			return
		case l := <-s.inbox:
			t.begin(s)
			s.letter(t, &l)
			taken := int32(1)
			for more := true; more && len(t.came) < batchSize && len(t.jobs) < batchSize; {
				select {
				case l = <-s.inbox:
					s.letter(t, &l)
					taken++
				default:
					more = false
				}
			}
			t.end()
			s.worked(t)
			s.unread.Add(-taken)
		}
	}
}

func (s *shard) letter(t *turn, l *letter) {
	defer func() {
		if r := recover(); r != nil {
			s.engine.blame(t, "transport.letter", r)
		}
	}()
	t.who = nil
	if l.to == nil {
		t.jobs = append(t.jobs, l.job)
		return
	}
	if home := l.to.peer.shard.Load(); home != s { // it moved meanwhile
		t.mail = append(t.mail, mail{home, *l})
		return
	}
	l.to.datagram(t, l.datagram, l.base, l.from, l.came)
}

// datagram finds whose a datagram is (RFC 7983): by the address once a check has
// passed, before by what STUN names.
func (s *shard) datagram(t *turn, b []byte, from netip.AddrPort) {
	if !demuxable(b) {
		s.engine.counters.malformed.Add(1)
		return
	}
	var l *leg
	if b[0] > 3 {
		l = s.addrs[from]
	} else if l = s.engine.legOf(b); l == nil && s.engine.answered(b) {
		return
	} else if l == nil && isPlainBinding(b) {
		s.engine.answer(b, from, t.now, s.reply[:0], func(reply []byte) error { return s.socket.Send(reply, from, 0) })
		return
	}
	switch {
	case l == nil:
		s.tally.refused[refusedSource]++
	case l.peer.shard.Load() != s:
		t.mail = append(t.mail, mail{l.peer.shard.Load(), letter{to: l, from: from, datagram: append([]byte(nil), b...), base: s.base, came: s}})
	default:
		l.datagram(t, b, s.base, from, s)
	}
}

// legOf finds the leg that a STUN message is for: a request names it by its user
// fragment, a response by its transaction.
func (e *Engine) legOf(b []byte) *leg {
	if ice.IsResponse(b) {
		e.demux.RLock()
		defer e.demux.RUnlock()
		return e.tags[ice.Tag(b)]
	}
	ufrag, ok := ice.UsernameFragment(b)
	if !ok {
		return nil
	}
	e.demux.RLock()
	defer e.demux.RUnlock()
	return e.ufrags[string(ufrag)]
}

// blame ends the Peer that was served when a panic came up.
func (e *Engine) blame(t *turn, where string, r any) {
	if t.who != nil {
		t.who.broke(where, r)
		return
	}
	e.counters.panics.Add(1)
	e.logPanic(where, r)
}
