package transport

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Network says where a Peer gathers its candidates. Host candidates are those of
// the media port; what STUN and TURN servers give has sockets of its own.
type Network struct {
	// Interfaces are names; empty is all.
	Interfaces []string
	// TCP allows ICE-TCP candidates.
	TCP bool
	// STUN is the host:port of a server to learn reflexive addresses from, "" for none.
	STUN string
	// TURN is the server to relay by; nil for none.
	TURN *TURNServer
	// External4 and External6 replace the addresses of host candidates told to
	// the peer; invalid for none.
	External4, External6 netip.Addr
}

// TURNServer is a relay with its long-term credential (RFC 8656).
type TURNServer struct {
	Host, User, Password string
	Port                 int
	Transport            string // udp, tcp or tls
}

// ParseTURN reads Kurento's form user:password@host:port?transport=udp|tcp|tls.
// The password may hold any character; nothing is escaped in it. The port is
// 3478, or 5349 with tls, when left out.
func ParseTURN(text string) (*TURNServer, error) {
	at := strings.LastIndex(text, "@")
	user, password, ok := strings.Cut(text[:max(at, 0)], ":")
	if at < 0 || !ok || user == "" || password == "" {
		return nil, fmt.Errorf("parse TURN server: want user:password@host:port")
	}
	t := &TURNServer{User: user, Password: password, Transport: "udp"}
	where, query, _ := strings.Cut(text[at+1:], "?")
	if query != "" {
		values, err := url.ParseQuery(query)
		if err != nil || len(values) != 1 || !values.Has("transport") {
			return nil, fmt.Errorf("parse TURN server: only ?transport= may follow the port")
		}
		t.Transport = strings.ToLower(values.Get("transport"))
	}
	port := 3478
	switch t.Transport {
	case "udp", "tcp":
	case "tls":
		port = 5349
	default:
		return nil, fmt.Errorf("parse TURN server: transport is udp, tcp or tls")
	}
	var err error
	if t.Host, t.Port, err = HostPort(where, port); err != nil {
		return nil, fmt.Errorf("parse TURN server: %w", err)
	}
	return t, nil
}

// HostPort splits host:port, [v6]:port or a host alone, which gets the given
// port. A host is an address or a DNS name of letters, digits, '-' and '.'.
func HostPort(text string, port int) (string, int, error) {
	host := text
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.String(), port, nil
	}
	if h, p, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("port is not a number from 1 to 65535")
		}
		host, port = h, int(n)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return host, port, nil
	}
	if host == "" || len(host) > 253 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != "" {
		return "", 0, fmt.Errorf("host is neither an address nor a name")
	}
	return host, port, nil
}

// external puts the external addresses into a host candidate line.
func (n *Network) external(line string) string {
	if !n.External4.IsValid() && !n.External6.IsValid() {
		return line
	}
	f := strings.Fields(line)
	if len(f) < 8 || f[7] != "host" {
		return line
	}
	addr, err := netip.ParseAddr(f[4])
	switch {
	case err != nil:
		return line
	case addr.Unmap().Is4() && n.External4.IsValid():
		f[4] = n.External4.String()
	case addr.Is6() && !addr.Is4In6() && n.External6.IsValid():
		f[4] = n.External6.String()
	}
	return strings.Join(f, " ")
}

// on tells whether an address of ours belongs to one of the interfaces.
func (n Network) on() (func(netip.Addr) bool, error) {
	if len(n.Interfaces) == 0 {
		return func(netip.Addr) bool { return true }, nil
	}
	addrs := map[netip.Addr]bool{}
	for _, name := range n.Interfaces {
		i, err := net.InterfaceByName(name)
		if err != nil {
			continue // an interface that is not there has no candidates
		}
		list, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", i.Name, err)
		}
		for _, a := range list {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				addrs[p.Addr().Unmap()] = true
			}
		}
	}
	return func(a netip.Addr) bool { return addrs[a.Unmap()] }, nil
}
