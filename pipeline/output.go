package pipeline

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

// KeyFrameInterval is the shortest time between two keyframe wishes that an
// Output passes to its producer; wishes between are merged into one at its end.
const KeyFrameInterval = 500 * time.Millisecond

// Output fans packets out to links. What a packet takes is worked out when its
// format or the links change, so Push takes no lock and allocates nothing per
// receiver. Receivers that do not take the source's format hang on a tree of
// conversions (planner.go); those that want the same share its branches.
type Output struct {
	kind    Kind
	label   string
	planner *Planner
	parent  *Output // of a conversion's result: the Output before it; nil for an element's own

	producer atomic.Pointer[Producer]
	fan      atomic.Pointer[fan]
	packets  atomic.Uint64
	bytes    atomic.Uint64
	measure  atomic.Bool
	steady   atomic.Bool  // one of ends is Steady
	latency  atomic.Int64 // running mean in ns
	onError  atomic.Pointer[func(*Link, error)]
	encoding atomic.Pointer[func() Encoding]

	// mu guards the whole tree below an element's own Output; the inner ones
	// use their root's. It is never held while calling a receiver or a producer.
	mu     sync.Mutex
	links  []*Link // of a root: all; of an inner Output: none
	ends   []*Link // links whose receivers are fed from here
	nodes  []*node // conversions fed from here
	forced *Format
	closed bool

	keyMu    sync.Mutex
	keyLast  time.Time
	keyTimer *time.Timer
	rates    map[*Link]int // what receivers can take, in bps
}

// fan is who gets packets of one format.
type fan struct {
	format *Format
	to     []Input
}

// Link is one connection from an Output to an Input. It is the receiver's handle
// for Feedback.
type Link struct {
	from    *Output
	to      Input
	spliced atomic.Bool
	gone    atomic.Bool
	at      atomic.Pointer[Output] // that feeds it; nil while nothing does
	failed  *Format                // that could not be converted; guarded by from.mu
}

// NewOutput makes an Output of an element. producer may be nil (wishes are then
// dropped); planner may be nil (formats are then never converted).
func NewOutput(kind Kind, label string, producer Producer, planner *Planner) *Output {
	o := &Output{kind: kind, label: label, planner: planner}
	o.SetProducer(producer)
	return o
}

// SetProducer replaces who hears the receivers' wishes; nil drops them.
func (o *Output) SetProducer(p Producer) {
	if p == nil {
		o.producer.Store(nil)
		return
	}
	o.producer.Store(&p)
}

func (o *Output) source() Producer {
	if p := o.producer.Load(); p != nil {
		return *p
	}
	return nil
}

func (o *Output) root() *Output {
	for o.parent != nil {
		o = o.parent
	}
	return o
}

// Kind is the media type that flows here.
func (o *Output) Kind() Kind { return o.kind }

// Label is the media description, "default" in Kurento's graphs.
func (o *Output) Label() string { return o.label }

// Format is that of the latest packet or announcement, nil before the first.
func (o *Output) Format() *Format {
	if f := o.fan.Load(); f != nil {
		return f.format
	}
	return nil
}

// Counters are packets and payload bytes pushed since birth, whatever the links.
func (o *Output) Counters() (packets, bytes uint64) { return o.packets.Load(), o.bytes.Load() }

// OnLinkError sets the function that hears of links that cannot be served, once
// per link and format, and, with a nil Link, of conversions that fail while they
// run (Fail). It is
// called without a lock and must not block.
func (o *Output) OnLinkError(f func(l *Link, err error)) { o.onError.Store(&f) }

// OnEncoding sets what tells encoders the element's bitrates.
func (o *Output) OnEncoding(f func() Encoding) { o.encoding.Store(&f) }

// Encoding is what the element at the root of o wants of encoders.
func (o *Output) Encoding() Encoding {
	if f := o.root().encoding.Load(); f != nil {
		return (*f)()
	}
	return Encoding{}
}

// Links is the number of receivers, spliced ones included.
func (o *Output) Links() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.links)
}

// Connect adds a receiver. The source is offered the link first (Splicer); when
// it declines, packets are pushed one by one. The new receiver's first act is a
// keyframe wish, so a late viewer starts within one request.
func (o *Output) Connect(in Input) (*Link, error) {
	l := &Link{from: o, to: in}
	o.mu.Lock()
	free := o.forced == nil
	o.mu.Unlock()
	if s, ok := o.source().(Splicer); ok && free {
		l.spliced.Store(s.Splice(in))
	}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		if l.spliced.Load() {
			o.source().(Splicer).Unsplice(in)
		}
		return nil, fmt.Errorf("connect to closed output %s: %w", o.label, kerr.ConnectError)
	}
	o.links = append(o.links, l)
	o.mu.Unlock()
	// The receiver knows its link before the first packet and before a
	// conversion that is opened for it asks for anything.
	if a, ok := in.(Attachable); ok {
		a.Attached(l)
	}
	o.change(func() ([]*node, error) { return nil, o.route(l) }, l)
	if o.kind == Video {
		l.Feedback(Feedback{Wish: WishKeyFrame})
	}
	return l, nil
}

