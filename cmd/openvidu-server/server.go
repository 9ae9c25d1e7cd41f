package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/govidu/govidu/elements/webrtc"
	"github.com/govidu/govidu/internal/config"
	"github.com/govidu/govidu/internal/medianode"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/process"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/internal/serve"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/broadcast"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/recording"
	"github.com/govidu/govidu/openvidu/rest"
	"github.com/govidu/govidu/openvidu/signal"
	"github.com/govidu/govidu/openvidu/studio"
	"github.com/govidu/govidu/openvidu/web"
	"github.com/govidu/govidu/openvidu/webpage"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/storage"
)

// compatible is the OpenVidu release whose contract is served.
const compatible = "2.32.2"

// hardEnd is how long closing may take; acceptEnd how long HTTP requests under way
// may go on once no new ones are accepted.
const (
	hardEnd   = 15 * time.Second
	acceptEnd = 2 * time.Second
)

// server is the whole of the process. Its parts are made in newServer, in the
// order of the fields, and closed backwards by down.
type server struct {
	cfg     *config.Config
	version string
	log     *slog.Logger
	metrics *prometheus.Registry
	down    *process.Down
	load    *process.Load
	refused func(what string) // counts
	// draining is set by the first signal: no new sessions or recordings.
	draining, ready atomic.Bool

	https      *serve.Server
	trusted    string // the public key of our certificate (webpage.Options)
	layouts    secret.Secret
	node       *medianode.Node
	media      *localMedia
	manager    *openvidu.Manager
	studios    *studio.Service
	storage    *storage.Uploader // nil when recordings stay in their folder
	pages      *webpage.Service
	recordings *recording.Service // nil when recording is switched off
	broadcasts *broadcast.Service
	signal     *signal.Handler
	kms        []medianode.ControlPort // none when the Kurento port is switched off
	pprof      *obs.Pprof              // nil unless asked for
}

// newServer makes every part and binds every port, but serves nothing yet. What it
// had made is closed when a later part fails.
func newServer(ctx context.Context, cfg *config.Config, version string, log *slog.Logger) (*server, error) {
	s := &server{
		cfg: cfg, version: version, log: log, metrics: obs.NewRegistry(version),
		down: &process.Down{Log: log}, load: &process.Load{CPULimit: cfg.CPULimit},
	}
	mux := http.NewServeMux()
	for _, step := range []func() error{
		func() error { return s.openHTTPS(mux) },
		func() error { return s.startMedia(ctx) },
		s.startRooms,
		s.startStudios,
		s.startPages,
		func() error { return s.startStorage(ctx) },
		func() error { return s.startRecordings(ctx) },
		s.startBroadcasts,
		func() error { return s.openDoors(mux) },
		s.openKurento,
		s.openPprof,
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, s.down.CloseWithin(context.Background(), hardEnd))
		}
	}
	s.arrangeClosing()
	return s, nil
}

