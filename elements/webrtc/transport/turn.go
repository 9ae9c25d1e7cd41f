package transport

import (
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/pipeline"
)

// turn is one stay under a shard's lock and what it leaves to be done after it:
// nothing that could block, call back or take another lock happens inside. A
// goroutine that comes often keeps its turn; others borrow one.
type turn struct {
	shard *shard
	now   time.Time

	came   []arrival   // in order of arrival
	held   []arrival   // that came in earlier turns; see hold
	jobs   []job       // to be fanned out before the lock is let go
	keys   []*Sender   // want a keyframe of their source
	layers []*encoding // of which a keyframe is wanted
	strays []*Sender   // are fed what their peer does not take
	mail   []mail      // for other shards
	after  []func()    // whatever else
	who    *Peer       // is being served, to be blamed for a panic
}

// item is one received packet with what it says of its place among the layers.
type item struct {
	p    *pipeline.Packet
	enc  int8 // which of the Receiver's encodings
	info layers.Info
}

// arrival is one packet of a Receiver. push is what those get who are not served
// below the packet level, nil for nothing.
type arrival struct {
	to   *Receiver
	push *pipeline.Packet
	item
}

// job is a batch of one Receiver for its spliced Senders of one shard. Batches of
// a Receiver are numbered, so that a Sender that moves meanwhile gets each once.
type job struct {
	from  *Receiver
	items []item
	n     uint64
}

type mail struct {
	to *shard
	letter
}

var turns = sync.Pool{New: func() any { return &turn{} }}

// begin takes the lock of the shard.
func (t *turn) begin(s *shard) {
	s.mu.Lock()
	t.shard, t.now = s, time.Now()
}

// on takes the lock of the shard that a Peer lives on.
func (t *turn) on(p *Peer) {
	for {
		s := p.shard.Load()
		s.mu.Lock()
		if p.shard.Load() == s {
			t.shard, t.now, t.who = s, time.Now(), p
			return
		}
		s.mu.Unlock()
	}
}

// under runs f under the lock of a Peer's shard, and then what it leaves.
func (p *Peer) under(f func(t *turn)) {
	t := turns.Get().(*turn)
	t.on(p)
	defer turns.Put(t)
	defer t.end()
	f(t)
}

// end serves the spliced Senders, lets go of the lock and does the rest.
func (t *turn) end() {
	t.fanOut()
	s := t.shard
	s.writer.Flush()
	s.mu.Unlock()
	t.who = nil
	t.settle()
}

// settle does what was left for after the lock.
func (t *turn) settle() {
	for i := range t.mail {
		if m := &t.mail[i]; !m.to.serve(t.now, &m.letter) {
			m.to.post(m.letter)
		}
	}
	clear(t.mail)
	t.mail = t.mail[:0]
	for i := 0; i < len(t.came); {
		i = t.push(i)
	}
	clear(t.came)
	t.came = t.came[:0]
	for _, x := range t.keys {
		x.peer.safely(func() { x.RequestKeyFrame() })
	}
	clear(t.keys)
	t.keys = t.keys[:0]
	for len(t.layers) > 0 {
		e := t.layers[len(t.layers)-1]
		t.layers = t.layers[:len(t.layers)-1]
		e.of.peer.under(func(t *turn) {
			e.wantKey = true
			e.of.askKeyFrames(t)
		})
	}
	for _, x := range t.strays {
		// Whoever plans conversions finds the way from here. Not on this
		// goroutine: it is the source's.
		if l := x.link.Load(); l != nil && l.Spliced() {
			x.peer.post(l.Unsplice)
		}
	}
	clear(t.strays)
	t.strays = t.strays[:0]
	for len(t.after) > 0 {
		list := t.after
		t.after = nil
		for _, f := range list {
			f()
		}
	}
}

// push hands packets from the i-th on to the Outputs; it gives the next one to
// go on with after a panic, which ends the Peer whose packet it was.
func (t *turn) push(i int) (next int) {
	defer func() {
		if r := recover(); r != nil {
			t.came[next].to.peer.broke("transport.push", r)
			next++
		}
	}()
	for next = i; next < len(t.came); next++ {
		if out := t.came[next].to.out.Load(); out != nil && t.came[next].push != nil {
			out.Push(t.came[next].push)
		}
	}
	return next
}

// gather makes jobs of what has come, one for each Receiver.
func (t *turn) gather() {
	first := len(t.jobs)
	for i := range t.came {
		a := &t.came[i]
		at := slices.IndexFunc(t.jobs[first:], func(j job) bool { return j.from == a.to })
		if at < 0 {
			a.to.batch = a.to.batch[:0]
			a.to.batches++
			t.jobs = append(t.jobs, job{from: a.to, n: a.to.batches})
			at = len(t.jobs) - 1 - first
		}
		a.to.batch = append(a.to.batch, a.item)
		t.jobs[first+at].items = a.to.batch
	}
	for i := first; i < len(t.jobs); i++ {
		t.forward(t.jobs[i])
	}
}

// forward leaves a job for other shards with Senders of its Receiver.
func (t *turn) forward(j job) {
	list := j.from.spliced.Load()
	if list == nil {
		return
	}
	var shared []item
	var told uint64
	for _, x := range *list {
		s := x.peer.shard.Load()
		if s == t.shard || told&(1<<s.index) != 0 {
			continue
		}
		told |= 1 << s.index
		if shared == nil {
			shared = slices.Clone(j.items)
		}
		t.mail = append(t.mail, mail{s, letter{job: job{j.from, shared, j.n}}})
	}
}

// fanOut serves the Senders of this shard: one after the other, each with all
// its packets, so that its key schedule is hot and its packets lie next to each
// other.
func (t *turn) fanOut() {
	if len(t.came) > 0 {
		t.gather()
	}
	for i := range t.jobs {
		list := t.jobs[i].from.spliced.Load()
		if list == nil {
			continue
		}
		for at := 0; at < len(*list); {
			at = t.serve(&t.jobs[i], *list, at)
		}
	}
	clear(t.jobs)
	t.jobs = t.jobs[:0]
}

// serve goes on with the at-th Sender; it gives the next one to go on with after
// a panic, which ends the Peer that was served.
func (t *turn) serve(j *job, list []*Sender, at int) (next int) {
	defer func() {
		if r := recover(); r != nil {
			list[next].peer.broke("transport.fanout", r)
			next++
		}
	}()
	for next = at; next < len(list); next++ {
		t.ahead(list, next)
		if x := list[next]; x.peer.shard.Load() == t.shard {
			x.serve(t, j)
		}
	}
	return next
}
