// Command openvidu-server is Govidu in one process: rooms over REST and
// signalling for OpenVidu 2 applications, the Kurento protocol for Kurento ones,
// the media node under both, recordings, and the page at /.
//
// It only puts the pieces together: each piece's rules are in its own package,
// every setting in internal/config, the order of closing in server.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/govidu/govidu/internal/config"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/process"
)

func main() {
	err := run(config.Process(process.Version()))
	if err != nil && !errors.Is(err, config.ErrDone) {
		fmt.Fprintln(os.Stderr, "openvidu-server:", err)
		os.Exit(1)
	}
}

func run(in config.Input) error {
	cfg, err := config.Load(in)
	if err != nil {
		return err
	}
	log, err := obs.NewLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	if err != nil {
		return err
	}
	if err := prepareProcess(log); err != nil {
		return err
	}
	tell(cfg, in.Version, log)

	gentle, hard, stop := process.Stops(context.Background(), log)
	defer stop()
	s, err := newServer(gentle, cfg, in.Version, log)
	if err != nil {
		return err
	}
	return s.run(gentle, hard)
}

// prepareProcess applies the limits of the process itself.
func prepareProcess(log *slog.Logger) error {
	_, warning, err := process.OpenFiles()
	if err != nil {
		return err
	}
	if warning != "" {
		log.Warn(warning)
	}
	process.NoCoreDumps()
	log.Debug("memory limit", "bytes", process.LimitMemory())
	process.TrimHeap()
	return nil
}

// tell logs version, warnings and the settings that are not defaults. Secrets mask
// themselves.
func tell(cfg *config.Config, version string, log *slog.Logger) {
	attrs := []any{"version", version}
	for _, s := range cfg.Settings() {
		if s.Origin != "default" {
			attrs = append(attrs, s.Var, s.Value)
		}
	}
	log.Info("starting", attrs...)
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
}
