package uri

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// hlsLinger is how long an ended stream is served.
	hlsLinger = time.Minute
	// hlsEndedBytes bounds what all ended streams hold: beyond, the oldest is
	// forgotten earlier.
	hlsEndedBytes = 256 << 20
	// hlsPatience is how long a request waits for what is about to come,
	// hlsWaiting how many of one stream may.
	hlsPatience = 8 * time.Second
	hlsWaiting  = 1024
	// hlsEnough is how many segments a playlist begins with (RFC 8216 §6.3.3).
	hlsEnough = 3
	// hlsWrite is how long one answer may take.
	hlsWrite = 30 * time.Second
	// hlsIDLength is of the secret in a path: 190 bits.
	hlsIDLength = 32
)

// HLSServer serves the streams of HlsEndpoints below /hls/, each by the secret in
// its path: playlists, initialisation segments, segments and parts, to pages of
// any origin. Safe for concurrent use.
type HLSServer struct {
	linger time.Duration

	mu      sync.Mutex // before hlsList.mu
	streams map[string]*hlsStream
	ended   []string // oldest first
	closed  bool
}

type hlsStream struct {
	list   *hlsList
	expiry *time.Timer // nil while it runs
}

// NewHLSServer makes a server without streams; Close ends it.
func NewHLSServer() *HLSServer {
	return &HLSServer{linger: hlsLinger, streams: map[string]*hlsStream{}}
}

// newHLSID is a random text in base62.
func newHLSID() string {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := make([]byte, 0, hlsIDLength)
	var b [64]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		for _, x := range b {
			if x &= 63; int(x) < len(letters) {
				if out = append(out, letters[x]); len(out) == hlsIDLength {
					return string(out)
				}
			}
		}
	}
}

// add serves a stream, again when it had ended.
func (s *HLSServer) add(id string, l *hlsList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.forget(id)
	s.streams[id] = &hlsStream{list: l}
}

// expire serves a stream that has ended for a while longer.
func (s *HLSServer) expire(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.streams[id]
	if x == nil || x.expiry != nil {
		return
	}
	x.expiry = time.AfterFunc(s.linger, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.streams[id] == x {
			s.forget(id)
		}
	})
	s.ended = append(s.ended, id)
	for size := s.endedBytes(); size > hlsEndedBytes && len(s.ended) > 1; {
		size -= s.streams[s.ended[0]].list.size()
		s.forget(s.ended[0])
	}
}

func (s *HLSServer) endedBytes() (n int) {
	for _, id := range s.ended {
		n += s.streams[id].list.size()
	}
	return n
}

// forget serves a stream no more. The caller holds s.mu.
func (s *HLSServer) forget(id string) {
	if x := s.streams[id]; x != nil && x.expiry != nil {
		x.expiry.Stop()
	}
	delete(s.streams, id)
	for i, e := range s.ended {
		if e == id {
			s.ended = append(s.ended[:i:i], s.ended[i+1:]...)
			break
		}
	}
}

// Close forgets every stream.
func (s *HLSServer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for id := range s.streams {
		s.forget(id)
	}
	return nil
}

// ServeHTTP implements http.Handler for paths below /hls/.
func (s *HLSServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*") // the path is the secret
	h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, Date")
	h.Set("Timing-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Range")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "streams are read only", http.StatusMethodNotAllowed)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, hlsRoot)
	id, name, ok2 := strings.Cut(rest, "/")
	var stream *hlsStream
	if ok && ok2 && len(id) == hlsIDLength {
		s.mu.Lock()
		stream = s.streams[id]
		s.mu.Unlock()
	}
	if stream == nil {
		http.Error(w, "no such stream", http.StatusNotFound)
		return
	}
	stream.list.serve(w, r, name)
}

// answer is what a file of a stream is.
type answer struct {
	data   []byte
	kind   string // Content-Type
	cache  string // Cache-Control
	status int    // 0 is 200
}

const (
	playlistType = "application/vnd.apple.mpegurl"
	// A segment never changes under its name, and the name is nobody else's.
	segmentCache  = "public, max-age=3600, immutable"
	playlistCache = "no-cache"
)

// serve gives a file of the stream.
func (l *hlsList) serve(w http.ResponseWriter, r *http.Request, name string) {
	ctx, cancel := context.WithTimeout(r.Context(), hlsPatience)
	defer cancel()
	a := l.get(ctx, name, r.URL.Query().Get("_HLS_msn"), r.URL.Query().Get("_HLS_part"))
	// A server without deadlines is a test's.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(hlsWrite))
	h := w.Header()
	switch a.status {
	case 0:
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
		fallthrough
	default:
		http.Error(w, strings.ToLower(http.StatusText(a.status)), a.status)
		return
	}
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", a.cache)
	http.ServeContent(w, r, path.Base(name), time.Time{}, bytes.NewReader(a.data))
}

