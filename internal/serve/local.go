package serve

import (
	"net/http"
	"net/netip"
)

// IsLocal says whether a request comes from this machine and through no proxy.
func IsLocal(r *http.Request) bool {
	for _, h := range []string{"X-Real-Ip", "X-Forwarded-For", "Forwarded"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// LoopbackOnly answers 403 to callers that are not local.
func LoopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !IsLocal(r) {
			http.Error(w, "only for callers on this machine", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ClientIP gives a function that tells a caller's address: the peer's, or what
// X-Real-IP says when the peer is one of the trusted proxies.
func ClientIP(trusted []netip.Prefix) func(*http.Request) string {
	return func(r *http.Request) string {
		ap, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr
		}
		addr := ap.Addr().Unmap()
		for _, p := range trusted {
			if !p.Contains(addr) {
				continue
			}
			if real, err := netip.ParseAddr(r.Header.Get("X-Real-IP")); err == nil {
				addr = real.Unmap()
			}
			break
		}
		return addr.String()
	}
}
