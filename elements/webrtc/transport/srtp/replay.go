package srtp

// replay remembers which of the latest indices have come (RFC 3711 §3.3.2).
type replay struct {
	top  uint64   // highest index that came
	seen []uint64 // one bit per index, at index modulo its length
}

// newReplay begins with an index that came; size is a multiple of 64.
func newReplay(size int, index uint64) replay {
	r := replay{top: index, seen: make([]uint64, size/64)}
	r.set(index)
	return r
}

func (r *replay) size() uint64 { return uint64(len(r.seen)) * 64 }

func (r *replay) set(index uint64) {
	r.seen[index/64%uint64(len(r.seen))] |= 1 << (index % 64)
}

// fresh tells whether the index is new and not older than the window.
func (r *replay) fresh(index uint64) bool {
	if index > r.top {
		return true
	}
	return r.top-index < r.size() && r.seen[index/64%uint64(len(r.seen))]&(1<<(index%64)) == 0
}

// mark notes a fresh index whose packet was authentic.
func (r *replay) mark(index uint64) {
	if index > r.top {
		if index-r.top >= r.size() {
			clear(r.seen)
		} else {
			for i := r.top + 1; i <= index; i++ {
				r.seen[i/64%uint64(len(r.seen))] &^= 1 << (i % 64)
			}
		}
		r.top = index
	}
	r.set(index)
}
