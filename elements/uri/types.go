// Package uri is the family of endpoints that read or write a URI:
// RecorderEndpoint. How a file is written is recorder's; who may be connected to
// whom is elements'. A recorder accepts units only, so its pipeline must have
// been made with pipeline.NewDepacketizer among its converters.
//
// Goroutines: from record() to the end of its file a recorder has one that owns
// the file, one that watches whether sources fit, and, while it is not paused,
// one per kind of media that writes; Close waits for them.
package uri

import (
	"strings"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

// Deps is what the family needs of the process.
type Deps struct {
	// FileRoots are the folders below which files may be written. Missing ones
	// are made when first used.
	FileRoots []string
	// DefaultPath is put in front of a URI without a scheme; file:///var/lib/kurento when empty.
	DefaultPath string
	// ProcessID and NodeID go into the sidecars, for recorder.Recover to tell
	// whose they are; recorder.ProcessID() when empty.
	ProcessID, NodeID string
}

// Types are the types of this family.
func Types(d Deps) []elements.Type {
	if d.DefaultPath == "" {
		d.DefaultPath = "file:///var/lib/kurento"
	}
	return []elements.Type{{
		Name: "RecorderEndpoint", Extends: "UriEndpoint", Module: "elements",
		Doc: "Writes the media it receives to a file, without transcoding: WebM (VP8, VP9, AV1, Opus), Matroska (any of these, H264, PCMU, PCMA) or MP4 (H264, Opus). The file survives a crash of the server.",
		New: elements.New(newRecorder(d)),
		Members: []elements.Member{
			elements.Method("record", (*Recorder).Record),
			elements.Method("stopAndWait", (*Recorder).StopAndWait),
			elements.Event[elements.None]("Recording"),
			elements.Event[elements.None]("Paused"),
			elements.Event[elements.None]("Stopped"),
		},
	}}
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
	}
	return "", nil, false
}
