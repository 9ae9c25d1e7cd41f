package workers

import (
	"bytes"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// UnitFormats are what decoders in a worker accept, in order of preference. The
// last one is media described by GStreamer's caps.
func UnitFormats(kind pipeline.Kind) []pipeline.Format {
	names := []codec.Name{codec.VP8, codec.H264, codec.VP9, codec.AV1, codec.H265}
	if kind == pipeline.Audio {
		names = []codec.Name{codec.Opus, codec.PCMU, codec.PCMA, codec.AAC}
	}
	var out []pipeline.Format
	for _, n := range append(names, pipeline.Other) {
		out = append(out, pipeline.Format{Kind: kind, Codec: n, Framing: pipeline.Unit, Reordered: true})
	}
	return out
}

// decodable tells whether a worker can decode f.
func decodable(f *pipeline.Format) bool {
	for _, a := range UnitFormats(f.Kind) {
		if f.Fits(&a) {
			return f.Codec != pipeline.Other || f.Caps != ""
		}
	}
	return false
}

// mediaOf describes f on the wire.
func mediaOf(f *pipeline.Format) wire.Media {
	m := wire.Media{
		Kind: kindOf(f.Kind), Codec: string(f.Codec), Caps: f.Caps, ClockRate: int(f.ClockRate), Channels: int(f.Channels),
		Fmtp: f.Fmtp, Config: f.Config, Width: f.Width, Height: f.Height, Reordered: f.Reordered,
	}
	if f.Codec == pipeline.Other {
		m.Codec = ""
	}
	return m
}

// formatOf is the format of media on the wire; false when it is neither audio
// nor video.
func formatOf(m wire.Media) (pipeline.Format, bool) {
	f := pipeline.Format{
		Codec: codec.Parse(m.Codec), Framing: pipeline.Unit, ClockRate: uint32(max(m.ClockRate, 0)), Channels: uint16(max(m.Channels, 0)),
		Fmtp: m.Fmtp, Config: m.Config, Width: m.Width, Height: m.Height, Caps: m.Caps, Reordered: m.Reordered,
	}
	switch m.Kind {
	case "audio":
		f.Kind = pipeline.Audio
	case "video":
		f.Kind = pipeline.Video
	default:
		return f, false
	}
	if m.Codec == "" {
		f.Codec = pipeline.Other
	}
	usual := pipeline.UnitOf(f.Kind, f.Codec)
	if f.ClockRate == 0 {
		f.ClockRate = usual.ClockRate
	}
	if f.Channels == 0 {
		f.Channels = usual.Channels
	}
	return f, true
}

func kindOf(k pipeline.Kind) string {
	if k == pipeline.Audio {
		return "audio"
	}
	return "video"
}

// sameStream tells whether a worker's decoder for a goes on with b: pictures
// may change their size within the stream.
func sameStream(a, b *pipeline.Format) bool {
	return a.Kind == b.Kind && a.Codec == b.Codec && a.ClockRate == b.ClockRate && a.Channels == b.Channels &&
		a.Fmtp == b.Fmtp && bytes.Equal(a.Config, b.Config) && a.Caps == b.Caps && a.Reordered == b.Reordered
}
