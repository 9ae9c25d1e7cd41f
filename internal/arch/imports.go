package arch

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the import path of this module.
const Module = "github.com/govidu/govidu"

// Package is what the checks need of `go list -json`. Paths of our own packages
// are relative to the module ("pipeline"), others are whole.
type Package struct {
	Path    string
	Imports []string // direct, without tests
	Deps    []string // all, transitive
	Std     bool
}

// Rule bounds what a set of packages may import. It holds for every package whose
// path matches Of, except those that match But.
type Rule struct {
	Of, But []string
	// Only lists our own packages that may be imported directly; nil is no bound.
	Only []string
	// Never lists packages, ours or not, that must not be reached, even through
	// others.
	Never []string
	Why   string
}

// leaves may be imported from everywhere: they import nothing of ours and hold no
// policy.
var leaves = []string{"internal/secret", "internal/kerr", "internal/dot", "internal/layout", "internal/proof", "internal/speaker"}

// Rules is the import table. A pattern is a path, or a path with /... for it and
// everything below.
var Rules = []Rule{
	{
		Of:    []string{"pipeline"},
		Only:  []string{"internal/codec", "internal/kerr"},
		Never: []string{"github.com/pion/webrtc/...", "github.com/pion/interceptor/...", "net/http"},
		Why:   "the graph knows packets, not the network they came from",
	},
	{
		Of:    []string{"elements"},
		Only:  []string{"pipeline", "internal/kerr", "internal/codec"},
		Never: []string{"github.com/pion/webrtc/...", "github.com/sourcegraph/jsonrpc2", "internal/jsonrpc", "kms/..."},
		Why:   "a description of types must not drag in a protocol or a library",
	},
	{
		Of:    []string{"elements/..."},
		But:   []string{"elements", "elements/all"},
		Never: []string{"kms/...", "openvidu/...", "internal/gst/...", "internal/jsonrpc"},
		Why:   "a family of elements is created by kms, not the other way round",
	},
	{
		Of:    []string{"elements/webrtc/transport/srtp", "elements/webrtc/transport/udp"},
		Only:  []string{},
		Never: []string{"github.com/pion/...", "net/http"},
		Why:   "a cipher and a socket know nothing of peers",
	},
	{
		Of:    []string{"kms"},
		Only:  []string{"elements", "pipeline", "internal/jsonrpc", "internal/kerr", "internal/obs"},
		Never: []string{"elements/webrtc/...", "elements/uri/...", "elements/rtp/...", "elements/hubs/...", "elements/filters/...", "recorder/...", "openvidu/..."},
		Why:   "kms serves whatever registry it is given and names no element",
	},
	{
		Of:    []string{"kms/client"},
		Only:  []string{"internal/jsonrpc", "internal/kerr", "internal/obs"},
		Never: []string{"kms", "pipeline", "elements/..."},
		Why:   "a client must be usable without the server",
	},
	{
		Of:    []string{"openvidu/..."},
		But:   []string{"openvidu/mediatest"},
		Only:  []string{"openvidu/...", "kms/client", "internal/cluster", "internal/jsonrpc", "internal/obs", "internal/loop", "internal/turn", "internal/secret", "internal/kerr"},
		Never: []string{"pipeline", "elements/...", "kms", "recorder/...", "github.com/pion/webrtc/...", "github.com/pion/interceptor/..."},
		Why:   "rooms reach media through the Kurento protocol only, so that the node may be anywhere",
	},
	{
		Of:    []string{"openvidu/webpage"},
		Only:  []string{"openvidu", "openvidu/recording", "openvidu/studio", "kms/client", "internal/obs", "internal/secret", "internal/kerr"},
		Never: []string{"github.com/chromedp/...", "internal/fetch", "openvidu/rest", "openvidu/signal", "openvidu/broadcast"},
		Why:   "a browser is spoken to over a pipe, and reaches the network as whoever made the service lets it",
	},
	{
		Of:    []string{"recorder/..."},
		But:   []string{"recorder/storage"},
		Only:  []string{"recorder/...", "pipeline/...", "internal/codec/...", "internal/kerr"},
		Never: []string{"internal/jsonrpc", "openvidu/...", "kms/...", "elements/...", "net/http"},
		Why:   "writing a file knows neither RPC nor rooms",
	},
	{
		Of:    []string{"internal/codec", "internal/kerr", "internal/secret", "internal/dot", "internal/layout", "internal/proof", "internal/speaker", "internal/gst"},
		Only:  []string{},
		Never: []string{"net/http"},
		Why:   "the lowest shelf holds facts and tools, nothing of ours",
	},
	{
		Of:    []string{"internal/mediaworker"},
		Only:  []string{"internal/gst", "internal/codec", "internal/workers/wire"},
		Never: []string{"elements/...", "openvidu/...", "internal/jsonrpc", "kms/..."},
		Why:   "a worker does one job on pixels or samples and knows no room",
	},
	{
		Of:    []string{"internal/workers/..."},
		Only:  []string{"internal/workers/...", "pipeline", "internal/codec"},
		Never: []string{"internal/gst", "internal/mediaworker", "elements/...", "openvidu/...", "kms/...", "internal/jsonrpc"},
		Why:   "who starts and supervises processes knows frames and sockets, not what the jobs are for",
	},
	{
		Of:    []string{"internal/workers/wire"},
		Only:  []string{},
		Never: []string{"pipeline", "internal/workers"},
		Why:   "both sides speak the protocol; it is nobody's",
	},
	{
		Of:    []string{"cmd/mediaworker"},
		Only:  []string{"internal/mediaworker", "internal/workers/wire", "internal/process"},
		Never: []string{"elements/...", "openvidu/...", "kms/...", "pipeline"},
		Why:   "the program around a worker only starts it",
	},
	{
		Of:    []string{"internal/workers/wire"},
		Only:  []string{},
		Never: []string{"net"},
		Why:   "both ends share the wire, and nothing else",
	},
	{
		Of:    []string{"cmd/openvidu-server", "cmd/kms", "cmd/ovctl"},
		Never: []string{"internal/gst", "internal/mediaworker", "github.com/go-gst/...", "runtime/cgo"},
		Why:   "these binaries are pure Go: a crash in C must not end every room",
	},
	{
		Of:    []string{"..."},
		But:   []string{"cmd/mediaworker", "internal/mediaworker", "internal/gst"},
		Never: []string{"github.com/go-gst/..."},
		Why:   "GStreamer lives in worker processes, behind internal/gst",
	},
	{
		Of:    []string{"..."},
		But:   []string{"cmd/...", "internal/arch"},
		Never: []string{"cmd/..."},
		Why:   "programs put packages together; nothing imports a program",
	},
	{
		Of:    []string{"internal/jsonrpc", "internal/cluster", "internal/loop", "internal/obs", "internal/serve", "internal/process", "internal/config", "internal/turn"},
		Never: []string{"openvidu/...", "kms/...", "elements/...", "pipeline/...", "recorder/..."},
		Why:   "tools do not know what they are used for",
	},
}

