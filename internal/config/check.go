package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/govidu/govidu/internal/secret"
)

// devSecret is the secret of developer mode, the one of OpenVidu's quick starts.
const devSecret = "MY_SECRET"

// minSecret is the length below which a secret draws a warning.
const minSecret = 16

func wellKnown(s secret.Secret) bool {
	switch strings.ToLower(s.Reveal()) {
	case "", "my_secret", "mysecret", "secret", "my-secret", "changeme", "change_me", "devkey", "password", "admin", "openvidu", "test":
		return true
	}
	return false
}

// check applies the rules between settings, and adds warnings.
func (c *Config) check() error {
	kmsWarnings, kmsErr := c.Kurento.check()
	c.warn(kmsWarnings...)
	c.deriveAnnounced()
	endpointWarnings, endpointErr := c.Endpoints.check(&c.AnnouncedIP)
	c.warn(endpointWarnings...)
	storageWarnings, storageErr := c.Storage.check()
	c.warn(storageWarnings...)
	return errors.Join(endpointErr, storageErr,
		c.checkDomain(), c.checkSecret(), kmsErr,
		checkPort("HTTPS_PORT", c.HTTPSPort), checkPort("GOVIDU_MEDIA_PORT", c.MediaPort), checkPort("GOVIDU_STUN_PORT", c.STUNPort),
		checkBandwidth("RECV", c.MinRecvBandwidth, c.MaxRecvBandwidth),
		checkBandwidth("SEND", c.MinSendBandwidth, c.MaxSendBandwidth),
		notNegative("OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT", c.RecordingAutostop),
		notNegative("OPENVIDU_SESSIONS_GARBAGE_INTERVAL", c.GarbageInterval),
		notNegative("OPENVIDU_SESSIONS_GARBAGE_THRESHOLD", c.GarbageThreshold),
		notNegative("GOVIDU_DRAIN_TIMEOUT", int(c.DrainTimeout)),
		checkShare("GOVIDU_CPU_LIMIT", c.CPULimit),
		checkOrigins(c.AllowedOrigins), checkPrefixes(c.TrustedProxies), checkAnnounced(c.AnnouncedIP),
	)
}

func (c *Config) checkDomain() error {
	if c.Domain == "" {
		return nil
	}
	if _, err := netip.ParseAddr(c.Domain); err == nil {
		return nil
	}
	if strings.ContainsAny(c.Domain, "/:@?# \t") || len(c.Domain) > 253 {
		return fmt.Errorf("DOMAIN_OR_PUBLIC_IP %q must be a bare name or address, without scheme, port or path", c.Domain)
	}
	return nil
}

// checkSecret: with a public name or address an empty or well-known secret would
// hand the server to anybody, so it is refused; a short one draws a warning.
func (c *Config) checkSecret() error {
	known, private := wellKnown(c.Secret), c.Domain == "" || isPrivate(c.Domain)
	switch {
	case c.Secret.Len() == 0:
		return errors.New("OPENVIDU_SECRET is empty: set it in the environment or in the .env file, for example to the output of `openssl rand -hex 16`; or use --dev to try things out")
	case known && !private:
		return fmt.Errorf("OPENVIDU_SECRET is a well-known one, which is refused with the public address %q: set another, for example the output of `openssl rand -hex 16`", c.Domain)
	case known:
		c.warn("OPENVIDU_SECRET is a well-known secret: whoever reaches this server controls it. Do not expose it")
	case c.Secret.Len() < minSecret:
		c.warn(fmt.Sprintf("OPENVIDU_SECRET is shorter than %d characters: it can be guessed", minSecret))
	}
	return nil
}

// isPrivate says whether a host is one that the Internet does not reach by this name.
func isPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local")
}

// deriveAnnounced takes a domain that is an address as the announced one.
func (c *Config) deriveAnnounced() {
	if _, err := netip.ParseAddr(c.Domain); err == nil && len(c.AnnouncedIP) == 0 {
		c.AnnouncedIP = []string{c.Domain}
	}
}

func checkAnnounced(list []string) error {
	for _, s := range list {
		if _, err := netip.ParseAddr(s); err != nil {
			return fmt.Errorf("GOVIDU_ANNOUNCED_IP %q is not an IP address", s)
		}
	}
	return nil
}

func checkPort(name string, port int) error {
	if port < 0 || port > 65535 {
		return fmt.Errorf("%s %d is not a port (0 to 65535)", name, port)
	}
	return nil
}

func notNegative(name string, v int) error {
	if v < 0 {
		return fmt.Errorf("%s must not be negative", name)
	}
	return nil
}

func checkShare(name string, v float64) error {
	if !(v >= 0 && v <= 1) { // NaN, too
		return fmt.Errorf("%s %v is not a share (0 to 1)", name, v)
	}
	return nil
}

func checkBandwidth(which string, low, high int) error {
	if low < 0 || high < 0 {
		return fmt.Errorf("OPENVIDU_STREAMS_VIDEO_MIN_%s_BANDWIDTH and MAX must not be negative", which)
	}
	if high > 0 && low > high {
		return fmt.Errorf("OPENVIDU_STREAMS_VIDEO_MIN_%s_BANDWIDTH %d is above the maximum %d", which, low, high)
	}
	return nil
}

func checkOrigins(list []string) error {
	for _, o := range list {
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			return fmt.Errorf("GOVIDU_ALLOWED_ORIGINS %q must look like https://app.example.com", o)
		}
	}
	return nil
}

func checkPrefixes(list []string) error {
	_, err := Prefixes(list)
	return err
}

// Prefixes parses a list of addresses and CIDR ranges.
func Prefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		if ip, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("GOVIDU_TRUSTED_PROXIES %q is neither an address nor a range such as 10.0.0.0/8", s)
		}
		out = append(out, p)
	}
	return out, nil
}

// BindHost is Listen as net.Listen wants it: empty for all addresses.
func (a Address) BindHost() string {
	if a.Listen == "*" {
		return ""
	}
	return a.Listen
}

// PublicHost is the host of URLs that clients are given.
func (a Address) PublicHost() string {
	if a.Domain == "" {
		return "localhost"
	}
	return a.Domain
}

// PublicURL is the server's URL without a trailing slash, for the port really
// bound. The scheme's own port is left out.
func (a Address) PublicURL(port int) string {
	scheme, usual := "https", 443
	if a.ForcePlainHTTP {
		scheme, usual = "http", 80
	}
	host := a.PublicHost()
	if port != usual {
		return scheme + "://" + net.JoinHostPort(host, fmt.Sprint(port))
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host
}