func (s *server) openHTTPS(mux *http.ServeMux) error {
	certificate, err := s.certificate()
	if err != nil {
		return err
	}
	s.trusted = publicKey(certificate)
	proxies, err := s.proxies()
	if err != nil {
		return err
	}
	files, _, err := process.OpenFiles()
	if err != nil {
		return err
	}
	s.https, err = serve.New(serve.Options{
		Addr: net.JoinHostPort(s.cfg.BindHost(), strconv.Itoa(s.cfg.HTTPSPort)), TLS: certificate,
		Handler: s.gate(mux), MaxConns: min(serve.DefaultMaxConns, int(files/10*8)), Uncounted: proxies, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.down.Add("https port", func(context.Context) error { return s.https.Close() })
	return nil
}

// proxies are those whose X-Real-IP is believed. Without TLS of our own a proxy on
// this machine is what stands in front.
func (s *server) proxies() ([]netip.Prefix, error) {
	list, err := config.Prefixes(s.cfg.TrustedProxies)
	if s.cfg.ForcePlainHTTP {
		list = append(list, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	}
	return list, err
}

func (s *server) port() int { return s.https.Addr().Port }

// startMedia finishes what a dead process left of its files, then starts the node.
func (s *server) startMedia(ctx context.Context) error {
	dir, err := filepath.Abs(s.cfg.RecordingPath)
	if err != nil {
		return fmt.Errorf("find recordings folder: %w", err)
	}
	roots := append([]string{dir}, s.cfg.FileRoots...)
	if err := recoverFiles(ctx, roots, s.log); err != nil {
		return err
	}
	media := medianode.Config{STUNPort: s.cfg.STUNPort, Loopback: s.cfg.Dev, Log: s.log, Metrics: s.metrics, CPULimit: s.cfg.CPULimit, CPU: s.load.CPU, Busy: s.load.Busy}
	if err := media.Apply(s.cfg.Media, s.cfg.Kurento, s.cfg.Endpoints); err != nil {
		return err
	}
	media.FileRoots = roots
	media.AllowedOrigins = slices.Concat(s.cfg.AllowedOrigins, s.cfg.KMSAllowedOrigins)
	s.node, err = medianode.New(media)
	if err != nil {
		return err
	}
	s.down.Add("media node", func(context.Context) error { return s.node.Close() })
	s.media = &localMedia{server: s.node.Server}
	s.down.Add("media client", func(context.Context) error { return s.media.Close() })
	return nil
}

func (s *server) startRooms() error {
	c := s.cfg
	interval := time.Duration(c.GarbageInterval) * time.Second
	if interval == 0 {
		interval = -1 // never; 0 would be the default
	}
	var err error
	s.manager, err = openvidu.New(openvidu.Options{
		Log: s.log, Media: s.media, Events: events.Log{Logger: s.log},
		Secret: c.Secret, AllowSecretJoin: c.AllowSecretJoin,
		PublicHost: c.PublicHost(), PublicPort: s.port(), PlainHTTP: c.ForcePlainHTTP,
		LegacyTokens: c.SupportDeprecatedAPI, Version: compatible,
		OwnICEServers: s.ownICE(), DefaultICEServers: func() []openvidu.ICEServer { return defaultICE(c.ICEServers, time.Now()) },
		Bandwidth:        openvidu.Bandwidth{MaxRecv: c.MaxRecvBandwidth, MinRecv: c.MinRecvBandwidth, MaxSend: c.MaxSendBandwidth, MinSend: c.MinSendBandwidth},
		ForcedVideoCodec: c.ForcedVideoCodec, AllowTranscoding: c.AllowTranscoding,
		Busy: s.load.Busy, Refused: s.loadMetrics(),
		ServerOffers: c.Simulcast, Simulcast: c.Simulcast && webrtc.CanLayer(), Layers: webrtc.CanLayer(),
		RecordingNotification: c.RecordingNotification,
		GarbageInterval:       interval, GarbageThreshold: time.Duration(c.GarbageThreshold) * time.Second,
	})
	if err != nil {
		return err
	}
	s.down.Add("rooms", func(context.Context) error { return s.manager.Close() })
	return nil
}

// startStudios starts what composes sessions, for recordings and broadcasts.
func (s *server) startStudios() error {
	s.studios = studio.New(studio.Options{Rooms: s.manager, Log: s.log, LayoutsDir: s.cfg.RecordingCustomLayout})
	s.down.Add("studios", func(context.Context) error { return s.studios.Close() })
	s.manager.SetRecorder(openvidu.Recorders(s.studios))
	return nil
}

// startRecordings starts the service and lets it finish, in the background, the
// recordings of a dead process.
func (s *server) startRecordings(ctx context.Context) error {
	if !s.cfg.RecordingEnabled {
		return nil
	}
	keys, err := proof.OpenKeys(filepath.Join(s.cfg.StateDir, "recording-keys"))
	if err != nil {
		return fmt.Errorf("keys of recordings: %w", err)
	}
	s.recordings, err = recording.New(recording.Options{
		Keys: keys, Dir: s.cfg.RecordingPath, Rooms: s.manager, Log: s.log, ProcessID: recorder.ProcessID(),
		PublicURL:       s.cfg.PublicURL(s.port()),
		AutostopTimeout: time.Duration(s.cfg.RecordingAutostop) * time.Second,
		Studios:         s.studios, Nodes: s.media, Pages: s.pages,
		Storage: storageOf(s.storage), ReadyWhenUploaded: s.cfg.ReadyWhenUploaded,
	})
	if err != nil {
		return err
	}
	s.manager.SetRecorder(openvidu.Recorders(s.recordings, s.studios))
	s.down.Add("recordings", func(context.Context) error { return s.recordings.Close() })
	s.log.Info("recordings recovered", "report", fmt.Sprintf("%+v", s.recordings.Recover(ctx)))
	return nil
}

func (s *server) openDoors(mux *http.ServeMux) error {
	proxies, err := s.proxies()
	if err != nil {
		return err
	}
	s.signal = signal.New(signal.Options{
		Manager: s.manager, Log: s.log, AllowedOrigins: s.cfg.AllowedOrigins, ClientIP: serve.ClientIP(proxies),
	})
	s.down.Add("signalling sockets", func(context.Context) error { return s.signal.Close() })
	mux.Handle("GET /openvidu", s.signal)
	rest.New(rest.Options{
		Manager: s.manager, Recordings: s.recordings, Broadcasts: s.broadcasts, Secret: s.cfg.Secret, Config: s.restConfig(),
		PublicRecordings: s.cfg.RecordingPublicAccess, AllowedOrigins: s.cfg.AllowedOrigins, TrustedProxies: proxies,
		DeprecatedAPI: s.cfg.SupportDeprecatedAPI, Log: s.log,
		LayoutsDir: s.cfg.RecordingCustomLayout, LayoutsPassword: s.layouts,
	}).Register(mux)
	page := web.Options{Demo: s.cfg.Demo, Rooms: s.manager, Version: s.version, Log: s.log}
	if s.recordings != nil {
		page.Recordings = s.recordings
	}
	web.Register(mux, page)
	mux.Handle("/openvidu/hls/", http.StripPrefix("/openvidu", s.node.HLS))
	s.registerProbes(mux)
	return nil
}

func (s *server) openKurento() error {
	var err error
	s.kms, err = medianode.Listen(s.cfg.Kurento, s.node.Handler(), s.log)
	if err != nil {
		return fmt.Errorf("open the Kurento port: %w", err)
	}
	for _, p := range s.kms {
		s.down.Add("kurento port", func(context.Context) error { return p.Close() })
	}
	return nil
}

func (s *server) openPprof() error {
	if s.cfg.Pprof == "" {
		return nil
	}
	var err error
	s.pprof, err = obs.NewPprof(s.cfg.Pprof, s.log)
	return err
}

// arrangeClosing is the one list of docs/closures.md: what is closed when the
// process stops, last line first. Births had another order, because ports are
// bound before anything that needs their numbers.
func (s *server) arrangeClosing() {
	s.down = &process.Down{Log: s.log}
	s.down.Add("media node", func(context.Context) error { return s.node.Close() })
	s.down.Add("media client", func(context.Context) error { return s.media.Close() })
	s.down.Add("signalling sockets", func(context.Context) error { return s.signal.Close() })
	s.down.Add("rooms", func(context.Context) error { return s.manager.Close() })
	s.down.Add("studios", func(context.Context) error { return s.studios.Close() })
	s.down.Add("web pages", func(context.Context) error { return s.pages.Close() })
	s.down.Add("broadcasts", func(context.Context) error { return s.broadcasts.Close() })
	if s.storage != nil {
		s.down.Add("storage", func(context.Context) error { return s.storage.Close() })
	}
	if s.recordings != nil {
		s.down.Add("recordings", func(context.Context) error { return s.recordings.Close() })
	}
	for _, p := range s.kms {
		s.down.Add("kurento port", p.Shutdown)
	}
	s.down.Add("https port", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, acceptEnd)
		defer cancel()
		if err := s.https.Shutdown(ctx); err != nil {
			s.log.Debug("HTTP requests were cut", obs.AttrErr, err) // a long download, no fault
		}
		return nil
	})
}

// run serves until gentle ends or a part fails, then drains and closes.
func (s *server) run(gentle, hard context.Context) error {
	group, ctx := errgroup.WithContext(gentle)
	group.Go(s.https.Run)
	for _, p := range s.kms {
		group.Go(p.Run)
	}
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	group.Go(func() error { return s.load.Run(background) })
	if s.pprof != nil {
		group.Go(func() error { return s.pprof.Run(background) })
	}
	s.ready.Store(true)
	if err := process.WriteReady(s.cfg.ReadyFile, s.ports()); err != nil {
		s.log.Error("ready file", obs.AttrErr, err)
	}
	fmt.Println(s.greeting())

	<-ctx.Done()
	s.draining.Store(true)
	s.drain(hard)
	err := s.down.CloseWithin(hard, hardEnd)
	stopBackground()
	return errors.Join(err, group.Wait())
}

// drain waits until the rooms are empty, the time is up or hard ends. Joins to
// rooms that are here still work meanwhile.
func (s *server) drain(hard context.Context) {
	if s.cfg.DrainTimeout == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(hard, s.cfg.DrainTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := s.manager.Sessions(ctx, openvidu.ViewOptions{})
		active := 0
		for _, session := range list {
			if session.Active {
				active++
			}
		}
		if err != nil || active == 0 {
			return
		}
		select {
		case <-ctx.Done():
			s.log.Info("calls are cut", "sessions", active)
			return
		case <-tick.C:
		}
	}
}
