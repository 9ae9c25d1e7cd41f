package openvidu

import (
	"context"
	"log/slog"
	"time"

	"github.com/govidu/govidu/internal/cluster"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

// MediaNodes is what rooms need of the media nodes.
type MediaNodes interface {
	// Place gives a live client of a node for a new session. Every session of the
	// node may share it; it belongs to the implementation, which replaces it when
	// its Lost channel has closed.
	Place(ctx context.Context) (client.Client, error)
}

// Options configure a Manager. Zero values mean the contract's defaults unless a
// field says otherwise.
type Options struct {
	Log    *slog.Logger  // discards if nil
	Store  cluster.Store // memory if nil
	Media  MediaNodes    // required
	Events events.Sink   // none if nil

	// Secret is the server's; with AllowSecretJoin a browser that shows it joins
	// without a token and without role checks.
	Secret          auth.Secret
	AllowSecretJoin bool

	// PublicHost and PublicPort (443 is left out of URLs) appear in tokens;
	// PlainHTTP makes them ws:// instead of wss://.
	PublicHost string
	PublicPort int
	PlainHTTP  bool
	// LegacyTokens adds role, version and TURN parameters to the token URL, for
	// clients older than 2.17.
	LegacyTokens bool
	// Version is the OpenVidu version clients are told when they do not say theirs.
	Version string // default "2.32.2"

	// OwnICEServers are always announced, first; at least our own STUN responder.
	OwnICEServers []ICEServer
	// DefaultICEServers gives those of connections that name none of their own; it is
	// asked for each, because credentials end. None if nil.
	DefaultICEServers func() []ICEServer
	// CoturnIP, CoturnPort and TURNCredentials serve clients of 2.16 to 2.20.
	CoturnIP        string
	CoturnPort      int
	TURNCredentials func(connectionID string) (username, credential string)

	// Bandwidth is the default limit in kbit/s, 0 = none (see DefaultBandwidth).
	Bandwidth        Bandwidth
	ForcedVideoCodec string // default MEDIA_SERVER_PREFERRED
	AllowTranscoding bool
	// ServerOffers tells clients of 2.18 and later that the media server is
	// mediasoup, whose subscribers are offered to; others are told kurento (§7.2).
	// MEDIA_SERVER_PREFERRED is then NONE.
	ServerOffers bool
	// Layers says that the media nodes have LayeredEndpoint, ours beside Kurento's;
	// Simulcast asks the clients that ServerOffers concerns to publish in layers.
	Layers, Simulcast bool

	// Busy says why nobody new should be taken, "" when there is room: sessions and
	// joins are refused with ErrBusy, reconnections are not. Refused hears of each
	// ("session", "participant"). Either may be nil.
	Busy    func() string
	Refused func(what string)

	RecordingNotification string // none, moderator, publisher_moderator (default), all

	ReconnectWindow  time.Duration // default 10 s
	GarbageInterval  time.Duration // default 900 s, negative disables
	GarbageThreshold time.Duration // default 3600 s
	MediaTimeout     time.Duration // one media call, default 9 s: under the client's 10
	Limits           Limits
}

// Bandwidth limits of one connection's video in kbit/s, 0 = no limit. Recv is
// browser to server, Send server to browser.
type Bandwidth struct{ MaxRecv, MinRecv, MaxSend, MinSend int }

// DefaultBandwidth is the contract's (1000, 300, 1000, 300).
func DefaultBandwidth() Bandwidth { return Bandwidth{1000, 300, 1000, 300} }

// Limits bound what one API caller or browser can make the server hold; 0 means
// the default.
type Limits struct {
	Sessions     int // per server, default 1000
	Participants int // per session, default 1000
	Pending      int // unused tokens per session, default 1000
	DataBytes    int // metadata and signal payload, default 64 KiB
	SDPBytes     int // default 128 KiB
	Candidates   int // per endpoint, default 64
	Replay       int // notifications kept for a lost connection, default 512
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (o *Options) setDefaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.DefaultICEServers == nil {
		o.DefaultICEServers = func() []ICEServer { return nil }
	}
	def(&o.PublicHost, "localhost")
	def(&o.PublicPort, 443)
	def(&o.Version, "2.32.2")
	def(&o.CoturnPort, 3478)
	def(&o.CoturnIP, o.PublicHost)
	def(&o.ForcedVideoCodec, CodecPreferred)
	def(&o.RecordingNotification, NotifyPublisherModerator)
	def(&o.ReconnectWindow, 10*time.Second)
	def(&o.GarbageInterval, 900*time.Second)
	def(&o.GarbageThreshold, 3600*time.Second)
	def(&o.MediaTimeout, 9*time.Second)
	def(&o.Limits.Sessions, 1000)
	def(&o.Limits.Participants, 1000)
	def(&o.Limits.Pending, 1000)
	def(&o.Limits.DataBytes, 64<<10)
	def(&o.Limits.SDPBytes, 128<<10)
	def(&o.Limits.Candidates, 64)
	def(&o.Limits.Replay, 512)
}

// Values of Options.RecordingNotification.
const (
	NotifyNone               = "none"
	NotifyModerator          = "moderator"
	NotifyPublisherModerator = "publisher_moderator"
	NotifyAll                = "all"
)
