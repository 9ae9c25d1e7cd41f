package elements_test

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/kerr"
)

type color string

func (color) Values() []string { return []string{"RED", "GREEN"} }

type point struct {
	X     int     `json:"x"`
	Label string  `json:"label" default:"none"`
	Scale float64 `json:"scale" default:"1.5"`
}

type everything struct {
	S     string             `json:"s"`
	I     int                `json:"i" default:"7"`
	L     int64              `json:"l" default:"8"`
	D     float64            `json:"d" default:"2.5"`
	B     bool               `json:"b" default:"true"`
	C     color              `json:"c" default:"RED"`
	P     *point             `json:"p"`
	List  []point            `json:"list" optional:"true"`
	Map   map[string]string  `json:"map" optional:"true"`
	Refs  []elements.Element `json:"refs" optional:"true"`
	Maybe *int               `json:"maybe"`
}

type thing struct {
	elements.MediaElement
	got everything
}

func thingType() elements.Type {
	return elements.Type{
		Name: "Thing", Extends: "MediaElement", Module: "test",
		New: elements.New(func(_ context.Context, env elements.Env, _ struct {
			MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
		}) (*thing, error) {
			x := &thing{}
			x.Init(env)
			return x, nil
		}),
		Members: []elements.Member{
			elements.Method("all", func(x *thing, _ context.Context, p everything) (elements.None, error) {
				x.got = p
				return elements.None{}, nil
			}),
			elements.Property("origin", func(x *thing) point { return *x.got.P }, func(x *thing, p point) error { x.got.P = &p; return nil }),
		},
	}
}

func TestDecode(t *testing.T) {
	w := elementtest.New(t, thingType())
	x := w.Create("Thing", nil).(*thing)
	ok := []struct {
		name   string
		params map[string]any
		want   func(e everything) bool
	}{
		{"defaults", map[string]any{"s": "a"}, func(e everything) bool {
			return reflect.DeepEqual(e, everything{S: "a", I: 7, L: 8, D: 2.5, B: true, C: "RED"})
		}},
		{"number as text", map[string]any{"s": 5}, func(e everything) bool { return e.S == "5" }},
		{"true as text", map[string]any{"s": true}, func(e everything) bool { return e.S == "true" }},
		{"null as text", map[string]any{"s": nil}, func(e everything) bool { return e.S == "" }},
		{"text as integer", map[string]any{"s": "", "i": "12"}, func(e everything) bool { return e.I == 12 }},
		{"fraction as integer", map[string]any{"s": "", "i": 12.9}, func(e everything) bool { return e.I == 12 }},
		{"bool as integer", map[string]any{"s": "", "i": true}, func(e everything) bool { return e.I == 1 }},
		{"0 as boolean", map[string]any{"s": "", "i": 1, "l": 1, "d": 1, "b": 0}, func(e everything) bool { return !e.B }},
		{"\"true\" as boolean", map[string]any{"s": "", "i": 1, "l": 1, "d": 1, "b": "true"}, func(e everything) bool { return e.B }},
		{"no gaps", map[string]any{"s": "", "l": 99}, func(e everything) bool { return e.L == 8 }},
		{"null optional", map[string]any{"s": "", "i": nil}, func(e everything) bool { return e.I == 7 }},
		{"register", map[string]any{"s": "", "i": 1, "l": 1, "d": 1, "b": true, "c": "GREEN", "p": map[string]any{"x": 3, "__type__": "point", "__module__": "kurento"}},
			func(e everything) bool { return e.C == "GREEN" && *e.P == point{3, "none", 1.5} }},
		{"lists and maps", map[string]any{"s": "", "i": 1, "l": 1, "d": 1, "b": true, "c": "RED", "p": map[string]any{"x": 1},
			"list": []any{map[string]any{"x": 1}, map[string]any{"x": 2}}, "map": map[string]any{"k": "v"}, "refs": []any{x.ID()}, "maybe": 4},
			func(e everything) bool {
				return len(e.List) == 2 && e.List[1].X == 2 && e.Map["k"] == "v" && len(e.Refs) == 1 && e.Refs[0] == elements.Element(x) && *e.Maybe == 4
			}},
	}
	for _, c := range ok {
		t.Run(c.name, func(t *testing.T) {
			w.T = t
			w.Call(x, "all", c.params)
			if !c.want(x.got) {
				t.Errorf("decoded %+v", x.got)
			}
		})
	}
	w.T = t
	full := func(k string, v any) map[string]any {
		p := map[string]any{"s": "", "i": 1, "l": 1, "d": 1, "b": true, "c": "RED", "p": map[string]any{"x": 1},
			"list": []any{}, "map": map[string]any{}, "refs": []any{}}
		p[k] = v
		return p
	}
	bad := []struct {
		params map[string]any
		code   kerr.Code
		text   string
	}{
		{map[string]any{}, kerr.MarshallError, "'s' parameter should be a string"},
		{full("s", []any{}), kerr.MarshallError, "'s' parameter should be a string"},
		{full("i", "x"), kerr.MarshallError, "'i' parameter should be a integer"},
		{full("i", 1<<40), kerr.MarshallError, "'i' parameter should be a integer"},
		{full("l", map[string]any{}), kerr.MarshallError, "'l' parameter should be a int64"},
		{full("d", "x"), kerr.MarshallError, "'d' parameter should be a double"},
		{full("b", "yes"), kerr.MarshallError, "'b' parameter should be a boolean"},
		{full("c", "BLUE"), kerr.MarshallError, "Invalid value for 'color'"},
		{full("p", "x"), kerr.MarshallError, "'p' parameter should be a object"},
		{full("p", map[string]any{}), kerr.MarshallError, "'x' property should be a integer"},
		{full("p", map[string]any{"x": 1, "__type__": "Nope", "__module__": "kurento"}), kerr.UnexpectedError, "Type Nope does not exist in module kurento"},
		{full("list", "x"), kerr.MarshallError, "'list' parameter should be a list"},
		{full("map", "x"), kerr.MarshallError, "'map' parameter should be a map"},
		{full("refs", []any{"nope"}), kerr.MediaObjectNotFound, "Object 'nope' not found"},
		{full("refs", []any{w.Pipeline.ID()}), kerr.MarshallError, "should be a MediaElement"},
	}
	for _, c := range bad {
		_, err := w.Invoke(x, "all", c.params)
		elementtest.Code(t, err, c.code, c.text)
	}
	_, err := w.Invoke(x, "setOrigin", map[string]any{"other": 1})
	elementtest.Code(t, err, kerr.MarshallError, "'origin' parameter should be a object")
	w.Call(x, "setOrigin", map[string]any{"origin": map[string]any{"x": 9}})
	if got := w.Call(x, "getOrigin", nil); !reflect.DeepEqual(got, map[string]any{"__module__": "kurento", "__type__": "point", "x": int64(9), "label": "none", "scale": elements.Double(1.5)}) {
		t.Errorf("origin %v", got)
	}
}

