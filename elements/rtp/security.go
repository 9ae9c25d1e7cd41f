package rtp

import (
	"fmt"
	"sync"

	"github.com/pion/srtp/v3"
)

const (
	// maxKeyRTP and maxKeyRTCP are how many packets one key may protect
	// (RFC 3711 §9.2); softMargin before the end the soft limit is told.
	maxKeyRTP  = 1 << 48
	maxKeyRTCP = 1 << 31
	softMargin = 1 << 16
	// maxSSRCs is how many streams of a peer get a state of their own.
	maxSSRCs = 32
	// replayWindow is in packets.
	replayWindow = 512
)

// security protects what a leg sends and opens what it receives.
type security struct {
	soft func() // called once, when a key nears its end; must not block

	out struct {
		sync.Mutex
		ctx       *srtp.Context
		rtp, rtcp keyUse
	}
	in struct {
		sync.Mutex
		ctx       *srtp.Context
		rtp, rtcp keyUse
		ssrcs     map[uint32]bool
	}
	once sync.Once
}

// keyUse counts the packets under one key.
type keyUse struct{ used, limit uint64 }

// spend takes one packet; it tells that the end is near, or reached.
func (k *keyUse) spend() (near, over bool) {
	k.used++
	return k.used+softMargin > k.limit, k.used > k.limit
}

// newSecurity keys both directions: ours by x, the peer's by its line.
func newSecurity(x *secret, peer offeredKey, soft func()) (*security, error) {
	s := &security{soft: soft}
	var err error
	if s.out.ctx, err = srtp.CreateContext(x.master[:x.key], x.master[x.key:], x.profile); err != nil {
		return nil, fmt.Errorf("key for sending: %w", err)
	}
	opts := []srtp.ContextOption{srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow)}
	if peer.mki != nil {
		opts = append(opts, srtp.MasterKeyIndicator(peer.mki))
	}
	if s.in.ctx, err = srtp.CreateContext(peer.master[:x.key], peer.master[x.key:], x.profile, opts...); err != nil {
		return nil, fmt.Errorf("key for receiving: %w", err)
	}
	s.out.rtp.limit, s.out.rtcp.limit = maxKeyRTP, maxKeyRTCP
	s.in.rtp.limit, s.in.rtcp.limit = maxKeyRTP, maxKeyRTCP
	s.in.ssrcs = map[uint32]bool{}
	return s, nil
}

// protect encrypts a datagram into dst's memory; false when the key is used up.
func (s *security) protect(dst, plain []byte, control bool) ([]byte, bool) {
	s.out.Lock()
	use := &s.out.rtp
	if control {
		use = &s.out.rtcp
	}
	near, over := use.spend()
	var b []byte
	err := error(nil)
	switch {
	case over:
	case control:
		b, err = s.out.ctx.EncryptRTCP(dst, plain, nil)
	default:
		b, err = s.out.ctx.EncryptRTP(dst, plain, nil)
	}
	s.out.Unlock()
	if near {
		s.once.Do(s.soft)
	}
	return b, err == nil && !over
}

// open authenticates and decrypts a datagram in place; false for what is not
// the peer's, what was seen before, or what is beyond the key's end.
func (s *security) open(b []byte, control bool) ([]byte, bool) {
	if len(b) < 12 {
		return nil, false
	}
	at := b[8:12]
	if control {
		at = b[4:8]
	}
	ssrc := uint32(at[0])<<24 | uint32(at[1])<<16 | uint32(at[2])<<8 | uint32(at[3])
	s.in.Lock()
	defer s.in.Unlock()
	known := s.in.ssrcs[ssrc]
	if !known && len(s.in.ssrcs) >= maxSSRCs {
		return nil, false
	}
	use := &s.in.rtp
	decrypt := func() ([]byte, error) { return s.in.ctx.DecryptRTP(nil, b, nil) }
	if control {
		use = &s.in.rtcp
		decrypt = func() ([]byte, error) { return s.in.ctx.DecryptRTCP(nil, b, nil) }
	}
	out, err := decrypt()
	if err != nil {
		return nil, false
	}
	s.in.ssrcs[ssrc] = true
	near, over := use.spend()
	if near {
		s.once.Do(s.soft)
	}
	return out, !over
}
