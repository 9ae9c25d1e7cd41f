package congestion

const (
	throughputBin  = 50 * millisecond
	throughputBins = 20
)

// throughput measures a rate over the last second, in bins of 50 ms.
type throughput struct {
	bytes [throughputBins]uint32
	first int64 // bin; 0: nothing yet
	last  int64
	begin int64 // of the last bin, in µs
}

// add counts bytes at a time in µs. What is older than the window is left out.
func (t *throughput) add(size int, at int64) {
	bin := t.last
	if since := at - t.begin; since < 0 || since >= throughputBin || t.first == 0 {
		if bin = at / throughputBin; bin <= 0 {
			return
		}
		t.move(bin)
		if t.last-bin >= throughputBins {
			return
		}
	}
	i := &t.bytes[uint64(bin)%throughputBins]
	*i = uint32(min(int64(*i)+int64(size), 1<<31))
}

func (t *throughput) move(bin int64) {
	if t.first == 0 || bin-t.last >= throughputBins || t.last-bin > 10*throughputBins {
		*t = throughput{first: bin, last: bin}
	}
	for t.last < bin {
		t.last++
		t.bytes[t.last%throughputBins] = 0
	}
	t.begin = t.last * throughputBin
}

// bps is the rate over the latest n whole bins, of those that there are; false:
// there are fewer than two.
func (t *throughput) bps(n int64) (float64, bool) {
	n = min(n, t.last-t.first, throughputBins-1)
	if n < 2 {
		return 0, false
	}
	sum := 0.0
	for bin := t.last - n; bin < t.last; bin++ {
		sum += float64(t.bytes[bin%throughputBins])
	}
	return sum * 8 * second / float64(n*throughputBin), true
}
