package elements_test

import (
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(t *testing.T, source, sink map[string]any) (*elementtest.World, *elementtest.Source, *elementtest.Sink) {
	w := elementtest.New(t)
	return w, w.Element("TestSource", source).(*elementtest.Source), w.Element("TestSink", sink).(*elementtest.Sink)
}

// TestLinksBothWays: content, flow and replacement are the same whether the
// source forwards packet by packet or splices.
func TestLinksBothWays(t *testing.T) {
	for _, splice := range []bool{false, true} {
		name := map[bool]string{false: "pushed", true: "spliced"}[splice]
		t.Run(name, func(t *testing.T) {
			w, source, sink := pair(t, map[string]any{"splice": splice}, nil)
			second := w.Element("TestSource", map[string]any{"splice": splice}).(*elementtest.Source)
			w.Call(source, "connect", map[string]any{"sink": sink})
			got := sink.Got[pipeline.Video]
			if l := got.Link(); l == nil || l.Spliced() != splice {
				t.Fatalf("link %v, want spliced %v", l, splice)
			}
			source.Send(pipeline.Video, 7)
			if n := len(got.Packets()); n != 7 {
				t.Errorf("%d packets, want 7", n)
			}
			w.WaitEvents(sink, "MediaFlowInStateChanged", 1)
			w.WaitEvents(source, "MediaFlowOutStateChanged", 1)
			tr := w.WaitEvents(source, "MediaTranscodingStateChanged", 1)
			if tr[0].Data["state"] != "NOT_TRANSCODING" || tr[0].Data["mediaType"] != "VIDEO" {
				t.Errorf("transcoding event %v", tr[0].Data)
			}
			if flowing := w.Call(sink, "isMediaFlowingIn", map[string]any{"mediaType": "VIDEO"}); flowing != true {
				t.Errorf("isMediaFlowingIn %v after packets", flowing)
			}
			if flowing := w.Call(sink, "isMediaFlowingIn", map[string]any{"mediaType": "AUDIO"}); flowing != false {
				t.Errorf("isMediaFlowingIn AUDIO %v without packets", flowing)
			}
			w.Call(second, "connect", map[string]any{"sink": sink, "mediaType": "VIDEO"})
			source.Send(pipeline.Video, 3)
			second.Send(pipeline.Video, 2)
			if n := len(got.Packets()); n != 9 {
				t.Errorf("%d packets after the switch, want 9", n)
			}
			source.Send(pipeline.Audio, 1)
			if n := len(sink.Got[pipeline.Audio].Packets()); n != 1 {
				t.Errorf("audio of the first source: %d packets, want 1", n)
			}
		})
	}
}

// TestConnectBeforePorts: a connection waits for both ends' ports.
func TestConnectBeforePorts(t *testing.T) {
	w, source, sink := pair(t, map[string]any{"late": true}, map[string]any{"late": true})
	w.Call(source, "connect", map[string]any{"sink": sink})
	w.WaitEvents(source, "ElementConnected", 3)
	source.Negotiate()
	if sink.Got[pipeline.Video].Link() != nil {
		t.Fatal("linked without an input")
	}
	sink.Negotiate()
	source.Send(pipeline.Video, 4)
	if n := len(sink.Got[pipeline.Video].Packets()); n != 4 {
		t.Errorf("%d packets, want 4", n)
	}
	if n := source.Producers[pipeline.Video].Count(pipeline.WishKeyFrame); n != 1 {
		t.Errorf("%d keyframe wishes when the link was made, want 1", n)
	}
}

// TestNoTranscoder: a link whose formats nobody can bridge connects, raises one
// Error event and forwards nothing.
func TestNoTranscoder(t *testing.T) {
	w, source, sink := pair(t, nil, map[string]any{"vp9Only": true})
	w.Call(source, "connect", map[string]any{"sink": sink})
	source.Send(pipeline.Video, 50)
	errs := w.WaitEvents(source, "Error", 1)
	if len(errs) != 1 {
		t.Errorf("%d Error events, want 1", len(errs))
	}
	if d := errs[0].Data; d["errorCode"] != int64(kerr.UnsupportedMediaType) || d["type"] != "STREAM_ERROR_FAILED" ||
		!strings.Contains(d["description"].(string), "no converter in this build") {
		t.Errorf("error event %v", d)
	}
	if n := len(sink.Got[pipeline.Video].Packets()); n != 0 {
		t.Errorf("%d packets of a format the sink does not take", n)
	}
	w.Call(source, "disconnect", map[string]any{"sink": sink})
	w.Call(source, "connect", map[string]any{"sink": sink, "mediaType": "VIDEO"})
	source.Send(pipeline.Video, 5)
	if errs := w.Events(source, "Error"); len(errs) != 2 {
		t.Errorf("%d Error events after a second connect, want 2", len(errs))
	}
}

// TestConverterBridges: with a converter the same link works and is not an error.
func TestConverterBridges(t *testing.T) {
	conv := &pipelinetest.Converter{From: "VP8", To: "VP9"}
	w := elementtest.NewWith(t, []pipeline.Converter{conv})
	source := w.Element("TestSource", nil).(*elementtest.Source)
	sink := w.Element("TestSink", map[string]any{"vp9Only": true}).(*elementtest.Sink)
	w.Call(source, "connect", map[string]any{"sink": sink})
	source.Send(pipeline.Video, 5)
	elementtest.Eventually(t, "converted packets", func() bool { return len(sink.Got[pipeline.Video].Packets()) == 5 })
	if errs := w.Events(source, "Error"); len(errs) != 0 {
		t.Errorf("error events %v", errs)
	}
}

// TestForcedFormat: setVideoFormat makes a link convert that would fit, and
// transcoding is not claimed where no encoder runs.
func TestForcedFormat(t *testing.T) {
	w := elementtest.NewWith(t, []pipeline.Converter{&pipelinetest.Converter{From: "VP8", To: "VP9"}})
	source := w.Element("TestSource", nil).(*elementtest.Source)
	sink := w.Element("TestSink", nil).(*elementtest.Sink)
	w.Call(source, "connect", map[string]any{"sink": sink})
	source.Send(pipeline.Video, 1)
	w.Call(source, "setVideoFormat", map[string]any{"caps": map[string]any{"codec": "VP9", "framerate": map[string]any{"numerator": 15, "denominator": 1}}})
	source.Send(pipeline.Video, 1)
	got := sink.Got[pipeline.Video].Packets()
	if len(got) != 2 || got[0].Format.Codec != "VP8" || got[1].Format.Codec != "VP9" {
		t.Fatalf("%d packets, want one in VP8 and one in VP9", len(got))
	}
}

func TestConnectErrors(t *testing.T) {
	w, source, sink := pair(t, nil, nil)
	far := elementtest.New(t)
	other := far.Element("TestSink", nil)
	err := source.Connect(other, pipeline.Video, "default", "default")
	elementtest.Code(t, err, kerr.ConnectError, "Media elements do not share pipeline")
	_, err = w.Invoke(source, "connect", map[string]any{"sink": w.Pipeline})
	elementtest.Code(t, err, kerr.MarshallError, "'sink' parameter should be a MediaElement")
	_, err = w.Invoke(source, "connect", map[string]any{"sink": "nope"})
	elementtest.Code(t, err, kerr.MediaObjectNotFound, "Object 'nope' not found")
	_, err = w.Invoke(sink, "isMediaFlowingIn", map[string]any{"mediaType": "DATA"})
	elementtest.Code(t, err, kerr.MediaObjectIllegalParam, "DATA")
	_, err = w.Invoke(sink, "setVideoFormat", map[string]any{"caps": map[string]any{"codec": "VP8", "framerate": map[string]any{"numerator": -15, "denominator": 1}}})
	elementtest.Code(t, err, kerr.MediaObjectIllegalParam, "Framerate -15/1 is negative")
	_, err = w.Invoke(sink, "setVideoFormat", map[string]any{"caps": map[string]any{"codec": "VP8"}})
	elementtest.Code(t, err, kerr.MarshallError, "'framerate' property should be a object")
}

// TestConnectStorm: many goroutines connect and disconnect the same few
// elements while media flows; afterwards lists and links agree.
func TestConnectStorm(t *testing.T) {
	w := elementtest.New(t)
	var sources []*elementtest.Source
	var sinks []*elementtest.Sink
	for i := range 3 {
		sources = append(sources, w.Element("TestSource", map[string]any{"splice": i == 0}).(*elementtest.Source))
		sinks = append(sinks, w.Element("TestSink", nil).(*elementtest.Sink))
	}
	stop := make(chan struct{})
	var media, calls sync.WaitGroup
	for _, s := range sources {
		media.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.Send(pipeline.Video, 1)
					s.Send(pipeline.Audio, 1)
				}
			}
		})
	}
	for i := range 6 {
		calls.Go(func() {
			for n := range 40 {
				a, b := sources[(i+n)%3], sinks[(i*n)%3]
				if n%3 == 0 {
					w.Call(a, "disconnect", map[string]any{"sink": b})
				} else {
					w.Call(a, "connect", map[string]any{"sink": b})
				}
			}
		})
	}
	elementtest.Within(t, "connects", calls.Wait)
	close(stop)
	elementtest.Within(t, "media", media.Wait)
	links := 0
	for _, s := range sources {
		for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
			out, err := s.Output(kind, "")
			if err != nil {
				t.Fatal(err)
			}
			links += out.Links()
		}
	}
	rows := 0
	for _, s := range sinks {
		for _, r := range w.Call(s, "getSourceConnections", nil).([]any) {
			if r.(map[string]any)["type"] != "DATA" {
				rows++
			}
		}
		if perKind := len(w.Call(s, "getSourceConnections", map[string]any{"mediaType": "VIDEO"}).([]any)); perKind > 1 {
			t.Errorf("%s has %d video sources", s.ID(), perKind)
		}
	}
	if links != rows {
		t.Errorf("%d links, but %d connections listed", links, rows)
	}
}

