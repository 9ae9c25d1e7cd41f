package pipeline

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

// KeyFrameInterval is the shortest time between two keyframe wishes that an
// Output passes to its producer; wishes between are merged into one at its end.
const KeyFrameInterval = 500 * time.Millisecond

// Output fans packets out to links. The list of links is copy-on-write, so Push
// takes no lock and allocates nothing per receiver. Links to receivers that do
// not take the source's format go through a chain of converters from the
// Planner; receivers that want the same format share one chain.
type Output struct {
	kind     Kind
	label    string
	producer Producer
	planner  *Planner
	inner    bool // inside a chain: its outer link asks for the keyframe

	links   atomic.Pointer[[]*Link]
	format  atomic.Pointer[Format] // of the latest packet
	packets atomic.Uint64
	bytes   atomic.Uint64

	mu      sync.Mutex // changes to links, chains and closed; never held while calling out
	chains  []*chain
	closed  bool
	onError atomic.Pointer[func(*Link, error)]

	keyMu    sync.Mutex
	keyLast  time.Time
	keyTimer *time.Timer
}

// Link is one connection from an Output to an Input. It is the receiver's handle
// for Feedback.
type Link struct {
	from    *Output
	to      Input
	spliced bool
	route   atomic.Pointer[route]
	gone    atomic.Bool
}

// route is how packets of one format get to the link's input; to is nil when
// they cannot.
type route struct {
	format *Format
	to     Input
	chain  *chain // nil when the link is direct
}

// NewOutput makes an Output of an element. producer may be nil (wishes are then
// dropped); planner may be nil (formats are then never converted).
func NewOutput(kind Kind, label string, producer Producer, planner *Planner) *Output {
	return &Output{kind: kind, label: label, producer: producer, planner: planner}
}

// Kind is the media type that flows here.
func (o *Output) Kind() Kind { return o.kind }

// Label is the media description, "default" in Kurento's graphs.
func (o *Output) Label() string { return o.label }

// Format is that of the latest packet, nil before the first.
func (o *Output) Format() *Format { return o.format.Load() }

// Counters are packets and payload bytes pushed since birth, whatever the links.
func (o *Output) Counters() (packets, bytes uint64) { return o.packets.Load(), o.bytes.Load() }

// OnLinkError sets the function that hears of links that cannot be served,
// once per link and format. It is called on the pushing goroutine and must not block.
func (o *Output) OnLinkError(f func(l *Link, err error)) { o.onError.Store(&f) }

// Links is the number of receivers, spliced ones included.
func (o *Output) Links() int {
	if p := o.links.Load(); p != nil {
		return len(*p)
	}
	return 0
}

// Connect adds a receiver. The source is offered the link first (Splicer); when
// it declines, packets are pushed one by one. The new receiver's first act is a
// keyframe wish, so a late viewer starts within one request.
func (o *Output) Connect(in Input) (*Link, error) {
	l := &Link{from: o, to: in}
	if s, ok := o.producer.(Splicer); ok {
		l.spliced = s.Splice(in)
	}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		if l.spliced {
			o.producer.(Splicer).Unsplice(in)
		}
		return nil, fmt.Errorf("connect to closed output %s: %w", o.label, kerr.ConnectError)
	}
	o.setLinks(func(links []*Link) []*Link { return append(links, l) })
	o.mu.Unlock()
	if a, ok := in.(Attachable); ok {
		a.Attached(l)
	}
	if o.kind == Video && !o.inner {
		l.Feedback(Feedback{Wish: WishKeyFrame})
	}
	return l, nil
}

// setLinks replaces the copy-on-write list. The caller holds o.mu.
func (o *Output) setLinks(edit func([]*Link) []*Link) {
	var old []*Link
	if p := o.links.Load(); p != nil {
		old = *p
	}
	next := edit(append(make([]*Link, 0, len(old)+1), old...))
	o.links.Store(&next)
}

