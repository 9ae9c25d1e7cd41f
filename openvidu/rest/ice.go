package rest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/openvidu"
)

// iceServerBody is one of customIceServers (§3.1).
type iceServerBody struct {
	URL              *string `json:"url"`
	Username         *string `json:"username"`
	Credential       *string `json:"credential"`
	StaticAuthSecret *string `json:"staticAuthSecret"`
}

// maxICEServers bounds what is sent to each browser at join.
const maxICEServers = 32

func iceServers(in []iceServerBody) ([]openvidu.ICEServer, error) {
	if len(in) > maxICEServers {
		return nil, bad(`parameter "customIceServers" has more than %d entries`, maxICEServers)
	}
	var out []openvidu.ICEServer
	for i, b := range in {
		s, err := b.server(time.Now())
		if err != nil {
			return nil, bad(`parameter "customIceServers[%d]": %s`, i, err.Error())
		}
		out = append(out, s)
	}
	return out, nil
}

// server checks one entry by the rules of §3.1 and turns a static secret into
// credentials that live for 24 hours from now.
func (b iceServerBody) server(now time.Time) (openvidu.ICEServer, error) {
	s := openvidu.ICEServer{}
	if b.URL == nil || *b.URL == "" {
		return s, errors.New(`"url" is mandatory`)
	}
	turn, err := checkICEURL(*b.URL)
	if err != nil {
		return s, err
	}
	s.URL = *b.URL
	user, cred, static := b.Username != nil, b.Credential != nil, b.StaticAuthSecret != nil
	switch {
	case !turn && (user || cred || static):
		return s, errors.New("a STUN server takes no credentials")
	case !turn:
	case static && (user || cred):
		return s, errors.New(`give either "staticAuthSecret" or "username" and "credential"`)
	case static:
		s.Username, s.Credential = turnCredentials(*b.StaticAuthSecret, now)
	case user && cred:
		s.Username, s.Credential = *b.Username, *b.Credential
	default:
		return s, errors.New(`a TURN server needs "username" and "credential", or "staticAuthSecret"`)
	}
	return s, nil
}

// checkICEURL accepts scheme:host[:port] and, for turn and turns, a transport of
// tcp or udp (RFC 7064, RFC 7065).
func checkICEURL(s string) (turn bool, err error) {
	if len(s) > 512 {
		return false, errors.New(`"url" is longer than 512 bytes`)
	}
	scheme, rest, ok := strings.Cut(s, ":")
	turn = scheme == "turn" || scheme == "turns"
	if !ok || (!turn && scheme != "stun" && scheme != "stuns") {
		return false, errors.New("scheme must be stun, stuns, turn or turns")
	}
	hostport, query, hasQuery := strings.Cut(rest, "?")
	if hasQuery && (!turn || (query != "transport=tcp" && query != "transport=udp")) {
		return false, errors.New("only ?transport=tcp or ?transport=udp may follow, and only for TURN")
	}
	return turn, checkHostPort(hostport)
}

var domainForm = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$`)

// checkHostPort accepts a domain name, an IPv4 address or an IPv6 address (in
// brackets when a port follows), with an optional port.
func checkHostPort(s string) error {
	host, port, hasPort := s, "", false
	switch {
	case strings.HasPrefix(s, "["):
		inner, after, ok := strings.Cut(s[1:], "]")
		port, hasPort = strings.CutPrefix(after, ":")
		if !ok || (after != "" && !hasPort) || !strings.Contains(inner, ":") {
			return errors.New("host is not a valid address")
		}
		host = inner
	case strings.Count(s, ":") == 1:
		host, port, hasPort = strings.Cut(s, ":")
	}
	if n, err := strconv.ParseUint(port, 10, 16); hasPort && (err != nil || n == 0) {
		return errors.New("port must be between 1 and 65535")
	}
	if strings.Contains(host, ":") || looksNumeric(host) {
		if a, err := netip.ParseAddr(host); err != nil || a.Zone() != "" {
			return errors.New("host is not a valid address")
		}
		return nil
	}
	if len(host) > 253 || !domainForm.MatchString(host) {
		return errors.New("host is neither a domain name nor an address")
	}
	return nil
}

func looksNumeric(host string) bool { return strings.Trim(host, "0123456789.") == "" }

// turnCredentials are those of the TURN REST API draft: the expiry and eight
// random characters, signed with HMAC-SHA1 by the shared secret.
func turnCredentials(shared string, now time.Time) (username, credential string) {
	username = strconv.FormatInt(now.Add(24*time.Hour).Unix(), 10) + ":" + rand.Text()[:8]
	mac := hmac.New(sha1.New, []byte(shared))
	mac.Write([]byte(username))
	return username, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