// familyRule: no family of elements imports another.
const familyWhy = "families of elements meet in a pipeline, not in code"

// Check gives one sentence per forbidden edge.
func Check(packages []Package, rules []Rule) []string {
	var bad []string
	ours := map[string]bool{}
	for _, p := range packages {
		ours[p.Path] = true
	}
	for _, p := range packages {
		for _, r := range rules {
			if !matches(r.Of, p.Path) || matches(r.But, p.Path) {
				continue
			}
			if r.Only != nil {
				for _, i := range p.Imports {
					if ours[i] && !matches(r.Only, i) && !matches(leaves, i) {
						bad = append(bad, fmt.Sprintf("%s imports %s, which is not among %s: %s", p.Path, i, strings.Join(r.Only, ", "), r.Why))
					}
				}
			}
			for _, d := range p.Deps {
				if d != p.Path && matches(r.Never, d) {
					bad = append(bad, fmt.Sprintf("%s reaches %s: %s", p.Path, d, r.Why))
				}
			}
		}
		bad = append(bad, checkFamily(p)...)
	}
	return bad
}

// checkFamily: elements/webrtc/... may not import elements/uri and so on; core
// bases and the contract suite are everybody's.
func checkFamily(p Package) []string {
	family := func(path string) string {
		rest, ok := strings.CutPrefix(path, "elements/")
		if !ok {
			return ""
		}
		name, _, _ := strings.Cut(rest, "/")
		if slices.Contains([]string{"all", "elementtest", "core"}, name) {
			return ""
		}
		return name
	}
	mine := family(p.Path)
	if mine == "" {
		return nil
	}
	var bad []string
	for _, d := range p.Deps {
		if other := family(d); other != "" && other != mine {
			bad = append(bad, fmt.Sprintf("%s reaches %s: %s", p.Path, d, familyWhy))
		}
	}
	return bad
}

// matches says whether a path is one of the patterns.
func matches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "..." {
			return true
		}
		if base, ok := strings.CutSuffix(p, "/..."); ok {
			return path == base || strings.HasPrefix(path, base+"/")
		}
		return path == p
	})
}