func TestDot(t *testing.T) {
	w, source, sink := pair(t, nil, nil)
	w.Call(source, "connect", map[string]any{"sink": sink})
	source.Send(pipeline.Video, 3)
	dot := w.Call(w.Pipeline, "getGstreamerDot", nil).(string)
	for _, want := range []string{"digraph", source.ID(), sink.ID(), "3 packets", "VP8", "n0_out_VIDEO -> n1_in_VIDEO", "style=solid"} {
		if !strings.Contains(dot, want) {
			t.Errorf("graph of the pipeline lacks %q:\n%s", want, dot)
		}
	}
	if strings.Count(dot, "{") != strings.Count(dot, "}") {
		t.Errorf("unbalanced graph:\n%s", dot)
	}
	one := w.Call(source, "getGstreamerDot", map[string]any{"details": "SHOW_ALL"}).(string)
	if !strings.Contains(one, sink.ID()) {
		t.Errorf("graph of the element lacks its neighbour:\n%s", one)
	}
	if _, err := w.Invoke(source, "getGstreamerDot", map[string]any{"details": "MORE"}); err == nil {
		t.Error("unknown details are accepted")
	}
}

func TestStatsAndEncoder(t *testing.T) {
	w, source, _ := pair(t, nil, nil)
	source.SetStats(nil)
	if got := w.Call(source, "getStats", nil); got != nil {
		t.Errorf("without latencies: %v, want null", got)
	}
	w.Call(source.PipelineObject(), "setLatencyStats", map[string]any{"latencyStats": true})
	row := w.Call(source, "getStats", nil).(map[string]any)[source.ID()].(map[string]any)
	if row["type"] != "endpoint" || row["__type__"] != "EndpointStats" || row["id"] != source.ID() {
		t.Errorf("row of the endpoint: %v", row)
	}
	if l, ok := row["inputLatency"].([]any); !ok || len(l) != 0 {
		t.Errorf("inputLatency %v, want an empty list", row["inputLatency"])
	}
	for op, want := range map[string]int64{"getEncoderBitrate": 300000, "getMinEncoderBitrate": 0, "getMaxEncoderBitrate": 2147483647} {
		if got := w.Call(source, op, nil); got != want {
			t.Errorf("%s %v, want %d", op, got, want)
		}
	}
	w.Call(source, "setMaxEncoderBitrate", map[string]any{"maxEncoderBitrate": "1000000"})
	if got := w.Call(source, "getMaxEncoderBitrate", nil); got != int64(1000000) {
		t.Errorf("maxEncoderBitrate %v after set", got)
	}
	if _, err := elements.NewRegistry(elements.Types()...); err != nil {
		t.Error(err)
	}
}
