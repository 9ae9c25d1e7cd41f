package layers

import (
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

const (
	// rollEvery is how often rates are told anew.
	rollEvery = 250 * time.Millisecond
	// rateMemory is over how long rates are averaged: a keyframe is no reason to
	// leave a layer.
	rateMemory = 2 * time.Second
	// A layer is gone when nothing came for silenceFrames of its frame intervals,
	// within these bounds, while another of the source went on.
	silenceFrames = 8
	minSilence    = 500 * time.Millisecond
	maxSilence    = 2 * time.Second
	// packetOverhead is what is counted on top of each payload: headers of RTP, its
	// extensions and the SRTP tag, in bytes.
	packetOverhead = 36
)

// Source measures what one publisher sends as video: up to MaxEncodings simulcast
// encodings, or one stream, with or without layers. Note is for one goroutine at a
// time; Layers, and the Selectors that look at it, may be on others.
type Source struct {
	rids      []string
	encodings [MaxEncodings]encoding
	begun     bool
	described bool // AV1 with dependency descriptors
	born      time.Time
	rolled    time.Duration // since born
	rollAt    time.Duration
	newest    time.Duration
	view      atomic.Pointer[view]
}

// encoding is one received stream.
type encoding struct {
	seen  bool
	sizes [MaxSpatial]size
	cells [MaxSpatial][MaxTemporal]cell
}

// cell is one spatial and temporal layer.
type cell struct {
	seen, alive    bool
	at             time.Duration // of the latest packet
	bytes, frames  uint32        // since rates were told
	rolls          int
	bps, frameRate float32 // averages; of this layer alone
}

// NewSource makes the Source of a publisher that declares the encodings with these
// rids (RFC 8851), in the order of its description; without any it is one stream.
func NewSource(rids ...string) *Source {
	if len(rids) > MaxEncodings {
		rids = rids[:MaxEncodings]
	}
	return &Source{rids: rids}
}

// Note counts a received packet. enc is the index of its encoding, 0 for a single
// stream; others than those declared are ignored.
func (s *Source) Note(enc int, p *pipeline.Packet, info *Info, now time.Time) {
	if uint(enc) >= MaxEncodings || enc > 0 && enc >= len(s.rids) {
		return
	}
	if !s.begun {
		s.begun, s.born = true, now
	}
	at := now.Sub(s.born)
	e := &s.encodings[enc]
	c := &e.cells[min(info.Spatial, MaxSpatial-1)&(MaxSpatial-1)][min(info.Temporal, MaxTemporal-1)&(MaxTemporal-1)]
	c.bytes += uint32(len(p.Payload)) + packetOverhead
	if info.Begin {
		c.frames++
	}
	c.at, s.newest = at, at
	if !c.alive {
		c.seen, c.alive, e.seen = true, true, true
		s.described = info.structure != nil && p.Format != nil && p.Format.Codec == codec.AV1
		s.rollAt = min(s.rollAt, at)
	}
	if info.Width != 0 {
		z := &e.sizes[min(info.Spatial, MaxSpatial-1)&(MaxSpatial-1)]
		if fresh := (size{info.Width, info.Height}); *z != fresh {
			*z = fresh
			s.rollAt = at
		}
	}
	if at >= s.rollAt {
		s.roll()
	}
}

// roll averages the rates and shows them.
func (s *Source) roll() {
	at := s.newest
	dt := at - s.rolled
	s.rollAt = at + rollEvery
	measured := dt >= rollEvery/2
	for i := range s.encodings {
		if !s.encodings[i].seen {
			continue
		}
		for sp := range MaxSpatial {
			for t := range MaxTemporal {
				c := &s.encodings[i].cells[sp][t]
				if !c.seen {
					continue
				}
				if measured {
					c.roll(dt)
				}
				c.alive = c.alive && at-c.at < c.silence()
			}
		}
	}
	if measured {
		s.rolled = at
	} else {
		s.rollAt = s.rolled + rollEvery
	}
	s.view.Store(s.look())
}

// roll averages over what came in the last dt.
func (c *cell) roll(dt time.Duration) {
	seconds := float32(dt.Seconds())
	share := float32(dt) / float32(rateMemory+dt)
	if c.rolls++; c.rolls < 16 {
		share = max(share, 1/float32(c.rolls))
	}
	c.bps += share * (float32(c.bytes)*8/seconds - c.bps)
	if c.frames > 0 {
		c.frameRate += share * (float32(c.frames)/seconds - c.frameRate)
	}
	c.bytes, c.frames = 0, 0
	if !c.alive {
		c.bps, c.frameRate, c.rolls = 0, 0, 0
	}
}

// silence is how long nothing may come of a layer that lives.
func (c *cell) silence() time.Duration {
	if c.frameRate <= 0 {
		return maxSilence
	}
	return min(max(time.Duration(silenceFrames/c.frameRate*float32(time.Second)), minSilence), maxSilence)
}

// LayerStats is one layer of a Source.
type LayerStats struct {
	Spatial, Temporal int // rank, from the smallest picture; temporal layer
	Encoding          int // index of the simulcast encoding
	RID               string
	Width, Height     int     // 0 until known
	FrameRate         float64 // frames per second, with all lower temporal layers
	Bps               int     // with all layers that it needs, headers counted; 0 until measured
	Active            bool
}

// Layers tells what has been seen so far, from the smallest up.
func (s *Source) Layers() []LayerStats {
	v := s.view.Load()
	if v == nil {
		return nil
	}
	var out []LayerStats
	for i := range v.ranks[:v.n] {
		r := &v.ranks[i]
		for t := range int(r.temporals) {
			x := LayerStats{
				Spatial: i, Temporal: t, Encoding: int(r.enc), Width: int(r.size.width), Height: int(r.size.height),
				FrameRate: float64(r.frameRate[t]), Bps: int(r.bps[t]), Active: r.alive,
			}
			if int(r.enc) < len(s.rids) {
				x.RID = s.rids[r.enc]
			}
			out = append(out, x)
		}
	}
	return out
}
