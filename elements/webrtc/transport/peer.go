package transport

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Handler hears what happens to a Peer. All functions are optional. They are
// called one at a time and in order, on a goroutine of the Peer, until Close
// begins; they must not call Close.
type Handler struct {
	// Candidate and GatheringDone come after Gather, not before.
	Candidate     func(Candidate)
	GatheringDone func()
	ICEState      func(ICEState)
	DTLSState     func(DTLSState)
	Pair          func(CandidatePair)
	// Connected tells whether media can flow: ICE and DTLS are both up.
	Connected func(up bool)
	// MediaFlowing tells whether RTCP arrives; false after 5 s without.
	MediaFlowing func(on bool)
	// Unsupported tells, once per source format, that a Sender was fed a codec
	// that the peer did not negotiate; such packets are dropped.
	Unsupported func(kind pipeline.Kind, name codec.Name)
}

// PeerConfig is what a Peer needs.
type PeerConfig struct {
	// Epoch is the zero of PTS (pipeline.Pipeline.Epoch).
	Epoch time.Time
	Handler
	// DataChannels answers and offers an SCTP section.
	DataChannels bool
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

	caps      atomic.Pointer[caps]
	noTCP     atomic.Bool
	connected atomic.Bool
	lastRTCP  atomic.Int64 // nanoseconds since start, 0 before the first
	start     time.Time
	offsets   reportOffsets

	mu        sync.Mutex // negotiation state; taken before the library's locks
	stage     stage
	pc        *webrtc.PeerConnection
	plan      *plan
	local     *description
	offered   int    // sections of our offer
	remote    string // as the peer wrote it
	pending   []Candidate
	remoteN   int // remote candidates taken
	found     []Candidate
	gatherOn  bool // Gather was called
	told      int  // how many of found the Handler knows
	gathered  bool
	toldDone  bool
	private   bool // the connection has sockets of its own
	pair      *CandidatePair
	iceState  ICEState
	heldICE   bool // connected, but not told before the pair is
	dtlsState DTLSState
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
		engine: e, cfg: cfg, log: cfg.Log, streamID: uuid.NewString(), start: time.Now(),
		events: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}),
	}
	if p.log == nil {
		p.log = e.log
	}
	p.caps.Store(&caps{})
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

// SetMaxRecv caps what the peer shall send, in kbit/s, 0 for no limit. Before
// negotiation it becomes b= lines; the video cap is announced by REMB as well,
// also when set later.
func (p *Peer) SetMaxRecv(audioKbps, videoKbps int) {
	p.caps.Store(&caps{audioKbps: max(audioKbps, 0), videoKbps: max(videoKbps, 0)})
}

// SetTCP allows or forbids ICE-TCP candidates; it counts until negotiation.
func (p *Peer) SetTCP(on bool) { p.noTCP.Store(!on) }

// Connected tells whether ICE and DTLS are up.
func (p *Peer) Connected() bool { return p.connected.Load() }

// States are those of ICE and DTLS now.
func (p *Peer) States() (ICEState, DTLSState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.iceState, p.dtlsState
}

// Pairs lists the selected candidate pair, if there is one yet.
func (p *Peer) Pairs() []CandidatePair {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pair == nil {
		return nil
	}
	return []CandidatePair{*p.pair}
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
	p.mu.Lock()
	pc := p.pc
	p.mu.Unlock()
	if pc != nil {
		_ = pc.Close()
	}
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
	pc := p.pc
	p.mu.Unlock()
	close(p.done)
	<-p.ended
	p.audioOut.stop()
	p.videoOut.stop()
	var err error
	if pc != nil {
		err = closeConnection(pc)
	}
	p.wg.Wait()
	p.audioIn.stop()
	p.videoIn.stop()
	p.engine.remove(p)
	return err
}

func closeConnection(pc *webrtc.PeerConnection) error {
	if err := pc.GracefulClose(); err != nil {
		return fmt.Errorf("close peer connection: %w", err)
	}
	return nil
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
