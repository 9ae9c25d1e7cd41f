package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// launch is a gst-launch-1.0 with one scene.
type launch struct {
	cmd  *exec.Cmd
	said *os.File
	to   []inputPorts
}

func portOf(c *net.UDPConn) int { return c.LocalAddr().(*net.UDPAddr).Port }

func startLaunch(ctx context.Context, _ options, dir string, s *scene) (side, error) {
	l := &launch{}
	for range s.inputs {
		var p inputPorts
		var err error
		if p.video, err = freePort(); err != nil {
			return nil, err
		}
		if s.sound {
			if p.sound, err = freePort(); err != nil {
				return nil, err
			}
		}
		l.to = append(l.to, p)
	}
	var err error
	if l.said, err = os.Create(filepath.Join(dir, "launch.log")); err != nil {
		return nil, err
	}
	l.cmd = exec.Command("gst-launch-1.0", append([]string{"-q"}, strings.Fields(s.pipeline(l.to, filepath.Join(dir, "image.png")))...)...)
	l.cmd.Stdout, l.cmd.Stderr = l.said, l.said
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, who end it
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	if err := l.listening(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// freePort is a UDP port that was free a moment ago.
func freePort() (uint16, error) {
	c, err := loopback()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return uint16(portOf(c)), nil
}

// listening waits until all ports are bound, or the sender would begin before
// there is somebody to hear it.
func (l *launch) listening(ctx context.Context) error {
	for begin := time.Now(); time.Since(begin) < patience; {
		b, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			return err
		}
		all := true
		for _, p := range l.to {
			for _, port := range []uint16{p.video, p.sound} {
				all = all && (port == 0 || strings.Contains(string(b), fmt.Sprintf(":%04X 00000000:0000", port)))
			}
		}
		if all {
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("gst-launch-1.0 does not listen")
}

// pipeline is the scene as one would write it by hand: no jitter buffer, no
// conversion that is not needed, and a thread of its own per decoder and per
// encoder, which live sources and mixers need.
func (s *scene) pipeline(to []inputPorts, image string) string {
	const receive = "udpsrc address=127.0.0.1 port=%d caps=application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96 ! rtpvp8depay ! queue ! vp8dec threads=1 ! "
	send := fmt.Sprintf("queue ! %s ! rtpvp8pay pt=%d mtu=%d picture-id-mode=15-bit ! udpsink host=127.0.0.1 port=%d sync=false async=false", s.encoder(), videoType, mtu, s.video.port())
	if s.codec == "H264" {
		send = fmt.Sprintf("queue ! %s ! video/x-h264,profile=constrained-baseline ! rtph264pay pt=%d mtu=%d aggregate-mode=zero-latency ! udpsink host=127.0.0.1 port=%d sync=false async=false",
			s.encoder(), videoType, mtu, s.video.port())
	}
	switch s.work {
	case transcoding:
		return fmt.Sprintf(receive, to[0].video) + send
	case overlaying:
		x, y := int(imagePart*float64(s.width)), int(imagePart*float64(s.height))
		return fmt.Sprintf(receive, to[0].video) + fmt.Sprintf("gdkpixbufoverlay location=%s offset-x=%d offset-y=%d overlay-width=%d overlay-height=%d ! ", image, x, y, x, y) + send
	case flipping:
		return fmt.Sprintf(receive, to[0].video) + "videoflip video-direction=horiz ! " + send
	}
	var b strings.Builder
	b.WriteString("compositor name=c background=black max-threads=1 latency=40000000 min-upstream-latency=100000000")
	for i := range to {
		x, y, width, height := s.cell(i)
		fmt.Fprintf(&b, " sink_%d::xpos=%d sink_%d::ypos=%d sink_%d::width=%d sink_%d::height=%d", i, x, i, y, i, width, i, height)
	}
	fmt.Fprintf(&b, " ! video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1 ! %s ", s.width, s.height, s.fps, send)
	b.WriteString("audiomixer name=a latency=40000000 min-upstream-latency=100000000 ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! queue ! " + voice)
	fmt.Fprintf(&b, " ! rtpopuspay pt=%d ! udpsink host=127.0.0.1 port=%d sync=false async=false ", soundType, s.audio.port())
	for i, p := range to {
		fmt.Fprintf(&b, receive+"c.sink_%d ", p.video, i)
		fmt.Fprintf(&b, "udpsrc address=127.0.0.1 port=%d caps=application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=97 ! rtpopusdepay ! queue ! opusdec plc=true use-inband-fec=true ! a.sink_%d ", p.sound, i)
	}
	return b.String()
}

func (l *launch) inputs() []inputPorts { return l.to }

func (l *launch) cpu() (usage, error) { return usageOf(l.cmd.Process.Pid) }

func (l *launch) check(context.Context) error { return nil }

func (l *launch) close() error { return end(l.cmd, l.said) }

// end stops a process that we started, and shows what it said when it had ended
// by itself.
func end(cmd *exec.Cmd, said *os.File) error {
	defer said.Close()
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	select {
	case err := <-gone:
		b, _ := os.ReadFile(said.Name())
		return fmt.Errorf("%s ended by itself: %v: %.2000s", filepath.Base(cmd.Path), err, b)
	case <-time.After(10 * time.Millisecond):
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-gone
	}
	return nil
}