// get waits for a file until ctx ends.
func (l *hlsList) get(ctx context.Context, name, msn, part string) answer {
	first, late := true, false
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		a, wait := l.look(name, msn, part, late)
		if late && wait {
			return answer{status: http.StatusServiceUnavailable}
		}
		if !wait {
			return a
		}
		if first {
			if l.waiting >= hlsWaiting {
				return answer{status: http.StatusServiceUnavailable}
			}
			first = false
			l.waiting++
			defer func() { l.waiting-- }()
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
			l.mu.Lock()
		case <-ctx.Done():
			l.mu.Lock()
			late = true
		}
	}
}

// look finds a file as it is now; wait tells that it, or a better one, is about to
// come, which is not waited for any more when it is late. The caller holds l.mu.
func (l *hlsList) look(name, msn, part string, late bool) (a answer, wait bool) {
	none := answer{status: http.StatusNotFound}
	kind := "video/mp4"
	if l.formats[1] == nil {
		kind = "audio/mp4"
	}
	switch {
	case name == hlsIndex:
		if l.few(late) {
			return none, !l.ended
		}
		return answer{data: l.sum.multivariant(l.segments[len(l.segments)-1].formats), kind: playlistType, cache: playlistCache}, false
	case name == hlsMedia:
		if l.few(late) {
			return none, !l.ended
		}
		if wait, bad := l.early(msn, part); bad {
			return answer{status: http.StatusBadRequest}, false
		} else if wait && !late { // else nothing is new, and the player asks again
			return none, true
		}
		return answer{data: l.media(), kind: playlistType, cache: playlistCache}, false
	case strings.HasPrefix(name, "init"):
		for p, data := range l.inits {
			if hlsInitName(p) == name {
				return answer{data: data, kind: kind, cache: segmentCache}, false
			}
		}
	case strings.HasPrefix(name, "seg"):
		if n, ok := number(name, "seg"); ok {
			if s := l.find(n); s != nil && s.whole {
				return answer{data: s.data, kind: kind, cache: segmentCache}, false
			}
		}
	case strings.HasPrefix(name, "part"):
		one, two, ok := strings.Cut(strings.TrimSuffix(name, ".m4s"), ".")
		n, ok2 := number(one+".m4s", "part")
		i, err := strconv.ParseUint(two, 10, 16)
		if !ok || !ok2 || err != nil || hlsPartName(n, int(i)) != name {
			break
		}
		s := l.find(n)
		switch {
		case l.part == 0 || s == nil:
		case int(i) < len(s.parts):
			p := s.parts[i]
			return answer{data: s.data[p.from:p.to], kind: kind, cache: segmentCache}, false
		case !s.whole && int(i) == len(s.parts) && !l.ended:
			return none, true // the one that is hinted at
		}
	}
	return none, false
}

// few tells whether a player that begins now would soon wait: it wants three
// segments before it, or a row of parts. The caller holds l.mu.
func (l *hlsList) few(late bool) bool {
	enough := hlsEnough
	if late || l.part > 0 || l.ended {
		enough = 1
	}
	return len(l.listed()) < enough
}

// early tells whether a playlist is asked for that does not exist yet
// (draft-pantos-hls-rfc8216bis §6.2.5.2). The caller holds l.mu.
func (l *hlsList) early(msn, part string) (wait, bad bool) {
	if l.part == 0 || l.ended || msn == "" {
		return false, l.part > 0 && !l.ended && part != ""
	}
	n, err := strconv.ParseUint(msn, 10, 63)
	i, err2 := strconv.ParseUint(cmp.Or(part, "0"), 10, 16)
	switch {
	case err != nil || err2 != nil || n > l.next+2:
		return false, true
	case n < l.next:
		return false, false
	}
	return n > l.next || part == "" || l.building == nil || int(i) >= len(l.building.parts), false
}

// number reads the number in a name such as seg12.m4s, written in one way only.
func number(name, prefix string) (uint64, bool) {
	text, ok := strings.CutPrefix(name, prefix)
	text, ok2 := strings.CutSuffix(text, ".m4s")
	n, err := strconv.ParseUint(text, 10, 63)
	return n, ok && ok2 && err == nil && strconv.FormatUint(n, 10) == text
}
