package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// firefoxPrefs make Firefox one that tests can use: false devices, no questions, no
// names of mDNS for the addresses of this machine, sound without a click.
const firefoxPrefs = `
user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("media.peerconnection.ice.loopback", true);
user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
user_pref("media.autoplay.default", 0);
user_pref("media.autoplay.blocking_policy", 0);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("remote.prefs.recommended", true);
`

// firefoxPath is the Firefox to use: FIREFOX, or Debian's.
func firefoxPath() string {
	if path := os.Getenv("FIREFOX"); path != "" {
		return path
	}
	return "firefox-esr"
}

// newFirefox starts a Firefox for one test.
func newFirefox(t testing.TB) *browser {
	t.Helper()
	if _, err := exec.LookPath(firefoxPath()); err != nil {
		t.Skipf("no Firefox: %v (make have-firefox)", err)
	}
	b, err := startFirefox()
	if err != nil {
		t.Fatalf("start Firefox: %v", err)
	}
	t.Cleanup(b.stop)
	return b
}

func startFirefox() (_ *browser, err error) {
	profile, err := os.MkdirTemp("", "govidu-e2e-firefox-")
	if err != nil {
		return nil, err
	}
	b := &browser{profile: profile, calls: map[int]chan answer{}, console: map[string]*tail{}}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		return nil, err
	}
	if err := b.serve("127.0.0.1"); err != nil {
		return nil, err
	}
	cmd := exec.Command(firefoxPath(), "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
	if b.chromium, err = startProcess(cmd, &tail{}); err != nil {
		return nil, err
	}
	endpoint, err := firefoxEndpoint(b.chromium, filepath.Join(profile, "WebDriverBiDiServer.json"))
	if err != nil {
		return nil, err
	}
	if err := b.drive(exec.Command, "connectFirefox", endpoint); err != nil {
		return nil, err
	}
	return b, nil
}

// firefoxEndpoint waits for the file in which Firefox tells its port.
func firefoxEndpoint(p *process, file string) (endpoint string, err error) {
	err = poll(90*time.Second, func() error {
		if p.exited() {
			return fmt.Errorf("firefox ended: %v\n%s", p.err, p.log)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var said struct {
			Host string `json:"ws_host"`
			Port int    `json:"ws_port"`
		}
		if err := json.Unmarshal(data, &said); err != nil || said.Port == 0 {
			return errors.New("half a WebDriverBiDiServer.json file")
		}
		endpoint = fmt.Sprintf("ws://%s:%d/session", said.Host, said.Port)
		return nil
	})
	return endpoint, err
}

// TestFirefox has a Firefox (whose own false camera shows one colour) and a Chromium in one call: each sees and hears the other,
// also after the other has published anew, and with RTX and what else both negotiate.
func TestFirefox(t *testing.T) {
	s := startServer(t)
	id := s.session(nil)
	fox := newFirefox(t)
	rita, bob := openPageOn(t, fox, "firefox"), openPage(t, "chromium")
	for _, p := range []*page{rita, bob} {
		token, _ := s.connection(id, "PUBLISHER", nil)
		p.join(token, "")
	}
	bobCam := bob.publish(small())
	ritaCam := rita.publish(map[string]any{"color": "#c33030"})
	rita.hears(bobCam.StreamID)
	bob.hears(ritaCam.StreamID)
	for _, m := range []media{bob.inbound()[ritaCam.StreamID], rita.inbound()[bobCam.StreamID]} {
		if !strings.EqualFold(m.VideoCodec, "video/VP8") || !strings.EqualFold(m.AudioCodec, "audio/opus") {
			t.Errorf("codecs %s, %s", m.VideoCodec, m.AudioCodec)
		}
	}

	rita.call("unpublish", nil, nil)
	bob.sees(eventDeadline, "that Firefox publishes no more", func(e event) bool {
		return e.Type == "streamDestroyed" && e.StreamID == ritaCam.StreamID
	})
	again := rita.publish(map[string]any{"color": "#c33030"})
	bob.hears(again.StreamID)
	rita.hears(bobCam.StreamID)
	rita.call("leave", nil, nil)
	bob.sees(eventDeadline, "that Firefox left", func(e event) bool { return e.Type == "connectionDestroyed" })
	s.healthy()
}
