package recorder_test

import (
	"testing"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

func TestMuxers(t *testing.T) {
	for _, c := range []muxtest.Case{
		{Container: recorder.WebM, Video: codec.VP8, Audio: codec.Opus},
		{Container: recorder.WebM, Video: codec.VP9, Audio: codec.Opus},
		{Container: recorder.WebM, Video: codec.AV1},
		{Container: recorder.WebM, Audio: codec.Opus},
		{Container: recorder.Matroska, Video: codec.H264, Audio: codec.Opus},
		{Container: recorder.Matroska, Video: codec.VP8, Audio: codec.PCMU},
		{Container: recorder.Matroska, Audio: codec.PCMA},
		{Container: recorder.MP4, Video: codec.H264, Audio: codec.Opus},
		{Container: recorder.Matroska, Video: codec.H264, Audio: codec.AAC},
		{Container: recorder.MP4, Video: codec.H264, Audio: codec.AAC},
		{Container: recorder.MP4, Audio: codec.AAC},
		{Container: recorder.MP4, Video: codec.H264},
		{Container: recorder.MP4, Audio: codec.Opus},
		{Container: recorder.FLV, Video: codec.H264, Audio: codec.AAC},
		{Container: recorder.FLV, Video: codec.H264},
		{Container: recorder.FLV, Audio: codec.AAC},
	} {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			muxtest.Run(t, c)
		})
	}
}
