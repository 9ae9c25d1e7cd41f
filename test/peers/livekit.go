//go:build linux

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

// livekit is LiveKit on one UDP port, as its documentation advises; its sends are
// batched then. Without -feedback its congestion control is off, since most viewers
// send no RTCP.
type livekit struct {
	*process
	o       options
	address string
	viewers atomic.Int64

	mu    sync.Mutex
	lines []*livekitLine
}

const (
	livekitKey    = "benchkey"
	livekitSecret = "benchsecretbenchsecretbenchsecret"
)

func (s *livekit) start(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.address = fmt.Sprintf("%s:%d", loopback, port)
	path := filepath.Join(s.o.dir, "livekit.yaml")
	text := fmt.Sprintf(`port: %d
bind_addresses: [%s]
keys:
  %s: %s
logging:
  level: error
  pion_level: error
rtc:
  udp_port: %d
  node_ip: %s
  use_external_ip: false
  enable_loopback_candidate: true
  interfaces:
    includes: [lo]
  ips:
    includes: [127.0.0.1/32]
  congestion_control:
    enabled: %t
`, port, loopback, livekitKey, livekitSecret, 30000+port%1000, loopback, s.o.feedback)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if s.process, err = startProcess(s.o.dir, "livekit", nil, s.o.livekit, "--config", path); err != nil {
		return err
	}
	return s.listening(ctx, s.address)
}

func (s *livekit) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		l.close()
	}
	return s.process.stop()
}

// token is a JWT that lets an identity into the room.
func livekitToken(identity string, publish bool) (string, error) {
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": livekitKey, "sub": identity, "nbf": now - 10, "exp": now + 3600,
		"video": map[string]any{"roomJoin": true, "room": "bench", "canPublish": publish, "canSubscribe": !publish}})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString(claims)
	h := hmac.New(sha256.New, []byte(livekitSecret))
	h.Write([]byte(text))
	return text + "." + enc.EncodeToString(h.Sum(nil)), nil
}

// Numbers of the fields of SignalRequest and SignalResponse.
const (
	requestOffer, requestAnswer, requestAddTrack                           = 1, 2, 4
	responseAnswer, responseOffer, responseTrickle, responseTrackPublished = 2, 3, 4, 6
)

func (s *livekit) publish(ctx context.Context, pc *webrtc.PeerConnection) error {
	s.mu.Lock()
	identity := fmt.Sprint("publisher", len(s.lines))
	s.mu.Unlock()
	published, answered := make(chan struct{}, 8), make(chan error, 4)
	line, err := s.dial(ctx, identity, true, func(_ *livekitLine, field int, b fields) {
		switch field {
		case responseTrackPublished:
			published <- struct{}{}
		case responseAnswer:
			answered <- pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: b.text[2]})
		case responseTrickle:
			addTrickled(pc, b, 0)
		}
	})
	if err != nil {
		return err
	}
	for _, track := range [][]byte{
		fieldsOf(1, "audio", 2, "audio", 3, 0, 8, 2, 13, 1), // a microphone; no RED
		fieldsOf(1, "video", 2, "video", 3, 1, 4, 640, 5, 360, 8, 1),
	} {
		if err := line.send(requestAddTrack, track); err != nil {
			return err
		}
		select {
		case <-published:
		case <-ctx.Done():
			return errors.New("livekit: a track is not accepted")
		}
	}
	if err := localOffer(ctx, pc); err != nil {
		return err
	}
	if err := line.send(requestOffer, fieldsOf(1, "offer", 2, pc.LocalDescription().SDP)); err != nil {
		return err
	}
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return errors.New("livekit: no answer")
	}
}

func (s *livekit) subscribe(ctx context.Context, pc *webrtc.PeerConnection, _ int) error {
	done := make(chan error, 1)
	var early []fields // candidates that came before the offer
	_, err := s.dial(ctx, fmt.Sprint("viewer", s.viewers.Add(1)), false, func(line *livekitLine, field int, b fields) {
		switch field {
		case responseOffer:
			err := localAnswer(context.Background(), pc, b.text[2])
			if err == nil {
				err = line.send(requestAnswer, fieldsOf(1, "answer", 2, pc.LocalDescription().SDP, 3, b.number[3]))
			}
			for _, c := range early {
				addTrickled(pc, c, 1)
			}
			early = nil
			select {
			case done <- err:
			default: // an offer after the first: more tracks
			}
		case responseTrickle:
			if pc.RemoteDescription() == nil {
				early = append(early, b)
				return
			}
			addTrickled(pc, b, 1)
		}
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("livekit: no offer")
	}
}

// addTrickled takes a candidate for the publishing (0) or the viewing (1) connection.
func addTrickled(pc *webrtc.PeerConnection, b fields, target uint64) {
	var c webrtc.ICECandidateInit
	if b.number[2] == target && json.Unmarshal([]byte(b.text[1]), &c) == nil && c.Candidate != "" {
		_ = pc.AddICECandidate(c) // a bad one is as none
	}
}
