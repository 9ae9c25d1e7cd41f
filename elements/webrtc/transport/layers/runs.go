package layers

// run says how the sequence numbers from one on were treated.
type run struct {
	from, add uint16
	id        uint16 // what was added to picture ids
	spatial   int8   // caps then; -1 for packets that were dropped
	temporal  int8
}

// runs remembers the latest changes, for packets that come late. It is there once
// layers were cut.
type runs struct {
	ring [64]run
	n    int // how many there are
	next int // where the next goes
}

func (r *runs) clear() { r.n, r.next = 0, 0 }

func (r *runs) push(x run) {
	if r.n > 0 {
		if last := r.at(0); last.from == x.from {
			*last = x // nothing came in between
			return
		}
	}
	r.ring[r.next] = x
	r.next = (r.next + 1) % len(r.ring)
	r.n = min(r.n+1, len(r.ring))
}

// at is the i-th run, 0 for the latest.
func (r *runs) at(i int) *run { return &r.ring[(r.next-1-i+2*len(r.ring))%len(r.ring)] }

// find tells the run of a sequence number; nil when it is forgotten.
func (r *runs) find(seq uint16) *run {
	for i := range r.n {
		if x := r.at(i); int16(seq-x.from) >= 0 {
			return x
		}
	}
	return nil
}

// forget drops what is before first, so that comparisons never span half of the
// sequence numbers.
func (r *runs) forget(first uint16) {
	for i := range r.n {
		if x := r.at(i); int16(x.from-first) <= 0 {
			x.from = first
			r.n = i + 1
			return
		}
	}
}

func (r *run) dropped() bool { return r.spatial < 0 }
