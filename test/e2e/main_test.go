package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/rtmp/rtmptest"
)

// bin is the server binary under test, an absolute path.
var bin string

// TestMain checks what every test needs: the binary, Chromium, ffprobe and nginx, and
// the Node packages, which it installs when they are missing. A missing piece
// fails the run: a suite that skips itself proves nothing.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	code := m.Run()
	stopSharedBrowser()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: goroutines are left:", err)
		code = max(code, 1)
	}
	return code
}

func prepare() error {
	bin = os.Getenv("GOVIDU_BIN")
	if bin == "" {
		bin = "../../bin/openvidu-server"
	}
	var err error
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if _, err := os.Stat(bin); err != nil {
		return fmt.Errorf("no server binary: %w; run `make build` first or set GOVIDU_BIN", err)
	}
	for _, tool := range []string{"node", "npm", "ffmpeg", "ffprobe", rtmptest.Path(), chromiumPath()} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("a needed program is missing: %w", err)
		}
	}
	missing := false
	for _, name := range []string{"playwright-core", "puppeteer-core", "hls.js"} {
		_, err := os.Stat("js/node_modules/" + name + "/package.json")
		missing = missing || err != nil
	}
	if !missing {
		return nil
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = "js"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install node packages: %w\n%s", err, out)
	}
	return nil
}

func chromiumPath() string {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	return "/usr/bin/chromium"
}
