package replay

import (
	"encoding/json"
	"regexp"
	"strings"
)

// bindings tell which text of the recording is which of this run: ids, whole SDPs,
// candidates.
type bindings struct {
	ids   map[string]string // UUID → UUID
	texts map[string]string // SDP or candidate → ours
	media string            // file URI of the folder for Media
}

func newBindings(mediaDir string) bindings {
	return bindings{ids: map[string]string{}, texts: map[string]string{}, media: "file://" + strings.TrimSuffix(mediaDir, "/") + "/"}
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// learn enters pairs that a comparison has found out.
func (b *bindings) learn(fresh map[string]string) {
	for theirs, ours := range fresh {
		if uuid.MatchString(theirs) && len(theirs) == 36 {
			b.ids[theirs] = ours
		} else {
			b.texts[theirs] = ours
		}
	}
}

// incoming is a recorded text with this run's ids.
func (b *bindings) incoming(s string) string {
	s = uuid.ReplaceAllStringFunc(s, func(id string) string {
		if ours, ok := b.ids[id]; ok {
			return ours
		}
		return id
	})
	return strings.ReplaceAll(s, Media, b.media)
}

// outgoing is a recorded frame as it is to be sent now: the bytes as they were,
// but for ids, folders, SDPs and candidates that this run's server has made.
func (b *bindings) outgoing(raw string) string {
	if v := parse(raw); v != nil {
		for _, s := range texts(v, nil) {
			if ours, ok := b.texts[s]; ok {
				raw = strings.ReplaceAll(raw, quoted(s), quoted(ours))
			}
		}
	}
	return b.incoming(raw)
}

// quoted is a text as JSON writes it.
func quoted(s string) string {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return s
	}
	return strings.TrimSpace(out.String())
}

// texts lists the texts inside a value.
func texts(v any, into []string) []string {
	switch x := v.(type) {
	case string:
		into = append(into, x)
	case []any:
		for _, e := range x {
			into = texts(e, into)
		}
	case map[string]any:
		for _, e := range x {
			into = texts(e, into)
		}
	}
	return into
}

// parse reads JSON with its numbers as they are written; nil when it is none.
func parse(raw string) any {
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// text is a value as JSON text, or the text itself.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}
