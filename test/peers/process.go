//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// patience bounds every wait for a server.
const patience = 20 * time.Second

// process is a server's.
type process struct {
	cmd  *exec.Cmd
	said *os.File
	gone chan error
}

// startProcess runs a program whose words go to a log in dir.
func startProcess(dir, name string, env []string, path string, args ...string) (*process, error) {
	said, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(path, args...), said: said, gone: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = said, said
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us, who end it
	if err := p.cmd.Start(); err != nil {
		said.Close()
		return nil, err
	}
	go func() { p.gone <- p.cmd.Wait() }()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process; an error with its last words when it had ended by itself.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	defer p.said.Close()
	select {
	case err := <-p.gone:
		b, _ := os.ReadFile(p.said.Name())
		return fmt.Errorf("%s ended by itself: %v: %s", filepath.Base(p.cmd.Path), err, b[max(0, len(b)-2000):])
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(3 * time.Second): // with hundreds of peers an orderly end takes long
		_ = p.cmd.Process.Kill()
		<-p.gone
	}
	return nil
}

// listening waits for a TCP port.
func (p *process) listening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case err := <-p.gone:
			p.gone <- err
			return errors.New("ended at once")
		case <-ctx.Done():
			return fmt.Errorf("does not listen: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// freePort is one that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// fetch writes what a URL answers to a file.
func fetch(ctx context.Context, url, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, r.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.ReadFrom(r.Body)
	return errors.Join(err, f.Close())
}
