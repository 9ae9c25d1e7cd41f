package auth

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ErrToken refuses a text that is neither a token URL nor a token id.
var ErrToken = errors.New("token is malformed")

// maxToken bounds a token URL in bytes.
const maxToken = 2048

// TokenURL is what the API hands to the application: where to connect and the
// one-time token (REST contract §3.3).
type TokenURL struct {
	Host      string // name or IP, no port
	Port      int    // left out when 443, or 80 with Plain
	Plain     bool   // ws:// instead of wss://
	SessionID string
	Token     string
	// Legacy adds what clients before 2.17 read from the token itself.
	Legacy *LegacyToken
}

// LegacyToken holds the extra query parameters of 2.2 to 2.16. Those clients cut
// at every "=" and "&", so a value holding one is left out.
type LegacyToken struct {
	Role                         Role
	Version                      string
	CoturnIP                     string
	TURNUsername, TURNCredential string
}

// String gives the URL: wss://host[:port]?sessionId=S&token=T, without a path.
func (t TokenURL) String() string {
	scheme, standard := "wss", 443
	if t.Plain {
		scheme, standard = "ws", 80
	}
	host := t.Host
	if t.Port != 0 && t.Port != standard {
		host = net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	} else if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	var b strings.Builder
	b.WriteString(scheme + "://" + host + "?sessionId=" + t.SessionID + "&token=" + t.Token)
	if l := t.Legacy; l != nil {
		for _, p := range [][2]string{
			{"role", string(l.Role)}, {"version", l.Version}, {"coturnIp", l.CoturnIP},
			{"turnUsername", l.TURNUsername}, {"turnCredential", l.TURNCredential},
		} {
			if p[1] != "" && !strings.ContainsAny(p[1], "=&#?% ") {
				b.WriteString("&" + p[0] + "=" + p[1])
			}
		}
	}
	return b.String()
}

// TokenRef is what a browser shows at joinRoom. Secret holds ?secret= of an
// insecure join; Recorder and STT are its flags.
type TokenRef struct {
	ID        string
	SessionID string
	Secret    Secret
	Recorder  bool
	STT       bool
}

// ParseToken reads the token of joinRoom: a complete token URL, whose query alone
// matters, or a bare token id. ErrToken when it is empty, longer than 2,048 bytes,
// holds control characters, or is a URL with neither token nor secret.
func ParseToken(s string) (TokenRef, error) {
	if s == "" || len(s) > maxToken || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return TokenRef{}, ErrToken
	}
	_, query, isURL := strings.Cut(s, "?")
	if !isURL {
		if strings.ContainsAny(s, "/=&") {
			return TokenRef{}, ErrToken
		}
		return TokenRef{ID: s}, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return TokenRef{}, ErrToken
	}
	ref := TokenRef{
		ID: values.Get("token"), SessionID: values.Get("sessionId"),
		Recorder: values.Get("recorder") == "true", STT: values.Get("stt") == "true",
	}
	if secret := values.Get("secret"); secret != "" {
		ref.Secret = NewSecret(secret)
	}
	if ref.ID == "" && ref.Secret.Len() == 0 {
		return TokenRef{}, ErrToken
	}
	return ref, nil
}

// ParseSession gives the session id of joinRoom's "session": the id itself, or,
// from 1.x clients, the whole URL whose last path part it is.
func ParseSession(s string) string {
	s, _, _ = strings.Cut(s, "?")
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		s = s[i+1:]
	}
	return s
}
