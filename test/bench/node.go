package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/govidu/govidu/kms/client"
)

// node is the media node as a process with one scene in it.
type node struct {
	cmd     *exec.Cmd
	said    *os.File
	session *client.Session
	scene   *scene
	dir     string
	to      []inputPorts
	worker  client.ID // that whose graph has the encoders; none is asked when ""
}

const patience = 20 * time.Second

func startNode(ctx context.Context, o options, dir string, s *scene) (_ side, err error) {
	ready := filepath.Join(dir, "ready.json")
	_ = os.Remove(ready)
	n := &node{scene: s, dir: dir}
	if n.said, err = os.Create(filepath.Join(dir, "node.log")); err != nil {
		return nil, err
	}
	args := []string{"--kms-listen=127.0.0.1:0", "--media-port=0", "--file-roots=" + dir, "--ready-file=" + ready}
	if o.pprof != "" {
		args = append(args, "--pprof="+o.pprof)
	}
	n.cmd = exec.Command(o.kms, args...)
	n.cmd.Stdout, n.cmd.Stderr = n.said, n.said
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, who end it
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the node: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	port, err := readyPort(ctx, ready)
	if err != nil {
		return nil, err
	}
	if n.session, err = client.Dial(ctx, fmt.Sprintf("ws://127.0.0.1:%d/kurento", port), client.Options{}); err != nil {
		return nil, err
	}
	if s.work == directing { // built by who asked
		return n, nil
	}
	return n, n.build(ctx, filepath.Join(dir, "image.png"))
}

// readyPort waits for the node's file with its ports.
func readyPort(ctx context.Context, path string) (int, error) {
	for {
		b, err := os.ReadFile(path)
		if err == nil {
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
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("the node does not start: %w", err)
		}
	}
}

// build makes the scene's elements.
func (n *node) build(ctx context.Context, image string) error {
	s := n.scene
	pipe, err := n.session.Create(ctx, "MediaPipeline", nil)
	if err != nil {
		return err
	}
	make := func(typ string, more map[string]any) (client.ID, error) {
		if more == nil {
			more = map[string]any{}
		}
		if more["hub"] == nil {
			more["mediaPipeline"] = pipe
		}
		return n.session.Create(ctx, typ, more)
	}
	connect := func(from, to client.ID) error {
		return n.session.Invoke(ctx, from, "connect", map[string]any{"sink": to}, nil)
	}
	bitrate := func(of client.ID) error {
		return n.session.Invoke(ctx, of, "setEncoderBitrate", map[string]any{"encoderBitrate": s.bitrate}, nil)
	}
	out, err := make("RtpEndpoint", nil)
	if err != nil {
		return err
	}
	// through joins a source with what the scene does to it.
	var through func(in client.ID) error
	switch s.work {
	case compositing:
		hub, err := make("Composite", nil)
		if err != nil {
			return err
		}
		exit, err := make("HubPort", map[string]any{"hub": hub})
		if err != nil {
			return err
		}
		n.worker = hub
		if err := bitrate(exit); err != nil {
			return err
		}
		if err := connect(exit, out); err != nil {
			return err
		}
		through = func(in client.ID) error {
			port, err := make("HubPort", map[string]any{"hub": hub})
			if err != nil {
				return err
			}
			return connect(in, port)
		}
	case transcoding:
		// A transcoder's own graph is not in that of the elements; a test compares
		// the settings with the worker's text.
		through = func(in client.ID) error {
			if err := bitrate(in); err != nil {
				return err
			}
			return connect(in, out)
		}
	case overlaying, flipping:
		typ, params := "ImageOverlayFilter", map[string]any(nil)
		if s.work == flipping {
			typ, params = "GStreamerFilter", map[string]any{"command": "videoflip method=horizontal-flip"}
		}
		filter, err := make(typ, params)
		if err != nil {
			return err
		}
		n.worker = filter
		if s.work == overlaying {
			err = n.session.Invoke(ctx, filter, "addImage", map[string]any{"id": "a", "uri": "file://" + image, "offsetXPercent": imagePart, "offsetYPercent": imagePart,
				"widthPercent": imagePart, "heightPercent": imagePart, "keepAspectRatio": false, "center": false}, nil)
			if err != nil {
				return err
			}
		}
		if err := bitrate(filter); err != nil {
			return err
		}
		if err := connect(filter, out); err != nil {
			return err
		}
		through = func(in client.ID) error { return connect(in, filter) }
	}
	for i := range s.inputs {
		in, err := make("RtpEndpoint", nil)
		if err != nil {
			return err
		}
		sound := 0
		if s.sound {
			sound = portOf(s.from[i].sound)
		}
		ports, err := n.offer(ctx, in, description(portOf(s.from[i].video), sound, "VP8", 0, "sendonly"))
		if err != nil {
			return err
		}
		n.to = append(n.to, ports)
		if err := through(in); err != nil {
			return err
		}
	}
	sound := 0
	if s.sound {
		sound = s.audio.port()
	}
	_, err = n.offer(ctx, out, description(s.video.port(), sound, s.codec, s.bitrate/1000, "recvonly"))
	return err
}

// description is the peer's: it sends from these ports, or listens there.
func description(video, sound int, codec string, kbps int, direction string) string {
	var b strings.Builder
	b.WriteString("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n")
	if sound != 0 {
		fmt.Fprintf(&b, "m=audio %d RTP/AVP %d\r\na=rtpmap:%d opus/48000/2\r\na=%s\r\n", sound, soundType, soundType, direction)
	}
	fmt.Fprintf(&b, "m=video %d RTP/AVP %d\r\n", video, videoType)
	if kbps > 0 {
		fmt.Fprintf(&b, "b=AS:%d\r\n", kbps)
	}
	fmt.Fprintf(&b, "a=rtpmap:%d %s/90000\r\n", videoType, codec)
	if codec == "H264" {
		fmt.Fprintf(&b, "a=fmtp:%d level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n", videoType)
	}
	fmt.Fprintf(&b, "a=%s\r\n", direction)
	return b.String()
}

var mediaLine = regexp.MustCompile(`(?m)^m=(audio|video) (\d+) `)

// offer negotiates and gives the ports of the answer.
func (n *node) offer(ctx context.Context, endpoint client.ID, sdp string) (p inputPorts, err error) {
	var answer string
	if err := n.session.Invoke(ctx, endpoint, "processOffer", map[string]any{"offer": sdp}, &answer); err != nil {
		return p, err
	}
	for _, m := range mediaLine.FindAllStringSubmatch(answer, -1) {
		port, err := strconv.ParseUint(m[2], 10, 16)
		if err != nil || port == 0 {
			return p, fmt.Errorf("refused: %s", answer)
		}
		if m[1] == "audio" {
			p.sound = uint16(port)
		} else {
			p.video = uint16(port)
		}
	}
	return p, nil
}

func (n *node) inputs() []inputPorts { return n.to }

func (n *node) cpu() (usage, error) { return usageOf(n.cmd.Process.Pid) }

// check compares the encoders' settings with those that the other side is given.
func (n *node) check(ctx context.Context) error {
	if n.worker == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var dot string
	if err := n.session.Invoke(ctx, n.worker, "getGstreamerDot", map[string]any{"details": "SHOW_ALL"}, &dot); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.dir, n.scene.name+".dot"), []byte(dot), 0o600); err != nil {
		return err
	}
	if err := inGraph(dot, n.scene.encoder()); err != nil {
		return err
	}
	if n.scene.sound {
		return inGraph(dot, voice)
	}
	return nil
}

func (n *node) close() error {
	if n.session != nil {
		n.session.Close()
	}
	return end(n.cmd, n.said)
}
