package workerstest

import (
	"encoding/json"
	"strings"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers/wire"
)

// direct plays the job "director": media flows on the ports of a view from its
// first call to its end.
func (w *Worker) direct(p wire.CallParams) {
	if kind, _ := w.Kind(); kind != wire.KindDirector {
		return
	}
	switch p.Method {
	case wire.MethodView:
		var v wire.View
		if json.Unmarshal(p.Params, &v) != nil {
			return
		}
		if v.Width > 0 {
			w.begin(wire.VideoPort(v.Name), "video")
		}
		if v.Sound {
			w.begin(wire.AudioPort(v.Name), "audio")
		}
	case wire.MethodNoView:
		var n wire.NameParams
		if json.Unmarshal(p.Params, &n) != nil {
			return
		}
		w.cease(wire.VideoPort(n.Name), "video")
		w.cease(wire.AudioPort(n.Name), "audio")
	}
}

func (w *Worker) begin(port, kind string) {
	w.mu.Lock()
	_, flows := w.flows[port]
	w.mu.Unlock()
	if !flows {
		w.Flow(port, kind, true)
	}
}

func (w *Worker) cease(port, kind string) {
	w.mu.Lock()
	_, flows := w.flows[port]
	w.mu.Unlock()
	if flows {
		w.Flow(port, kind, false)
	}
}

// see tells of the first picture of a director's video input.
func (w *Worker) see(in wire.StreamParams, f Frame) {
	if kind, _ := w.Kind(); kind != wire.KindDirector || !strings.HasPrefix(in.Name, "video/") || !f.Key {
		return
	}
	w.mu.Lock()
	seen := w.seen[in.Name]
	w.seen[in.Name] = true
	w.mu.Unlock()
	if seen {
		return
	}
	width, height, _ := codec.SizeOfUnit(codec.Parse(in.Codec), f.Payload)
	w.Input(in.Name, true, width, height)
}

// Input tells, as a director, that an input brings pictures, or has none.
func (w *Worker) Input(name string, flowing bool, width, height int) {
	w.mu.Lock()
	w.seen[name] = flowing
	w.mu.Unlock()
	w.Event(wire.EventInput, wire.InputData{Input: name, Flowing: flowing, Width: width, Height: height})
}

// Views are the views of a director as they were told last, by name.
func (w *Worker) Views() map[string]wire.View {
	views := map[string]wire.View{}
	w.called(func(method string, raw json.RawMessage) {
		var v wire.View
		var n wire.NameParams
		switch {
		case method == wire.MethodView && json.Unmarshal(raw, &v) == nil:
			views[v.Name] = v
		case method == wire.MethodNoView && json.Unmarshal(raw, &n) == nil:
			delete(views, n.Name)
		}
	})
	return views
}

// Pictures are the images that a director knows, by name.
func (w *Worker) Pictures() map[string][]byte {
	pictures := map[string][]byte{}
	w.called(func(method string, raw json.RawMessage) {
		var p wire.Picture
		var n wire.NameParams
		switch {
		case method == wire.MethodPicture && json.Unmarshal(raw, &p) == nil:
			pictures[p.Name] = p.Image
		case method == wire.MethodNoPicture && json.Unmarshal(raw, &n) == nil:
			delete(pictures, n.Name)
		}
	})
	return pictures
}

// called replays all calls of the job's kind.
func (w *Worker) called(each func(method string, params json.RawMessage)) {
	for _, r := range w.Requests(wire.MethodCall) {
		var c wire.CallParams
		if json.Unmarshal(r.Params, &c) == nil {
			each(c.Method, c.Params)
		}
	}
}
