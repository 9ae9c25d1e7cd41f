package recorder_test

import (
	"bytes"
	"testing"

	"github.com/at-wat/ebml-go"
	"github.com/at-wat/ebml-go/webm"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

// Readers that are not ours and not ffmpeg's agree about what is in a file.
func TestOtherReaders(t *testing.T) {
	t.Run("webm", func(t *testing.T) {
		units := muxtest.Units(t, vp8Opus)
		d := muxtest.NewDisk()
		if err := muxtest.Mux(t, vp8Opus, d, units, nil).Close(); err != nil {
			t.Fatal(err)
		}
		b := d.Bytes()
		var file struct {
			Header  webm.EBMLHeader `ebml:"EBML"`
			Segment webm.Segment    `ebml:"Segment"`
		}
		if err := ebml.Unmarshal(bytes.NewReader(b), &file); err != nil {
			t.Fatal(err)
		}
		s := file.Segment
		if file.Header.DocType != "webm" || s.SeekHead == nil || len(s.SeekHead.Seek) != 3 || s.Cues == nil || len(s.Tracks.TrackEntry) != 2 {
			t.Fatalf("header %+v, seek head %+v, %d tracks", file.Header, s.SeekHead, len(s.Tracks.TrackEntry))
		}
		if !s.Info.DateUTC.Equal(muxtest.Created) || s.Info.Duration < 2950 || s.Info.Duration > 3050 {
			t.Errorf("info %+v", s.Info)
		}
		blocks := 0
		for _, c := range s.Cluster {
			blocks += len(c.SimpleBlock)
		}
		if blocks != len(units) {
			t.Errorf("%d blocks, want %d", blocks, len(units))
		}
		// The segment's data begins behind its id and 8-byte size.
		begin := bytes.Index(b, []byte{0x18, 0x53, 0x80, 0x67}) + 12
		for _, seek := range s.SeekHead.Seek {
			if at := begin + int(seek.SeekPosition); !bytes.HasPrefix(b[at:], seek.SeekID) {
				t.Errorf("seek head: no element %x at %d", seek.SeekID, at)
			}
		}
		if len(s.Cues.CuePoint) != 3 {
			t.Errorf("%d cues, want one per keyframe", len(s.Cues.CuePoint))
		}
		for _, c := range s.Cues.CuePoint {
			if at := begin + int(c.CueTrackPositions[0].CueClusterPosition); !bytes.HasPrefix(b[at:], []byte{0x1f, 0x43, 0xb6, 0x75}) {
				t.Errorf("cue at %d ms: no cluster at %d", c.CueTime, at)
			}
		}
	})
	t.Run("fragments", func(t *testing.T) {
		c := muxtest.Case{Container: recorder.MP4, Video: codec.H264, Audio: codec.Opus}
		units := muxtest.Units(t, c)
		d := muxtest.NewDisk()
		mux := muxtest.Mux(t, c, d, units, nil)
		if err := mux.Flush(); err != nil {
			t.Fatal(err)
		}
		var init fmp4.Init
		if err := init.Unmarshal(bytes.NewReader(d.Bytes())); err != nil || len(init.Tracks) != 2 {
			t.Fatalf("%d tracks: %v", len(init.Tracks), err)
		}
		var parts fmp4.Parts
		if err := parts.Unmarshal(d.Bytes()); err != nil {
			t.Fatal(err)
		}
		samples := map[int]int{}
		for _, p := range parts {
			for _, tr := range p.Tracks {
				samples[tr.ID] += len(tr.Samples)
			}
		}
		want := map[pipeline.Kind]int{}
		for _, u := range units {
			want[u.Format.Kind]++
		}
		if samples[1] != want[pipeline.Video] || samples[2] != want[pipeline.Audio] {
			t.Errorf("samples by track %v, want %v", samples, want)
		}
	})
}
