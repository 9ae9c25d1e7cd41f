package uri_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"go.uber.org/goleak"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

// built is a folder that the tests made together, to be removed at the end.
var built string

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built != "" {
			os.RemoveAll(built)
		}
		os.Exit(code)
	}))
}

// stage is a world with a source and a recorder that are connected.
type stage struct {
	*elementtest.World
	dir     string
	source  elements.Element
	rec     elements.Element
	formats map[codec.Name]*pipeline.Format
	seq     map[codec.Name]uint16
}

func newStage(t *testing.T, file, profile string) *stage {
	t.Helper()
	dir := t.TempDir()
	s := &stage{
		World: elementtest.NewWith(t, []pipeline.Converter{pipeline.NewDepacketizer()}, uri.Types(uri.Deps{Fetch: &fetch.Policy{FileRoots: []string{dir}, AllowPrivate: true}, NodeID: "n1"})...),
		dir:   dir, formats: map[codec.Name]*pipeline.Format{}, seq: map[codec.Name]uint16{},
	}
	s.source = s.Element("TestSource", nil)
	s.rec = s.Element("RecorderEndpoint", map[string]any{"uri": "file://" + filepath.Join(dir, file), "mediaProfile": profile})
	s.Call(s.source, "connect", map[string]any{"sink": s.rec.ID()})
	t.Cleanup(func() { s.Release(s.rec); s.Release(s.source) })
	return s
}

// send pushes frames as RTP packets, in order of time; from is added to their PTS.
func (s *stage) send(from time.Duration, tracks map[codec.Name][]codectest.Frame) {
	s.T.Helper()
	type packet struct {
		name codec.Name
		p    *pipeline.Packet
	}
	var all []packet
	for name, frames := range tracks {
		f := s.formats[name]
		if f == nil {
			f = &pipeline.Format{Kind: pipeline.Audio, Codec: name, Framing: pipeline.RTP, ClockRate: 48000, Channels: 2}
			if name.IsVideo() {
				f = &pipeline.Format{Kind: pipeline.Video, Codec: name, Framing: pipeline.RTP, ClockRate: 90000}
			}
			s.formats[name] = f
			s.seq[name] = 65500
		}
		var payloader rtp.Payloader = &codecs.OpusPayloader{}
		switch name {
		case codec.VP8:
			payloader = &codecs.VP8Payloader{}
		case codec.H264:
			payloader = &codecs.H264Payloader{}
		}
		for _, frame := range frames {
			pts := from + frame.PTS
			payloads := payloader.Payload(1100, frame.Data)
			for i, payload := range payloads {
				all = append(all, packet{name, &pipeline.Packet{
					Format: f, Payload: payload, PTS: pts, Arrival: s.Pipeline.Graph().Epoch().Add(pts),
					Header: rtp.Header{SequenceNumber: s.seq[name], Timestamp: uint32(uint64(pts) * uint64(f.ClockRate) / uint64(time.Second)), Marker: i == len(payloads)-1},
				}})
				s.seq[name]++
			}
		}
	}
	slices.SortStableFunc(all, func(a, b packet) int { return int(a.p.PTS - b.p.PTS) })
	for _, p := range all { // fewer than a recorder queues, so at once
		out, err := s.source.Output(p.p.Format.Kind, "")
		if err != nil {
			s.T.Fatal(err)
		}
		out.Push(p.p)
	}
}

func (s *stage) state(want string) {
	s.T.Helper()
	if got := s.Call(s.rec, "getState", nil); got != want {
		s.T.Errorf("state %v, want %s", got, want)
	}
}

