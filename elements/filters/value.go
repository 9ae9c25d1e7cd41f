package filters

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// The kinds of properties, as Setting.Type.
const (
	intKind      = "int"
	uintKind     = "uint"
	uint64Kind   = "uint64"
	floatKind    = "float"
	doubleKind   = "double"
	booleanKind  = "boolean"
	enumKind     = "enum"
	stringKind   = "string"
	fractionKind = "fraction"
	capsKind     = "caps"
)

// element is one row of the table.
type element struct {
	kind       pipeline.Kind // 0: its caps tell
	properties []property
	cores      float64 // what the effect costs beside decoding, 640x480 at 30 fps
}

// property is what may be set of an element, and to what.
type property struct {
	name     string
	kind     string
	min, max float64  // numbers; within GStreamer's own range
	nicks    []string // enumerations; the place in the list is the number, unless nick=number
	markup   bool     // GStreamer reads Pango markup here: it is escaped
	font     bool     // a Pango font description: its size is bounded
}

// set checks a value while an element is made.
func (e *element) set(element, name, raw string) (Setting, error) {
	p := e.find(name)
	if p == nil {
		return Setting{}, refusal("no property %q in element %q", clip(name), element)
	}
	v, err := p.value(raw)
	if err != nil {
		return Setting{}, refusal("could not set property %q in element %q to %q: %v", name, element, clip(raw), err)
	}
	return Setting{Name: name, Type: p.kind, Value: v}, nil
}

// change checks a value for a living element: 40001 for an unknown name or a bad
// value, 40006 for kinds that the contract leaves out (kurento-elements §8).
func (e *element) change(element, name, raw string) (Setting, error) {
	p := e.find(name)
	if p == nil {
		return Setting{}, kerr.New(kerr.MarshallError, "Property '%s' not found in element '%s'", clip(name), element)
	}
	switch p.kind {
	case intKind, uintKind, floatKind, doubleKind, enumKind, stringKind:
	default:
		return Setting{}, kerr.New(kerr.NotImplemented, "Property '%s' of element '%s' is of type %s, which cannot be set while the element lives", name, element, p.kind)
	}
	v, err := p.value(raw)
	if err != nil {
		return Setting{}, kerr.New(kerr.MarshallError, "Property '%s' of element '%s' cannot be '%s': %v", name, element, clip(raw), err)
	}
	return Setting{Name: name, Type: p.kind, Value: v}, nil
}

func (e *element) find(name string) *property {
	for i := range e.properties {
		if e.properties[i].name == name {
			return &e.properties[i]
		}
	}
	return nil
}

var (
	integerForm  = regexp.MustCompile(`^[+-]?(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$`)
	decimalForm  = regexp.MustCompile(`^[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?$`)
	fractionForm = regexp.MustCompile(`^([0-9]{1,6})(/([0-9]{1,6}))?$`)
)

// value gives the canonical form of a raw one, or why it is none.
func (p *property) value(raw string) (string, error) {
	switch p.kind {
	case intKind, uintKind, uint64Kind:
		n, err := strconv.ParseInt(strings.TrimPrefix(raw, "+"), 0, 64)
		if !integerForm.MatchString(raw) || err != nil {
			return "", fmt.Errorf("not an integer")
		}
		if float64(n) < p.min || float64(n) > p.max {
			return "", p.outside()
		}
		return strconv.FormatInt(n, 10), nil
	case floatKind, doubleKind:
		x, err := strconv.ParseFloat(raw, 64)
		if !decimalForm.MatchString(raw) || err != nil {
			return "", fmt.Errorf("not a number")
		}
		if x < p.min || x > p.max {
			return "", p.outside()
		}
		return number(x), nil
	case booleanKind:
		switch strings.ToLower(raw) {
		case "true", "yes", "t", "1":
			return "true", nil
		case "false", "no", "f", "0":
			return "false", nil
		}
		return "", fmt.Errorf("neither true nor false")
	case enumKind:
		return p.nick(raw)
	case stringKind:
		return p.text(raw)
	case fractionKind:
		return fraction(raw)
	case capsKind:
		return canonicalCaps(raw)
	}
	return "", fmt.Errorf("kind %s", p.kind)
}

