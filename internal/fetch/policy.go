package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Limits of one fetch.
const (
	// MaxURI is the longest URI that is looked at, in bytes.
	MaxURI = 4096
	// MaxRedirects is how many answers of kind 3xx are followed.
	MaxRedirects = 3
	// ConnectTimeout bounds lookup, connection and TLS handshake, each.
	ConnectTimeout = 10 * time.Second
	// HeaderTimeout bounds the wait for a response's head.
	HeaderTimeout = 20 * time.Second
	// IdleTimeout is how long a peer may be silent inside a response.
	IdleTimeout = 30 * time.Second
)

// Errors of this package; callers test for them with errors.Is.
var (
	// ErrRefused: the policy does not let this URI be opened.
	ErrRefused = errors.New("address refused")
	// ErrScheme: a scheme that cannot be opened here.
	ErrScheme = errors.New("scheme not supported")
	// ErrTooLarge: there is more than the caller's limit.
	ErrTooLarge = errors.New("larger than allowed")
)

// Resolver looks names up; net.DefaultResolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Policy says what may be opened. Set the fields before first use and do not
// copy it afterwards; safe for concurrent use. The zero Policy opens public
// addresses and no file.
type Policy struct {
	// FileRoots are the folders below which file URIs may lead.
	FileRoots []string
	// AllowPrivate also lets loopback and private networks be reached.
	// Link-local, metadata, multicast and reserved addresses never are.
	AllowPrivate bool
	// Resolver is net.DefaultResolver when nil.
	Resolver Resolver

	once   sync.Once
	client *http.Client
	// dial connects to a checked address; nil is a net.Dialer. Tests count here.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Parse splits a URI and refuses what no peer should ever get: control
// characters, spaces, backslashes, no host, a zone, a port of zero, a number that
// is no address ("http://2130706433/"). Names are not looked up.
func Parse(uri string) (*url.URL, error) {
	if len(uri) > MaxURI {
		return nil, fmt.Errorf("URI of %d bytes: %w", len(uri), ErrRefused)
	}
	if i := strings.IndexFunc(uri, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' || r == '\uFFFD' }); i >= 0 {
		return nil, fmt.Errorf("URI with a character that must be escaped at byte %d: %w", i, ErrRefused)
	}
	u, err := url.Parse(uri)
	if err != nil { // url.Error repeats the text
		return nil, fmt.Errorf("URI cannot be read: %w", ErrRefused)
	}
	if u.Scheme == "file" {
		return u, nil
	}
	if u.Opaque != "" || u.Hostname() == "" {
		return nil, fmt.Errorf("%s URI without a host: %w", clip(u.Scheme), ErrRefused)
	}
	return u, checkHost(u.Hostname(), u.Port())
}

// Scheme is the URI's scheme in lower case, "" when it has none.
func Scheme(uri string) string {
	i := strings.IndexByte(uri, ':')
	if i <= 0 || strings.ContainsAny(uri[:i], "/?#% ") {
		return ""
	}
	return strings.ToLower(uri[:i])
}

// Redact is a URI without credentials and query, for logs and messages, at most
// 256 bytes. What cannot be read becomes "(unreadable URI)".
func Redact(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "(unreadable URI)"
	}
	u.User, u.RawQuery, u.Fragment, u.RawFragment = nil, "", "", ""
	if u.Opaque != "" {
		u.Opaque = ""
	}
	s := u.String()
	if len(s) > 256 {
		s = s[:256] + "…"
	}
	return s
}

// clip bounds what of an input is repeated in an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
