package transport

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/govidu/govidu/pipeline"
)

// Handler hears what happens to a Peer. All functions are optional. They are
// called one at a time and in order, on a goroutine of the Peer, until Close
// begins; they must not call Close.
type Handler struct {
	// Candidate and GatheringDone come after Gather, not before.
	Candidate     func(Candidate)
	GatheringDone func()
	// The states are of one transport: 1 is the first, and the only one of a
	// peer that bundles.
	ICEState  func(stream int, s ICEState)
	DTLSState func(stream int, s DTLSState)
	Pair      func(CandidatePair)
	// Connected tells whether media can flow: ICE and DTLS are both up.
	Connected func(up bool)
	// MediaFlowing tells whether RTCP arrives; false after 5 s without.
	MediaFlowing func(on bool)
	// ChannelOpened and ChannelClosed tell of data channels by their stream id.
	ChannelOpened, ChannelClosed func(id int)
}

// PeerConfig is what a Peer needs.
type PeerConfig struct {
	// Epoch is the zero of PTS (pipeline.Pipeline.Epoch).
	Epoch time.Time
	Handler
	// DataChannels answers and offers an SCTP section.
	DataChannels bool
	// Certificate is the kind of key that the peer sees.
	Certificate CertificateType
	// DSCP marks outgoing packets (RFC 2474); 0 leaves them unmarked.
	DSCP uint8
	// RecvOnly and SendOnly shape offers of ours; both false is sendrecv.
	RecvOnly, SendOnly bool
	Log                *slog.Logger
}

// Peer is one WebRTC connection: at most one audio and one video stream in each
// direction, negotiated once. Methods are safe for concurrent use.
type Peer struct {
	engine   *Engine
	cfg      PeerConfig
	log      *slog.Logger
	streamID string

	audioIn, videoIn   *Receiver
	audioOut, videoOut *Sender
	channels           *channels
	dataIn             *DataReceiver
	dataOut            *DataSender

	caps      atomic.Pointer[caps]
	network   atomic.Pointer[Network]
	connected atomic.Bool
	nacks     atomic.Uint64 // sent, for all streams
	lastRTCP  atomic.Int64  // nanoseconds since start, 0 before the first
	start     time.Time
	clock     *pipeline.SenderClock

	mu        sync.Mutex // negotiation state; taken before the library's locks
	stage     stage
	legs      []*leg
	local     *description
	offerMids []string     // what the sections of our offer are called inside
	remoteSDP *description // the peer's
	remote    string       // as the peer wrote it
	pending   []Candidate
	remoteN   int  // remote candidates taken
	gatherOn  bool // Gather was called
	toldDone  bool
	closed    bool

	events chan struct{}
	evMu   sync.Mutex // leaf: queue
	queue  []func()
	done   chan struct{}
	ended  chan struct{}
	wg     sync.WaitGroup // readers of tracks and RTCP
}

type stage uint8

const (
	fresh stage = iota
	haveOffer
	settled
)

// NewPeer makes a Peer that waits to be negotiated.
func (e *Engine) NewPeer(cfg PeerConfig) (*Peer, error) {
	p := &Peer{
		engine: e, cfg: cfg, log: cfg.Log, streamID: uuid.NewString(), start: time.Now(), clock: pipeline.NewSenderClock(cfg.Epoch),
		events: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}),
	}
	if p.log == nil {
		p.log = e.log
	}
	p.caps.Store(&caps{})
	p.network.Store(&Network{TCP: true})
	p.channels = newChannels(p)
	p.dataIn, p.dataOut = p.channels.in, p.channels.out
	p.audioIn, p.videoIn = newReceiver(p, pipeline.Audio), newReceiver(p, pipeline.Video)
	p.audioOut, p.videoOut = newSender(p, pipeline.Audio), newSender(p, pipeline.Video)
	if err := e.add(p); err != nil {
		return nil, err
	}
	go p.run()
	return p, nil
}

// Receiver is what the peer sends of a kind, nil for Data. It exists from birth.
func (p *Peer) Receiver(kind pipeline.Kind) *Receiver {
	switch kind {
	case pipeline.Audio:
		return p.audioIn
	case pipeline.Video:
		return p.videoIn
	}
	return nil
}

// Sender is what the peer is sent of a kind, nil for Data. It exists from birth.
func (p *Peer) Sender(kind pipeline.Kind) *Sender {
	switch kind {
	case pipeline.Audio:
		return p.audioOut
	case pipeline.Video:
		return p.videoOut
	}
	return nil
}

// Bandwidth bounds what flows, in kbit/s if nothing else is said; 0 is no limit.
type Bandwidth struct {
	// MaxAudioRecv and MaxVideoRecv cap what the peer shall send. Before
	// negotiation they become b= lines; the cap of video is announced by REMB as
	// well, also when set later.
	MaxAudioRecv, MaxVideoRecv int
	// MinVideoRecv is the least that a REMB announces for the sake of receivers.
	MinVideoRecv int
	// MinVideoSend and MaxVideoSend bound what the peer is said to take: the
	// target of encoders, and what sources are asked for.
	MinVideoSend, MaxVideoSend int
	// StartVideoSend is what encoders begin with, in bit/s; 0 is 300,000.
	StartVideoSend int
}

