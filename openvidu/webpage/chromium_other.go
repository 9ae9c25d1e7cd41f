//go:build !linux

package webpage

import (
	"encoding/json"
	"log/slog"
)

// chromium is a browser; on this platform none is run, like no media worker.
type chromium struct {
	log     *slog.Logger
	profile string
	said    *tail
	tools   *devtools
	exited  chan struct{}
}

func start(string, string, []string, *slog.Logger, func(string, string, json.RawMessage)) (*chromium, error) {
	return nil, errNoBrowser
}

func (*chromium) kill()       {}
func (*chromium) reap()       {}
func (*chromium) look() int64 { return 0 }
func exists(int) bool         { return true }
func maySandbox() bool        { return true }