// change runs edit under the tree's lock, then closes what it left idle and
// tells the element of the error of l.
func (o *Output) change(edit func() ([]*node, error), l *Link) {
	o.mu.Lock()
	idle, err := edit()
	o.mu.Unlock()
	for _, n := range idle {
		n.close()
	}
	if err != nil {
		o.report(l, err)
	}
}

func (o *Output) report(l *Link, err error) {
	if f := o.onError.Load(); f != nil {
		(*f)(l, err)
	}
}

// Announce tells the format of what is to come, so that links and conversions
// are ready before the first packet.
func (o *Output) Announce(f *Format) {
	if g := o.fan.Load(); g == nil || g.format != f {
		o.rewire(f)
	}
}

// Push hands p to every receiver on the caller's goroutine. p must not be
// changed afterwards. Safe for concurrent use.
func (o *Output) Push(p *Packet) {
	o.packets.Add(1)
	o.bytes.Add(uint64(len(p.Payload)))
	f := o.fan.Load()
	if f == nil || f.format != p.Format {
		f = o.rewire(p.Format)
	}
	if o.measure.Load() {
		o.observe(p)
	}
	for _, in := range f.to {
		in.Push(p)
	}
}

// observe keeps the running mean of the time between a packet's arrival and its
// being here; a new value weighs a quarter, as in the original.
func (o *Output) observe(p *Packet) {
	if p.Arrival.IsZero() {
		return
	}
	d := int64(time.Since(p.Arrival))
	if old := o.latency.Load(); old != 0 {
		d = old + (d-old)/4
	}
	o.latency.Store(d)
}

// MeasureLatency begins or ends measuring, here and in conversions.
func (o *Output) MeasureLatency(on bool) { o.measure.Store(on) }

// Latency is the mean time between a packet's arrival at the server and its
// leaving here; 0 when not measured.
func (o *Output) Latency() time.Duration { return time.Duration(o.latency.Load()) }

// rewire works out where packets of format f go. It is the slow path.
func (o *Output) rewire(f *Format) *fan {
	root := o.root()
	type failure struct {
		l   *Link
		err error
	}
	var failures []failure
	var idle []*node
	root.mu.Lock()
	old := o.fan.Load()
	switch {
	case old != nil && old.format == f:
	case o.parent != nil, old != nil && old.format != nil && f.same(old.format):
		// Another picture size: the conversions stay. A conversion's result
		// keeps the format it was planned with.
		o.fan.Store(&fan{f, old.targets()})
	default:
		o.fan.Store(&fan{format: f})
		for _, l := range o.links {
			idle = append(idle, o.leave(l)...)
			l.failed = nil
		}
		for _, l := range o.links {
			if err := o.route(l); err != nil {
				failures = append(failures, failure{l, err})
			}
		}
	}
	now := o.fan.Load()
	root.mu.Unlock()
	for _, n := range idle {
		n.close()
	}
	for _, x := range failures {
		root.report(x.l, x.err)
	}
	return now
}

func (f *fan) targets() []Input {
	if f == nil {
		return nil
	}
	return f.to
}

// refan makes the list of receivers anew. The caller holds the tree's lock.
func (o *Output) refan() {
	f := &fan{to: make([]Input, 0, len(o.ends)+len(o.nodes))}
	if old := o.fan.Load(); old != nil {
		f.format = old.format
	}
	steady := false
	for _, l := range o.ends {
		f.to = append(f.to, l.to)
		s, ok := l.to.(Steady)
		steady = steady || ok && s.Steady()
	}
	o.steady.Store(steady)
	for _, n := range o.nodes {
		f.to = append(f.to, n.in)
	}
	o.fan.Store(f)
}

// Disconnect removes a link; a second call is harmless. A Push under way may
// still reach the input.
func (o *Output) Disconnect(l *Link) {
	if l == nil || l.from != o || l.gone.Swap(true) {
		return
	}
	if l.spliced.Load() {
		o.source().(Splicer).Unsplice(l.to)
	}
	o.change(func() ([]*node, error) {
		o.links = slices.DeleteFunc(slices.Clone(o.links), func(x *Link) bool { return x == l })
		return o.leave(l), nil
	}, l)
	if a, ok := l.to.(Attachable); ok {
		a.Detached(l)
	}
}

// Close disconnects every link and refuses new ones. Idempotent.
func (o *Output) Close() {
	o.mu.Lock()
	o.closed = true
	links := o.links
	o.mu.Unlock()
	for _, l := range links {
		o.Disconnect(l)
	}
	o.keyMu.Lock()
	if o.keyTimer != nil {
		o.keyTimer.Stop()
		o.keyTimer = nil
	}
	o.keyMu.Unlock()
}