// SetBandwidth changes the bounds.
func (p *Peer) SetBandwidth(b Bandwidth) {
	c := caps(b)
	p.caps.Store(&c)
}

// SetNetwork says where and how to gather candidates; it counts until
// negotiation, but for the external addresses, which count until Gather.
func (p *Peer) SetNetwork(n Network) { p.network.Store(&n) }

// Connected tells whether ICE and DTLS are up.
func (p *Peer) Connected() bool { return p.connected.Load() }

// Pairs lists the selected candidate pairs, one for each transport that has one.
func (p *Peer) Pairs() []CandidatePair {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pairs []CandidatePair
	for _, l := range p.legs {
		if l.pair != nil {
			pairs = append(pairs, *l.pair)
		}
	}
	return pairs
}

// came tells whether a packet that the peer sends has arrived, by whatever way.
func (p *Peer) came(ssrc uint32, seq uint16) bool {
	for _, r := range []*Receiver{p.audioIn, p.videoIn} {
		r.mu.Lock()
		known, has := r.stats.packets > 0 && r.stats.ssrc == ssrc, r.stats.has(seq)
		r.mu.Unlock()
		if known {
			return has
		}
	}
	return false
}

// post queues a call for the Peer's goroutine. It never blocks.
func (p *Peer) post(f func()) {
	p.evMu.Lock()
	p.queue = append(p.queue, f)
	p.evMu.Unlock()
	p.wake()
}

func (p *Peer) wake() {
	select {
	case p.events <- struct{}{}:
	default:
	}
}

// run delivers the Handler's calls and does the periodic RTCP.
func (p *Peer) run() {
	defer close(p.ended)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	flow := mediaFlow{}
	for {
		select {
		case <-p.done:
			return
		case <-p.events:
			p.deliver()
		case now := <-tick.C:
			p.safely(func() { p.report(now) })
		}
		p.safely(p.askKeyFrames)
		p.safely(p.askReports)
		if on, changed := flow.update(p.lastRTCP.Load(), time.Since(p.start)); changed && p.cfg.MediaFlowing != nil {
			p.safely(func() { p.cfg.MediaFlowing(on) })
		}
	}
}

// safely runs one step of run: a panic ends the connection, and run goes on to
// tell that it ended.
func (p *Peer) safely(f func()) {
	defer guard(p.log, "transport.peer", p.panicked)
	f()
}

func (p *Peer) deliver() {
	for {
		p.evMu.Lock()
		queue := p.queue
		p.queue = nil
		p.evMu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, f := range queue {
			select {
			case <-p.done:
				return
			default:
				p.safely(f)
			}
		}
	}
}

// panicked ends a Peer whose code failed: its library object closes, which
// everybody hears as the loss of the connection.
func (p *Peer) panicked() {
	p.engine.counters.panics.Add(1)
	for _, l := range p.transports() {
		_ = l.pc.Close()
	}
}

// transports copies the list of legs.
func (p *Peer) transports() []*leg {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.legs)
}

// mediaTimeout is the silence of RTCP after which media counts as gone.
const mediaTimeout = 5 * time.Second

// mediaFlow follows RTCP; both times are since the Peer's start.
type mediaFlow struct{ on bool }

func (m *mediaFlow) update(last int64, now time.Duration) (on, changed bool) {
	on = last != 0 && now-time.Duration(last) < mediaTimeout
	changed = on != m.on
	m.on = on
	return on, changed
}

// sawRTCP notes that RTCP arrived. The goroutine of the Peer is woken for the first.
func (p *Peer) sawRTCP() {
	if p.lastRTCP.Swap(int64(time.Since(p.start))) == 0 {
		p.wake()
	}
}

// Close ends senders, receivers, DTLS and ICE and waits for their goroutines.
// Idempotent; a second call waits for the first.
func (p *Peer) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.ended
		p.wg.Wait()
		return nil
	}
	p.closed = true
	legs := slices.Clone(p.legs)
	p.mu.Unlock()
	close(p.done)
	<-p.ended
	p.audioOut.stop()
	p.videoOut.stop()
	var errs []error
	for _, l := range legs {
		errs = append(errs, l.close())
	}
	p.wg.Wait()
	p.channels.stop()
	p.audioIn.stop()
	p.videoIn.stop()
	p.engine.unmark(p)
	p.engine.remove(p)
	return errors.Join(errs...)
}

// goRead starts a reader that Close waits for; false when closing has begun.
func (p *Peer) goRead(where string, f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Go(func() {
		defer guard(p.log, where, p.panicked)
		f()
	})
	return true
}

// debug logs with the negotiated state at hand; remote text is cut by the caller.
func (p *Peer) debug(msg string, args ...any) {
	p.log.Log(context.Background(), slog.LevelDebug, msg, args...)
}
