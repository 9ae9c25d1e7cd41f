package webrtc

import (
	"net/netip"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

const videoKind = pipeline.Video

// settings are the writable properties, with Kurento's defaults. Bandwidths are
// in kbit/s, 0 is no limit.
type settings struct {
	networkInterfaces, stunAddress, turnURL, externalIPv4, externalIPv6 string

	iceTCP                     bool
	stunPort, mtu              int
	maxAudioRecv, maxVideoRecv int
	minVideoRecv               int
	minVideoSend, maxVideoSend int
	remb                       elements.RembParams
}

func defaults() settings {
	return settings{
		iceTCP: true, stunPort: 3478, mtu: 1200, minVideoRecv: 100, minVideoSend: 100, maxVideoSend: 500,
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

// setKbps stores a bandwidth; negative ones are refused.
func setKbps(e *Endpoint, name string, kbps int, f func(*settings)) error {
	if kbps < 0 {
		return kerr.New(kerr.MarshallError, "'%s' must not be negative", name)
	}
	return set(e, f)
}

// NetworkInterfaces is stored only: interfaces are chosen for the whole process.
func (e *Endpoint) NetworkInterfaces() string {
	return get(e, func(s *settings) string { return s.networkInterfaces })
}

// SetNetworkInterfaces stores the list.
func (e *Endpoint) SetNetworkInterfaces(v string) error {
	return set(e, func(s *settings) { s.networkInterfaces = v })
}

// ICETCP tells whether TCP candidates are used.
func (e *Endpoint) ICETCP() bool { return get(e, func(s *settings) bool { return s.iceTCP }) }

// SetICETCP counts until negotiation.
func (e *Endpoint) SetICETCP(v bool) error { return set(e, func(s *settings) { s.iceTCP = v }) }

// STUNServerAddress is stored only: the node knows its own address.
func (e *Endpoint) STUNServerAddress() string {
	return get(e, func(s *settings) string { return s.stunAddress })
}

// SetSTUNServerAddress stores the address.
func (e *Endpoint) SetSTUNServerAddress(v string) error {
	return set(e, func(s *settings) { s.stunAddress = v })
}

// STUNServerPort is stored only.
func (e *Endpoint) STUNServerPort() int { return get(e, func(s *settings) int { return s.stunPort }) }

// SetSTUNServerPort stores the port.
func (e *Endpoint) SetSTUNServerPort(v int) error {
	return set(e, func(s *settings) { s.stunPort = v })
}

// TURNURL is stored only: a media node needs no relay, its peers may.
func (e *Endpoint) TURNURL() string { return get(e, func(s *settings) string { return s.turnURL }) }

// SetTURNURL stores the URL.
func (e *Endpoint) SetTURNURL(v string) error { return set(e, func(s *settings) { s.turnURL = v }) }

// ExternalIPv4 replaces the address of IPv4 host candidates told to the peer.
func (e *Endpoint) ExternalIPv4() string {
	return get(e, func(s *settings) string { return s.externalIPv4 })
}

// SetExternalIPv4 takes an IPv4 address, or "" for none.
func (e *Endpoint) SetExternalIPv4(v string) error {
	if a, err := netip.ParseAddr(v); v != "" && (err != nil || !a.Is4()) {
		return kerr.New(kerr.MediaObjectIllegalParam, "externalIPv4 is not an IPv4 address")
	}
	return set(e, func(s *settings) { s.externalIPv4 = v })
}

// ExternalIPv6 replaces the address of IPv6 host candidates told to the peer.
func (e *Endpoint) ExternalIPv6() string {
	return get(e, func(s *settings) string { return s.externalIPv6 })
}

// SetExternalIPv6 takes an IPv6 address, or "" for none.
func (e *Endpoint) SetExternalIPv6(v string) error {
	if a, err := netip.ParseAddr(v); v != "" && (err != nil || !a.Is6()) {
		return kerr.New(kerr.MediaObjectIllegalParam, "externalIPv6 is not an IPv6 address")
	}
	return set(e, func(s *settings) { s.externalIPv6 = v })
}

// MaxAudioRecvBandwidth caps what the peer sends, by b= lines.
func (e *Endpoint) MaxAudioRecvBandwidth() int {
	return get(e, func(s *settings) int { return s.maxAudioRecv })
}

// SetMaxAudioRecvBandwidth counts until negotiation.
func (e *Endpoint) SetMaxAudioRecvBandwidth(kbps int) error {
	return setKbps(e, "maxAudioRecvBandwidth", kbps, func(s *settings) { s.maxAudioRecv = kbps })
}

// MaxVideoRecvBandwidth caps what the peer sends, by b= lines and REMB.
func (e *Endpoint) MaxVideoRecvBandwidth() int {
	return get(e, func(s *settings) int { return s.maxVideoRecv })
}

// SetMaxVideoRecvBandwidth counts in b= lines until negotiation, in REMB always.
func (e *Endpoint) SetMaxVideoRecvBandwidth(kbps int) error {
	err := setKbps(e, "maxVideoRecvBandwidth", kbps, func(s *settings) { s.maxVideoRecv = kbps })
	if err == nil {
		e.apply()
	}
	return err
}

// MinVideoRecvBandwidth is stored only: nothing below makes a peer send more.
func (e *Endpoint) MinVideoRecvBandwidth() int {
	return get(e, func(s *settings) int { return s.minVideoRecv })
}

// SetMinVideoRecvBandwidth stores the bound.
func (e *Endpoint) SetMinVideoRecvBandwidth(kbps int) error {
	return setKbps(e, "minVideoRecvBandwidth", kbps, func(s *settings) { s.minVideoRecv = kbps })
}

// MinVideoSendBandwidth bounds encoders; forwarding has none.
func (e *Endpoint) MinVideoSendBandwidth() int {
	return get(e, func(s *settings) int { return s.minVideoSend })
}

// SetMinVideoSendBandwidth stores the bound.
func (e *Endpoint) SetMinVideoSendBandwidth(kbps int) error {
	return setKbps(e, "minVideoSendBandwidth", kbps, func(s *settings) { s.minVideoSend = kbps })
}

// MaxVideoSendBandwidth bounds encoders; forwarding has none.
func (e *Endpoint) MaxVideoSendBandwidth() int {
	return get(e, func(s *settings) int { return s.maxVideoSend })
}

// SetMaxVideoSendBandwidth stores the bound.
func (e *Endpoint) SetMaxVideoSendBandwidth(kbps int) error {
	return setKbps(e, "maxVideoSendBandwidth", kbps, func(s *settings) { s.maxVideoSend = kbps })
}

// MediaState follows RTCP: DISCONNECTED after 5 s without.
func (e *Endpoint) MediaState() elements.ConnectedState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.media
}

// ConnectionState follows ICE and DTLS.
func (e *Endpoint) ConnectionState() elements.ConnectedState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.connection
}

// MTU is in bytes; packets are forwarded as they came.
func (e *Endpoint) MTU() int { return get(e, func(s *settings) int { return s.mtu }) }

// SetMTU stores the value.
func (e *Endpoint) SetMTU(bytes int) error { return set(e, func(s *settings) { s.mtu = bytes }) }

// RembParams are stored only: the estimate is the sender's (transport-cc).
func (e *Endpoint) RembParams() elements.RembParams {
	return get(e, func(s *settings) elements.RembParams { return s.remb })
}

// SetRembParams stores them.
func (e *Endpoint) SetRembParams(p elements.RembParams) error {
	p.ExponentialFactor, p.LinealFactorGrade = single(p.ExponentialFactor), single(p.LinealFactorGrade)
	p.DecrementFactor, p.ThresholdFactor = single(p.DecrementFactor), single(p.ThresholdFactor)
	return set(e, func(s *settings) { s.remb = p })
}
