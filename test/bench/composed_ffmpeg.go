package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// program is one or more processes that compose together.
type program struct {
	path  string
	parts []part
	// works looks at them after measuring; nil: the file tells enough.
	works func(ctx context.Context) error
	after []func() // to be done at the end
}

type part struct {
	cmd  *exec.Cmd
	said *os.File
}

func (p *program) file() string { return p.path }

// run starts a process; what it says is in a file of that name.
func (p *program) run(dir, name string, more func(*exec.Cmd), args ...string) error {
	said, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, who end it
	if more != nil {
		more(cmd)
	}
	if err := cmd.Start(); err != nil {
		said.Close()
		return err
	}
	p.parts = append(p.parts, part{cmd, said})
	return nil
}

func (p *program) cpu() (sum usage, err error) {
	for _, x := range p.parts {
		u, err := usageOf(x.cmd.Process.Pid)
		if err != nil {
			return sum, err
		}
		sum.workers += u.server + u.workers
	}
	return sum, nil
}

func (p *program) check(ctx context.Context) error {
	if p.works == nil {
		return nil
	}
	return p.works(ctx)
}

// close ends the last that was started first.
func (p *program) close() (err error) {
	for i := len(p.parts) - 1; i >= 0; i-- {
		if e := end(p.parts[i].cmd, p.parts[i].said); err == nil {
			err = e
		}
	}
	p.parts = nil
	for _, f := range p.after {
		f()
	}
	p.after = nil
	return err
}

// encode are ffmpeg's arguments for the same encoder that a media worker has, with
// the same settings: what x264 writes into the files about itself is compared.
func encode(path string) []string {
	return []string{"-an", "-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency", "-profile:v", "baseline", "-threads", "1", "-b:v", fmt.Sprint(composedBitrate),
		"-maxrate", fmt.Sprint(composedBitrate), "-bufsize", fmt.Sprint(composedBitrate * 6 / 10), "-bf", "0", "-sc_threshold", "0", "-force_key_frames", fmt.Sprintf("expr:gte(t,n_forced*%g)", composedKeys.Seconds()),
		"-pix_fmt", "yuv420p", "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-y", path}
}

// composeByStack is one ffmpeg. It gets the packets that the node gets, or, with
// o.files, reads the same pictures from files in real time: then it has neither
// packets to put together nor clocks to follow.
func composeByStack(ctx context.Context, o options, dir string, g *grid) (_ composer, err error) {
	p := &program{path: filepath.Join(dir, "xstack.mp4")}
	_ = os.Remove(p.path)
	args := []string{"ffmpeg", "-nostdin", "-v", "error"}
	var ports []inputPorts
	if o.files {
		for i := range g.tiles {
			args = append(args, "-re", "-threads", "1", "-i", g.sources.paths[i])
		}
	} else {
		var sdp strings.Builder
		sdp.WriteString("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n")
		for range g.tiles {
			port, err := freePort()
			if err != nil {
				return nil, err
			}
			ports = append(ports, inputPorts{video: port})
			fmt.Fprintf(&sdp, "m=video %d RTP/AVP %d\r\na=rtpmap:%d VP8/90000\r\n", port, videoType, videoType)
		}
		path := filepath.Join(dir, "xstack.sdp")
		if err := os.WriteFile(path, []byte(sdp.String()), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-protocol_whitelist", "file,udp,rtp", "-buffer_size", "4000000", "-threads", "1", "-i", path)
	}
	args = append(args, "-filter_complex_threads", "1", "-filter_complex", stackFilter(g, !o.files), "-r", fmt.Sprint(composedFPS))
	if err := p.run(dir, "xstack", nil, append(args, encode(p.path)...)...); err != nil {
		return nil, err
	}
	if o.files {
		return p, nil
	}
	defer func() {
		if err != nil {
			_ = p.close()
		}
	}()
	var from []*net.UDPConn
	p.after = append(p.after, func() {
		for _, c := range from {
			c.Close()
		}
	})
	for range g.tiles {
		c, err := loopback()
		if err != nil {
			return nil, err
		}
		from = append(from, c)
	}
	if err := (&launch{to: ports}).listening(ctx); err != nil {
		return nil, err
	}
	feed := feedRows(g.sources.rows(g.tiles, func(i int) func([]byte) { return toPort(from[i], ports[i].video) }))
	p.after = append([]func(){feed.stop}, p.after...)
	p.works = func(context.Context) error {
		if late := feed.late(); late > 10*tooLate {
			return fmt.Errorf("the sources were %v late", late)
		}
		return nil
	}
	return p, nil
}

// stackFilter is xstack of a grid, of one input with all streams or of an input
// each; they are scaled only where they must be.
func stackFilter(g *grid, one bool) string {
	var scales, names, layout strings.Builder
	for i := range g.tiles {
		x, y, w, h := g.cell(i)
		name := fmt.Sprintf("[%d:v]", i)
		if one {
			name = fmt.Sprintf("[0:v:%d]", i)
		}
		if w != 640 || h != 360 {
			fmt.Fprintf(&scales, "%sscale=%d:%d:flags=bilinear[s%d];", name, w, h, i)
			name = fmt.Sprintf("[s%d]", i)
		}
		names.WriteString(name)
		fmt.Fprintf(&layout, "|%d_%d", x, y)
	}
	filter := fmt.Sprintf("%s%sxstack=inputs=%d:layout=%s", scales.String(), names.String(), g.tiles, layout.String()[1:])
	if x, y, w, h := g.cell(g.tiles - 1); x+w < composedWidth || y+h < composedHeight {
		filter += fmt.Sprintf(",pad=%d:%d", composedWidth, composedHeight)
	}
	return filter
}
