package filters

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakes gives the family with fake workers, which say that video flows on "out".
func fakes(t *testing.T, s workerstest.Script, config ...func(*workers.Config)) (*workerstest.Farm, Deps) {
	t.Helper()
	if s.Flows == nil {
		s.Flows = map[string]string{outName: "video"}
	}
	farm := workerstest.New(t, s, config...)
	return farm, Deps{Pool: farm.Pool, Images: files{"file:///a.png": pngOf(t, drawing(40, 20)), "file:///b.txt": []byte("text")}}
}

func world(t *testing.T, d Deps) *elementtest.World {
	t.Helper()
	return elementtest.NewWith(t, []pipeline.Converter{pipeline.NewDepacketizer(), pipeline.NewPacketizer(), pipeline.NewEncoder()}, Types(d)...)
}

func command(text, typ string) map[string]any {
	return map[string]any{"command": text, "filterType": typ}
}

func TestContract(t *testing.T) {
	ancestors := []string{"Filter", "MediaElement", "MediaObject"}
	_, d := fakes(t, workerstest.Script{})
	elementtest.Run(t, Types(d),
		elementtest.Case{Type: "GStreamerFilter", Params: func() map[string]any { return command("videoflip method=4", "VIDEO") }, Required: []string{"command"}, Ancestors: ancestors},
		elementtest.Case{Type: "ImageOverlayFilter", Ancestors: ancestors},
		elementtest.Case{Type: "FaceOverlayFilter", Ancestors: ancestors},
		elementtest.Case{Type: "ZBarFilter", Ancestors: ancestors},
	)
}

// TestUnavailable: without a worker every class answers 40108, and none can be
// made of the abstract one.
func TestUnavailable(t *testing.T) {
	pool := workers.NewPool(workers.Config{Binary: t.TempDir() + "/none"})
	defer pool.Close()
	for _, d := range []Deps{{}, {Pool: pool}} {
		w := elementtest.New(t, Types(d)...)
		for typ, p := range map[string]map[string]any{
			"GStreamerFilter": command("videoflip", "AUTODETECT"), "ImageOverlayFilter": nil, "FaceOverlayFilter": nil, "ZBarFilter": nil, "OpenCVFilter": nil,
		} {
			_, err := w.TryCreate(typ, p)
			elementtest.Code(t, err, kerr.MediaObjectNotAvailable, "")
		}
		// What is wrong with the command is told first.
		_, err := w.TryCreate("GStreamerFilter", command("nosuchelement a=b", "VIDEO"))
		elementtest.Code(t, err, kerr.MarshallError, `GStreamer element cannot be created: no element "nosuchelement"`)
	}
}

// TestMissingElements: what the platform's GStreamer lacks.
func TestMissingElements(t *testing.T) {
	script := workerstest.Script{
		Ready: wire.ReadyData{Version: "1.22.0", Encoders: []string{"VP8"}, Decoders: []string{"VP8"}, Elements: []string{"videoflip"}},
		Start: func(_ *workerstest.Worker, _ string, params json.RawMessage) error {
			if strings.Contains(string(params), `"faces"`) {
				return kerr.New(kerr.MediaObjectNotAvailable, "no faces here")
			}
			return nil
		},
	}
	_, d := fakes(t, script)
	w := world(t, d)
	_, err := w.TryCreate("FaceOverlayFilter", nil) // before any worker has told
	elementtest.Code(t, err, kerr.MediaObjectNotAvailable, "install gstreamer1.0-opencv and opencv-data")
	_, err = w.TryCreate("FaceOverlayFilter", nil) // and after
	elementtest.Code(t, err, kerr.MediaObjectNotAvailable, "install gstreamer1.0-opencv and opencv-data")
	_, err = w.TryCreate("GStreamerFilter", command("edgetv", "VIDEO"))
	elementtest.Code(t, err, kerr.MarshallError, `GStreamer element cannot be created: no element "edgetv"`)
	w.Create("GStreamerFilter", command("videoflip", "VIDEO"))
}

