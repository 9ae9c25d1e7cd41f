package webpage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// names under which Chromium is looked for in PATH.
var names = []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"}

// errNoBrowser: there is no Chromium, or it cannot be started here.
var errNoBrowser = errors.New("no Chromium found")

// find gives the browser's path: the one that was configured, or the first in PATH.
func find(configured string) (string, error) {
	list := names
	if configured != "" {
		list = []string{configured}
	}
	for _, name := range list {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", errNoBrowser
}

// profilePrefix begins the names of profile folders; our process number and
// something random follow.
const profilePrefix = "govidu-page-"

// newProfile makes the folder that the browser keeps everything in.
func newProfile(dir string) (string, error) {
	path, err := os.MkdirTemp(dir, fmt.Sprintf("%s%d-", profilePrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("make profile folder: %w", err)
	}
	return path, nil
}

// sweepProfiles removes what dead processes left.
func sweepProfiles(dir string) {
	entries, _ := os.ReadDir(dir) // nothing to see is nothing to remove
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), profilePrefix)
		number, _, cut := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(number)
		if ok && cut && err == nil && e.IsDir() && !exists(pid) {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// flags of the browser. What makes it call home is off, sound plays without a
// click, nothing is slowed down because nobody looks, and the page may capture the
// tab it is in, and nothing else, without asking.
func flags(profile, proxy, trusted string, width, height int, sandbox bool) []string {
	list := []string{
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + profile,
		"--no-first-run", "--no-default-browser-check", "--no-pings", "--disable-sync", "--disable-default-apps",
		"--disable-background-networking", "--disable-component-update", "--disable-client-side-phishing-detection",
		"--disable-breakpad", "--disable-crash-reporter", "--disable-domain-reliability", "--metrics-recording-only",
		"--disable-extensions", "--disable-notifications", "--disable-print-preview", "--disable-quic", "--disable-gpu",
		"--disable-dev-shm-usage", "--password-store=basic", "--use-mock-keychain", "--hide-scrollbars",
		"--autoplay-policy=no-user-gesture-required", "--auto-accept-this-tab-capture",
		"--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
		"--disable-features=Translate,MediaRouter,OptimizationHints,DialMediaRouteProvider,CalculateNativeWinOcclusion,WebRtcHideLocalIpsWithMdns",
		"--proxy-server=http://" + proxy, "--proxy-bypass-list=<-loopback>", // loopback goes through the proxy too
		"--window-size=" + strconv.Itoa(width) + "," + strconv.Itoa(height), "--force-device-scale-factor=1",
	}
	if trusted != "" {
		list = append(list, "--ignore-certificate-errors-spki-list="+trusted)
	}
	if !sandbox {
		list = append(list, "--no-sandbox")
	}
	return append(list, "about:blank")
}

// tail keeps the last of what the browser says.
type tail struct {
	mu sync.Mutex // leaf
	b  []byte
}

const maxTail = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > maxTail {
		t.b = append(t.b[:0], t.b[len(t.b)-maxTail:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// close ends the browser with all its processes, by its own means if it will, and
// removes its folder.
func (c *chromium) close() {
	c.tools.send("", "Browser.close", nil)
	select {
	case <-c.exited:
	case <-time.After(closeTime):
	}
	c.kill()
	<-c.exited
	c.tools.close()
	c.reap()
	c.clean()
}

// clean removes the folder.
func (c *chromium) clean() {
	for range 5 { // a dying process may still write
		if os.RemoveAll(c.profile) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.log.Warn("profile folder could not be removed", "folder", c.profile)
}

// closeTime is how long a browser may take to end by itself.
const closeTime = 2 * time.Second

// call asks the browser as a whole.
func (c *chromium) call(ctx context.Context, method string, params, result any) error {
	return c.tools.call(ctx, "", method, params, result)
}