func (s *stage) manifest(file string) (m recorder.Manifest) {
	s.T.Helper()
	b, err := os.ReadFile(recorder.ManifestName(filepath.Join(s.dir, file)))
	if err != nil {
		s.T.Fatal(err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		s.T.Fatal(err)
	}
	return m
}

func (s *stage) states() (out []string) {
	for _, e := range s.Events(s.rec, "") {
		if e.Name == "UriEndpointStateChanged" {
			out = append(out, e.Data["state"].(string))
		} else {
			out = append(out, e.Name)
		}
	}
	return slices.DeleteFunc(out, func(n string) bool { return strings.HasPrefix(n, "Element") || strings.HasPrefix(n, "Media") })
}

func av(t *testing.T, video codec.Name) map[codec.Name][]codectest.Frame {
	return map[codec.Name][]codectest.Frame{
		video: codectest.Frames(t, video, codectest.Clip{}), codec.Opus: codectest.Frames(t, codec.Opus, codectest.Clip{}),
	}
}

func TestRecord(t *testing.T) {
	for profile, video := range map[string]codec.Name{"WEBM": codec.VP8, "MKV": codec.H264, "MP4": codec.H264} {
		t.Run(profile, func(t *testing.T) {
			file := "sub/take." + strings.ToLower(profile)
			s := newStage(t, file, profile)
			s.state("STOP")
			s.Call(s.rec, "record", nil)
			s.WaitEvents(s.rec, "Recording", 1)
			s.state("START")
			s.send(0, av(t, video))
			s.Call(s.rec, "stopAndWait", nil)
			path := filepath.Join(s.dir, file)
			p := codectest.ProbeFile(t, path)
			if d := p.Duration(t); (d - 2*time.Second).Abs() > 50*time.Millisecond {
				t.Errorf("duration %v, want 2 s", d)
			}
			if v, a := p.Packets("video"), p.Packets("audio"); v != 50 || a < 100 {
				t.Errorf("%d pictures and %d packets of sound, want 50 and 100", v, a)
			}
			codectest.MustPlay(t, path)
			s.WaitEvents(s.rec, "Stopped", 1)
			if got, want := s.states(), []string{"START", "Recording", "STOP", "Stopped"}; !slices.Equal(got, want) {
				t.Errorf("events %v, want %v", got, want)
			}
			if m := s.manifest(file); m.Status != recorder.Final || m.NodeID != "n1" || len(m.Tracks) != 2 {
				t.Errorf("manifest %+v", m)
			}
			s.Call(s.rec, "record", nil) // refused, and yet no error
			s.state("STOP")
			s.Call(s.rec, "stop", nil)
		})
	}
}

func TestPause(t *testing.T) {
	s := newStage(t, "x.webm", "WEBM")
	media := av(t, codec.VP8)
	s.Call(s.rec, "record", nil)
	s.WaitEvents(s.rec, "Recording", 1)
	s.send(0, media)
	s.Call(s.rec, "pause", nil)
	s.state("PAUSE")
	s.send(2*time.Second, media)
	s.Call(s.rec, "record", nil)
	s.send(4*time.Second, media)
	s.Call(s.rec, "stopAndWait", nil)
	path := filepath.Join(s.dir, "x.webm")
	if d := codectest.ProbeFile(t, path).Duration(t); (d - 4*time.Second).Abs() > 60*time.Millisecond {
		t.Errorf("duration %v, want 4 s of 6", d)
	}
	codectest.MustPlay(t, path)
	want := []string{"START", "Recording", "PAUSE", "Paused", "START", "Recording", "STOP", "Stopped"}
	if got := s.states(); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestBadTargets(t *testing.T) {
	for _, target := range []string{
		"file:///nowhere/at/all.webm", "file:///etc/../proc/x.webm", "ftp://x/y", "just-a-name.webm", "http://2130706433/x.webm", "http:///x",
	} {
		s := newStage(t, "unused", "WEBM")
		rec := s.Element("RecorderEndpoint", map[string]any{"uri": target})
		s.Call(rec, "record", nil)
		e := s.WaitEvents(rec, "Error", 1)[0]
		if e.Data["type"] != "RESOURCE_ERROR_OPEN" || e.Data["description"] == "" {
			t.Errorf("%s: error event %v", target, e.Data)
		}
		for _, op := range []string{"pause", "record", "stop", "stopAndWait"} {
			s.Call(rec, op, nil)
		}
		s.Release(rec)
	}
}

func TestWrongCodec(t *testing.T) {
	s := newStage(t, "x.webm", "WEBM_VIDEO_ONLY")
	s.Call(s.rec, "record", nil)
	s.send(0, map[codec.Name][]codectest.Frame{codec.H264: codectest.Frames(t, codec.H264, codectest.Clip{})})
	e := s.WaitEvents(s.source, "Error", 1)[0]
	if text := e.Data["description"].(string); !strings.Contains(text, "H264") {
		t.Errorf("error %q, want one that names H264", text)
	}
	s.Call(s.rec, "stopAndWait", nil)
	if m := s.manifest("x.webm"); m.Status != recorder.Failed {
		t.Errorf("manifest %+v", m)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "x.webm")); err == nil {
		t.Error("a file without media has been made")
	}
	if n := len(s.Events(s.source, "Error")); n != 1 {
		t.Errorf("%d Error events, want one", n)
	}
}

// A recording for a server is sent when it is final; what goes wrong is an event.
func TestUpload(t *testing.T) {
	var got atomic.Pointer[http.Request]
	var body bytes.Buffer
	status := http.StatusCreated
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body.Reset()
		io.Copy(&body, r.Body)
		got.Store(r)
		w.WriteHeader(status)
	}))
	defer srv.Close()
	s := newStage(t, "unused", "WEBM")
	for _, row := range []struct {
		status   int
		url, typ string
	}{{201, srv.URL, ""}, {405, srv.URL, "RESOURCE_ERROR_WRITE"}, {201, "http://127.0.0.1:1", "RESOURCE_ERROR_OPEN"}} {
		status = row.status
		got.Store(nil)
		target := strings.Replace(row.url, "http://", "http://ann:pw@", 1) + "/rec/take.webm?key=1"
		rec := s.Element("RecorderEndpoint", map[string]any{"uri": target})
		s.Call(s.source, "connect", map[string]any{"sink": rec.ID()})
		s.Call(rec, "record", nil)
		s.WaitEvents(rec, "Recording", 1)
		s.send(0, av(t, codec.VP8))
		s.Call(rec, "pause", nil)
		s.Call(rec, "record", nil)
		s.Call(rec, "stopAndWait", nil)
		s.WaitEvents(rec, "Stopped", 1)
		errs := s.Events(rec, "Error")
		if row.typ == "" {
			r := got.Load()
			if r == nil || r.Method != "POST" || r.URL.Path != "/rec/take.webm" || !slices.Equal(r.TransferEncoding, []string{"chunked"}) || len(errs) > 0 {
				t.Fatalf("request %+v, errors %v", r, errs)
			}
			if user, pw, _ := r.BasicAuth(); user != "ann" || pw != "pw" {
				t.Errorf("credentials %s %s", user, pw)
			}
			path := filepath.Join(s.dir, "got.webm")
			os.WriteFile(path, body.Bytes(), 0o644)
			if d := codectest.ProbeFile(t, path).Duration(t); (d - 2*time.Second).Abs() > 50*time.Millisecond {
				t.Errorf("duration %v, want 2 s", d)
			}
		} else if len(errs) != 1 || errs[0].Data["type"] != row.typ || strings.Contains(errs[0].Data["description"].(string), "pw") {
			t.Errorf("%s: errors %v", target, errs)
		}
		s.Release(rec)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "govidu-upload-*")); len(left) > 0 {
		t.Errorf("folders are left: %v", left)
	}
}

