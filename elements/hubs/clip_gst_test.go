//go:build gst

package hubs_test

import (
	"time"

	"github.com/govidu/govidu/pipeline"
)

// clip is coded media that is sent round and round.
type clip struct {
	units []unit
	step  time.Duration
}

type unit struct {
	data []byte
	key  bool
}

// play sends a clip at its pace until the element closes.
func (s *unitSource) play(kind pipeline.Kind, c clip) {
	s.wg.Go(func() {
		tick := time.NewTicker(c.step)
		defer tick.Stop()
		for i := 0; ; i++ {
			u := c.units[i%len(c.units)]
			s.send(kind, u.data, u.key)
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
		}
	})
}
