package gather

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/pion/logging"
)

// Server is a TURN server with its long-term credential.
type Server struct {
	// Host is an address or a name; Port 0 is 3478, or 5349 with tls.
	Host string
	Port int
	// User and Password are the long-term credential (RFC 8489 §9.2).
	User, Password string
	// Transport is between us and the server: udp, tcp or tls; "" is udp.
	Transport string
	// TLS is for transport tls; nil checks the certificate against Host.
	TLS *tls.Config
}

// ErrTransport: a transport other than udp, tcp and tls.
var ErrTransport = errors.New("TURN transport is udp, tcp or tls")

// dial connects to the server and gives the socket as the TURN client wants it.
func (s Server) dial(ctx context.Context) (conn net.PacketConn, server netip.AddrPort, err error) {
	port := s.Port
	switch s.Transport {
	case "", "udp", "tcp":
		port = or(port, 3478)
	case "tls":
		port = or(port, 5349)
	default:
		return nil, server, ErrTransport
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", s.Host)
	if err != nil {
		return nil, server, fmt.Errorf("resolve TURN server: %w", err)
	}
	errs := []error{}
	for _, ip := range ips[:min(len(ips), 4)] {
		server = netip.AddrPortFrom(ip.Unmap(), uint16(port))
		if conn, err = s.connect(ctx, server); err == nil {
			return conn, server, nil
		}
		errs = append(errs, err)
	}
	return nil, server, fmt.Errorf("connect to TURN server %s: %w", net.JoinHostPort(s.Host, strconv.Itoa(port)), errors.Join(errs...))
}

func or(a, b int) int {
	if a == 0 {
		return b
	}
	return a
}

func (s Server) connect(ctx context.Context, server netip.AddrPort) (net.PacketConn, error) {
	var d net.Dialer
	switch s.Transport {
	case "tcp":
		c, err := d.DialContext(ctx, "tcp", server.String())
		if err != nil {
			return nil, err
		}
		return newStream(c), nil
	case "tls":
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if s.TLS != nil {
			config = s.TLS.Clone()
		}
		if config.ServerName == "" {
			config.ServerName = s.Host
		}
		c, err := (&tls.Dialer{NetDialer: &d, Config: config}).DialContext(ctx, "tcp", server.String())
		if err != nil {
			return nil, err
		}
		return newStream(c), nil
	}
	// Connecting sends nothing; it tells by which of our addresses the way goes.
	probe, err := d.DialContext(ctx, "udp", server.String())
	if err != nil {
		return nil, err
	}
	local := probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	probe.Close()
	return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
}

// quiet is the TURN client's log: what matters comes back as an error.
type quiet struct{}

func (quiet) NewLogger(string) logging.LeveledLogger { return quiet{} }
func (quiet) Trace(string)                           {}
func (quiet) Tracef(string, ...any)                  {}
func (quiet) Debug(string)                           {}
func (quiet) Debugf(string, ...any)                  {}
func (quiet) Info(string)                            {}
func (quiet) Infof(string, ...any)                   {}
func (quiet) Warn(string)                            {}
func (quiet) Warnf(string, ...any)                   {}
func (quiet) Error(string)                           {}
func (quiet) Errorf(string, ...any)                  {}
