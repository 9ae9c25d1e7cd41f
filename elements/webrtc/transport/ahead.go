package transport

import (
	"unsafe"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
)

// How many Senders ahead of its use something is fetched.
const (
	aheadSender = 5 // the Sender itself
	aheadShard  = 4 // where its Peer lives
	aheadLeg    = 3 // what it tells the place of
	aheadPath   = 2 // what its leg tells the place of
	aheadKeys   = 1 // what its Sealer tells the place of
)

// ahead fetches what the Senders after the i-th will need. Between two bursts of a
// publisher the kernel fills the caches, and whatever else runs. Then each Sender comes
// from far away, piece after piece, because one piece tells where the next one is: that
// costs as much as sealing does. So each piece is asked for while earlier Senders are
// served.
func (t *turn) ahead(list []*Sender, i int) {
	if i+aheadSender < len(list) {
		prefetch(unsafe.Pointer(list[i+aheadSender]), unsafe.Sizeof(Sender{}))
	}
	if i+aheadShard < len(list) {
		prefetch(unsafe.Pointer(&list[i+aheadShard].peer.shard), 8)
	}
	if l := t.nearby(list, i+aheadLeg); l != nil {
		x := list[i+aheadLeg]
		prefetch(unsafe.Pointer(&l.path), unsafe.Offsetof(l.rate)-unsafe.Offsetof(l.path))
		prefetch(unsafe.Pointer(&l.weather), 1) // and the end of the estimator
		prefetch(unsafe.Pointer(x.use), unsafe.Sizeof(rtpCodec{}))
		if r := &x.resend; r.slots != nil {
			prefetch(unsafe.Pointer(r.slot(r.latest+1)), 4*unsafe.Sizeof(resendSlot{}))
		}
	}
	if l := t.nearby(list, i+aheadPath); l != nil {
		prefetch(unsafe.Pointer(l.path), unsafe.Sizeof(*l.path))
		prefetch(unsafe.Pointer(l.sealer), unsafe.Sizeof(srtp.Sealer{}))
	}
	if l := t.nearby(list, i+aheadKeys); l != nil && l.sealer != nil {
		for _, p := range l.sealer.Parts() {
			prefetch(p.At, p.Size)
		}
	}
}

// nearby is the leg of the i-th Sender, nil when there is none or it lives elsewhere.
func (t *turn) nearby(list []*Sender, i int) *leg {
	if i < len(list) && list[i].peer.shard.Load() == t.shard {
		return list[i].leg
	}
	return nil
}
