//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/kms/client"
)

// govidu is our media node, in a process of its own and spoken to as a Kurento
// application does: one pipeline, an endpoint for each publisher, and one for each
// stream that a viewer gets.
type govidu struct {
	*process
	o       options
	debug   string
	session *client.Session

	mu       sync.Mutex
	pipeline client.ID
	feeds    []client.ID
}

func (g *govidu) start(ctx context.Context) error {
	ready := filepath.Join(g.o.dir, "ready.json")
	_ = os.Remove(ready)
	args := []string{"--kms-listen=" + loopback + ":0", "--media-port=0", "--ready-file=" + ready, "--network-interfaces=lo"}
	if g.o.profile != "" {
		port, err := freePort()
		if err != nil {
			return err
		}
		g.debug = fmt.Sprintf("%s:%d", loopback, port)
		args = append(args, "--pprof="+g.debug)
	}
	var err error
	if g.process, err = startProcess(g.o.dir, "govidu", nil, g.o.govidu, args...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	port, err := readyPort(ctx, ready)
	if err != nil {
		return err
	}
	if g.session, err = client.Dial(ctx, fmt.Sprintf("ws://%s:%d/kurento", loopback, port), client.Options{}); err != nil {
		return err
	}
	g.pipeline, err = g.session.Create(ctx, "MediaPipeline", nil)
	return err
}

// readyPort waits for the file in which the node names its control port.
func readyPort(ctx context.Context, path string) (int, error) {
	for {
		if b, err := os.ReadFile(path); err == nil {
			var ports map[string]int
			if err := json.Unmarshal(b, &ports); err != nil {
				return 0, err
			}
			for name, p := range ports {
				if name != "media" {
					return p, nil
				}
			}
			return 0, fmt.Errorf("no control port in %s", b)
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return 0, fmt.Errorf("the node does not start: %w", err)
		}
	}
}

func (g *govidu) profiler() string { return "http://" + g.debug + "/debug/pprof" }

func (g *govidu) stop() error {
	var err error
	if g.session != nil {
		err = g.session.Close()
	}
	return errors.Join(err, g.process.stop())
}

func (g *govidu) publish(ctx context.Context, pc *webrtc.PeerConnection) error {
	id, err := g.join(ctx, pc, "")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.feeds = append(g.feeds, id)
	return err
}

func (g *govidu) subscribe(ctx context.Context, pc *webrtc.PeerConnection, n int) error {
	if err := receiveBoth(pc); err != nil {
		return err
	}
	g.mu.Lock()
	from := g.feeds[n]
	g.mu.Unlock()
	_, err := g.join(ctx, pc, from)
	return err
}

// join gives a peer an endpoint, connects from to it and negotiates.
func (g *govidu) join(ctx context.Context, pc *webrtc.PeerConnection, from client.ID) (id client.ID, err error) {
	if id, err = g.session.Create(ctx, "WebRtcEndpoint", map[string]any{"mediaPipeline": g.pipeline}); err != nil {
		return "", err
	}
	cancel, err := g.session.Subscribe(ctx, id, "IceCandidateFound", func(data json.RawMessage) {
		var e struct {
			Candidate webrtc.ICECandidateInit `json:"candidate"`
		}
		if json.Unmarshal(data, &e) == nil {
			go func() { _ = pc.AddICECandidate(e.Candidate) }() // a closed peer takes none
		}
	})
	if err != nil {
		return "", err
	}
	_ = cancel // the endpoint's end is the subscription's
	if from != "" {
		if err := g.session.Invoke(ctx, from, "connect", map[string]any{"sink": id}, nil); err != nil {
			return "", err
		}
	}
	if err := localOffer(ctx, pc); err != nil {
		return "", err
	}
	var answer string
	if err := g.session.Invoke(ctx, id, "processOffer", map[string]any{"offer": pc.LocalDescription().SDP}, &answer); err != nil {
		return "", err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return "", err
	}
	return id, g.session.Invoke(ctx, id, "gatherCandidates", nil, nil)
}
