package uri

import "time"

// Linger sets how long ended streams are served.
func (s *HLSServer) Linger(d time.Duration) { s.linger = d }
