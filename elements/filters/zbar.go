package filters

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/pipeline"
)

const (
	// codeAgain is after how long a code still in the picture is told again
	// (kurento-elements §8).
	codeAgain = time.Second
	// maxCodes bounds the codes that are remembered at one moment.
	maxCodes = 64
)

// CodeFoundFields are the fields of CodeFound: the type as zbar names it
// (QR-Code, EAN-13) and the text.
type CodeFoundFields struct {
	CodeType string `json:"codeType"`
	Value    string `json:"value"`
}

// ZBarFilter looks for codes in the video. It changes nothing, so media passes
// as it came, coded; the worker gets a copy.
type ZBarFilter struct {
	filter
	tap  *pipeline.Output
	pass *elements.Joint
	last map[CodeFoundFields]time.Time // of the job's goroutine
}

func newZBar(d Deps) func(context.Context, elements.Env, pipelineParams) (*ZBarFilter, error) {
	return func(_ context.Context, env elements.Env, _ pipelineParams) (*ZBarFilter, error) {
		if err := d.available(); err != nil {
			return nil, err
		}
		f := &ZBarFilter{last: map[CodeFoundFields]time.Time{}}
		f.init(env, d, pipeline.Video, jobParams{Effect: "codes"}, 0.1, f.event)
		f.pass = elements.NewJoint(f.Graph(), pipeline.Video)
		f.tap = f.Graph().NewOutput(pipeline.Video, "codes", f.pass)
		f.tap.OnLinkError(func(_ *pipeline.Link, err error) {
			f.EmitError(errorElement, 0, "Codes are not looked for: "+err.Error())
		})
		f.AddInput(pipeline.Video, &lens{f: f, Joint: f.pass})
		f.AddOutput(f.pass.Output())
		f.addJoints()
		return f, nil
	}
}

// Close implements elements.Object.
func (f *ZBarFilter) Close() error {
	f.tap.Close()
	return f.filter.Close()
}

// event hears the worker's codes, one by one.
func (f *ZBarFilter) event(name string, data json.RawMessage) {
	var c CodeFoundFields
	if name != "code" || json.Unmarshal(data, &c) != nil {
		return
	}
	if f.found(c, time.Now()) {
		f.Emit("CodeFound", c)
	}
}

// found tells whether a code is news: new, or told longer ago than codeAgain.
func (f *ZBarFilter) found(c CodeFoundFields, now time.Time) bool {
	c.Value = strings.ToValidUTF8(c.Value, "\uFFFD")
	if at, ok := f.last[c]; ok && now.Sub(at) < codeAgain {
		return false
	}
	if len(f.last) >= maxCodes {
		for k, at := range f.last {
			if now.Sub(at) >= codeAgain {
				delete(f.last, k)
			}
		}
		if len(f.last) >= maxCodes {
			return false
		}
	}
	f.last[c] = now
	return true
}

// lens is the joint's input with a second receiver: the job.
type lens struct {
	*elements.Joint
	f    *ZBarFilter
	link atomic.Pointer[pipeline.Link]
}

// Push implements pipeline.Input.
func (l *lens) Push(p *pipeline.Packet) {
	l.Joint.Push(p)
	l.f.tap.Push(p)
}

// Attached implements pipeline.Attachable.
func (l *lens) Attached(up *pipeline.Link) {
	l.Joint.Attached(up)
	l.f.start()
	in := l.f.input.Load()
	if in == nil || l.link.Load() != nil {
		return
	}
	if link, err := l.f.tap.Connect(in); err == nil && !l.link.CompareAndSwap(nil, link) {
		l.f.tap.Disconnect(link)
	}
}

var _ pipeline.Input = (*workers.Input)(nil)