// End tells receivers that ask (Ender) that the media is over.
func (o *Output) End() {
	o.mu.Lock()
	links := slices.Clone(o.links)
	o.mu.Unlock()
	for _, l := range links {
		if e, ok := l.to.(Ender); ok {
			e.End()
		}
	}
}

// Force makes receivers get codec f.Codec wherever they accept it, also when
// they would take the source's own; nil ends that. Links are routed anew;
// spliced ones go packet by packet from now on.
func (o *Output) Force(f *Format) {
	o.mu.Lock()
	o.forced = f
	links := slices.Clone(o.links)
	o.mu.Unlock()
	for _, l := range links {
		if f != nil {
			l.Unsplice()
		}
		l.Renegotiate()
	}
}

// From is the Output the link comes from.
func (l *Link) From() *Output { return l.from }

// To is the Input the link feeds.
func (l *Link) To() Input { return l.to }

// Spliced tells whether the source forwards below the packet level.
func (l *Link) Spliced() bool { return l.spliced.Load() }

// Renegotiate works out the link's conversions again, after the receiver has
// changed what it accepts. Call it without a lock.
func (l *Link) Renegotiate() {
	o := l.from
	var keep bool
	o.change(func() ([]*node, error) {
		at := l.at.Load()
		if keep = l.gone.Load() || l.spliced.Load() || o.stays(l, at); keep {
			return nil, nil
		}
		// The new route may run over conversions of the old one.
		l.failed = nil
		at = o.unhang(l)
		err := o.route(l)
		return at.prune(), err
	}, l)
	if !keep && o.kind == Video {
		l.Feedback(Feedback{Wish: WishKeyFrame})
	}
}

// stays tells whether l, which hangs at at, still gets what its receiver takes
// with no conversion too many. The caller holds o.mu.
func (o *Output) stays(l *Link, at *Output) bool {
	if at == nil {
		return false
	}
	accepts := o.narrow(o.Format(), l.to.Accepts())
	return fits(at.Format(), accepts) && (at == o || !fits(o.Format(), accepts))
}

// Unsplice takes a link back from the source: packets are pushed one by one and
// converted from now on. Call it without a lock; a second call is harmless.
func (l *Link) Unsplice() {
	if !l.spliced.CompareAndSwap(true, false) {
		return
	}
	if s, ok := l.from.source().(Splicer); ok {
		s.Unsplice(l.to)
	}
	l.Renegotiate()
}

// Feedback sends a receiver's wish up. Keyframe wishes of all receivers are
// merged to one per KeyFrameInterval; of bitrates the lowest counts.
func (l *Link) Feedback(f Feedback) {
	if l.gone.Load() {
		return
	}
	at := l.at.Load()
	if at == nil {
		at = l.from
	}
	if f.Wish == WishBitrate {
		f.BitrateBps = at.lowest(l, f.BitrateBps)
	}
	at.Feedback(f)
}

// lowest remembers what l can take and gives the least of all.
func (o *Output) lowest(l *Link, bps int) int {
	o.keyMu.Lock()
	defer o.keyMu.Unlock()
	if o.rates == nil {
		o.rates = map[*Link]int{}
	}
	o.rates[l] = bps
	for x, r := range o.rates {
		if x.gone.Load() || x.at.Load() != o && (x.from != o || x.at.Load() != nil) {
			delete(o.rates, x)
		} else {
			bps = min(bps, r)
		}
	}
	return bps
}

// Feedback passes a wish to the producer, merging keyframe wishes. A bitrate that is
// too low for a receiver here (Steady) is raised to what the element was set.
func (o *Output) Feedback(f Feedback) {
	p := o.source()
	if p == nil {
		return
	}
	if f.Wish == WishBitrate && o.parent != nil && o.steady.Load() {
		f.BitrateBps = max(f.BitrateBps, o.Encoding().BitrateBps)
	}
	if _, through := p.(upward); f.Wish != WishKeyFrame || through {
		p.Feedback(f)
		return
	}
	o.keyMu.Lock()
	wait := KeyFrameInterval - time.Since(o.keyLast)
	switch {
	case o.keyTimer != nil:
		o.keyMu.Unlock()
		return
	case !o.keyLast.IsZero() && wait > 0:
		o.keyTimer = time.AfterFunc(wait, func() {
			o.keyMu.Lock()
			live := o.keyTimer != nil
			o.keyTimer = nil
			o.keyLast = time.Now()
			o.keyMu.Unlock()
			if live {
				p.Feedback(f)
			}
		})
		o.keyMu.Unlock()
		return
	}
	o.keyLast = time.Now()
	o.keyMu.Unlock()
	p.Feedback(f)
}
