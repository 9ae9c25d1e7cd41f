package filters

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

const (
	// maxCommand bounds a command, in bytes.
	maxCommand = 4 << 10
	// maxString bounds the value of a text property, in bytes (robustness §5).
	maxString = 1 << 10
)

// Command is a parsed filter command: one element of the table and its
// properties, each checked. Nothing of the caller's text is handed to
// GStreamer's own parser.
type Command struct {
	// Element is a name of the table.
	Element string
	// Properties are in the order of the text, each name once: the last wins.
	Properties []Setting

	element *element
}

// Setting is one property with a checked value in canonical form.
type Setting struct {
	Name string `json:"name"`
	// Type is the property's kind: int, uint, uint64, float, double, boolean,
	// enum, string, fraction or caps.
	Type string `json:"type"`
	// Value is as GStreamer reads it; text is not quoted.
	Value string `json:"value"`
}

// refusal is the one way a command fails: 40001 with the original's words in
// front (kurento-elements §8; transcript 07).
func refusal(format string, args ...any) error {
	return kerr.New(kerr.MarshallError, "GStreamer element cannot be created: "+format, args...)
}

// errChain answers whatever would be more than one element.
func errChain() error {
	return kerr.New(kerr.MarshallError, "Given command is not valid, only one element can be created")
}

// errPads answers a filter type that is not the element's.
func errPads() error {
	return kerr.New(kerr.MarshallError, "Given command is not valid, pad templates don't match")
}

// Parse reads a command in the syntax of gst-launch, restricted to one element
// of the table with properties of that element's row: ELEMENT (NAME=VALUE)*,
// with values bare, in double or in single quotes, and backslash escapes. A
// name of the element itself (name=x) is allowed and dropped.
func Parse(text string) (*Command, error) {
	if len(text) > maxCommand {
		return nil, refusal("command is longer than %d bytes", maxCommand)
	}
	if !printable(text) {
		return nil, refusal("syntax error: the command is not printable text")
	}
	l := lexer{rest: text}
	l.space()
	if l.rest == "" {
		return nil, refusal("empty pipeline not allowed")
	}
	name := l.word()
	switch {
	case name == "" && strings.ContainsAny(l.rest[:1], "!(){}"):
		return nil, errChain()
	case name == "" || !l.atBreak():
		if l.chained() {
			return nil, errChain()
		}
		return nil, refusal("syntax error")
	}
	row, known := table[name]
	var settings []Setting
	for l.space(); l.rest != ""; l.space() {
		property := l.word()
		if property == "" {
			if l.chained() {
				return nil, errChain()
			}
			return nil, refusal("syntax error")
		}
		l.space()
		if !strings.HasPrefix(l.rest, "=") { // a second element, or a reference to one
			return nil, errChain()
		}
		l.rest = l.rest[1:]
		l.space()
		raw, err := l.value()
		if err != nil {
			return nil, err
		}
		if !known { // the name is the news; go on only to see whether this is a chain
			continue
		}
		if property == "name" {
			if !isName(raw) || len(raw) > 64 {
				return nil, refusal("could not set property %q in element %q to %q", property, name, clip(raw))
			}
			continue
		}
		set, err := row.set(name, property, raw)
		if err != nil {
			return nil, err
		}
		settings = slices.DeleteFunc(settings, func(s Setting) bool { return s.Name == set.Name })
		settings = append(settings, set)
	}
	if !known {
		if hint := elsewhere[name]; hint != "" {
			return nil, refusal("element %q is not available in a GStreamerFilter: %s", name, hint)
		}
		return nil, refusal("no element %q", clip(name))
	}
	return &Command{Element: name, Properties: settings, element: row}, nil
}

// String is the canonical form: parsed, it gives itself.
func (c *Command) String() string {
	var b strings.Builder
	b.WriteString(c.Element)
	for _, s := range c.Properties {
		b.WriteString(" " + s.Name + "=")
		if s.Type == stringKind || s.Type == capsKind {
			b.WriteString(quote(s.Value))
		} else {
			b.WriteString(s.Value)
		}
	}
	return b.String()
}

// Kind is what the element works on for a filter type: VIDEO, AUDIO or
// AUTODETECT. An element for another kind: 40001.
func (c *Command) Kind(t FilterType) (pipeline.Kind, error) {
	kind := c.element.kind
	if kind == 0 { // capsfilter: its caps tell
		for _, s := range c.Properties {
			if s.Type == capsKind {
				kind = capsMedia(s.Value)
			}
		}
	}
	want := map[FilterType]pipeline.Kind{"VIDEO": pipeline.Video, "AUDIO": pipeline.Audio}[t]
	switch {
	case kind == 0 && want == 0:
		return pipeline.Video, nil
	case kind == 0:
		return want, nil
	case want != 0 && want != kind:
		return 0, errPads()
	}
	return kind, nil
}

// lexer cuts a command.
type lexer struct{ rest string }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (l *lexer) space() {
	for l.rest != "" && isSpace(l.rest[0]) {
		l.rest = l.rest[1:]
	}
}

func (l *lexer) atBreak() bool { return l.rest == "" || isSpace(l.rest[0]) }

// chained tells whether a sign of chains, bins or references comes next.
func (l *lexer) chained() bool {
	return l.rest != "" && strings.IndexByte("!(){}.:", l.rest[0]) >= 0
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func isName(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// word takes the name that comes next, "" when there is none.
func (l *lexer) word() string {
	n := 0
	for n < len(l.rest) && nameByte(l.rest[n]) {
		n++
	}
	w := l.rest[:n]
	l.rest = l.rest[n:]
	return w
}

// value takes a bare or quoted value, without its quotes and escapes.
func (l *lexer) value() (string, error) {
	if l.rest == "" {
		return "", refusal("syntax error")
	}
	quoted := l.rest[0] == '"' || l.rest[0] == '\''
	end := byte(0)
	if quoted {
		end = l.rest[0]
		l.rest = l.rest[1:]
	}
	var b strings.Builder
	for l.rest != "" {
		c := l.rest[0]
		switch {
		case c == '\\':
			if len(l.rest) < 2 {
				return "", refusal("syntax error")
			}
			_, n := utf8.DecodeRuneInString(l.rest[1:])
			b.WriteString(l.rest[1 : 1+n])
			l.rest = l.rest[1+n:]
			continue
		case quoted && c == end:
			l.rest = l.rest[1:]
			if !l.atBreak() {
				return "", refusal("syntax error")
			}
			return b.String(), nil
		case !quoted && isSpace(c):
			return b.String(), nil
		case !quoted && c == '!':
			return "", errChain()
		}
		b.WriteByte(c)
		l.rest = l.rest[1:]
	}
	if quoted {
		return "", refusal("syntax error: a quote is not closed")
	}
	return b.String(), nil
}

// quote writes a value so that the lexer reads it back.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// printable refuses bytes that are no UTF-8, and control characters other than
// space between words and lines of a text.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' || r == utf8.RuneError
	}) < 0
}

// clip bounds what an error text repeats.
func clip(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}
