// Package medianode assembles a media node: the media port, every element type of
// this build, and the Kurento server that drives them. Both openvidu-server and
// kms hold one. It owns what it assembles; Close ends it, youngest part first.
package medianode

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/all"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/internal/secret"
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
	Log            *slog.Logger
	Metrics        prometheus.Registerer
}

// Node is a running media node.
type Node struct {
	Engine *transport.Engine
	Server *kms.Server
}

// New binds the media port and starts the node.
func New(c Config) (*Node, error) {
	announced, err := addresses(c.AnnouncedIPs)
	if err != nil {
		return nil, err
	}
	n := &Node{}
	n.Engine, err = transport.NewEngine(transport.Config{
		MediaPort: c.MediaPort, STUNPort: c.STUNPort, AnnouncedIPs: announced, Loopback: c.Loopback, ICETCP: true, Log: c.Log,
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
	registry, err := elements.NewRegistry(all.Types(all.Deps{WebRTC: n.Engine, URI: uri.Deps{FileRoots: c.FileRoots}})...)
	if err != nil {
		return fmt.Errorf("collect element types: %w", err)
	}
	n.Server, err = kms.NewServer(kms.Config{
		Registry: registry, Converters: []pipeline.Converter{pipeline.NewDepacketizer()}, Log: c.Log, Metrics: c.Metrics, AllowedOrigins: c.AllowedOrigins, Token: c.Token.Reveal(), Open: c.Open,
	})
	return err
}

// Close ends the control connections and every object, then the media port.
func (n *Node) Close() error {
	var errs []error
	if n.Server != nil {
		errs = append(errs, n.Server.Close())
	}
	if n.Engine != nil {
		errs = append(errs, n.Engine.Close())
	}
	return errors.Join(errs...)
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
