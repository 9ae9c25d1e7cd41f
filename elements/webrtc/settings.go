package webrtc

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/webrtc/transport"
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

// Defaults are what new endpoints have their properties set to, for a whole
// server. The zero value has Kurento's.
type Defaults struct {
	NetworkInterfaces string // names, with commas; "" is all
	STUNAddress       string // "" is none
	STUNPort          int    // 0 is 3478
	TURNURL           string // user:password@host:port?transport=udp|tcp|tls, "" is none
	NoICETCP          bool
	FlexFEC           bool // offers of ours name it
	MTU               int  // in bytes; 0 is 1200
}

// Check tells what an endpoint would refuse.
func (d Defaults) Check() error {
	e := &Endpoint{} // has no peer: only the checks are of interest
	if d.STUNAddress != "" {
		if err := e.SetSTUNServerAddress(d.STUNAddress); err != nil {
			return err
		}
	}
	if d.STUNPort != 0 {
		if err := e.SetSTUNServerPort(d.STUNPort); err != nil {
			return err
		}
	}
	if d.MTU != 0 {
		if err := e.SetMTU(d.MTU); err != nil {
			return err
		}
	}
	return e.SetTURNURL(d.TURNURL)
}

func (d Defaults) settings() settings {
	s := defaults()
	s.networkInterfaces, s.stunAddress, s.turnURL, s.iceTCP = d.NetworkInterfaces, d.STUNAddress, d.TURNURL, !d.NoICETCP
	if d.STUNPort != 0 {
		s.stunPort = d.STUNPort
	}
	if d.MTU != 0 {
		s.mtu = d.MTU
	}
	return s
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

// network is what of the settings shapes gathering. They were checked when set.
func (s *settings) network() transport.Network {
	n := transport.Network{TCP: s.iceTCP}
	for name := range strings.SplitSeq(s.networkInterfaces, ",") {
		if name = strings.TrimSpace(name); name != "" {
			n.Interfaces = append(n.Interfaces, name)
		}
	}
	if s.stunAddress != "" {
		n.STUN = net.JoinHostPort(s.stunAddress, strconv.Itoa(s.stunPort))
	}
	if s.turnURL != "" {
		n.TURN, _ = transport.ParseTURN(s.turnURL)
	}
	n.External4, _ = netip.ParseAddr(s.externalIPv4)
	n.External6, _ = netip.ParseAddr(s.externalIPv6)
	return n
}

func single(x float64) float64 { return float64(float32(x)) }

func get[V any](e *Endpoint, f func(*settings) V) V {
	e.mu.Lock()
	defer e.mu.Unlock()
	return f(&e.settings)
}

func set(e *Endpoint, f func(*settings)) error {
	e.mu.Lock()
	f(&e.settings)
	e.mu.Unlock()
	if e.peer != nil {
		e.apply()
	}
	return nil
}

func illegal(name, why string) error {
	return kerr.New(kerr.MediaObjectIllegalParam, "'%s' is not valid: %s", name, why)
}

// setKbps stores a bandwidth; negative ones are refused.
func setKbps(e *Endpoint, name string, kbps int, f func(*settings)) error {
	if kbps < 0 {
		return kerr.New(kerr.MarshallError, "'%s' must not be negative", name)
	}
	return set(e, f)
}

// NetworkInterfaces is a list of names, with commas; "" is all.
func (e *Endpoint) NetworkInterfaces() string {
	return get(e, func(s *settings) string { return s.networkInterfaces })
}

// SetNetworkInterfaces counts until negotiation. An interface that is not there
// gives no candidates.
func (e *Endpoint) SetNetworkInterfaces(v string) error {
	if len(v) > 1024 {
		return illegal("networkInterfaces", "it is too long")
	}
	return set(e, func(s *settings) { s.networkInterfaces = v })
}

// ICETCP tells whether TCP candidates are used.
func (e *Endpoint) ICETCP() bool { return get(e, func(s *settings) bool { return s.iceTCP }) }

// SetICETCP counts until negotiation.
func (e *Endpoint) SetICETCP(v bool) error { return set(e, func(s *settings) { s.iceTCP = v }) }

// STUNServerAddress is where reflexive candidates are learned, "" for nowhere.
func (e *Endpoint) STUNServerAddress() string {
	return get(e, func(s *settings) string { return s.stunAddress })
}

// SetSTUNServerAddress counts until negotiation.
func (e *Endpoint) SetSTUNServerAddress(v string) error {
	if v != "" {
		host, _, err := transport.HostPort(v, 1)
		if err != nil || strings.Trim(v, "[]") != host {
			return illegal("stunServerAddress", "it is neither an address nor a name")
		}
		v = host
	}
	return set(e, func(s *settings) { s.stunAddress = v })
}

// STUNServerPort is that of the STUN server.
func (e *Endpoint) STUNServerPort() int { return get(e, func(s *settings) int { return s.stunPort }) }

// SetSTUNServerPort counts until negotiation.
func (e *Endpoint) SetSTUNServerPort(v int) error {
	if v < 1 || v > 65535 {
		return illegal("stunServerPort", "it is not from 1 to 65535")
	}
	return set(e, func(s *settings) { s.stunPort = v })
}

// TURNURL is the relay, user:password@host:port?transport=udp|tcp|tls, "" for none.
func (e *Endpoint) TURNURL() string { return get(e, func(s *settings) string { return s.turnURL }) }

// SetTURNURL counts until negotiation.
func (e *Endpoint) SetTURNURL(v string) error {
	if v != "" {
		if _, err := transport.ParseTURN(v); err != nil {
			return illegal("turnUrl", "want user:password@host:port?transport=udp|tcp|tls")
		}
	}
	return set(e, func(s *settings) { s.turnURL = v })
}

// ExternalAddress is the 6.x name of both external addresses: IPv4 if it is set.
func (e *Endpoint) ExternalAddress() string {
	return get(e, func(s *settings) string {
		if s.externalIPv4 != "" {
			return s.externalIPv4
		}
		return s.externalIPv6
	})
}

// SetExternalAddress takes an address of either family, or "" for none.
func (e *Endpoint) SetExternalAddress(v string) error {
	if v == "" {
		return set(e, func(s *settings) { s.externalIPv4, s.externalIPv6 = "", "" })
	}
	a, err := netip.ParseAddr(v)
	switch {
	case err != nil:
		return illegal("externalAddress", "it is no address")
	case a.Is4():
		return e.SetExternalIPv4(v)
	}
	return e.SetExternalIPv6(v)
}

// ExternalIPv4 replaces the address of IPv4 host candidates told to the peer.
func (e *Endpoint) ExternalIPv4() string {
	return get(e, func(s *settings) string { return s.externalIPv4 })
}

// SetExternalIPv4 takes an IPv4 address, or "" for none.
func (e *Endpoint) SetExternalIPv4(v string) error {
	if a, err := netip.ParseAddr(v); v != "" && (err != nil || !a.Is4()) {
		return illegal("externalIPv4", "it is no IPv4 address")
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
		return illegal("externalIPv6", "it is no IPv6 address")
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
	return setKbps(e, "maxVideoRecvBandwidth", kbps, func(s *settings) { s.maxVideoRecv = kbps })
}

// MinVideoRecvBandwidth is the least that a REMB announces for receivers' sake.
func (e *Endpoint) MinVideoRecvBandwidth() int {
	return get(e, func(s *settings) int { return s.minVideoRecv })
}

// SetMinVideoRecvBandwidth stores the bound.
func (e *Endpoint) SetMinVideoRecvBandwidth(kbps int) error {
	return setKbps(e, "minVideoRecvBandwidth", kbps, func(s *settings) { s.minVideoRecv = kbps })
}

// MinVideoSendBandwidth bounds what sources are asked for from below.
func (e *Endpoint) MinVideoSendBandwidth() int {
	return get(e, func(s *settings) int { return s.minVideoSend })
}

// SetMinVideoSendBandwidth stores the bound.
func (e *Endpoint) SetMinVideoSendBandwidth(kbps int) error {
	return setKbps(e, "minVideoSendBandwidth", kbps, func(s *settings) { s.minVideoSend = kbps })
}

// MaxVideoSendBandwidth bounds what sources are asked for, encoders and
// publishers alike.
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

// MTU is in bytes. Packets are forwarded as they came; those made here are
// 1200 bytes at most.
func (e *Endpoint) MTU() int { return get(e, func(s *settings) int { return s.mtu }) }

// SetMTU stores the value.
func (e *Endpoint) SetMTU(bytes int) error {
	if bytes < 576 || bytes > transport.MaxDatagram {
		return illegal("mtu", "it is not from 576 to "+strconv.Itoa(transport.MaxDatagram))
	}
	return set(e, func(s *settings) { s.mtu = bytes })
}

// RembParams are stored, and rembOnConnect is what encoders begin with; the
// estimate of what a publisher can send is its own (transport-cc).
func (e *Endpoint) RembParams() elements.RembParams {
	return get(e, func(s *settings) elements.RembParams { return s.remb })
}

// SetRembParams stores them.
func (e *Endpoint) SetRembParams(p elements.RembParams) error {
	p.ExponentialFactor, p.LinealFactorGrade = single(p.ExponentialFactor), single(p.LinealFactorGrade)
	p.DecrementFactor, p.ThresholdFactor = single(p.DecrementFactor), single(p.ThresholdFactor)
	return set(e, func(s *settings) { s.remb = p })
}