// number writes a float without exponent for the usual sizes; minus zero is zero.
func number(x float64) string {
	if x == 0 {
		return "0"
	}
	if a := math.Abs(x); a != 0 && (a < 1e-6 || a >= 1e15) {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

func (p *property) outside() error {
	return fmt.Errorf("outside %s to %s", strconv.FormatFloat(p.min, 'g', -1, 64), strconv.FormatFloat(p.max, 'g', -1, 64))
}

// nick takes an enumeration's nick, or its number as gst-launch does.
func (p *property) nick(raw string) (string, error) {
	var all []string
	for i, entry := range p.nicks {
		nick, number, ok := strings.Cut(entry, "=")
		if !ok {
			number = strconv.Itoa(i)
		}
		if raw == nick || raw == number {
			return nick, nil
		}
		all = append(all, nick)
	}
	return "", fmt.Errorf("not one of %s", strings.Join(all, ", "))
}

// fontSize finds the size at the end of a font description, in points or pixels.
var fontSize = regexp.MustCompile(`([0-9]+(?:\.[0-9]*)?)(?:px|pt)?\s*$`)

const maxFontSize = 400

func (p *property) text(raw string) (string, error) {
	if len(raw) > maxString {
		return "", fmt.Errorf("longer than %d bytes", maxString)
	}
	if !printable(raw) {
		return "", fmt.Errorf("not printable text")
	}
	if p.font {
		for _, word := range strings.FieldsFunc(raw, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\t' || r == '\r' }) {
			if m := fontSize.FindStringSubmatch(word); m != nil {
				if size, err := strconv.ParseFloat(m[1], 64); err != nil || size > maxFontSize {
					return "", fmt.Errorf("a size above %d", maxFontSize)
				}
			}
		}
	}
	return raw, nil
}

func fraction(raw string) (string, error) {
	m := fractionForm.FindStringSubmatch(raw)
	if m == nil {
		return "", fmt.Errorf("not a fraction")
	}
	n, _ := strconv.Atoi(m[1])
	d := 1
	if m[3] != "" {
		d, _ = strconv.Atoi(m[3])
	}
	if d == 0 {
		return "", fmt.Errorf("divided by zero")
	}
	return fmt.Sprintf("%d/%d", n, d), nil
}

// Formats that raw caps may name: those of GStreamer 1.22 that its converters
// take, without the ones that only hardware makes.
var (
	videoFormats = []string{
		"I420", "YV12", "NV12", "NV21", "YUY2", "UYVY", "YVYU", "AYUV", "Y41B", "Y42B", "Y444",
		"RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR", "RGB16", "RGB15", "GRAY8",
	}
	audioFormats = []string{"S8", "U8", "S16LE", "S16BE", "U16LE", "S24LE", "S32LE", "F32LE", "F64LE"}
	typeNames    = map[string]string{
		"int": "int", "i": "int", "fraction": "fraction", "string": "string", "str": "string", "s": "string",
	}
)

// capsField is one field raw caps may have.
type capsField struct {
	name     string
	kind     string // int, fraction, string
	min, max int
	values   []string
}

var capsFields = map[string][]capsField{
	"video/x-raw": {
		{name: "format", kind: "string", values: videoFormats},
		{name: "width", kind: "int", min: 16, max: 4096},
		{name: "height", kind: "int", min: 16, max: 4096},
		{name: "framerate", kind: "fraction", max: 120},
		{name: "pixel-aspect-ratio", kind: "fraction", max: 100},
	},
	"audio/x-raw": {
		{name: "format", kind: "string", values: audioFormats},
		{name: "rate", kind: "int", min: 8000, max: 192000},
		{name: "channels", kind: "int", min: 1, max: 2},
		{name: "layout", kind: "string", values: []string{"interleaved", "non-interleaved"}},
	},
}

// canonicalCaps reads the caps of raw media with fixed values, type names in
// parentheses allowed: "video/x-raw, framerate=(fraction)15/1".
func canonicalCaps(raw string) (string, error) {
	media, rest, more := strings.Cut(raw, ",")
	media = strings.TrimSpace(media)
	fields := capsFields[media]
	if fields == nil {
		return "", fmt.Errorf("caps must be video/x-raw or audio/x-raw")
	}
	got := map[string]string{}
	for more {
		var one string
		one, rest, more = strings.Cut(rest, ",")
		name, value, ok := strings.Cut(one, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		i := slices.IndexFunc(fields, func(f capsField) bool { return f.name == name })
		if !ok || i < 0 {
			return "", fmt.Errorf("caps field %q", clip(name))
		}
		v, err := fields[i].value(value)
		if err != nil {
			return "", fmt.Errorf("caps field %s: %w", name, err)
		}
		if _, twice := got[name]; twice {
			return "", fmt.Errorf("caps field %s is there twice", name)
		}
		got[name] = v
	}
	out := media
	for _, f := range fields {
		if v, ok := got[f.name]; ok {
			out += "," + f.name + "=" + v
		}
	}
	return out, nil
}

func (f capsField) value(raw string) (string, error) {
	if typed, ok := strings.CutPrefix(raw, "("); ok {
		name, rest, ok := strings.Cut(typed, ")")
		if !ok || typeNames[strings.TrimSpace(name)] != f.kind {
			return "", fmt.Errorf("type must be %s", f.kind)
		}
		raw = strings.TrimSpace(rest)
	}
	if n := len(raw); n > 1 && raw[0] == '"' && raw[n-1] == '"' {
		raw = raw[1 : n-1]
	}
	switch f.kind {
	case "int":
		n, err := strconv.Atoi(raw)
		if err != nil || n < f.min || n > f.max {
			return "", fmt.Errorf("not an integer from %d to %d", f.min, f.max)
		}
		return strconv.Itoa(n), nil
	case "fraction":
		v, err := fraction(raw)
		if err != nil {
			return "", err
		}
		var n, d int
		if _, err := fmt.Sscanf(v, "%d/%d", &n, &d); err != nil || n == 0 || n > f.max*d || d > 100*n {
			return "", fmt.Errorf("not a fraction from 1/100 to %d/1", f.max)
		}
		return v, nil
	}
	if !slices.Contains(f.values, raw) {
		return "", fmt.Errorf("not one of %s", strings.Join(f.values, ", "))
	}
	return raw, nil
}

// capsMedia is the kind of canonical caps.
func capsMedia(caps string) pipeline.Kind {
	if strings.HasPrefix(caps, "audio/") {
		return pipeline.Audio
	}
	return pipeline.Video
}

// wire is a setting as the worker gets it: where GStreamer reads Pango markup,
// the text's own signs are escaped, so that it is shown as it is.
func (e *element) wire(s Setting) Setting {
	if p := e.find(s.Name); p != nil && p.markup {
		s.Value = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s.Value)
	}
	return s
}

// wire is the command's settings as the worker gets them.
func (c *Command) wire() []Setting {
	out := make([]Setting, len(c.Properties))
	for i, s := range c.Properties {
		out[i] = c.element.wire(s)
	}
	return out
}