// TestGStreamerFilter: media goes through the worker, the other kind passes,
// properties reach the worker, also the one that replaces a dead one.
func TestGStreamerFilter(t *testing.T) {
	farm, d := fakes(t, workerstest.Script{})
	w := world(t, d)
	f := w.Element("GStreamerFilter", command(" videoflip   method=4 ", "VIDEO"))
	if got := w.Call(f, "getCommand", nil); got != " videoflip   method=4 " {
		t.Errorf("command %q", got)
	}
	_, err := w.Invoke(f, "setCommand", map[string]any{"command": "edgetv"})
	elementtest.Code(t, err, kerr.MalformedTransaction, "setCommand")
	set := func(name, value string) error {
		_, err := w.Invoke(f, "setElementProperty", map[string]any{"propertyName": name, "propertyValue": value})
		return err
	}
	if err := set("method", "clockwise"); err != nil { // before there is a worker
		t.Error(err)
	}
	source := w.Element("TestSource", nil).(*elementtest.Source)
	sink := w.Element("TestSink", nil).(*elementtest.Sink)
	w.Call(f, "connect", map[string]any{"sink": sink, "mediaType": "AUDIO"})
	w.Call(source, "connect", map[string]any{"sink": f})
	out, err := f.Output(pipeline.Video, "")
	if err != nil {
		t.Fatal(err)
	}
	viewer := pipelinetest.NewSink(pipeline.UnitOf(pipeline.Video, codec.H264))
	if _, err := out.Connect(viewer); err != nil {
		t.Fatal(err)
	}
	worker := farm.Worker(t, 0)
	kind, params := worker.Kind()
	var got jobParams
	if err := json.Unmarshal(params, &got); err != nil || kind != jobKind || got.Effect != "element" || got.Kind != "video" || got.Element != "videoflip" ||
		fmt.Sprint(got.Properties) != "[{method enum horizontal-flip}]" {
		t.Errorf("job %s %s, %v", kind, params, err)
	}
	property := func(worker *workerstest.Worker, want string) {
		t.Helper()
		elementtest.Eventually(t, want, func() bool {
			calls := worker.Calls("property")
			return len(calls) > 0 && string(calls[len(calls)-1]) == want
		})
	}
	property(worker, `{"name":"method","type":"enum","value":"clockwise"}`)
	for range 3 {
		source.Send(pipeline.Audio, 10)
	}
	if n := len(sink.Got[pipeline.Audio].Packets()); n != 30 {
		t.Errorf("%d of 30 packets of sound passed", n)
	}
	feed(t, source, func() bool { return len(worker.Frames(inName)) > 0 && len(viewer.Packets()) > 0 })

	if err := set("method", "rotate-180"); err != nil {
		t.Error(err)
	}
	property(worker, `{"name":"method","type":"enum","value":"rotate-180"}`)
	elementtest.Code(t, set("method", "sideways"), kerr.MarshallError, "method")
	elementtest.Code(t, set("location", "/etc/passwd"), kerr.MarshallError, "not found")

	worker.Crash()
	e := w.WaitEvents(f, "Error", 1)[0]
	if text, _ := e.Data["description"].(string); !strings.Contains(text, "another one takes over") || e.Data["type"] != errorElement {
		t.Errorf("event %v", e.Data)
	}
	next := farm.Worker(t, 1)
	property(next, `{"name":"method","type":"enum","value":"rotate-180"}`)
	before := len(viewer.Packets())
	feed(t, source, func() bool { return len(next.Frames(inName)) > 0 && len(viewer.Packets()) > before })
}

