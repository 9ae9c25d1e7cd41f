package workers

import (
	"sync"

	"github.com/govidu/govidu/internal/workers/wire"
)

// ids gives out stream ids below wire.FirstOwnStream, the longest unused first.
type ids struct {
	mu   sync.Mutex
	last uint16
	used map[uint16]bool
}

// take gives a free id; 0 when all are in use, which is a leak of ours.
func (i *ids) take() uint16 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.used == nil {
		i.used = map[uint16]bool{}
	}
	for range wire.FirstOwnStream {
		if i.last++; i.last >= wire.FirstOwnStream {
			i.last = 1
		}
		if !i.used[i.last] {
			i.used[i.last] = true
			return i.last
		}
	}
	return 0
}

func (i *ids) free(id uint16) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.used, id)
}