// TestRegistration refuses descriptions that could not work.
func TestRegistration(t *testing.T) {
	type private struct{ X int } // no json name
	base := elements.Types()
	cases := map[string]elements.Type{
		"registered twice":            {Name: "MediaObject"},
		"extends unknown Nope":        {Name: "A", Extends: "Nope"},
		"extends itself":              {Name: "A", Extends: "A"},
		"abstract type with a constr": {Name: "A", Extends: "MediaElement", Abstract: true, New: thingType().New},
		"needs to be exported":        {Name: "A", Extends: "MediaElement", Members: []elements.Member{elements.Method("m", func(elements.Node, context.Context, private) (elements.None, error) { return elements.None{}, nil })}},
		"cannot be sent":              {Name: "A", Extends: "MediaElement", Members: []elements.Member{elements.Property[elements.Node, chan int]("c", func(elements.Node) chan int { return nil }, nil)}},
		"cannot be a parameter": {Name: "A", Extends: "MediaElement", Members: []elements.Member{elements.Method("m", func(elements.Node, context.Context, struct {
			C complex128 `json:"c"`
		}) (elements.None, error) {
			return elements.None{}, nil
		})}},
		"default \"x\"": {Name: "A", Extends: "MediaElement", Members: []elements.Member{elements.Method("m", func(elements.Node, context.Context, struct {
			I int `json:"i" default:"x"`
		}) (elements.None, error) {
			return elements.None{}, nil
		})}},
		"needs elements.URIEndpoint": {Name: "A", Extends: "UriEndpoint", New: thingType().New},
	}
	for want, typ := range cases {
		if _, err := elements.NewRegistry(append(base, typ)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestModel: the model of a module names what the reference names, and encodes.
func TestModel(t *testing.T) {
	reg, err := elements.NewRegistry(elements.Types()...)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := reg.Model("core", "7.3.0")
	if !ok {
		t.Fatal("no module core")
	}
	if _, err := json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range m.Classes {
		var names []string
		for _, p := range c.Properties {
			names = append(names, p.Name)
		}
		for _, x := range c.Methods {
			var params []string
			for _, p := range x.Params {
				params = append(params, p.Name)
			}
			names = append(names, x.Name+"("+strings.Join(params, ",")+")")
		}
		got[c.Name] = strings.Join(append(names, c.Events...), " ")
	}
	// Names of the reference model, core module (childs is the 6.x spelling).
	for class, names := range map[string]string{
		"MediaObject":     "mediaPipeline parent id children name sendTagsInEvents creationTime addTag(key,value) removeTag(key) getTag(key) getTags() Error",
		"MediaPipeline":   "latencyStats getGstreamerDot(details) dumpGstreamerDot(details)",
		"MediaElement":    "encoderBitrate minEncoderBitrate maxEncoderBitrate getSourceConnections(mediaType,description) getSinkConnections(mediaType,description) connect(sink,mediaType,sourceMediaDescription,sinkMediaDescription) disconnect(sink,mediaType,sourceMediaDescription,sinkMediaDescription) setAudioFormat(caps) setVideoFormat(caps) dumpGstreamerDot(details) getGstreamerDot(details) getStats(mediaType) isMediaFlowingIn(mediaType,sinkMediaDescription) isMediaFlowingOut(mediaType,sourceMediaDescription) isMediaTranscoding(mediaType,binName) ElementConnected ElementDisconnected MediaFlowOutStateChanged MediaFlowInStateChanged MediaTranscodingStateChanged",
		"SessionEndpoint": "MediaSessionTerminated MediaSessionStarted",
		"SdpEndpoint":     "maxAudioRecvBandwidth maxVideoRecvBandwidth generateOffer(options) processOffer(offer) processAnswer(answer) getLocalSessionDescriptor() getRemoteSessionDescriptor()",
		"BaseRtpEndpoint": "minVideoRecvBandwidth minVideoSendBandwidth maxVideoSendBandwidth mediaState connectionState mtu rembParams requestKeyframe() MediaStateChanged ConnectionStateChanged",
		"UriEndpoint":     "uri state pause() stop() UriEndpointStateChanged",
		"Endpoint":        "",
		"Filter":          "",
	} {
		have := strings.Fields(got[class])
		for _, name := range strings.Fields(names) {
			found := false
			for _, h := range have {
				found = found || h == name
			}
			if !found {
				t.Errorf("%s lacks %s; has %v", class, name, have)
			}
		}
	}
}
