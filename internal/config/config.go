package config

import (
	"time"

	"github.com/govidu/govidu/internal/secret"
)

// Config holds every setting of openvidu-server. Tags: `var` is the name in the
// environment and the file; a default written ${x} differs between modes (see
// modeDefaults).
type Config struct {
	Address   `group:"Address and certificate"`
	Access    `group:"Who may do what"`
	Media     `group:"Media"`
	Kurento   `group:"Kurento protocol"`
	Endpoints `group:"Kurento endpoints"`
	Video     `group:"Video streams"`
	Recording `group:"Recording"`
	Storage   `group:"Where recordings are stored"`
	Sessions  `group:"Sessions"`
	Operation `group:"Operation"`

	report
}

// Address is where the server is reached.
type Address struct {
	Dev             bool   `var:"GOVIDU_DEV" help:"Developer mode: loopback only, port 4443, secret MY_SECRET, recording on, demo page on. It is also the mode when no domain is set."`
	Domain          string `name:"domain-or-public-ip" var:"DOMAIN_OR_PUBLIC_IP" placeholder:"HOST" help:"Name or address that clients use; it appears in tokens and URLs. Without it the server runs in developer mode."`
	HTTPSPort       int    `var:"HTTPS_PORT" default:"${https_port}" placeholder:"PORT" help:"TCP port of REST, signalling and the page; 0 picks a free one."`
	Listen          string `var:"GOVIDU_LISTEN" default:"${listen}" placeholder:"ADDR" help:"Local address of the HTTPS port; * is all addresses. In a container developer mode uses *, too."`
	CertificateType string `var:"CERTIFICATE_TYPE" default:"selfsigned" enum:"selfsigned,owncert" help:"selfsigned makes an ECDSA certificate and keeps it in the state folder; owncert reads the two files below."`
	CertificateFile string `var:"GOVIDU_CERTIFICATE_FILE" default:"/owncert/certificate.cert" placeholder:"PATH" help:"PEM certificate chain for owncert."`
	CertificateKey  string `var:"GOVIDU_CERTIFICATE_KEY" default:"/owncert/certificate.key" placeholder:"PATH" help:"PEM private key for owncert."`
	ForcePlainHTTP  bool   `name:"force-plain-http" var:"FORCE_PLAIN_HTTP" help:"Serve and announce http:// and ws://, for a proxy in front that ends TLS. Browsers allow cameras only on https or localhost."`
}

// Access is about secrets and origins.
type Access struct {
	Secret               secret.Secret `name:"openvidu-secret" var:"OPENVIDU_SECRET" default:"${secret}" placeholder:"SECRET" help:"Password of the API user OPENVIDUAPP. Well-known ones are refused with a public domain. Better in the environment than in a flag, where other users of the machine see it."`
	AllowSecretJoin      bool          `var:"OPENVIDU_ALLOW_SECRET_JOIN" default:"${secret_join}" negatable:"" help:"Let a browser that shows the secret join without a token."`
	SupportDeprecatedAPI bool          `name:"support-deprecated-api" var:"SUPPORT_DEPRECATED_API" default:"true" negatable:"" help:"Serve the paths of OpenVidu 2.15 and older, too (/api, /config, /recordings)."`
	AllowedOrigins       []string      `var:"GOVIDU_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Origins allowed to join and to call REST from a page, such as https://app.example.com; none means any."`
	TrustedProxies       []string      `var:"GOVIDU_TRUSTED_PROXIES" placeholder:"CIDR" help:"Proxies whose X-Real-IP header is believed and whose connections are not counted per address."`
	Demo                 bool          `var:"GOVIDU_DEMO" default:"${demo}" negatable:"" help:"Let anybody who reaches the page at / make calls and recordings in rooms of their choice."`
}

// Media is about the port that carries sound and pictures.
type Media struct {
	MediaPort       int      `var:"GOVIDU_MEDIA_PORT" default:"${media_port}" placeholder:"PORT" help:"UDP and TCP port of all media; 0 picks a free one."`
	AnnouncedIP     []string `name:"announced-ip" var:"GOVIDU_ANNOUNCED_IP" placeholder:"IP" help:"Public addresses of this machine, when it is behind NAT. Taken from the domain if that is an address."`
	FileRoots       []string `var:"GOVIDU_FILE_ROOTS" default:"${file_roots}" placeholder:"DIR" help:"Folders that file:// URIs may point into, besides the recordings folder. A folder that does not exist is skipped."`
	MediaWorker     string   `name:"mediaworker" var:"GOVIDU_MEDIAWORKER" placeholder:"PATH" help:"The media worker, which decodes, mixes and encodes. Without it: mediaworker beside this program, or in PATH; without any, what needs one is refused."`
	WorkerCores     float64  `var:"GOVIDU_WORKER_CORES" default:"0" placeholder:"CORES" help:"Processor cores that media workers may use together; 0 is all."`
	DenyPrivateURLs bool     `name:"deny-private-urls" var:"GOVIDU_DENY_PRIVATE_URLS" help:"Keep players, recorders and filters from URLs of loopback and private addresses. Those of metadata services are always refused."`
}

