package transport

import (
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/pipeline"
)

// Best is no bound in a wish for a layer.
const Best = 127

// layerWish is what a subscriber wants to see at most.
type layerWish struct {
	spatial, temporal int
	width, height     int // 0 is no bound
}

var anyLayer = layerWish{Best, Best, 0, 0}

// SetLayerWish bounds what is forwarded of a video in layers: to the spatial and
// the temporal one of these ranks (see Receiver.Layers), Best or less than 0 for no
// bound, and to the smallest that fills a picture of so many pixels, 0 for no bound.
// The bandwidth may have it less.
func (s *Sender) SetLayerWish(spatial, temporal, maxWidth, maxHeight int) {
	if spatial < 0 {
		spatial = Best
	}
	if temporal < 0 {
		temporal = Best
	}
	s.peer.under(func(t *turn) {
		s.wished = layerWish{spatial, temporal, maxWidth, maxHeight}
		s.want(t.now)
	})
}

// Layer is the spatial and the temporal layer that are forwarded now, -1 and -1
// while nothing is.
func (s *Sender) Layer() (spatial, temporal int) {
	s.peer.under(func(*turn) { spatial, temporal = s.selector.Current() })
	return spatial, temporal
}

// want tells the selector of the wish, with what sizes there are now.
func (s *Sender) want(now time.Time) {
	w := s.peer.engine.shed.bound(s.wished, s.layered)
	if s.publisher != nil && w.spatial >= 0 && (w.width > 0 || w.height > 0) {
		for _, l := range s.publisher.Layers() {
			if l.Width == 0 || l.Height == 0 || (l.Width < w.width || l.Height < w.height) {
				continue
			}
			w.spatial = min(w.spatial, l.Spatial)
			break
		}
	}
	s.selector.Want(w.spatial, w.temporal, now)
}

// Layers are those that the peer sends of its video, from small to big; none
// before it sends.
func (r *Receiver) Layers() []layers.LayerStats {
	source := r.source.Load()
	if source == nil {
		return nil
	}
	return source.Layers()
}

// AudioLevel is the loudness of the latest packet that told one, in dBov from -127
// to 0 (RFC 6464), whether it is taken for voice, and when it came; at is zero
// before the first.
func (r *Receiver) AudioLevel() (dBov int, voice bool, at time.Time) {
	x := r.level.Load()
	if x == 0 {
		return -127, false, time.Time{}
	}
	return -int(x & 0x7f), x&0x80 != 0, r.peer.start.Add(time.Duration(x >> 8 << 8))
}

// levelOn notes the audio level of a packet, and has the packet carry it.
func (r *Receiver) levelOn(p *pipeline.Packet, level byte, now time.Time) {
	r.level.Store(int64(now.Sub(r.peer.start))&^0xff | int64(level))
	_ = p.Header.SetExtension(audioLevelID, []byte{level})
}

const (
	// steerEvery is how often the bandwidth of a peer that is sent layers is looked at.
	steerEvery = 50 * time.Millisecond
	// audioShare is what is left to sound, in bps.
	audioShare = 64_000
)

// usualBps is what an encoder is thought to make of a video at best, where the
// user sets no bound.
const usualBps = 2_500_000

// steer lets the estimate decide which layers the peer gets, and finds out
// whether it can take more.
func (l *leg) steer(t *turn, second bool) {
	s := l.peer.videoOut
	if s.leg != l || s.stats.packets == 0 {
		return
	}
	if second {
		l.wishRate(s, t.now)
	}
	if !l.rate.Active() && !s.layered {
		return
	}
	if !s.layered && s.publisher != nil {
		if second || l.pace != nil {
			l.pacing(t, l.rate.Target(t.now))
		}
		return
	}
	bps := l.rate.Target(t.now)
	l.pacing(t, bps)
	if s.layered && (l.rate.Active() || s.estimate.fresh(t.now)) {
		s.selector.Allow(max(bps-audioShare, 1), t.now)
	}
	if bytes, ok := l.rate.Probe(t.now); ok {
		s.probe(t, bytes)
	}
	if s.selector.NeedsKey() {
		s.wantKey(t, t.now)
	}
	l.peer.soon(t.now.Add(steerEvery))
}

// wishRate tells the estimate what the peer would be sent at best: nothing more
// than now, when there is nothing to choose.
func (l *leg) wishRate(s *Sender, now time.Time) {
	c := l.peer.caps.Load()
	l.rate.Set(c.MinVideoSend*1000, c.MaxVideoSend*1000, c.StartVideoSend)
	s.layered = false
	if s.publisher == nil {
		best := usualBps
		if c.MaxVideoSend > 0 {
			best = c.MaxVideoSend * 1000
		}
		l.rate.Wish(best + audioShare)
		return
	}
	list := s.publisher.Layers()
	if s.layered = len(list) > 1; !s.layered {
		l.rate.Wish(0)
		return
	}
	best := 0
	for _, x := range list {
		if x.Active {
			best = max(best, x.Bps)
		}
	}
	l.rate.Wish(best*12/10 + audioShare)
	// A least is for encoders: what the way does not take cannot be sent in layers.
	l.rate.Set(0, c.MaxVideoSend*1000, c.StartVideoSend)
	s.want(now)
}
