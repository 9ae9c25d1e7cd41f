package rtp

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/govidu/govidu/pipeline"
)

// remote is what a peer says of one section that both use.
type remote struct {
	kind      pipeline.Kind
	direction string // as the peer means it
	payloads  []payload
	rtp, rtcp netip.AddrPort // where it wants media and reports; zero address: nowhere (on hold)
	mux       bool           // reports come on the RTP port
	comedia   bool           // reply to the source of the first packet
	ssrc      uint32         // of what it sends; 0 when not told
	kbps      int            // b=AS, 0 when not told
	sendTime  uint8          // header extension id of abs-send-time, 0 without
	key       offeredKey     // with SRTP
}

// receives tells whether the peer takes media.
func (r *remote) receives() bool { return r.direction == sendrecv || r.direction == recvonly }

// sends tells whether the peer gives media.
func (r *remote) sends() bool { return r.direction == sendrecv || r.direction == sendonly }

// plainProfiles and secureProfiles are the transports of the two modes.
var (
	plainProfiles  = map[string]bool{"RTP/AVP": true, "RTP/AVPF": true}
	secureProfiles = map[string]bool{"RTP/SAVP": true, "RTP/SAVPF": true}
)

// terms are what a section must meet to be used.
type terms struct {
	secret *secret // nil for plain RTP
	ipv6   bool
}

// read makes out what a section says; false when it cannot be used: refused by
// the peer, of another profile or address family, without a common codec or key.
func (t terms) read(d *description, s *section) (*remote, bool) {
	r := &remote{kind: kindOf(s.media), direction: direction(s.lines, d.direction)}
	profiles := plainProfiles
	if t.secret != nil {
		profiles = secureProfiles
	}
	if r.kind == 0 || s.port == 0 || !profiles[s.proto] {
		return nil, false
	}
	if r.payloads = s.payloads(); len(r.payloads) == 0 {
		return nil, false
	}
	if t.secret != nil {
		var ok bool
		if r.key, ok = t.secret.match(values(s.lines, "crypto")); !ok {
			return nil, false
		}
	}
	addr := d.addr
	if hasConnection(s.lines) {
		addr = connection(s.lines)
	}
	if !t.reachable(addr) {
		return nil, false
	}
	r.mux = has(s.lines, "rtcp-mux")
	r.rtp = netip.AddrPortFrom(addr, uint16(s.port))
	r.rtcp = t.control(s, r)
	if v, ok := value(s.lines, "direction"); ok && strings.TrimSpace(v) == "active" {
		r.comedia = true
	}
	if v, ok := value(s.lines, "ssrc"); ok {
		number, _, _ := strings.Cut(v, " ")
		n, _ := strconv.ParseUint(number, 10, 32)
		r.ssrc = uint32(n)
	}
	for _, l := range s.lines {
		if rest, ok := strings.CutPrefix(l, "b=AS:"); ok {
			if n, err := strconv.ParseUint(rest, 10, 24); err == nil {
				r.kbps = int(n)
			}
		}
	}
	for _, v := range values(s.lines, "extmap") {
		f := strings.Fields(v)
		number, _, _ := strings.Cut(f0(f), "/")
		if n, err := strconv.ParseUint(number, 10, 8); len(f) > 1 && f[1] == absSendTime && err == nil && n > 0 && n < 15 {
			r.sendTime = uint8(n)
		}
	}
	return r, true
}

func f0(f []string) string {
	if len(f) == 0 {
		return ""
	}
	return f[0]
}

func hasConnection(lines []string) bool {
	for _, l := range lines {
		if strings.HasPrefix(l, "c=") {
			return true
		}
	}
	return false
}

// reachable tells whether media may go to an address. The unspecified one is
// the old way to say "on hold" (RFC 3264 §8.4).
func (t terms) reachable(a netip.Addr) bool {
	return a.IsValid() && a.Is6() == t.ipv6 && !a.IsMulticast() && !a.IsLinkLocalUnicast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// control is where reports go: a=rtcp (RFC 3605), the RTP port when
// multiplexed, else the port after it.
func (t terms) control(s *section, r *remote) netip.AddrPort {
	if r.mux {
		return r.rtp
	}
	if v, ok := value(s.lines, "rtcp"); ok {
		number, rest, _ := strings.Cut(v, " ")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
			addr := r.rtp.Addr()
			// A place elsewhere is taken only when it is one we would send media to.
			if a := parseAddress(rest); t.reachable(a) && !a.IsUnspecified() {
				addr = a
			}
			return netip.AddrPortFrom(addr, uint16(n))
		}
	}
	if r.rtp.Port() == 65535 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(r.rtp.Addr(), r.rtp.Port()+1)
}
