package rest

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// userName is the one user of the API (contract §1.2).
const userName = "OPENVIDUAPP"

// Failed authentications per address before 429 (robustness §2).
const (
	failRate  rate.Limit = 10
	failBurst int        = 50
	// maxFailing bounds the memory of the limiter. Past it, addresses that have
	// been quiet are forgotten; if all are busy, newcomers share one bucket.
	maxFailing int = 10_000
)

// authorize checks HTTP Basic credentials. It answers nil when they are right;
// right ones are never limited, whatever their address did before. User name and
// secret are both always compared, in constant time.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request) *Error {
	user, pass, ok := r.BasicAuth()
	// Not short-circuited: the time must not tell which half was wrong.
	userOK, passOK := h.user.Equal(user), h.opts.Secret.Equal(pass)
	if strings.HasPrefix(r.URL.Path, layoutsPrefix) {
		passOK = h.opts.LayoutsPassword.Equal(pass) || passOK
	}
	if ok && userOK && passOK {
		return nil
	}
	if wait := h.failures.fail(h.clientAddr(r)); wait > 0 {
		return &Error{Status: http.StatusTooManyRequests, Text: "too many failed authentications", RetryAfter: wait}
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="openvidu"`)
	return &Error{Status: http.StatusUnauthorized, Text: "credentials are missing or wrong"}
}

// clientAddr is the caller's address: the peer's, or what a trusted proxy says in
// X-Real-IP. IPv6 counts by /64, since one caller owns at least that.
func (h *Handler) clientAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap()
	for _, p := range h.opts.TrustedProxies {
		if !p.Contains(addr) {
			continue
		}
		if real, err := netip.ParseAddr(strings.TrimSpace(r.Header.Get("X-Real-IP"))); err == nil {
			addr = real.Unmap()
		}
		break
	}
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// failures is a bounded set of token buckets by address.
type failures struct {
	mu      sync.Mutex // leaf
	buckets map[netip.Addr]*bucket
	swept   time.Time // last forget: a flood of addresses must not pay for each other
}

type bucket struct {
	limiter *rate.Limiter
	last    time.Time
}

// fail spends one failure of addr; a positive answer is how long to wait.
func (f *failures) fail(addr netip.Addr) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	b := f.buckets[addr]
	if b == nil {
		if len(f.buckets) >= maxFailing && now.Sub(f.swept) >= time.Second {
			f.forget(now)
		}
		if len(f.buckets) >= maxFailing {
			addr = netip.Addr{}
			b = f.buckets[addr]
		}
	}
	if b == nil {
		b = &bucket{limiter: rate.NewLimiter(failRate, failBurst)}
		f.buckets[addr] = b
	}
	b.last = now
	if b.limiter.AllowN(now, 1) {
		return 0
	}
	return time.Second
}

// forget drops buckets that have surely filled up again.
func (f *failures) forget(now time.Time) {
	const full = float64(failBurst) / float64(failRate) // seconds
	f.swept = now
	for a, b := range f.buckets {
		if now.Sub(b.last).Seconds() > full {
			delete(f.buckets, a)
		}
	}
}
