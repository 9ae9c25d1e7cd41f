// Package medianode assembles a media node: the media port, every element type of
// this build, and the Kurento server that drives them. Both openvidu-server and
// kms hold one. It owns what it assembles; Close ends it, youngest part first.
package medianode

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/all"
	"github.com/govidu/govidu/elements/filters"
	"github.com/govidu/govidu/elements/hubs"
	"github.com/govidu/govidu/elements/rtp"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/elements/webrtc"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/kms"
	"github.com/govidu/govidu/pipeline"
)

// Config is what a node needs to know. Log is required.
type Config struct {
	// MediaPort is the UDP and TCP port of all media; 0 picks a free one.
	MediaPort int
	// STUNPort is the UDP port that answers STUN alone; 0 picks a
	// free one, and below 0 there is none.
	STUNPort int
	// AnnouncedIPs are this machine's public addresses, when it is behind NAT.
	AnnouncedIPs []string
	// Loopback lets browsers on this machine use loopback addresses (dev mode).
	Loopback bool
	// FileRoots are the folders that file:// URIs may point into.
	FileRoots []string
	// Token and Open govern callers beyond loopback (see kms.Config).
	Token secret.Secret
	Open  bool
	// AllowedOrigins are browser pages that may drive the node.
	AllowedOrigins []string
	// Path, ExceptionLimit, SessionPeriod and NoRequestCache are those of
	// kms.Config; zero values have its defaults.
	Path           string
	ExceptionLimit float64
	SessionPeriod  time.Duration
	NoRequestCache bool
	// Workers finds and bounds the processes that handle pictures and samples;
	// its Log and Metrics are set here.
	Workers workers.Config
	// RTPMinPort and RTPMaxPort bound the ports of RtpEndpoints; 0 and 0 is 1024 to 65535.
	RTPMinPort, RTPMaxPort int
	// Endpoints are the properties that WebRtcEndpoints begin with.
	Endpoints webrtc.Defaults
	// PEMCertificateRSA and PEMCertificateECDSA are files with a key and a
	// certificate for DTLS; "" has the process make its own.
	PEMCertificateRSA, PEMCertificateECDSA string
	// HTTPPost is where HttpPostEndpoints listen.
	HTTPPost uri.HTTP
	// DenyPrivateURLs keeps players, recorders and filters off loopback and
	// private networks.
	DenyPrivateURLs bool
	// NodeID goes into the sidecars of recordings.
	NodeID string
	// CPULimit is the share of the processors from which nobody new is taken; halfway
	// between it and all of them, video in layers is sent smaller. 0 is never. CPU tells
	// the share in use, with media workers; nil counts this process alone.
	CPULimit float64
	CPU      func() float64
	// Busy is that of kms.Config.
	Busy    func() string
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Node is a running media node.
type Node struct {
	Engine *transport.Engine
	Server *kms.Server
	// HLS serves the streams of HlsEndpoints below /hls/.
	HLS *uri.HLSServer
	// Workers runs the media workers.
	Workers *workers.Pool
}

// New binds the media port and starts the node.
func New(c Config) (*Node, error) {
	announced, err := addresses(c.AnnouncedIPs)
	if err != nil {
		return nil, err
	}
	if err := c.Endpoints.Check(); err != nil {
		return nil, fmt.Errorf("read settings of endpoints: %w", err)
	}
	n := &Node{HLS: uri.NewHLSServer()}
	n.Engine, err = transport.NewEngine(transport.Config{
		MediaPort: c.MediaPort, STUNPort: c.STUNPort, AnnouncedIPs: announced, Loopback: c.Loopback, ICETCP: true, Log: c.Log,
		PEMCertificateRSA: c.PEMCertificateRSA, PEMCertificateECDSA: c.PEMCertificateECDSA,
		ShedLoad: shedLoad(c.CPULimit), CPU: c.CPU,
	})
	if err != nil {
		return nil, fmt.Errorf("open media port: %w", err)
	}
	if c.Metrics != nil {
		if err := c.Metrics.Register(collector{n.Engine}); err != nil {
			return nil, errors.Join(fmt.Errorf("register metrics: %w", err), n.Close())
		}
	}
	if err := n.serve(c); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) serve(c Config) error {
	announced, err := addresses(c.AnnouncedIPs)
	if err != nil {
		return err
	}
	c.Workers.Log, c.Workers.Metrics = c.Log, c.Metrics
	n.Workers = workers.NewPool(c.Workers)
	policy := &fetch.Policy{FileRoots: c.FileRoots, AllowPrivate: !c.DenyPrivateURLs}
	registry, err := elements.NewRegistry(all.Types(all.Deps{
		WebRTC: n.Engine, Endpoints: c.Endpoints,
		URI:     uri.Deps{Fetch: policy, FileRoots: c.FileRoots, Workers: n.Workers, HTTP: c.HTTPPost, HLS: n.HLS, NodeID: c.NodeID},
		RTP:     rtp.Deps{AnnouncedIPs: announced, MinPort: c.RTPMinPort, MaxPort: c.RTPMaxPort, MTU: c.Endpoints.MTU},
		Hubs:    hubs.Deps{Pool: n.Workers, Images: policy},
		Filters: filters.Deps{Pool: n.Workers, Images: policy},
	})...)
	if err != nil {
		return fmt.Errorf("collect element types: %w", err)
	}
	converters := []pipeline.Converter{
		pipeline.NewDepacketizer(), pipeline.NewPacketizer(), pipeline.NewEncoder(), workers.NewDecoder(n.Workers),
	}
	n.Server, err = kms.NewServer(kms.Config{
		Registry: registry, Converters: converters, Log: c.Log, Metrics: c.Metrics,
		AllowedOrigins: c.AllowedOrigins, Token: c.Token.Reveal(), Open: c.Open,
		Path: c.Path, ExceptionLimit: c.ExceptionLimit, SessionPeriod: c.SessionPeriod, NoRequestCache: c.NoRequestCache, Busy: c.Busy,
	})
	return err
}

// Handler serves the control connections and, beside them, the streams of
// HlsEndpoints, which their path alone protects.
func (n *Node) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/hls/") {
			n.HLS.ServeHTTP(w, r)
			return
		}
		n.Server.ServeHTTP(w, r)
	})
}

// Close ends the control connections and every object, then the workers and the
// media port.
func (n *Node) Close() error {
	var errs []error
	if n.Server != nil {
		errs = append(errs, n.Server.Close())
	}
	if n.Workers != nil {
		errs = append(errs, n.Workers.Close())
	}
	if n.Engine != nil {
		errs = append(errs, n.Engine.Close())
	}
	errs = append(errs, n.HLS.Close())
	return errors.Join(errs...)
}

// shedLoad is halfway between the limit for newcomers and everything, so that those
// are refused first.
func shedLoad(limit float64) float64 {
	if limit <= 0 {
		return 0
	}
	return (1 + limit) / 2
}

func addresses(list []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("read announced address: %w", err)
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}
