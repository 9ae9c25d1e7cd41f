package rest

import (
	"html"
	"net/http"
	"strconv"
	"strings"
)

// Config is what the configuration calls show (contract §9). It holds no secret.
// Paths get their ending "/" here.
type Config struct {
	Version          string
	DomainOrPublicIP string
	HTTPSPort        int
	PublicURL        string // https://host[:port]/
	CDR              bool
	CDRPath          string

	VideoMaxRecvBandwidth, VideoMinRecvBandwidth int // kbit/s
	VideoMaxSendBandwidth, VideoMinSendBandwidth int // kbit/s
	ForcedVideoCodec                             string
	AllowTranscoding                             bool
	WebRTCSimulcast                              bool
	SessionsGarbageInterval                      int // s
	SessionsGarbageThreshold                     int // s

	// RecordingPath and the rest show only while recording is enabled.
	RecordingVersion         string
	RecordingPath            string
	RecordingNotification    string
	RecordingCustomLayout    string
	RecordingAutostopTimeout int // s
	RecordingComposedURL     string

	Webhook         bool
	WebhookEndpoint string
	WebhookHeaders  []string
	WebhookEvents   []string
}

// configBody has exactly the keys of the contract, in its order.
type configBody struct {
	Version          string  `json:"VERSION"`
	DomainOrPublicIP string  `json:"DOMAIN_OR_PUBLIC_IP"`
	HTTPSPort        int     `json:"HTTPS_PORT"`
	PublicURL        string  `json:"OPENVIDU_PUBLICURL"`
	CDR              bool    `json:"OPENVIDU_CDR"`
	CDRPath          *string `json:"OPENVIDU_CDR_PATH,omitempty"`
	MaxRecv          int     `json:"OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH"`
	MinRecv          int     `json:"OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH"`
	MaxSend          int     `json:"OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH"`
	MinSend          int     `json:"OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH"`
	ForcedCodec      string  `json:"OPENVIDU_STREAMS_FORCED_VIDEO_CODEC"`
	Transcoding      bool    `json:"OPENVIDU_STREAMS_ALLOW_TRANSCODING"`
	Simulcast        bool    `json:"OPENVIDU_WEBRTC_SIMULCAST"`
	GarbageInterval  int     `json:"OPENVIDU_SESSIONS_GARBAGE_INTERVAL"`
	GarbageThreshold int     `json:"OPENVIDU_SESSIONS_GARBAGE_THRESHOLD"`
	Recording        bool    `json:"OPENVIDU_RECORDING"`
	*recordingConfig
	Webhook bool `json:"OPENVIDU_WEBHOOK"`
	*webhookConfig
}

type recordingConfig struct {
	Version      string `json:"OPENVIDU_RECORDING_VERSION"`
	Path         string `json:"OPENVIDU_RECORDING_PATH"`
	PublicAccess bool   `json:"OPENVIDU_RECORDING_PUBLIC_ACCESS"`
	Notification string `json:"OPENVIDU_RECORDING_NOTIFICATION"`
	CustomLayout string `json:"OPENVIDU_RECORDING_CUSTOM_LAYOUT"`
	Autostop     int    `json:"OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT"`
	ComposedURL  string `json:"OPENVIDU_RECORDING_COMPOSED_URL,omitempty"`
}

type webhookConfig struct {
	Endpoint string   `json:"OPENVIDU_WEBHOOK_ENDPOINT"`
	Headers  []string `json:"OPENVIDU_WEBHOOK_HEADERS"`
	Events   []string `json:"OPENVIDU_WEBHOOK_EVENTS"`
}

func (h *Handler) getConfig(*http.Request, none) (configBody, error) {
	c := h.opts.Config
	b := configBody{
		Version: c.Version, DomainOrPublicIP: c.DomainOrPublicIP, HTTPSPort: c.HTTPSPort, PublicURL: slash(c.PublicURL), CDR: c.CDR,
		MaxRecv: c.VideoMaxRecvBandwidth, MinRecv: c.VideoMinRecvBandwidth, MaxSend: c.VideoMaxSendBandwidth, MinSend: c.VideoMinSendBandwidth,
		ForcedCodec: c.ForcedVideoCodec, Transcoding: c.AllowTranscoding, Simulcast: c.WebRTCSimulcast,
		GarbageInterval: c.SessionsGarbageInterval, GarbageThreshold: c.SessionsGarbageThreshold,
		Recording: h.opts.Recordings != nil, Webhook: c.Webhook,
	}
	if c.CDR {
		b.CDRPath = new(slash(c.CDRPath))
	}
	if b.Recording {
		b.recordingConfig = &recordingConfig{
			Version: c.RecordingVersion, Path: slash(c.RecordingPath), PublicAccess: h.opts.PublicRecordings, Notification: c.RecordingNotification,
			CustomLayout: slash(c.RecordingCustomLayout), Autostop: c.RecordingAutostopTimeout, ComposedURL: c.RecordingComposedURL,
		}
	}
	if c.Webhook {
		b.webhookConfig = &webhookConfig{c.WebhookEndpoint, append([]string{}, c.WebhookHeaders...), append([]string{}, c.WebhookEvents...)}
	}
	return b, nil
}

// configValues are the single values, sent as plain bodies.
func (h *Handler) configValues() map[string]string {
	c := h.opts.Config
	return map[string]string{
		"openvidu-version":        c.Version,
		"openvidu-publicurl":      slash(c.PublicURL),
		"openvidu-recording":      strconv.FormatBool(h.opts.Recordings != nil),
		"openvidu-recording-path": slash(c.RecordingPath),
		"openvidu-cdr":            strconv.FormatBool(c.CDR),
	}
}

func slash(s string) string {
	if s == "" {
		return s
	}
	return strings.TrimSuffix(s, "/") + "/"
}

func plain(value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(value))
	}
}

// acceptCertificate is the page a person opens once to accept a self-signed
// certificate (§13).
func acceptCertificate(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	_, _ = w.Write([]byte("<!doctype html><title>Certificate accepted</title><p>The certificate of <b>" +
		html.EscapeString(cut(r.Host)) + "</b> is accepted. You can close this page and go back to the application.</p>\n"))
}
