package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// private are reached only with AllowPrivate: loopback, RFC 1918, RFC 6598
// (carriers), RFC 2544 (benchmarks), RFC 4193.
var private = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
	"100.64.0.0/10", "198.18.0.0/15", "::1/128", "fc00::/7")

// never are not reached at all: this network, link-local, special and
// documentation blocks, multicast, reserved, IPv4 inside IPv6 in forms that no
// public service has, site-local.
var never = prefixes("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"3fff::/20", "5f00::/16", "fe80::/10", "fec0::/10", "ff00::/8")

// metadata services of clouds that live outside link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("192.0.0.192"),     // Oracle
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google
}

// nat64 carries an IPv4 address in its last four bytes (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Check tells whether an address may be dialled: nil, or an error that wraps
// ErrRefused. IPv4 inside IPv6 is judged as the IPv4 address it is.
func (p *Policy) Check(a netip.Addr) error {
	if !a.IsValid() || a.Zone() != "" {
		return fmt.Errorf("address %s: %w", a, ErrRefused)
	}
	a = a.Unmap() // Contains is false for the mapped form
	allow := p.AllowPrivate
	if nat64.Contains(a) {
		b := a.As16()
		a, allow = netip.AddrFrom4([4]byte(b[12:])), false
	}
	for _, m := range metadata {
		if a == m {
			return fmt.Errorf("address %s is a metadata service: %w", a, ErrRefused)
		}
	}
	for _, n := range private { // before never: ::1 is in ::/96
		if n.Contains(a) {
			if allow {
				return nil
			}
			return fmt.Errorf("address %s is private: %w", a, ErrRefused)
		}
	}
	for _, n := range never {
		if n.Contains(a) {
			return fmt.Errorf("address %s is link-local, reserved or multicast: %w", a, ErrRefused)
		}
	}
	return nil
}

// checkHost judges a host and port by their form alone.
func checkHost(host, port string) error {
	if strings.ContainsRune(host, '%') {
		return fmt.Errorf("address with a zone: %w", ErrRefused)
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %q: %w", clip(port), ErrRefused)
		}
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if len(host) > 253 || strings.ContainsAny(host, ":[]/@") {
		return fmt.Errorf("host %q: %w", clip(host), ErrRefused)
	}
	// Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as addresses.
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := labels[len(labels)-1]
	if last == "" {
		return fmt.Errorf("host %q: %w", clip(host), ErrRefused)
	}
	if _, err := strconv.ParseUint(last, 10, 64); err == nil || isHex(last) {
		return fmt.Errorf("host %q is a number and not an address: %w", clip(host), ErrRefused)
	}
	return nil
}

func isHex(s string) bool {
	s = strings.ToLower(s)
	if !strings.HasPrefix(s, "0x") {
		return false
	}
	return strings.Trim(s[2:], "0123456789abcdef") == ""
}

// DialContext connects to "host:port" over tcp or udp: the name is looked up
// once, and only addresses that pass Check are tried, in the resolver's order.
func (p *Policy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", ErrRefused)
	}
	if err := checkHost(host, port); err != nil {
		return nil, err
	}
	addrs, err := p.lookup(ctx, network, host)
	if err != nil {
		return nil, err
	}
	dial := p.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: ConnectTimeout, KeepAlive: 15 * time.Second}).DialContext
	}
	var errs []error
	for _, a := range addrs {
		if err := p.Check(a); err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := dial(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("name has no address"))
	}
	return nil, fmt.Errorf("connect to %s: %w", clip(host), errors.Join(errs...))
}

func (p *Policy) lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	family := "ip"
	switch {
	case strings.HasSuffix(network, "4"):
		family = "ip4"
	case strings.HasSuffix(network, "6"):
		family = "ip6"
	}
	var r Resolver = net.DefaultResolver
	if p.Resolver != nil {
		r = p.Resolver
	}
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	addrs, err := r.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", clip(host), err)
	}
	const most = 8 // a name with a thousand addresses shall not keep us busy
	return addrs[:min(len(addrs), most)], nil
}
