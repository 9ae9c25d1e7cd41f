package rtp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

const (
	// portTries is how many pairs are tried before giving up.
	portTries = 200
	// socketBuffer is what the kernel may hold: media comes in bursts of a frame.
	socketBuffer = 1 << 20
	// Kurento's own defaults (BaseRtpEndpoint.conf.ini).
	defaultMinPort, defaultMaxPort = 1024, 65535
)

// ports are the sockets of a leg and the numbers told to the peer.
type ports struct {
	rtp, rtcp         *net.UDPConn // rtcp is nil when multiplexed
	rtpPort, rtcpPort int
}

// multiplex gives the second port back: reports come on the first.
func (p *ports) multiplex() {
	if p.rtcp != nil {
		p.rtcp.Close()
	}
	p.rtcp, p.rtcpPort = nil, p.rtpPort
}

func (p *ports) close() {
	for _, c := range []*net.UDPConn{p.rtp, p.rtcp} {
		if c != nil {
			c.Close()
		}
	}
}

// bindPorts binds an even port and the one after it (RFC 3550 §11) on an
// address, anywhere in the range: numbers that follow each other could be guessed.
func bindPorts(addr netip.Addr, low, high int) (ports, error) {
	if low == 0 && high == 0 {
		low, high = defaultMinPort, defaultMaxPort
	}
	first, last := (low+1)&^1, (high-1)&^1
	if low < 1 || high > 65535 || last < first {
		return ports{}, fmt.Errorf("bind RTP ports: no pair in %d to %d", low, high)
	}
	pairs := (last-first)/2 + 1
	start := rand.IntN(pairs)
	var err error
	for i := range min(pairs, portTries) {
		// A stride that is not the next pair: in a crowded range neighbours are taken too.
		n := first + 2*((start+i*stride(pairs))%pairs)
		var p ports
		if p, err = bindPair(addr, n); err == nil {
			return p, nil
		}
		var op *net.OpError
		if !errors.As(err, &op) {
			break
		}
	}
	return ports{}, fmt.Errorf("bind RTP ports in %d to %d: %w", low, high, err)
}

// stride has no common divisor with n, so that every pair is reached.
func stride(n int) int {
	s := n*5/8 | 1
	for gcd(s, n) != 1 {
		s += 2
	}
	return s
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func bindPair(addr netip.Addr, n int) (ports, error) {
	p := ports{rtpPort: n, rtcpPort: n + 1}
	var err error
	if p.rtp, err = bind(addr, n); err != nil {
		return ports{}, err
	}
	if p.rtcp, err = bind(addr, n+1); err != nil {
		p.rtp.Close()
		return ports{}, err
	}
	return p, nil
}

func bind(addr netip.Addr, port int) (*net.UDPConn, error) {
	network := "udp4"
	if addr.Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, uint16(port))))
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(socketBuffer)
	_ = c.SetWriteBuffer(socketBuffer)
	return c, nil
}

// place is where ports are bound and what the peer is told of it.
type place struct{ bind, told netip.Addr }

// place chooses addresses of a family; towards is where the peer is, if known.
func (d Deps) place(ipv6 bool, towards netip.Addr) (place, error) {
	fits := func(list []netip.Addr) netip.Addr {
		for _, a := range list {
			if a = a.Unmap(); a.Is6() == ipv6 {
				return a
			}
		}
		return netip.Addr{}
	}
	p := place{bind: fits(d.ListenIPs), told: fits(d.AnnouncedIPs)}
	if !p.bind.IsValid() {
		if len(d.ListenIPs) > 0 {
			return place{}, fmt.Errorf("no address of this family to bind among %v", d.ListenIPs)
		}
		p.bind = netip.IPv4Unspecified()
		if ipv6 {
			p.bind = netip.IPv6Unspecified()
		}
	}
	if p.told.IsValid() {
		return p, nil
	}
	if p.told = p.bind; p.told.IsUnspecified() {
		p.told = localAddr(ipv6, towards)
	}
	return p, nil
}

// localAddr is our address as a peer sees it: the one the kernel would send
// from, else the first that is not loopback.
func localAddr(ipv6 bool, towards netip.Addr) netip.Addr {
	if towards.IsValid() && !towards.IsUnspecified() {
		// Connecting a UDP socket sends nothing; it only asks for the route.
		if c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(towards, 9))); err == nil {
			defer c.Close()
			if a := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(); a.Is6() == ipv6 {
				return a
			}
		}
	}
	loop := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if ipv6 {
		loop = netip.IPv6Loopback()
	}
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		x := p.Addr().Unmap()
		if x.Is6() == ipv6 && !x.IsLoopback() && !x.IsLinkLocalUnicast() && !x.IsMulticast() {
			return x
		}
	}
	return loop
}
