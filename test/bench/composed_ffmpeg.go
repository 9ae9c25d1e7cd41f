package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// composeByStack is one ffmpeg that reads the files in real time: it has neither
// packets to put together nor clocks to follow.
func composeByStack(_ context.Context, _ options, dir string, g *grid) (composer, error) {
	p := &program{path: filepath.Join(dir, "xstack.mp4")}
	_ = os.Remove(p.path)
	args := []string{"ffmpeg", "-nostdin", "-v", "error"}
	for i := range g.tiles {
		args = append(args, "-re", "-threads", "1", "-i", g.sources.paths[i])
	}
	args = append(args, "-filter_complex_threads", "1", "-filter_complex", stackFilter(g))
	if err := p.run(dir, "xstack", nil, append(args, encode(p.path)...)...); err != nil {
		return nil, err
	}
	return p, nil
}
