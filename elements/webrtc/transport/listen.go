package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/govidu/govidu/elements/webrtc/transport/udp"
)

// localAddrs are the addresses to bind when the configuration names none: those
// of all interfaces that are up, without IPv6 link-local ones. Loopback is
// among them when wanted, or when there is nothing else.
func localAddrs(loopback bool) ([]netip.Addr, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var addrs, loop []netip.Addr
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		list, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range list {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			addr := p.Addr().Unmap()
			switch {
			case addr.IsLoopback():
				loop = append(loop, addr)
			case addr.IsLinkLocalUnicast() && addr.Is6(), addr.IsMulticast():
			default:
				addrs = append(addrs, addr)
			}
		}
	}
	if loopback || len(addrs) == 0 {
		addrs = append(addrs, loop...)
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	return slices.Compact(addrs), nil
}

// rank puts IPv4 first and loopback last.
func rank(a netip.Addr) int {
	r := 0
	if a.Is6() {
		r = 1
	}
	if a.IsLoopback() {
		r += 2
	}
	return r
}

// bound is what one attempt to bind a port gave.
type bound struct {
	port  int
	plain []*net.UDPConn  // one for each address, when no shards were asked for
	udp   [][]*udp.Socket // for each address, one for each shard
	tcp   []net.Listener
}

// ports says what to bind on every address.
type ports struct {
	number   int  // 0 picks one that is free for all
	tcp      bool // a TCP listener too
	shards   int  // sockets of the media port; 0 is one plain socket
	explicit bool // the operator named the addresses
}

func (b *bound) close() {
	for _, c := range b.plain {
		c.Close()
	}
	for _, list := range b.udp {
		for _, c := range list {
			c.Close()
		}
	}
	for _, l := range b.tcp {
		l.Close()
	}
}

// bindPort binds UDP, and TCP when asked, with the same number on every address.
func bindPort(addrs []netip.Addr, want ports) (*bound, error) {
	if len(addrs) == 0 {
		return nil, errors.New("bind media port: no address to bind")
	}
	tries := 1
	if want.number == 0 {
		tries = 20
	}
	var err error
	for range tries {
		var b *bound
		if b, err = bindOnce(addrs, want); err == nil {
			return b, nil
		}
	}
	return nil, err
}

func bindOnce(addrs []netip.Addr, want ports) (*bound, error) {
	b := &bound{port: want.number}
	var failed error
	for _, a := range addrs {
		err := b.bind(a, want)
		if err == nil {
			continue
		}
		// An address that cannot be bound at all (IPv6 switched off) is no
		// reason to stop, unless the operator named it.
		if want.explicit || errors.Is(err, errPortTaken) {
			b.close()
			return nil, err
		}
		failed = err
	}
	if len(b.udp)+len(b.plain) == 0 {
		return nil, failed
	}
	return b, nil
}

var errPortTaken = errors.New("port taken")

func (b *bound) bind(a netip.Addr, want ports) error {
	// Sockets that share a port would be let in beside another process's, so it is
	// a plain one that finds out whether the port is free.
	plain, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(b.port))))
	if err != nil {
		if b.port != 0 && len(b.udp)+len(b.plain) > 0 {
			return fmt.Errorf("bind media port %d on %s: %w: %w", b.port, a, errPortTaken, err)
		}
		return fmt.Errorf("bind media port %d on %s: %w", b.port, a, err)
	}
	port := plain.LocalAddr().(*net.UDPAddr).Port
	if want.tcp {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(port))))
		if err != nil {
			plain.Close()
			return fmt.Errorf("bind media port %d/tcp on %s: %w: %w", port, a, errPortTaken, err)
		}
		b.tcp = append(b.tcp, l)
	}
	b.port = port
	if want.shards == 0 {
		b.plain = append(b.plain, plain)
		return nil
	}
	plain.Close()
	var list []*udp.Socket
	for range want.shards {
		s, err := udp.Listen(netip.AddrPortFrom(a, uint16(port)), want.shards > 1)
		if err != nil {
			for _, s := range list {
				s.Close()
			}
			return fmt.Errorf("bind media port %d on %s: %w: %w", port, a, errPortTaken, err)
		}
		list = append(list, s)
	}
	b.udp = append(b.udp, list)
	return nil
}
