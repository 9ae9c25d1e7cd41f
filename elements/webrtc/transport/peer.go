package transport

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
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
	// Simulcast takes all encodings of a peer that offers several of its video
	// (RFC 8853); without, such a peer sends one.
	Simulcast bool
	// Orientation lets a peer send its pictures turned and say how (TS 26.114 §7.4.5).
	// Without, it turns them itself: recorders and mixers do not.
	Orientation bool
	// Certificate is the kind of key that the peer sees.
	Certificate CertificateType
	// DSCP marks outgoing packets (RFC 2474); 0 leaves them unmarked.
	DSCP uint8
	// RecvOnly and SendOnly shape offers of ours; both false is sendrecv.
	RecvOnly, SendOnly bool
	// FlexFEC has our offers name it; peers that offer it are answered always.
	FlexFEC bool
	Log     *slog.Logger
}

// Peer is one WebRTC connection: at most one audio and one video stream in each
// direction, negotiated once but for ICE restarts. Methods are safe for concurrent use.
//
// Its media is guarded by the lock of the shard that it lives on, which is the
// one where its selected pair's datagrams come (see turn). Peer.mu guards the
// negotiation and is taken before that.
type Peer struct {
	engine   *Engine
	cfg      PeerConfig
	log      *slog.Logger
	streamID string
	origin   string // the o= line's session id

	audioIn, videoIn   *Receiver
	audioOut, videoOut *Sender
	channels           *channels
	dataIn             *DataReceiver
	dataOut            *DataSender

	caps      atomic.Pointer[caps]
	network   atomic.Pointer[Network]
	connected atomic.Bool
	broken    atomic.Bool // our code failed on it, its end is under way
	shard     atomic.Pointer[shard]
	figures   atomic.Uint64 // see figures
	due       atomic.Int64  // when the ticker shall come, in nanoseconds since start
	start     time.Time
	clock     *pipeline.SenderClock

	// Guarded by the shard's lock.
	transports []*leg
	nacks      uint64 // sent, for all streams
	lastRTCP   int64  // nanoseconds since start, 0 before the first
	reportAt   time.Time
	flow       mediaFlow

	mu        sync.Mutex // negotiation state
	stage     stage
	legs      []*leg
	local     *description
	remoteSDP *description // the peer's
	remote    string       // as the peer wrote it
	waiting   []Candidate
	version   int           // of our description
	reoffer   *description  // of RestartICE, until it is answered
	fresh     []credentials // that it has, by leg
	remoteN   int           // remote candidates taken
	gatherOn  bool          // Gather was called
	toldDone  bool
	closed    bool

	evMu       sync.Mutex // leaf: what follows
	queue      []func()
	delivering bool
	ending     bool

	ctx    context.Context // ends when closing begins
	cancel context.CancelFunc
	ended  chan struct{}
	wg     sync.WaitGroup // goroutines
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
		engine: e, cfg: cfg, log: cfg.Log, streamID: uuid.NewString(), origin: strconv.FormatInt(rand.Int64(), 10),
		start: time.Now(), clock: pipeline.NewSenderClock(cfg.Epoch), ended: make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if p.log == nil {
		p.log = e.log
	}
	p.caps.Store(&caps{})
	p.network.Store(&Network{TCP: true})
	p.shard.Store(e.shards[0])
	p.channels = newChannels(p)
	p.dataIn, p.dataOut = p.channels.in, p.channels.out
	p.audioIn, p.videoIn = newReceiver(p, pipeline.Audio), newReceiver(p, pipeline.Video)
	p.audioOut, p.videoOut = newSender(p, pipeline.Audio), newSender(p, pipeline.Video)
	p.due.Store(int64(farOff))
	if err := e.add(p); err != nil {
		p.cancel()
		return nil, err
	}
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

// post queues a call of the Handler. It never blocks; a goroutine delivers as
// long as there is something to deliver.
func (p *Peer) post(f func()) {
	p.evMu.Lock()
	defer p.evMu.Unlock()
	if p.ending {
		return
	}
	p.queue = append(p.queue, f)
	if !p.delivering {
		p.delivering = true
		p.wg.Go(p.deliver)
	}
}

func (p *Peer) deliver() {
	for {
		p.evMu.Lock()
		if p.ending || len(p.queue) == 0 {
			p.delivering, p.queue = false, nil
			p.evMu.Unlock()
			return
		}
		queue := p.queue
		p.queue = nil
		p.evMu.Unlock()
		for _, f := range queue {
			if p.ctx.Err() != nil {
				break
			}
			p.safely(f)
		}
	}
}

// safely runs one step: a panic ends the connection, which is told by steps that
// follow.
func (p *Peer) safely(f func()) {
	defer func() {
		if r := recover(); r != nil {
			p.broke("transport.peer", r)
		}
	}()
	f()
}

// broke ends a Peer whose code failed; everybody hears of it as the loss of the
// connection. It may be called under locks.
func (p *Peer) broke(where string, r any) {
	p.engine.logPanic(where, r)
	if p.broken.Swap(true) {
		return
	}
	p.engine.counters.panics.Add(1)
	p.post(func() {
		p.goSafe("transport.broken", func() {
			p.mu.Lock()
			legs := slices.Clone(p.legs)
			p.mu.Unlock()
			for _, l := range legs {
				l.close()
			}
		})
	})
}

// Close ends senders, receivers, DTLS and ICE and waits for their goroutines.
// Idempotent; a second call waits for the first.
func (p *Peer) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.ended
		return nil
	}
	p.closed = true
	legs := slices.Clone(p.legs)
	p.mu.Unlock()
	defer close(p.ended)
	p.cancel()
	p.evMu.Lock()
	p.ending, p.queue = true, nil
	p.evMu.Unlock()
	p.channels.stop()
	for _, l := range legs {
		l.close()
	}
	p.under(func(*turn) {
		p.transports = nil
		p.audioOut.stop()
		p.videoOut.stop()
	})
	p.wg.Wait()
	p.audioIn.stop()
	p.videoIn.stop()
	p.engine.remove(p)
	return nil
}

// goSafe starts a goroutine that Close waits for; false when closing has begun.
func (p *Peer) goSafe(where string, f func()) bool {
	p.evMu.Lock()
	defer p.evMu.Unlock()
	if p.ending {
		return false
	}
	p.wg.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				p.broke(where, r)
			}
		}()
		f()
	})
	return true
}

// debug logs with the negotiated state at hand; remote text is cut by the caller.
func (p *Peer) debug(msg string, args ...any) {
	p.log.Log(context.Background(), slog.LevelDebug, msg, args...)
}
