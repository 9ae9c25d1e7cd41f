package e2e

import (
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
