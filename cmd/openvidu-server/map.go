package main

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the TURN REST API scheme fixes HMAC-SHA1
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/config"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/rest"
)

// ports is the ready file. url is what clients use.
func (s *server) ports() map[string]any {
	p := map[string]any{"https": s.port(), "media": s.node.Engine.Port(), "stun": s.node.Engine.STUNPort(), "url": s.cfg.PublicURL(s.port())}
	for _, k := range s.kms {
		p[k.Name] = k.Addr().Port
	}
	return p
}

// greeting is the last line of the start. The secret is shown only when it is the
// one that everybody knows.
func (s *server) greeting() string {
	line := "Govidu is ready: " + s.cfg.PublicURL(s.port())
	switch {
	case s.cfg.Dev && s.cfg.Secret.Equal("MY_SECRET"):
		line += "  (secret MY_SECRET, dev mode)"
	case s.cfg.Dev:
		line += "  (dev mode)"
	}
	return line
}

// ownICE is our STUN responder, under the address that browsers know. It is not
// the media port's: Chromium would swallow the media that comes from there
// (transport.Config.STUNPort).
func (s *server) ownICE() []openvidu.ICEServer {
	host := s.cfg.PublicHost()
	if len(s.cfg.AnnouncedIP) > 0 {
		host = s.cfg.AnnouncedIP[0]
	}
	return []openvidu.ICEServer{{URL: "stun:" + net.JoinHostPort(host, strconv.Itoa(s.node.Engine.STUNPort()))}}
}

// turnLife is how long credentials made from a staticAuthSecret are valid.
const turnLife = 24 * time.Hour

// defaultICE turns the configured servers into those that one browser gets. A
// static secret becomes a name and password that end (TURN REST API draft).
func defaultICE(list config.ICEServers, now time.Time) []openvidu.ICEServer {
	var out []openvidu.ICEServer
	for _, c := range list {
		i := openvidu.ICEServer{URL: c.URL, Username: c.Username, Credential: c.Credential.Reveal()}
		if c.StaticAuthSecret.Len() > 0 {
			i.Username = fmt.Sprintf("%d:openvidu", now.Add(turnLife).Unix())
			mac := hmac.New(sha1.New, []byte(c.StaticAuthSecret.Reveal()))
			mac.Write([]byte(i.Username))
			i.Credential = base64.StdEncoding.EncodeToString(mac.Sum(nil))
		}
		out = append(out, i)
	}
	return out
}

// restConfig is what GET /openvidu/api/config shows.
func (s *server) restConfig() rest.Config {
	c := s.cfg
	return rest.Config{
		Version: compatible, DomainOrPublicIP: c.PublicHost(), HTTPSPort: s.port(), PublicURL: c.PublicURL(s.port()) + "/",
		VideoMaxRecvBandwidth: c.MaxRecvBandwidth, VideoMinRecvBandwidth: c.MinRecvBandwidth,
		VideoMaxSendBandwidth: c.MaxSendBandwidth, VideoMinSendBandwidth: c.MinSendBandwidth,
		ForcedVideoCodec: c.ForcedVideoCodec, AllowTranscoding: c.AllowTranscoding, WebRTCSimulcast: c.Simulcast,
		SessionsGarbageInterval: c.GarbageInterval, SessionsGarbageThreshold: c.GarbageThreshold,
		RecordingVersion: compatible, RecordingPath: folder(c.RecordingPath), RecordingNotification: c.RecordingNotification,
		RecordingCustomLayout: folder(c.RecordingCustomLayout), RecordingAutostopTimeout: c.RecordingAutostop, RecordingComposedURL: c.RecordingComposedURL,
	}
}

// folder is an absolute path with the trailing slash that the contract shows.
func folder(p string) string {
	if abs, err := filepath.Abs(p); err == nil {
		p = abs
	}
	return strings.TrimSuffix(p, "/") + "/"
}
