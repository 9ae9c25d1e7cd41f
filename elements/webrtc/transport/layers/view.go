package layers

// view is what Selectors see of a Source; never written once it is shown.
type view struct {
	simulcast bool
	described bool // its frames are found by the dependency descriptor only
	n         int
	ranks     [MaxSpatial]rank // from the smallest picture
}

// rank is one size of picture.
type rank struct {
	enc, spatial   int8
	alive          bool
	temporals      int8
	size           size
	bps, frameRate [MaxTemporal]float32 // with all that is needed
}

// look makes a view. More than one encoding is a simulcast, whose spatial ids mean
// nothing; else the spatial layers of the one are the ranks.
func (s *Source) look() *view {
	v := &view{described: s.described}
	seen := 0
	only := 0
	for i := range s.encodings {
		if s.encodings[i].seen {
			seen++
			only = i
		}
	}
	if seen > 1 {
		v.simulcast = true
		for i := range s.encodings {
			if e := &s.encodings[i]; e.seen {
				v.add(e, int8(i), 0, MaxSpatial-1)
			}
		}
		v.sort()
		return v
	}
	e := &s.encodings[only]
	for sp := range int8(MaxSpatial) {
		if e.has(sp) {
			v.add(e, int8(only), sp, sp)
			if r := &v.ranks[v.n-1]; v.n > 1 {
				r.need(&v.ranks[v.n-2])
			}
		}
	}
	return v
}

func (e *encoding) has(spatial int8) bool {
	for t := range MaxTemporal {
		if e.cells[spatial][t].seen {
			return true
		}
	}
	return false
}

// add appends a rank with the cells of spatial layers from to to.
func (v *view) add(e *encoding, enc, from, to int8) {
	r := &v.ranks[v.n]
	v.n++
	*r = rank{enc: enc, spatial: from, temporals: 1}
	for sp := from; sp <= to; sp++ {
		if e.sizes[sp].width > r.size.width {
			r.size = e.sizes[sp]
		}
		for t := range MaxTemporal {
			c := &e.cells[sp][t]
			if !c.alive {
				continue
			}
			r.alive = true
			r.temporals = max(r.temporals, int8(t)+1)
			for up := t; up < MaxTemporal; up++ {
				r.bps[up] += c.bps
				r.frameRate[up] += c.frameRate
			}
		}
	}
}

// need adds what the layer below costs.
func (r *rank) need(below *rank) {
	for t := range MaxTemporal {
		r.bps[t] += below.bps[t]
	}
}

// sort orders a simulcast's encodings by picture size; as declared where it is not
// known.
func (v *view) sort() {
	for i := 1; i < v.n; i++ {
		for j := i; j > 0 && v.ranks[j].smaller(&v.ranks[j-1]); j-- {
			v.ranks[j], v.ranks[j-1] = v.ranks[j-1], v.ranks[j]
		}
	}
}

func (r *rank) smaller(o *rank) bool {
	a, b := int(r.size.width)*int(r.size.height), int(o.size.width)*int(o.size.height)
	return a != 0 && b != 0 && a < b
}

// pick is a rank and a temporal layer of it.
type pick struct{ rank, temporal int8 }

func (p pick) above(o pick) bool {
	return p.rank > o.rank || p.rank == o.rank && p.temporal > o.temporal
}

// choose finds the highest that lives, is not above the wish and fits into bps (0
// for no bound): temporal layers are given up before spatial ones. Without any that
// fits it is the lowest that lives; ok is false when nothing does.
func (v *view) choose(wish pick, bps float32) (best pick, ok bool) {
	lowest := int8(-1)
	for i := int8(v.n) - 1; i >= 0; i-- {
		r := &v.ranks[i]
		if !r.alive {
			continue
		}
		if i > wish.rank {
			lowest = i // of those above the wish, if nothing else lives
			continue
		}
		lowest = i
		for t := min(r.temporals-1, wish.temporal); t >= 0; t-- {
			if bps <= 0 || r.bps[t] > 0 && r.bps[t] <= bps {
				return pick{i, t}, true
			}
		}
	}
	if lowest < 0 {
		return pick{}, false
	}
	return pick{lowest, 0}, true
}

// find tells which rank an encoding's spatial layer has now, -1 for none.
func (v *view) find(enc, spatial int8) int8 {
	for i := range int8(v.n) {
		if v.ranks[i].enc == enc && v.ranks[i].spatial == spatial {
			return i
		}
	}
	return -1
}
