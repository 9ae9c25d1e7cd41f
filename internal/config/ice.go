package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/govidu/govidu/internal/secret"
)

// ICEServers is the value of OPENVIDU_WEBRTC_ICE_SERVERS.
type ICEServers []ICEServer

// ICEServer is a STUN or TURN server for browsers. It has Username and
// Credential, or StaticAuthSecret from which time-limited ones are derived, or
// none of them.
type ICEServer struct {
	URL              string
	Username         string
	Credential       secret.Secret
	StaticAuthSecret secret.Secret
}

// UnmarshalText reads a JSON array of strings such as
// "url=turn:host:3478,username=u,credential=c", or one such string by itself.
func (s *ICEServers) UnmarshalText(text []byte) error {
	list := []string{string(text)}
	if t := strings.TrimSpace(string(text)); strings.HasPrefix(t, "[") {
		list = nil
		if err := json.Unmarshal([]byte(t), &list); err != nil {
			return errors.New(`want a JSON list of strings such as ["url=stun:host:3478"]`)
		}
	}
	out := ICEServers{}
	for _, item := range list {
		server, err := parseICEServer(item)
		if err != nil {
			return err
		}
		out = append(out, server)
	}
	*s = out
	return nil
}

func parseICEServer(text string) (ICEServer, error) {
	var s ICEServer
	for _, part := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(part, "=")
		if value = strings.TrimSpace(value); !ok || value == "" {
			return s, errors.New("each part of an ICE server must be key=value")
		}
		switch strings.TrimSpace(key) {
		case "url":
			s.URL = value
		case "username":
			s.Username = value
		case "credential":
			s.Credential = secret.New(value)
		case "staticAuthSecret":
			s.StaticAuthSecret = secret.New(value)
		default:
			return s, errors.New("an ICE server has url, username, credential and staticAuthSecret only")
		}
	}
	scheme, host, _ := strings.Cut(s.URL, ":")
	user := s.Username != "" || s.Credential.Len() > 0
	switch {
	case scheme != "stun" && scheme != "stuns" && scheme != "turn" && scheme != "turns" || host == "":
		return s, fmt.Errorf("ICE server url %q must begin with stun:, stuns:, turn: or turns: and a host", s.URL)
	case user && (s.Username == "" || s.Credential.Len() == 0):
		return s, fmt.Errorf("ICE server %q needs both username and credential", s.URL)
	case user && s.StaticAuthSecret.Len() > 0:
		return s, fmt.Errorf("ICE server %q has both a user and staticAuthSecret", s.URL)
	case !user && s.StaticAuthSecret.Len() == 0 && strings.HasPrefix(scheme, "turn"):
		return s, fmt.Errorf("ICE server %q needs username and credential, or staticAuthSecret", s.URL)
	}
	return s, nil
}