// The end of the source's media ends the recording.
func TestStopOnEndOfStream(t *testing.T) {
	s := newStage(t, "unused", "WEBM")
	for _, stops := range []bool{true, false} {
		rec := s.Element("RecorderEndpoint", map[string]any{"uri": "file://" + s.dir + fmt.Sprintf("/eos-%v.webm", stops), "stopOnEndOfStream": stops})
		s.Call(s.source, "connect", map[string]any{"sink": rec.ID()})
		s.Call(rec, "record", nil)
		s.WaitEvents(rec, "Recording", 1)
		s.send(0, av(t, codec.VP8))
		sound, _ := s.source.Output(pipeline.Audio, "")
		picture, _ := s.source.Output(pipeline.Video, "")
		sound.End()
		if got := s.Call(rec, "getState", nil); got != "START" {
			t.Errorf("state %v while the picture goes on", got)
		}
		picture.End()
		if stops {
			s.WaitEvents(rec, "Stopped", 1)
		} else if got := s.Call(rec, "getState", nil); got != "START" {
			t.Errorf("state %v without stopOnEndOfStream", got)
		}
		s.Release(rec)
	}
}

// Releasing a recorder that records finishes its file first.
func TestReleaseFinishes(t *testing.T) {
	s := newStage(t, "x.mp4", "MP4_AUDIO_ONLY")
	s.Call(s.rec, "record", nil)
	s.WaitEvents(s.rec, "Recording", 1)
	s.send(0, map[codec.Name][]codectest.Frame{codec.Opus: codectest.Frames(t, codec.Opus, codectest.Clip{})})
	s.Release(s.rec)
	path := filepath.Join(s.dir, "x.mp4")
	if d := codectest.ProbeFile(t, path).Duration(t); (d - 2*time.Second).Abs() > 50*time.Millisecond {
		t.Errorf("duration %v, want 2 s", d)
	}
	if m := s.manifest("x.mp4"); m.Status != recorder.Final {
		t.Errorf("manifest %+v", m)
	}
}