// feed sends video until a condition holds.
func feed(t *testing.T, s *elementtest.Source, ok func() bool) {
	t.Helper()
	out, err := s.Output(pipeline.Video, "")
	if err != nil {
		t.Fatal(err)
	}
	elementtest.Eventually(t, "video through the worker", func() bool {
		out.Push(&pipeline.Packet{Format: &vp8, Payload: workerstest.Unit(codec.VP8, true), Key: true, Arrival: time.Now(), PTS: time.Since(began)})
		return ok()
	})
}

var (
	vp8   = pipeline.UnitOf(pipeline.Video, codec.VP8)
	began = time.Now()
)

func TestNotImplementedProperties(t *testing.T) {
	_, d := fakes(t, workerstest.Script{})
	w := world(t, d)
	f := w.Element("GStreamerFilter", command("volume", "AUDIO"))
	_, err := w.Invoke(f, "setElementProperty", map[string]any{"propertyName": "mute", "propertyValue": "true"})
	elementtest.Code(t, err, kerr.NotImplemented, "mute")
	_, err = w.TryCreate("GStreamerFilter", command("volume", "VIDEO"))
	elementtest.Code(t, err, kerr.MarshallError, "pad templates don't match")
	_, err = w.TryCreate("GStreamerFilter", command("volume", "SMELL"))
	elementtest.Code(t, err, kerr.MarshallError, "Invalid value for 'FilterType'")
}

