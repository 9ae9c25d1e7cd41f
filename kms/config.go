package kms

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// Config is what a Server needs; the zero value of each field but Registry has
// a default.
type Config struct {
	// Registry holds the types to serve; ServerManager is added by the Server.
	Registry *elements.Registry
	// Converters are what links of each new pipeline may be bridged with.
	Converters []pipeline.Converter
	Log        *slog.Logger
	// Metrics receives kms_objects and kms_rpc_seconds; nil keeps none.
	Metrics prometheus.Registerer

	// Path of the WebSocket without its leading slash; "kurento".
	Path string
	// AllowedOrigins are Origin headers accepted beside loopback ones and the
	// bare host:port of the Host header; "*" accepts all.
	AllowedOrigins []string
	// Token is what callers who are not on loopback must bring, as a bearer token
	// or as ?access_token=. Without one they are refused unless Open.
	Token string
	// Open serves callers from anywhere without a token. A caller whose TLS
	// certificate the listener has verified needs none either.
	Open bool

	// Version is what getInfo and the models say; "7.3.0", the protocol served.
	Version string
	// Metadata is ServerManager's metadata text.
	Metadata string
	// MaxObjects of one rpcSession (10,000) and MaxPipelines of the server
	// (2,000): above them create answers 40009.
	MaxObjects, MaxPipelines int
	// MaxSessions bounds rpcSessions (20,000): above it the oldest that has neither
	// socket nor object goes, and when there is none, a new one is refused with 40009.
	MaxSessions int
	// ExceptionLimit is the part of the process's limits of threads and open files
	// above which create answers 40009 (0.8, resources.exceptionLimit of
	// kurento.conf.json); 1 or more turns it off. Measure replaces what reads the
	// use, for tests.
	ExceptionLimit float64
	Measure        func() Usage
	// Busy tells why no pipeline more should be made, "" while there is room. Clients
	// that came by a socket get 40009 with that text; those of Pipe, which this process
	// has let in itself, are served. nil is never.
	Busy func() string
	// NoRequestCache serves repeated ids anew (resources.disableRequestCache).
	NoRequestCache bool
	// SessionPeriod is the collector's (240 s): an rpcSession with neither
	// request nor socket for a whole period is dropped.
	SessionPeriod time.Duration
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Path == "" {
		c.Path = "kurento"
	}
	if c.Version == "" {
		c.Version = "7.3.0"
	}
	if c.Busy == nil {
		c.Busy = func() string { return "" }
	}
	if c.MaxObjects == 0 {
		c.MaxObjects = 10_000
	}
	if c.MaxPipelines == 0 {
		c.MaxPipelines = 2_000
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 20_000
	}
	if c.ExceptionLimit == 0 {
		c.ExceptionLimit = 0.8
	}
	if c.Measure == nil {
		c.Measure = measureUsage
	}
	if c.SessionPeriod == 0 {
		c.SessionPeriod = 240 * time.Second
	}
	return c
}

// Limits of one connection (robustness §2, amendments 9).
const (
	maxMessage      = 16 << 20
	maxFirstMessage = 1 << 20 // until a valid request came
	outstanding     = 1024    // requests waiting or running
	queueMessages   = 8192
	queueBytes      = 64 << 20
)
