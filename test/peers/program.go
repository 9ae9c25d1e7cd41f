//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/pion/webrtc/v4"
)

// program is a server that answers a description's JSON, posted to /publish or
// /subscribe?feed=N: the naive one in this program, and those of -program.
type program struct {
	*process
	o       options
	name    string
	command []string // nil is this program
	address string
}

func (s *program) start(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.address = fmt.Sprintf("%s:%d", loopback, port)
	command := s.command
	if command == nil {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		command = []string{self, "serve"}
	}
	if s.process, err = startProcess(s.o.dir, s.name, nil, command[0], append(command[1:len(command):len(command)], "-listen", s.address)...); err != nil {
		return err
	}
	return s.listening(ctx, s.address)
}

func (s *program) profiler() string { return "http://" + s.address + "/debug/pprof" }

func (s *program) publish(ctx context.Context, pc *webrtc.PeerConnection) error {
	return s.exchange(ctx, pc, "publish")
}

func (s *program) subscribe(ctx context.Context, pc *webrtc.PeerConnection, n int) error {
	if err := receiveBoth(pc); err != nil {
		return err
	}
	return s.exchange(ctx, pc, fmt.Sprint("subscribe?feed=", n))
}

func (s *program) exchange(ctx context.Context, pc *webrtc.PeerConnection, path string) error {
	if err := localOffer(ctx, pc); err != nil {
		return err
	}
	b, err := json.Marshal(pc.LocalDescription())
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if b, err = io.ReadAll(io.LimitReader(r.Body, 1<<20)); err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.Status, b)
	}
	var answer webrtc.SessionDescription
	if err := json.Unmarshal(b, &answer); err != nil {
		return err
	}
	return pc.SetRemoteDescription(answer)
}
