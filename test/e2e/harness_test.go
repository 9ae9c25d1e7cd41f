package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// The tests in this file prove the harness itself, without a server: probes
// that accept everything would make every other test worthless.

func TestHarnessProbesAcceptLivingMedia(t *testing.T) {
	p := openPage(t, "loopback")
	p.call("loopback", map[string]any{}, nil)
	p.hears("loopback")
}

func TestHarnessProbesRefuseUniformSilentMedia(t *testing.T) {
	p := openPage(t, "blank")
	p.call("loopback", map[string]any{"blank": true}, nil)
	var before, after media
	eventually(t, callDeadline, "blank frames are decoded", func() error {
		after = p.inbound()["loopback"]
		if before.StreamID == "" {
			before = after
		}
		return want(after.FramesDecoded-before.FramesDecoded >= aliveFrames, "%v frames", after.FramesDecoded)
	})
	if after.Picture.Deviation >= aliveDeviation {
		t.Errorf("a one-coloured picture has deviation %.1f", after.Picture.Deviation)
	}
	if after.AudioEnergy > 0 {
		t.Errorf("silence has energy %g", after.AudioEnergy)
	}
	if alive(before, after) == nil {
		t.Error("the probes take a blank stream for a living one")
	}
}

func TestHarnessLoadsTheUnmodifiedClients(t *testing.T) {
	p := openPage(t, "library")
	var version string
	p.call("version", nil, &version)
	if version != "2.32.2" {
		t.Errorf("openvidu-browser is %q, want 2.32.2", version)
	}
	var made struct{ Constructed bool }
	if err := p.b.do(callDeadline, "node.new", map[string]any{"url": "https://localhost:1/", "secret": "x"}, &made); err != nil || !made.Constructed {
		t.Errorf("openvidu-node-client: constructed %v, error %v", made.Constructed, err)
	}
}

func TestHarnessNoticesADeadPage(t *testing.T) {
	p := openPage(t, "dying")
	p.crash()
	eventually(t, callDeadline, "the crash is noticed", func() error {
		return want(p.b.consoleOf(p.id).String() != "", "nothing logged")
	})
}

func TestHarnessCutsACable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // an echo for each socket until the listener closes
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintln(c, lines.Text())
				}
			}()
		}
	}()
	p := startProxy(t, ln.Addr().(*net.TCPAddr).Port)
	echo := func(c net.Conn) error {
		if c == nil {
			return net.ErrClosed
		}
		if _, err := fmt.Fprintln(c, "hello"); err != nil {
			return err
		}
		_, err := bufio.NewReader(c).ReadString('\n')
		return err
	}
	dial := func() net.Conn { // nil when the proxy was quick to reset it
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
		if err != nil {
			return nil
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	before := dial()
	if err := echo(before); err != nil {
		t.Fatalf("through a sound cable: %v", err)
	}
	p.setCut(true)
	if echo(before) == nil {
		t.Error("an open socket lives on after the cut")
	}
	if echo(dial()) == nil {
		t.Error("a new socket passes the cut")
	}
	p.setCut(false)
	if err := echo(dial()); err != nil {
		t.Errorf("after the repair: %v", err)
	}
}

func TestHarnessNoticesTornMetadata(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, ".recording.x")
	for text, sound := range map[string]bool{`{"id":"x"}`: true, `{"id":`: false, "": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readMetadata(root, func(string, any) {}); (err == nil) != sound {
			t.Errorf("metadata %q: %v", text, err)
		}
	}
}