// Video is about what travels in streams.
type Video struct {
	MaxRecvBandwidth int        `name:"video-max-recv-bandwidth" var:"OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH" default:"1000" placeholder:"KBPS" help:"Most a browser sends per video, in kbit/s; 0 is no limit."`
	MinRecvBandwidth int        `name:"video-min-recv-bandwidth" var:"OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH" default:"300" placeholder:"KBPS" help:"Least a browser is asked to send per video, in kbit/s."`
	MaxSendBandwidth int        `name:"video-max-send-bandwidth" var:"OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH" default:"1000" placeholder:"KBPS" help:"Most a browser receives per video, in kbit/s; 0 is no limit."`
	MinSendBandwidth int        `name:"video-min-send-bandwidth" var:"OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH" default:"300" placeholder:"KBPS" help:"Least the server tries to send per video, in kbit/s."`
	ForcedVideoCodec string     `var:"OPENVIDU_STREAMS_FORCED_VIDEO_CODEC" default:"MEDIA_SERVER_PREFERRED" enum:"MEDIA_SERVER_PREFERRED,NONE,VP8,VP9,H264" help:"Codec that all browsers must use: MEDIA_SERVER_PREFERRED (VP8; none with simulcast), NONE, VP8, VP9 or H264."`
	AllowTranscoding bool       `var:"OPENVIDU_STREAMS_ALLOW_TRANSCODING" help:"Accept browsers that cannot use the forced codec."`
	Simulcast        bool       `name:"webrtc-simulcast" var:"OPENVIDU_WEBRTC_SIMULCAST" negatable:"" help:"Serve clients of OpenVidu 2.21 and later as OpenVidu does with mediasoup: the server offers to subscribers, and MEDIA_SERVER_PREFERRED forces no codec. They are told to publish in several sizes, of which each subscriber is sent what it wishes and its bandwidth carries. Older clients are served as without it."`
	STUNPort         int        `name:"stun-port" var:"GOVIDU_STUN_PORT" default:"3478" placeholder:"PORT" help:"UDP port of the STUN server that browsers are told of; 0 picks a free one, and so does a port that is taken. It is not the media port, because Chromium drops media that comes from its STUN server."`
	ICEServers       ICEServers `name:"webrtc-ice-servers" var:"OPENVIDU_WEBRTC_ICE_SERVERS" placeholder:"LIST" help:"STUN and TURN servers for browsers, as OpenVidu writes them: [\"url=turns:HOST:443,username=U,credential=C\",\"url=turn:HOST,staticAuthSecret=S\"]. The server's own STUN is always announced."`
}

// Recording is about recorded files.
type Recording struct {
	RecordingEnabled      bool   `name:"recording" var:"OPENVIDU_RECORDING" default:"${recording}" negatable:"" help:"Allow recordings."`
	RecordingPath         string `var:"OPENVIDU_RECORDING_PATH" default:"${recording_path}" placeholder:"DIR" help:"Folder of recorded files; made if missing."`
	RecordingPublicAccess bool   `var:"OPENVIDU_RECORDING_PUBLIC_ACCESS" help:"Serve recorded files without a password."`
	RecordingNotification string `var:"OPENVIDU_RECORDING_NOTIFICATION" default:"publisher_moderator" enum:"none,moderator,publisher_moderator,all" help:"Which roles hear that a recording starts or stops: none, moderator, publisher_moderator or all."`
	RecordingAutostop     int    `name:"recording-autostop-timeout" var:"OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT" default:"120" placeholder:"SECONDS" help:"Stop a recording this long after the last participant left."`
	RecordingCustomLayout string `var:"OPENVIDU_RECORDING_CUSTOM_LAYOUT" default:"/opt/openvidu/custom-layout" placeholder:"DIR" help:"Folder of custom layouts for composed recordings and broadcasts: one folder each, with a layout.json or an index.html."`
	RecordingComposedURL  string `var:"OPENVIDU_RECORDING_COMPOSED_URL" placeholder:"URL" help:"Where the Chromium that shows custom layouts reaches this server, when it is not the public URL."`
	Chromium              string `var:"GOVIDU_CHROMIUM" placeholder:"FILE" help:"The Chromium that shows custom layouts which are web pages; by default the one in PATH. Without one such layouts are refused, and nothing else is."`
}