// Push hands p to every receiver on the caller's goroutine. p must not be
// changed afterwards. Safe for concurrent use.
func (o *Output) Push(p *Packet) {
	o.packets.Add(1)
	o.bytes.Add(uint64(len(p.Payload)))
	if o.format.Load() != p.Format {
		o.format.Store(p.Format)
	}
	links := o.links.Load()
	if links == nil {
		return
	}
	for _, l := range *links {
		if l.spliced {
			continue
		}
		r := l.route.Load()
		if r == nil || r.format != p.Format {
			r = o.resolve(l, p.Format)
		}
		switch {
		case r.to == nil:
		case r.chain == nil:
			r.to.Push(p)
		case r.chain.lead.Load() == l:
			// The chain gets each packet once, from the first of the links that
			// share it; its own last Output serves them all.
			r.to.Push(p)
		}
	}
}

// resolve finds how packets of format f get to l, opening converters if needed.
// It is the slow path, run once per link and format.
func (o *Output) resolve(l *Link, f *Format) *route {
	o.mu.Lock()
	if r := l.route.Load(); r != nil && r.format == f {
		o.mu.Unlock()
		return r
	}
	if l.gone.Load() || o.closed {
		o.mu.Unlock()
		return &route{format: f}
	}
	var idle []*chain
	if r := l.route.Load(); r != nil && r.chain != nil {
		idle = o.leaveChain(r.chain, l)
	}
	r := &route{format: f}
	var err error
	accepts := l.to.Accepts()
	if fitsAny(f, accepts) {
		r.to = l.to
	} else {
		r.chain, err = o.joinChain(l, f, accepts)
		if err == nil {
			r.to = r.chain.head
		}
	}
	l.route.Store(r)
	o.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	if err != nil {
		if report := o.onError.Load(); report != nil {
			(*report)(l, err)
		}
	}
	return r
}

func fitsAny(f *Format, accepts []Format) bool {
	if len(accepts) == 0 {
		return true
	}
	for i := range accepts {
		if f.Fits(&accepts[i]) {
			return true
		}
	}
	return false
}

// Disconnect removes a link; a second call is harmless. A Push under way may
// still reach the input.
func (o *Output) Disconnect(l *Link) {
	if l == nil || l.from != o || l.gone.Swap(true) {
		return
	}
	if l.spliced {
		o.producer.(Splicer).Unsplice(l.to)
	}
	o.mu.Lock()
	o.setLinks(func(links []*Link) []*Link {
		kept := links[:0]
		for _, x := range links {
			if x != l {
				kept = append(kept, x)
			}
		}
		return kept
	})
	var idle []*chain
	if r := l.route.Load(); r != nil && r.chain != nil {
		idle = o.leaveChain(r.chain, l)
	}
	o.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	if a, ok := l.to.(Attachable); ok {
		a.Detached(l)
	}
}

// Close disconnects every link and refuses new ones. Idempotent.
func (o *Output) Close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	if p := o.links.Load(); p != nil {
		for _, l := range *p {
			o.Disconnect(l)
		}
	}
	o.keyMu.Lock()
	if o.keyTimer != nil {
		o.keyTimer.Stop()
		o.keyTimer = nil
	}
	o.keyMu.Unlock()
}

// From is the Output the link comes from.
func (l *Link) From() *Output { return l.from }

// To is the Input the link feeds.
func (l *Link) To() Input { return l.to }

// Spliced tells whether the source forwards below the packet level.
func (l *Link) Spliced() bool { return l.spliced }

// Feedback sends a receiver's wish up. Keyframe wishes of all receivers are
// merged to one per KeyFrameInterval; the others pass as they are.
func (l *Link) Feedback(f Feedback) {
	if l.gone.Load() {
		return
	}
	l.from.Feedback(f)
}

// Feedback passes a wish to the producer, merging keyframe wishes.
func (o *Output) Feedback(f Feedback) {
	if o.producer == nil {
		return
	}
	if f.Wish != WishKeyFrame {
		o.producer.Feedback(f)
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
				o.producer.Feedback(f)
			}
		})
		o.keyMu.Unlock()
		return
	}
	o.keyLast = time.Now()
	o.keyMu.Unlock()
	o.producer.Feedback(f)
}
