package filters

import (
	"context"

	"github.com/govidu/govidu/elements"
)

type gstreamerParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	Command       string                  `json:"command"`
	FilterType    FilterType              `json:"filterType" default:"AUTODETECT"`
}

// GStreamerFilter is one GStreamer element of the table.
type GStreamerFilter struct {
	filter
	text    string
	command *Command
}

func newGStreamerFilter(d Deps) func(context.Context, elements.Env, gstreamerParams) (*GStreamerFilter, error) {
	return func(_ context.Context, env elements.Env, p gstreamerParams) (*GStreamerFilter, error) {
		cmd, err := Parse(p.Command)
		if err != nil {
			return nil, err
		}
		kind, err := cmd.Kind(p.FilterType)
		if err != nil {
			return nil, err
		}
		if err := d.available(); err != nil {
			return nil, err
		}
		if !d.has(cmd.Element) {
			return nil, refusal("no element %q", cmd.Element)
		}
		f := &GStreamerFilter{text: p.Command, command: cmd}
		f.init(env, d, kind, jobParams{Effect: "element", Element: cmd.Element, Properties: cmd.wire()}, cmd.element.cores, nil)
		f.addPorts()
		return f, nil
	}
}

// Command is the text the filter was made with.
func (f *GStreamerFilter) Command() string { return f.text }

type elementPropertyParams struct {
	PropertyName  string `json:"propertyName"`
	PropertyValue string `json:"propertyValue"`
}

// SetElementProperty changes a property of the living element: 40001 for an
// unknown name or a bad value, 40006 for a kind of property that cannot be
// changed (kurento-elements §8).
func (f *GStreamerFilter) SetElementProperty(_ context.Context, p elementPropertyParams) (elements.None, error) {
	s, err := f.command.element.change(f.command.Element, p.PropertyName, p.PropertyValue)
	if err != nil {
		return elements.None{}, err
	}
	f.set("property:"+s.Name, "property", f.command.element.wire(s))
	return elements.None{}, nil
}