// What was lost on the way is a gap in the manifest, and the picture goes on at a keyframe.
func TestLossIsAGap(t *testing.T) {
	s := newStage(t, "x.webm", "WEBM_VIDEO_ONLY")
	s.Call(s.rec, "record", nil)
	s.WaitEvents(s.rec, "Recording", 1)
	frames := codectest.Frames(t, codec.VP8, codectest.Clip{})
	s.send(0, map[codec.Name][]codectest.Frame{codec.VP8: frames[:10]})
	s.seq[codec.VP8] += 3
	s.send(0, map[codec.Name][]codectest.Frame{codec.VP8: frames[12:]})
	s.Call(s.rec, "stopAndWait", nil)
	m := s.manifest("x.webm")
	if want := []recorder.ManifestGap{{Kind: "VIDEO", FromMs: 400, ToMs: 1000}}; !slices.Equal(m.Gaps, want) {
		t.Errorf("gaps %v, want %v", m.Gaps, want)
	}
	codectest.MustPlay(t, filepath.Join(s.dir, "x.webm"))
}

func TestUnsupportedProfiles(t *testing.T) {
	s := newStage(t, "unused", "WEBM")
	for _, profile := range []string{"JPEG_VIDEO_ONLY", "KURENTO_SPLIT_RECORDER", "OGG"} {
		if _, err := s.TryCreate("RecorderEndpoint", map[string]any{"uri": "x", "mediaProfile": profile}); err == nil {
			t.Errorf("a recorder of profile %s is made", profile)
		}
	}
}

func TestContract(t *testing.T) {
	dir := t.TempDir()
	elementtest.Run(t, uri.Types(uri.Deps{FileRoots: []string{dir}}), elementtest.Case{
		Type: "RecorderEndpoint", Required: []string{"uri"},
		Params:    func() map[string]any { return map[string]any{"uri": "file://" + dir + "/contract.webm"} },
		Ancestors: []string{"UriEndpoint", "Endpoint", "MediaElement", "MediaObject"},
	})
}
