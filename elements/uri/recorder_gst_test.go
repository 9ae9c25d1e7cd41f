//go:build gst

package uri_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/pipeline"
)

// A file is played into a recorder of each profile, which ends with it; what does
// not fit is converted.
func TestRecordConverted(t *testing.T) {
	th := newTheatre(t)
	film(t, th.dir, "h264.mp4", "-c:v", "libx264", "-bf", "2", "-g", "25", "-c:a", "aac")
	film(t, th.dir, "vp8.webm", "-c:v", "libvpx", "-deadline", "realtime", "-g", "25", "-c:a", "libopus")
	for _, row := range []struct {
		source, profile, ext string
		video, audio         string
		v, a                 int // least packets
	}{
		{"h264.mp4", "WEBM", "webm", "vp8", "opus", 50, 120},
		{"vp8.webm", "MP4", "mp4", "h264", "opus", 50, 120},
		{"vp8.webm", "FLV", "flv", "h264", "aac", 50, 100},
		{"h264.mp4", "MKV_VIDEO_ONLY", "mkv", "h264", "", 50, 0},
		{"h264.mp4", "WEBM_AUDIO_ONLY", "webm", "", "opus", 0, 120},
		{"vp8.webm", "WEBM", "webm", "vp8", "opus", 70, 140},
	} {
		t.Run(row.source+" as "+row.profile, func(t *testing.T) {
			file := fmt.Sprintf("out/%s-%s.%s", row.source, row.profile, row.ext)
			p := th.player(row.source, nil)
			rec := th.Element("RecorderEndpoint", map[string]any{"uri": "file://" + filepath.Join(th.dir, file), "mediaProfile": row.profile, "stopOnEndOfStream": true})
			th.Call(p, "connect", map[string]any{"sink": rec.ID()})
			th.Call(rec, "record", nil)
			th.WaitEvents(rec, "Recording", 1)
			th.Call(p, "play", nil)
			th.WaitEvents(p, "EndOfStream", 1)
			th.WaitEvents(rec, "Stopped", 1)
			for _, e := range append(th.Events(p, "Error"), th.Events(rec, "Error")...) {
				t.Errorf("error %v", e.Data)
			}
			path := filepath.Join(th.dir, file)
			probe := codectest.ProbeFile(t, path)
			if v, a := probe.Packets("video"), probe.Packets("audio"); v < row.v || a < row.a || v > 0 && row.video == "" || a > 0 && row.audio == "" {
				t.Errorf("%d pictures and %d packets of sound", v, a)
			}
			if d := probe.Duration(t); d < 2200*time.Millisecond || d > 3300*time.Millisecond {
				t.Errorf("duration %v", d)
			}
			for _, s := range probe.Streams {
				if want := map[string]string{"video": row.video, "audio": row.audio}[s.Kind]; s.Codec != want {
					t.Errorf("%s is %s, want %s", s.Kind, s.Codec, want)
				}
			}
			codectest.MustPlay(t, path)
			th.Release(rec)
			th.Release(p)
		})
	}
}

// A file is posted and plays.
func TestHTTPPostPlays(t *testing.T) {
	th := newTheatre(t)
	path := film(t, th.dir, "a.webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e := th.Element("HttpPostEndpoint", nil)
	video, sound := watch(t, e, pipeline.Video, codec.VP8), watch(t, e, pipeline.Audio, codec.Opus)
	url := th.Call(e, "getUrl", nil).(string)
	send := func(body io.Reader) int {
		r, _ := http.NewRequest("POST", url, body)
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := send(bytes.NewReader(b)); got != 200 {
		t.Errorf("status %d", got)
	}
	th.WaitEvents(e, "EndOfStream", 1)
	if v, a := len(video.packets()), len(sound.packets()); v < 74 || v > 76 || a < 145 {
		t.Errorf("%d pictures, %d packets of sound", v, a)
	}
	th.Release(e)
	e = th.Element("HttpPostEndpoint", nil)
	url = th.Call(e, "getUrl", nil).(string)
	send(strings.NewReader(strings.Repeat("no media ", 10000)))
	if ev := th.WaitEvents(e, "Error", 1)[0]; ev.Data["type"] != "INVALID_MEDIA" {
		t.Errorf("error %v", ev.Data)
	}
	elementtest.Within(t, "release", func() { th.Release(e) })
}
