// Command kms is Govidu's media node alone: Kurento's control protocol on a
// WebSocket, and one port for all media. Rooms, REST and recordings of rooms are
// openvidu-server's; Kurento applications need only this.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/govidu/govidu/internal/config"
	"github.com/govidu/govidu/internal/medianode"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/process"
	"github.com/govidu/govidu/internal/serve"
)

// hardEnd is how long closing may take before the process ends anyway.
const hardEnd = 15 * time.Second

func main() {
	err := run(config.Process(process.Version()))
	if err != nil && !errors.Is(err, config.ErrDone) {
		fmt.Fprintln(os.Stderr, "kms:", err)
		os.Exit(1)
	}
}

func run(in config.Input) (err error) {
	cfg, err := config.LoadKMS(in)
	if err != nil {
		return err
	}
	log, err := obs.NewLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	_, warning, err := process.OpenFiles()
	if err != nil {
		return err
	}
	if warning != "" {
		log.Warn(warning)
	}
	process.NoCoreDumps()
	process.LimitMemory()
	process.TrimHeap()

	gentle, hard, stop := process.Stops(context.Background(), log)
	defer stop()
	registry := obs.NewRegistry(in.Version)
	down := &process.Down{Log: log}
	defer func() {
		ctx, cancel := context.WithTimeout(hard, hardEnd)
		defer cancel()
		err = errors.Join(err, down.Close(ctx))
	}()

	media := medianode.Config{STUNPort: -1, Loopback: true, Log: log, Metrics: registry, CPULimit: cfg.CPULimit}
	load := &process.Load{CPULimit: cfg.CPULimit}
	media.CPU, media.Busy = load.CPU, load.Busy
	registry.MustRegister(load.Gauges()...)
	if err := media.Apply(cfg.Media, cfg.Kurento, cfg.Endpoints); err != nil {
		return err
	}
	node, err := medianode.New(media)
	if err != nil {
		return err
	}
	down.Add("media node", func(context.Context) error { return node.Close() })

	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, `{"status":"UP"}`) })
	mux.Handle("GET /metrics", serve.LoopbackOnly(obs.MetricsHandler(registry, log)))
	mux.Handle("/", node.Handler())
	listeners, err := medianode.Listen(cfg.Kurento, mux, log)
	if err != nil {
		return err
	}
	if len(listeners) == 0 {
		return errors.New("no control port: GOVIDU_KMS_LISTEN is none, and there is no GOVIDU_KMS_CERTIFICATE")
	}
	var urls []string
	ports := map[string]int{"media": node.Engine.Port()}
	services := []func(context.Context) error{load.Run}
	for _, l := range listeners {
		down.Add(l.Name+" port", l.Shutdown)
		services = append(services, func(context.Context) error { return l.Run() })
		ports[l.Name] = l.Addr().Port
		urls = append(urls, l.URL(cfg.KMSPath))
	}
	if cfg.Pprof != "" {
		p, err := obs.NewPprof(cfg.Pprof, log)
		if err != nil {
			return err
		}
		services = append(services, p.Run)
	}
	// The ports are bound: who connects from now on is served.
	if err := process.WriteReady(cfg.ReadyFile, ports); err != nil {
		return err
	}
	fmt.Printf("Govidu media node is ready: %s  (media on UDP and TCP port %d)\n", strings.Join(urls, " and "), node.Engine.Port())

	group, ctx := errgroup.WithContext(gentle)
	for _, run := range services {
		group.Go(func() error { return run(ctx) })
	}
	<-ctx.Done()
	shut, cancel := context.WithTimeout(hard, hardEnd)
	defer cancel()
	err = down.Close(shut)
	return errors.Join(err, group.Wait())
}