// Sessions is about empty rooms.
type Sessions struct {
	GarbageInterval  int `name:"sessions-garbage-interval" var:"OPENVIDU_SESSIONS_GARBAGE_INTERVAL" default:"900" placeholder:"SECONDS" help:"How often sessions nobody uses are looked for; 0 is never."`
	GarbageThreshold int `name:"sessions-garbage-threshold" var:"OPENVIDU_SESSIONS_GARBAGE_THRESHOLD" default:"3600" placeholder:"SECONDS" help:"How long a session must have been empty to be closed."`
}

// Operation is for whoever runs the server.
type Operation struct {
	StateDir     string        `var:"GOVIDU_STATE_DIR" default:"${state_dir}" placeholder:"DIR" help:"Folder for what the server keeps: its self-signed certificate."`
	LogLevel     string        `var:"GOVIDU_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error. debug shows protocol messages."`
	LogFormat    string        `var:"GOVIDU_LOG_FORMAT" default:"text" enum:"text,json" help:"text or json, on standard error."`
	CPULimit     float64       `name:"cpu-limit" var:"GOVIDU_CPU_LIMIT" default:"0.9" placeholder:"SHARE" help:"Share of the processors, over five seconds, at which the server and its workers take no new sessions and participants; halfway between it and all of them, video in layers is sent smaller. 0 is no limit. Who is there stays."`
	Pprof        string        `var:"GOVIDU_PPROF" placeholder:"ADDR" help:"Serve Go profiles on this loopback address, such as 127.0.0.1:6060."`
	DrainTimeout time.Duration `var:"GOVIDU_DRAIN_TIMEOUT" default:"${drain}" placeholder:"DURATION" help:"How long a stopping server waits for calls to end by themselves. A second signal ends the waiting."`
	ReadyFile    string        `var:"GOVIDU_READY_FILE" placeholder:"PATH" help:"When ready, write the ports in use to this file as one line of JSON."`
	DotenvPath   string        `var:"DOTENV_PATH" default:"." placeholder:"DIR" help:"Folder of the .env file, or the file itself. It has NAME=value lines and need not exist."`
}

// modeDefaults are the defaults that differ between developer mode and the rest.
func modeDefaults(dev, container bool, home string) map[string]string {
	d := map[string]string{
		"https_port": "443", "listen": "*", "secret": "", "secret_join": "false", "demo": "false",
		"media_port": "40000", "file_roots": "/var/lib/kurento", "recording": "false",
		"recording_path": "/opt/openvidu/recordings", "state_dir": "/var/lib/govidu", "drain": "60s",
	}
	if dev {
		d["https_port"], d["listen"], d["secret"], d["secret_join"], d["demo"] = "4443", "127.0.0.1", devSecret, "true", "true"
		d["file_roots"], d["recording"], d["recording_path"] = "/var/lib/kurento,/tmp", "true", "./recordings"
		d["state_dir"], d["drain"] = home+"/.govidu", "0s"
		if container {
			d["listen"] = "*"
		}
	}
	return d
}

// KMS holds every setting of the kms program, a media node alone.
type KMS struct {
	Media     `group:"Media"`
	Kurento   `group:"Kurento protocol"`
	KMSConfig string `name:"kms-config" var:"GOVIDU_KMS_CONFIG" placeholder:"PATH" group:"Kurento protocol" help:"A kurento.conf.json: its port, path, address, secure.port, secure.certificate, exceptionLimit, garbageCollectorPeriod and disableRequestCache are read, after flags and environment."`
	Endpoints `group:"Kurento endpoints"`
	LogLevel  string  `var:"GOVIDU_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" group:"Operation" help:"debug, info, warn or error. debug shows protocol messages."`
	LogFormat string  `var:"GOVIDU_LOG_FORMAT" default:"text" enum:"text,json" group:"Operation" help:"text or json, on standard error."`
	CPULimit  float64 `name:"cpu-limit" var:"GOVIDU_CPU_LIMIT" default:"0.9" placeholder:"SHARE" group:"Operation" help:"Share of the processors, over five seconds, at which no new MediaPipeline is made; halfway between it and all of them, video in layers is sent smaller. 0 is no limit. Pipelines that are there go on."`
	Pprof     string  `var:"GOVIDU_PPROF" placeholder:"ADDR" group:"Operation" help:"Serve Go profiles on this loopback address, such as 127.0.0.1:6060."`
	ReadyFile string  `var:"GOVIDU_READY_FILE" placeholder:"PATH" group:"Operation" help:"When ready, write the ports in use to this file as one line of JSON."`

	report
}

// kmsDefaults are the values of KMS's ${} defaults.
func kmsDefaults() map[string]string {
	return map[string]string{"media_port": "40001", "file_roots": "/var/lib/kurento,/tmp"}
}
