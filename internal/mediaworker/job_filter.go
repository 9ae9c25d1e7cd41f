//go:build gst

package mediaworker

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
)

// filterHead is how far before its start a filter takes frames.
const filterHead = 10 * time.Second

// filterParams say what a filter does with its one input, "in": an element of
// filterElements between it and raw port "out", images or images over faces
// drawn into it, or codes looked for in it (then there is no port).
type filterParams struct {
	Effect     string          `json:"effect"` // element, images, faces, codes
	Kind       string          `json:"kind"`   // audio, video
	Element    string          `json:"element"`
	Properties []filterSetting `json:"properties"`
}

// filterSetting is a property; the server has checked name and value.
type filterSetting struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// effect is what kinds of filters differ in.
type effect interface {
	call(method string, params json.RawMessage) (any, error)
	message(m gst.Message) bool
	close()
}

// filterJob is a filter.
type filterJob struct {
	w     *worker
	kind  string
	entry *gst.Pad // where the input is linked
	out   *port
	effect
}

func newFilter(w *worker, raw json.RawMessage) (job, error) {
	var p filterParams
	if err := decodeParams(raw, &p); err != nil {
		return nil, err
	}
	if p.Kind != "audio" && p.Kind != "video" {
		return nil, kerr.New(kerr.MediaObjectIllegalParam, "A filter is of kind audio or video, not '%s'", p.Kind)
	}
	j := &filterJob{w: w, kind: p.Kind}
	var err error
	switch p.Effect {
	case "element":
		j.effect, err = newElementEffect(j, p)
	case "images":
		j.effect, err = newImagesEffect(j)
	case "faces":
		j.effect, err = newFacesEffect(j)
	case "codes":
		j.effect, err = newCodesEffect(j)
	default:
		err = kerr.New(kerr.MediaObjectIllegalParam, "There is no filter '%s'", p.Effect)
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

func (j *filterJob) addInput(in *input) error {
	if in.params.Name != "in" || in.params.Kind != j.kind {
		return kerr.New(kerr.MediaObjectIllegalParam, "The filter has no %s input '%s'", in.params.Kind, in.params.Name)
	}
	return in.out.Link(j.entry)
}

func (j *filterJob) removeInput(in *input) {
	// Nothing behind blocks, so the decoder can be stopped first, and does not
	// complain of a missing link.
	in.bin.LockState(true)
	_ = in.bin.SetState(gst.Null)
	in.out.Unlink(j.entry)
}

func (j *filterJob) call(method string, params json.RawMessage, files []*os.File) (any, error) {
	closeAll(files)
	if method == "check" { // that the job could be started says it all
		return nil, nil
	}
	return j.effect.call(method, params)
}

// insert adds a bin of a description to the pipeline. The sink of the element
// called head and the source of the one called tail (unless "") are the bin's.
func (j *filterJob) insert(description, head, tail string) (*gst.Element, error) {
	bin, err := gst.ParseBin(description, false)
	if err != nil {
		return nil, kerr.New(kerr.MediaObjectNotAvailable, "This filter is not available: %v", err)
	}
	if err := bin.Set("name", "filter"); err != nil {
		return nil, err
	}
	if _, err := bin.Ghost("sink", bin.Find(head).Pad("sink")); err != nil {
		return nil, err
	}
	if tail != "" {
		if _, err := bin.Ghost("src", bin.Find(tail).Pad("src")); err != nil {
			return nil, err
		}
	}
	return bin, j.w.pipe.Add(bin)
}

// elementEffect is one GStreamer element.
type elementEffect struct {
	j  *filterJob
	fx *gst.Element
}

func newElementEffect(j *filterJob, p filterParams) (effect, error) {
	if !slices.Contains(filterElements, p.Element) {
		return nil, kerr.New(kerr.MarshallError, "GStreamer element cannot be created: no element %q", p.Element)
	}
	if !gst.Exists(p.Element) {
		return nil, kerr.New(kerr.MediaObjectNotAvailable, "GStreamer's element %s is not installed", p.Element)
	}
	before, after := aroundFilter(p)
	bin, err := j.insert(before+p.Element+" name=fx"+after, "head", "raw")
	if err != nil {
		return nil, err
	}
	e := &elementEffect{j: j, fx: bin.Find("fx")}
	for _, s := range p.Properties {
		if err := e.set(s); err != nil {
			return nil, err
		}
	}
	if j.out, err = j.w.newPort("out", p.Kind); err != nil {
		return nil, err
	}
	j.entry = bin.Pad("sink")
	return e, bin.Pad("src").Link(j.out.sink)
}

// aroundFilter are the converters before and behind an element: they pass frames
// through where the element takes I420 or 16 bit samples. In front of a
// capsfilter stands what can make the caps true.
func aroundFilter(p filterParams) (before, after string) {
	if p.Kind == "audio" {
		before = "audioconvert name=head ! "
		if p.Element == "capsfilter" {
			before += "audioresample ! "
		}
		return before, " ! " + toRawAudio
	}
	before = "videoconvert name=head n-threads=1 qos=false ! "
	if p.Element == "capsfilter" {
		before += "videoscale n-threads=1 qos=false ! "
		for _, s := range p.Properties {
			if s.Name == "caps" && strings.Contains(s.Value, "framerate=") {
				before += "videorate ! "
			}
		}
	}
	return before, " ! " + toRawVideo
}

// set changes a property of the living element.
func (e *elementEffect) set(s filterSetting) error {
	value := s.Value
	if s.Type == "string" {
		value = gstString(value)
	}
	if err := e.fx.Set(s.Name, value); err != nil {
		return kerr.New(kerr.MarshallError, "GStreamer element cannot be set: %v", err)
	}
	return nil
}

// gstString writes text in the quoted form that GStreamer reads as exactly that.
func gstString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func (e *elementEffect) call(method string, raw json.RawMessage) (any, error) {
	if method != "property" {
		return nil, errMethod(method)
	}
	var s filterSetting
	if err := decodeParams(raw, &s); err != nil {
		return nil, err
	}
	return nil, e.set(s)
}

func (e *elementEffect) message(m gst.Message) bool { return m.Type == "element" }

func (e *elementEffect) close() {}
