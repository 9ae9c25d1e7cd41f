// Package uri is the family of endpoints that read or write a URI or are reached
// by one: PlayerEndpoint, RecorderEndpoint, RtmpEndpoint, HlsEndpoint,
// HttpPostEndpoint; and Snapshot, a picture of a file. Bytes are opened and fetched
// here (internal/fetch), containers are taken apart in workers, which never see a
// caller's text. How a file is written is recorder's; who may be connected to
// whom is elements'. A recorder accepts units only, so its pipeline must have
// been made with pipeline.NewDepacketizer among its converters.
//
// Goroutines: from record() to the end of its file a recorder has one that owns
// the file and, while it is not paused, one per kind of media that writes. A playing player has one that opens the
// source, one that serves bytes to the worker or those of the RTSP client; an
// upload has its HTTP connection's and one that copies; a started HlsEndpoint has
// one that cuts segments and, to its Close, one that writes kept ones. Close waits
// for them.
package uri

import (
	"log/slog"
	"strings"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

// Deps is what the family needs of the process.
type Deps struct {
	// Fetch opens what players and recorders are given; a policy of FileRoots
	// alone when nil.
	Fetch *fetch.Policy
	// FileRoots are the folders below which files may be read and written.
	// Missing ones are made when a recorder first writes there.
	FileRoots []string
	// Workers run what takes files apart. Without them there are no players but
	// of RTSP.
	Workers *workers.Pool
	// HTTP is where HttpPostEndpoints are reached.
	HTTP HTTP
	// HLS serves HlsEndpoints; without it there are none.
	HLS *HLSServer
	// DefaultPath is put in front of a URI without a scheme; file:///var/lib/kurento when empty.
	DefaultPath string
	// ProcessID and NodeID go into the sidecars, for recorder.Recover to tell
	// whose they are; recorder.ProcessID() when empty.
	ProcessID, NodeID string
	// Log is for what belongs to no element; may be nil.
	Log *slog.Logger
}

// available is nil when jobs can be started.
func (d *Deps) available() error {
	if d.Workers == nil {
		return kerr.New(kerr.MediaObjectNotAvailable, "This server has no media workers, which take media files apart")
	}
	return d.Workers.Available()
}

// Types are the types of this family.
func Types(d Deps) []elements.Type {
	if d.DefaultPath == "" {
		d.DefaultPath = "file:///var/lib/kurento"
	}
	if d.Fetch == nil {
		d.Fetch = &fetch.Policy{FileRoots: d.FileRoots}
	}
	posts := newPostServer(d.HTTP, d.Log)
	return []elements.Type{
		{
			Name: "PlayerEndpoint", Extends: "UriEndpoint", Module: "elements",
			Doc: "Plays a media file (file, http, https) or a live source (rtsp, rtsps) in real time. Coded media goes on as it is and is converted for receivers that need it, also without useEncodedMedia; networkCache delays nothing.",
			New: elements.New(newPlayer(d)),
			Members: []elements.Member{
				elements.Property[*Player, VideoInfo]("videoInfo", (*Player).VideoInfo, nil),
				elements.Property[*Player, string]("elementGstreamerDot", (*Player).Dot, nil),
				elements.Property("position", (*Player).Position, (*Player).SetPosition),
				elements.Method("play", (*Player).Play),
				elements.Event[elements.None]("EndOfStream"),
			},
		},
		{
			Name: "RecorderEndpoint", Extends: "UriEndpoint", Module: "elements",
			Doc: "Writes the media it receives to a file, or uploads it: WebM (VP8, VP9, AV1, Opus), Matroska (any of these, H264, AAC, PCMU, PCMA), MP4 (H264, AAC, Opus) or FLV (H264, AAC). What comes in another codec is converted. A file survives a crash of the server.",
			New: elements.New(newRecorder(d)),
			Members: []elements.Member{
				elements.Method("record", (*Recorder).Record),
				elements.Method("stopAndWait", (*Recorder).StopAndWait),
				elements.Event[elements.None]("Recording"),
				elements.Event[elements.None]("Paused"),
				elements.Event[elements.None]("Stopped"),
			},
		},
		{
			Name: "RtmpEndpoint", Extends: "UriEndpoint", Module: "govidu",
			Doc: "Publishes what it receives to an RTMP server (rtmp, rtmps), as H264 and AAC; other media is converted. A server that is lost is tried again until stop; neither it nor a server that reads nothing holds anybody up. Connected comes when it has held a connection for a quarter of a second, Disconnected for each connection that ended and each attempt that failed.",
			New: elements.New(newRTMP(d)),
			Members: []elements.Member{
				elements.Method("start", (*RTMP).Start),
				elements.Event[elements.None]("Connected"),
				elements.Event[LostFields]("Disconnected"),
			},
		},
		{
			Name: "HlsEndpoint", Extends: "UriEndpoint", Module: "govidu",
			Doc: "Serves what it receives as an HTTP live stream (HLS): H264 and AAC in fragmented MP4; other media is converted. path is where, below the root of the server's HTTP; after stop the playlist ends and is served a minute longer. A directory keeps all of it, as a playlist that plays at any time.",
			New: elements.New(newHLS(d)),
			Members: []elements.Member{
				elements.Property[*HLS, string]("path", (*HLS).Path, nil),
				elements.Method("start", (*HLS).Start),
			},
		},
		{
			Name: "Snapshot", Extends: "MediaObject", Module: "govidu",
			Doc:     "Takes one picture of a media file and writes it as a JPEG file, at atMs or, when that is negative, in the middle; width 0 leaves the picture's own size.",
			New:     elements.New(newSnapshot(d)),
			Members: []elements.Member{elements.Method("take", (*Snapshot).Take)},
		},
		{
			Name: "HttpEndpoint", Extends: "SessionEndpoint", Module: "elements", Abstract: true,
			Doc:     "An endpoint that HTTP clients reach by a URL.",
			Members: []elements.Member{elements.Method("getUrl", (*Post).URL)},
		},
		{
			Name: "HttpPostEndpoint", Extends: "HttpEndpoint", Module: "elements",
			Doc:     "Plays a media file while a client uploads it by POST, as the body or in a form.",
			New:     elements.New(newPost(d, posts)),
			Members: []elements.Member{elements.Event[elements.None]("EndOfStream")},
		},
	}
}

// MediaProfile is Kurento's MediaProfileSpecType.
type MediaProfile string

// KurentoType is the enumeration's name in the protocol.
func (MediaProfile) KurentoType() string { return "MediaProfileSpecType" }

// Values implements the enumeration.
func (MediaProfile) Values() []string {
	return []string{
		"WEBM", "MKV", "MP4", "WEBM_VIDEO_ONLY", "WEBM_AUDIO_ONLY", "MKV_VIDEO_ONLY", "MKV_AUDIO_ONLY",
		"MP4_VIDEO_ONLY", "MP4_AUDIO_ONLY", "JPEG_VIDEO_ONLY", "KURENTO_SPLIT_RECORDER", "FLV",
	}
}

// split tells container and kinds; ok is false for the profiles this build
// cannot write.
func (p MediaProfile) split() (c recorder.Container, kinds []pipeline.Kind, ok bool) {
	kinds = []pipeline.Kind{pipeline.Audio, pipeline.Video}
	name := string(p)
	if s, only := strings.CutSuffix(name, "_VIDEO_ONLY"); only {
		name, kinds = s, []pipeline.Kind{pipeline.Video}
	} else if s, only := strings.CutSuffix(name, "_AUDIO_ONLY"); only {
		name, kinds = s, []pipeline.Kind{pipeline.Audio}
	}
	switch name {
	case "WEBM":
		return recorder.WebM, kinds, true
	case "MKV":
		return recorder.Matroska, kinds, true
	case "MP4":
		return recorder.MP4, kinds, true
	case "FLV":
		return recorder.FLV, kinds, true
	}
	return "", nil, false
}
