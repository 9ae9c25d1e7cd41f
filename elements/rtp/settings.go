package rtp

import (
	"context"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// settings are the writable properties, with Kurento's defaults as a real server
// answers them. Bandwidths are in kbit/s, 0 is no limit.
type settings struct {
	maxAudioRecv, maxVideoRecv int
	minVideoRecv               int
	minVideoSend, maxVideoSend int
	sendSet                    bool // maxVideoSend was set, not only the default
	mtu                        int
	remb                       elements.RembParams
}

func defaults() settings {
	return settings{
		minVideoRecv: 100, minVideoSend: 100, maxVideoSend: 500, mtu: 1200,
		// These are single precision in the original, and clients see it.
		remb: elements.RembParams{
			PacketsRecvIntervalTop: 100, ExponentialFactor: single(0.04), LinealFactorMin: 50, LinealFactorGrade: 30,
			DecrementFactor: 0.5, ThresholdFactor: single(0.8), UpLosses: 12, RembOnConnect: 300000,
		},
	}
}

func single(x float64) float64 { return float64(float32(x)) }

func get[V any](e *Endpoint, f func(*settings) V) V {
	e.mu.Lock()
	defer e.mu.Unlock()
	return f(&e.settings)
}

func set(e *Endpoint, f func(*settings)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	f(&e.settings)
	return nil
}

// setKbps stores a bandwidth; negative ones and those beyond 1 Tbit/s are
// kerr.MarshallError.
func setKbps(e *Endpoint, name string, kbps int, f func(*settings)) error {
	if kbps < 0 || kbps > 1_000_000_000 {
		return kerr.New(kerr.MarshallError, "'%s' is out of range", name)
	}
	return set(e, f)
}

// MaxAudioRecvBandwidth caps what the peer sends, by b=AS.
func (e *Endpoint) MaxAudioRecvBandwidth() int {
	return get(e, func(s *settings) int { return s.maxAudioRecv })
}

// SetMaxAudioRecvBandwidth counts until negotiation.
func (e *Endpoint) SetMaxAudioRecvBandwidth(kbps int) error {
	return setKbps(e, "maxAudioRecvBandwidth", kbps, func(s *settings) { s.maxAudioRecv = kbps })
}

// MaxVideoRecvBandwidth caps what the peer sends, by b=AS and REMB.
func (e *Endpoint) MaxVideoRecvBandwidth() int {
	return get(e, func(s *settings) int { return s.maxVideoRecv })
}

// SetMaxVideoRecvBandwidth counts in b=AS until negotiation, in REMB always.
func (e *Endpoint) SetMaxVideoRecvBandwidth(kbps int) error {
	return setKbps(e, "maxVideoRecvBandwidth", kbps, func(s *settings) { s.maxVideoRecv = kbps })
}

// MinVideoRecvBandwidth is the least that REMB announces; below 30 it is 30.
func (e *Endpoint) MinVideoRecvBandwidth() int {
	return get(e, func(s *settings) int { return s.minVideoRecv })
}

// SetMinVideoRecvBandwidth sets the bound.
func (e *Endpoint) SetMinVideoRecvBandwidth(kbps int) error {
	return setKbps(e, "minVideoRecvBandwidth", kbps, func(s *settings) { s.minVideoRecv = kbps })
}

// MinVideoSendBandwidth is the least that the source is asked for.
func (e *Endpoint) MinVideoSendBandwidth() int {
	return get(e, func(s *settings) int { return s.minVideoSend })
}

// SetMinVideoSendBandwidth sets the bound.
func (e *Endpoint) SetMinVideoSendBandwidth(kbps int) error {
	return setKbps(e, "minVideoSendBandwidth", kbps, func(s *settings) { s.minVideoSend = kbps })
}

// MaxVideoSendBandwidth is the most that the source is asked for.
func (e *Endpoint) MaxVideoSendBandwidth() int {
	return get(e, func(s *settings) int { return s.maxVideoSend })
}

// SetMaxVideoSendBandwidth sets the bound.
func (e *Endpoint) SetMaxVideoSendBandwidth(kbps int) error {
	err := setKbps(e, "maxVideoSendBandwidth", kbps, func(s *settings) { s.maxVideoSend, s.sendSet = kbps, true })
	if err == nil {
		e.senders[pipeline.Video].limit()
	}
	return err
}

// sendBound is the bitrate in bps that a source of video is asked for; 0 asks
// nothing. remb is the peer's estimate in bps and as its b=AS in kbit/s, 0 for
// none: what the peer wants goes before our own bounds. The default maximum
// bounds only estimates, so that what is forwarded to a peer without them is
// not throttled unasked.
func (e *Endpoint) sendBound(remb, as int) int {
	s := get(e, func(s *settings) settings { return *s })
	bps := remb
	if bps > 0 {
		bps = max(bps, s.minVideoSend*1000)
	}
	if limit := s.maxVideoSend * 1000; limit > 0 && (s.sendSet || bps > limit) && (bps == 0 || bps > limit) {
		bps = limit
	}
	if limit := as * 1000; limit > 0 && (bps == 0 || bps > limit) {
		bps = limit
	}
	return bps
}

// MediaState is CONNECTED while the peer sends reports or media.
func (e *Endpoint) MediaState() elements.ConnectedState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.media
}

// ConnectionState is CONNECTED when it is known where to send.
func (e *Endpoint) ConnectionState() elements.ConnectedState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.connection
}

// MTU is in bytes; packets are forwarded as they came.
func (e *Endpoint) MTU() int { return get(e, func(s *settings) int { return s.mtu }) }

// SetMTU stores the value.
func (e *Endpoint) SetMTU(bytes int) error { return set(e, func(s *settings) { s.mtu = bytes }) }

// RembParams tune the estimate that the peer is told.
func (e *Endpoint) RembParams() elements.RembParams {
	return get(e, func(s *settings) elements.RembParams { return s.remb })
}

// SetRembParams counts from the next report on.
func (e *Endpoint) SetRembParams(p elements.RembParams) error {
	p.ExponentialFactor, p.LinealFactorGrade = single(p.ExponentialFactor), single(p.LinealFactorGrade)
	p.DecrementFactor, p.ThresholdFactor = single(p.DecrementFactor), single(p.ThresholdFactor)
	return set(e, func(s *settings) { s.remb = p })
}

// RequestKeyframe asks whoever feeds this endpoint with video; without a source
// it is kerr.MediaObjectOperationNotSupported.
func (e *Endpoint) RequestKeyframe(context.Context, elements.None) (elements.None, error) {
	if !e.senders[pipeline.Video].requestKeyFrame() {
		return elements.None{}, noSource()
	}
	return elements.None{}, nil
}

// settings are those of a new endpoint.
func (d Deps) settings() settings {
	s := defaults()
	if d.MTU != 0 {
		s.mtu = d.MTU
	}
	return s
}
