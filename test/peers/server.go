//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pion/webrtc/v4"
)

// server is a media server under measure. A new one needs these methods and a
// line in servers.
type server interface {
	// start runs it; it can be spoken to when start returns.
	start(ctx context.Context) error
	// pid is of the process whose time and memory count.
	pid() int
	// stop ends it; an error when it had ended by itself.
	stop() error
	// publish negotiates a publisher. pc has a sendonly track of sound and one of
	// video; localOffer makes its offer.
	publish(ctx context.Context, pc *webrtc.PeerConnection) error
	// subscribe negotiates a viewer's empty pc for the n-th publisher, or for all of
	// them when the server's way is one connection for all.
	subscribe(ctx context.Context, pc *webrtc.PeerConnection, n int) error
}

// kind is what the table knows of a server.
type kind struct {
	make func(o options, l load) server
	// bundled: one connection brings a viewer all publishers.
	bundled bool
	// address is the one that peers use.
	address string
}

const loopback = "127.0.0.1"

var servers = map[string]kind{
	"govidu":      {make: func(o options, _ load) server { return &govidu{o: o} }, address: loopback},
	"janus":       {make: func(o options, _ load) server { return &janus{o: o} }, address: isolated, bundled: true},
	"janus-loops": {make: func(o options, _ load) server { return &janus{o: o, loops: 2} }, address: isolated, bundled: true},
	"livekit":     {make: func(o options, _ load) server { return &livekit{o: o} }, address: loopback, bundled: true},
	"naive":       {make: func(o options, _ load) server { return &program{o: o, name: "naive"} }, address: loopback},
}

func serverNames() []string { return slices.Sorted(maps.Keys(servers)) }

// kindOf finds a server of the table or of -program.
func kindOf(name string, o options) (kind, error) {
	if k, ok := servers[name]; ok {
		return k, nil
	}
	if command, ok := o.programs[name]; ok {
		return kind{make: func(o options, _ load) server { return &program{o: o, name: name, command: command} }, address: loopback}, nil
	}
	return kind{}, fmt.Errorf("no server %q", name)
}

func newServer(name string, o options, l load) (server, error) {
	k, err := kindOf(name, o)
	if err != nil {
		return nil, err
	}
	return k.make(o, l), nil
}

// programs are -program's.
type programs map[string][]string

func (p *programs) String() string { return fmt.Sprint(map[string][]string(*p)) }

func (p *programs) Set(s string) error {
	name, command, ok := strings.Cut(s, "=")
	words := strings.Fields(command)
	if !ok || name == "" || len(words) == 0 {
		return fmt.Errorf("want NAME=PROGRAM ARGUMENTS")
	}
	if *p == nil {
		*p = programs{}
	}
	(*p)[name] = words
	return nil
}

// localOffer makes pc's offer with all its candidates.
func localOffer(ctx context.Context, pc *webrtc.PeerConnection) error {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	return gathered(ctx, pc, offer)
}

// localAnswer answers an offer with all candidates.
func localAnswer(ctx context.Context, pc *webrtc.PeerConnection, offer string) error {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	return gathered(ctx, pc, answer)
}

func gathered(ctx context.Context, pc *webrtc.PeerConnection, d webrtc.SessionDescription) error {
	done := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// receiveBoth gives pc a recvonly section of sound and one of video.
func receiveBoth(pc *webrtc.PeerConnection) error {
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return err
		}
	}
	return nil
}