// TestNoRoom: a full machine is told by the event Error, and the next connection
// tries again.
func TestNoRoom(t *testing.T) {
	farm, d := fakes(t, workerstest.Script{}, func(c *workers.Config) { c.Cores = 1 })
	w := world(t, d)
	hog, err := farm.Pool.Start(t.Context(), workers.Spec{Kind: "hog", Cores: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	f := w.Element("GStreamerFilter", command("gaussianblur", "VIDEO"))
	source := w.Element("TestSource", nil)
	w.Call(source, "connect", map[string]any{"sink": f})
	e := w.WaitEvents(f, "Error", 1)[0]
	if fmt.Sprint(e.Data["errorCode"]) != fmt.Sprint(int(kerr.NotEnoughResources)) {
		t.Errorf("event %v", e.Data)
	}
	if err := hog.Close(); err != nil {
		t.Error(err)
	}
	w.Call(w.Element("TestSource", nil), "connect", map[string]any{"sink": f})
	elementtest.Eventually(t, "a worker", func() bool {
		return slices.ContainsFunc(farm.Workers(), func(w *workerstest.Worker) bool { k, _ := w.Kind(); return k == jobKind })
	})
}

func image1(id string) map[string]any {
	return map[string]any{
		"id": id, "uri": "file:///a.png", "offsetXPercent": 0.25, "offsetYPercent": 0.5, "widthPercent": 0.1, "heightPercent": 0.2, "keepAspectRatio": true, "center": false,
	}
}

func TestImageOverlay(t *testing.T) {
	farm, d := fakes(t, workerstest.Script{})
	w := world(t, d)
	f := w.Element("ImageOverlayFilter", nil)
	w.Call(f, "removeImage", map[string]any{"id": "nobody"})
	w.Call(f, "addImage", image1("one"))
	w.Call(w.Element("TestSource", nil), "connect", map[string]any{"sink": f})
	worker := farm.Worker(t, 0)
	last := func(n int) (p placed) {
		t.Helper()
		elementtest.Eventually(t, fmt.Sprint(n, " calls"), func() bool { return len(worker.Calls("image")) >= n })
		calls := worker.Calls("image")
		if len(calls) != n {
			t.Fatalf("%d calls, want %d", len(calls), n)
		}
		if err := json.Unmarshal(calls[n-1], &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := last(1)
	if p.Image == "" || p.X != 0.25 || p.Y != 0.5 || p.Width != 0.1 || p.Height != 0.2 || !p.Keep || p.Center {
		t.Errorf("placed %+v", p)
	}
	w.Call(f, "addImage", image1("two"))
	two := last(2)
	if two.Slot == p.Slot || two.Order <= p.Order {
		t.Errorf("the second image is %+v after %+v", two, p)
	}
	w.Call(f, "addImage", image1("one"))
	if again := last(3); again.Slot != p.Slot {
		t.Errorf("the same id has slot %d, had %d", again.Slot, p.Slot)
	}
	w.Call(f, "removeImage", map[string]any{"id": "one"})
	if gone := last(4); gone.Slot != p.Slot || gone.Image != "" {
		t.Errorf("removed is %+v", gone)
	}
	for i := range maxImages - 1 {
		w.Call(f, "addImage", image1(fmt.Sprint("more", i)))
	}
	_, err := w.Invoke(f, "addImage", image1("too many"))
	elementtest.Code(t, err, kerr.NotEnoughResources, "at most")
	for _, c := range []struct {
		field string
		value any
		code  kerr.Code
	}{
		{"uri", "file:///none.png", kerr.URIPathFileNotFound}, {"uri", "file:///b.txt", kerr.MarshallError}, {"widthPercent", 0, kerr.MarshallError},
		{"heightPercent", -1, kerr.MarshallError}, {"offsetXPercent", 1e9, kerr.MarshallError}, {"id", strings.Repeat("x", 2000), kerr.MarshallError},
	} {
		bad := image1("two")
		bad[c.field] = c.value
		_, err := w.Invoke(f, "addImage", bad)
		elementtest.Code(t, err, c.code, "")
	}
	// One call per slot is repeated after a crash, however many were made.
	for i := range 100 {
		w.Call(f, "removeImage", map[string]any{"id": "two"})
		w.Call(f, "addImage", image1("two"))
		_ = i
	}
	worker.Crash()
	next := farm.Worker(t, 1)
	elementtest.Eventually(t, "all images again", func() bool { return len(next.Calls("image")) == maxImages })
}

func TestFaceOverlay(t *testing.T) {
	farm, d := fakes(t, workerstest.Script{})
	w := world(t, d)
	f := w.Element("FaceOverlayFilter", nil)
	args := func() map[string]any {
		return map[string]any{"uri": "file:///a.png", "offsetXPercent": -0.35, "offsetYPercent": -1.2, "widthPercent": 1.6, "heightPercent": 1.6}
	}
	w.Call(f, "unsetOverlayedImage", nil)
	w.Call(f, "setOverlayedImage", args())
	w.Call(w.Element("TestSource", nil), "connect", map[string]any{"sink": f})
	worker := farm.Worker(t, 1) // the first one was asked whether it can find faces
	elementtest.Eventually(t, "the image", func() bool { return len(worker.Calls("image")) == 1 })
	var p placed
	if err := json.Unmarshal(worker.Calls("image")[0], &p); err != nil || p.Image == "" || p.X != -0.35 || p.Y != -1.2 || p.Width != 1.6 || p.Height != 1.6 {
		t.Errorf("placed %+v, %v", p, err)
	}
	w.Call(f, "unsetOverlayedImage", nil)
	elementtest.Eventually(t, "no image", func() bool {
		c := worker.Calls("image")
		return len(c) == 2 && !strings.Contains(string(c[1]), `"image"`)
	})
	bad := args()
	bad["widthPercent"] = -1
	_, err := w.Invoke(f, "setOverlayedImage", bad)
	elementtest.Code(t, err, kerr.MarshallError, "widthPercent")
	bad = args()
	bad["uri"] = "http://nowhere.invalid/x.png"
	_, err = w.Invoke(f, "setOverlayedImage", bad)
	elementtest.Code(t, err, kerr.URIPathFileNotFound, "cannot be opened")
}

// TestZBar: media passes as it came, the worker gets a copy, codes are told once
// a second.
func TestZBar(t *testing.T) {
	farm, d := fakes(t, workerstest.Script{})
	w := world(t, d)
	f := w.Element("ZBarFilter", nil)
	source := w.Element("TestSource", nil).(*elementtest.Source)
	sink := w.Element("TestSink", nil).(*elementtest.Sink)
	w.Call(source, "connect", map[string]any{"sink": f})
	w.Call(f, "connect", map[string]any{"sink": sink})
	worker := farm.Worker(t, 0)
	feed(t, source, func() bool { return len(worker.Frames(inName)) > 0 })
	source.Send(pipeline.Video, 3)
	for _, p := range sink.Got[pipeline.Video].Packets() {
		if p.Format.Codec != codec.VP8 {
			t.Fatalf("media comes as %+v", p.Format)
		}
	}
	if n := len(worker.Requests(wire.MethodOutput)); n != 0 {
		t.Errorf("%d encodings were asked for", n)
	}
	worker.Event("code", CodeFoundFields{"QR-Code", "hello"})
	worker.Event("code", CodeFoundFields{"QR-Code", "hello"})
	worker.Event("code", CodeFoundFields{"EAN-13", "hello"})
	worker.Event("other", nil)
	got := w.WaitEvents(f, "CodeFound", 2)
	if len(got) != 2 || got[0].Data["codeType"] != "QR-Code" || got[0].Data["value"] != "hello" || got[1].Data["codeType"] != "EAN-13" || got[0].Data["type"] != "CodeFound" {
		t.Errorf("events %v", got)
	}
	// Wishes of a viewer and of the worker go the same way up.
	keys := source.Producers[pipeline.Video].Count(pipeline.WishKeyFrame)
	worker.WantKey(inName)
	elementtest.Eventually(t, "a keyframe wish", func() bool { return source.Producers[pipeline.Video].Count(pipeline.WishKeyFrame) > keys })
}

func TestCodesAgain(t *testing.T) {
	f := &ZBarFilter{last: map[CodeFoundFields]time.Time{}}
	start := time.Unix(100, 0)
	c := CodeFoundFields{"QR-Code", "x"}
	for _, s := range []struct {
		ms   int
		want bool
	}{{0, true}, {200, false}, {999, false}, {1000, true}, {1500, false}, {2000, true}, {10000, true}} {
		if got := f.found(c, start.Add(time.Duration(s.ms)*time.Millisecond)); got != s.want {
			t.Errorf("after %d ms: told = %v", s.ms, got)
		}
	}
	for i := range 10 * maxCodes {
		f.found(CodeFoundFields{"QR-Code", fmt.Sprint(i)}, start.Add(20*time.Second))
	}
	if len(f.last) > maxCodes {
		t.Errorf("%d codes are remembered", len(f.last))
	}
}

// TestWorkerErrors reach the element's subscribers.
func TestWorkerErrors(t *testing.T) {
	farm, d := fakes(t, workerstest.Script{Call: func(_ *workerstest.Worker, method string, _ json.RawMessage, _ []*os.File) (any, error) {
		return nil, kerr.New(kerr.MarshallError, "%s is refused", method)
	}})
	w := world(t, d)
	f := w.Element("GStreamerFilter", command("videoflip", "VIDEO"))
	w.Call(w.Element("TestSource", nil), "connect", map[string]any{"sink": f})
	farm.Worker(t, 0).Error(wire.ErrorData{Type: "STREAM_ERROR_DECODE", Code: 7, Text: "torn"})
	if e := w.WaitEvents(f, "Error", 1)[0].Data; e["type"] != "STREAM_ERROR_DECODE" || e["description"] != "torn" {
		t.Errorf("event %v", e)
	}
	w.Call(f, "setElementProperty", map[string]any{"propertyName": "method", "propertyValue": "none"})
	if e := w.WaitEvents(f, "Error", 2)[1].Data; !strings.Contains(fmt.Sprint(e["description"]), "property is refused") {
		t.Errorf("event %v", e)
	}
}

var _ elements.Element = (*GStreamerFilter)(nil)
