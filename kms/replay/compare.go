package replay

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// Kinds of difference.
const (
	Code   = "code"  // an error's code, or an error where the other has a result
	Field  = "field" // a member only one side has
	Type   = "type"  // another type of JSON, or number of elements
	Value  = "value" // another value of the same type
	SDP    = "sdp"   // a line of a session description
	Event  = "event" // an event only one side has
	Closed = "close" // the original dropped the connection
)

// Difference is one thing in which this run differs from the recording.
type Difference struct {
	// File is the transcript, At the request or event, Path the member. After is, of
	// an event that only we have, the request that was answered last before it.
	File, At, Kind, Path, Theirs, Ours, After string
}

// String is one line for people.
func (d Difference) String() string {
	return fmt.Sprintf("%s: %s: %s %s: recorded %s, now %s", d.File, d.At, d.Kind, d.Path, short(d.Theirs), short(d.Ours))
}

func short(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// comparison compares one pair of values.
type comparison struct {
	ids   *bindings
	op    string            // what was asked, for values that differ by nature
	fresh map[string]string // pairs found: ids, SDPs, candidates
	found []Difference
}

func (c *comparison) add(kind, path, theirs, ours string) {
	c.found = append(c.found, Difference{Kind: kind, Path: path, Theirs: theirs, Ours: ours})
}

func (c *comparison) bind(theirs, ours string) {
	if c.fresh == nil {
		c.fresh = map[string]string{}
	}
	c.fresh[theirs] = ours
}

func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "text"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case []any:
		return "list"
	}
	return "object"
}

func (c *comparison) values(path string, theirs, ours any) {
	if jsonType(theirs) != jsonType(ours) {
		c.add(Type, path, short(text(theirs)), short(text(ours)))
		return
	}
	switch t := theirs.(type) {
	case map[string]any:
		c.objects(path, t, ours.(map[string]any))
	case []any:
		c.lists(path, t, ours.([]any))
	case json.Number:
		if !c.sameNumber(path, t, ours.(json.Number)) {
			kind := Value
			if path == "error.code" || strings.HasSuffix(path, ".error.code") {
				kind = Code
			}
			c.add(kind, path, t.String(), text(ours))
		}
	case string:
		c.strings(path, t, ours.(string))
	default:
		if theirs != ours {
			c.add(Value, path, text(theirs), text(ours))
		}
	}
}

func member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (c *comparison) objects(path string, theirs, ours map[string]any) {
	if _, failed := theirs["error"]; failed != (ours["error"] != nil) && (theirs["jsonrpc"] != nil) {
		c.add(Code, path, answer(theirs), answer(ours))
		return
	}
	if code := text(theirs["code"]); code == "-32603" && text(ours["code"]) != code && strings.HasSuffix(path, "error") {
		c.add(Code, member(path, "code"), code, text(ours["code"]))
		return // its text and the missing data are of the same accident
	}
	if isStats(theirs) && isStats(ours) {
		c.stats(path, theirs, ours)
		return
	}
	for _, k := range keys(theirs) {
		if _, ok := ours[k]; !ok {
			c.add(Field, member(path, k), "present", "absent")
			continue
		}
		c.values(member(path, k), theirs[k], ours[k])
	}
	for _, k := range keys(ours) {
		if _, ok := theirs[k]; !ok {
			c.add(Field, member(path, k), "absent", "present")
		}
	}
}

// answer is a reply in short: its result, or its error's code.
func answer(m map[string]any) string {
	if e, ok := m["error"].(map[string]any); ok {
		return "error " + text(e["code"])
	}
	return "result"
}

func keys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// isStats tells whether a value is what getStats gives: rows under made-up keys.
func isStats(m map[string]any) bool {
	for _, v := range m {
		row, _ := v.(map[string]any)
		if name, _ := row["__type__"].(string); !strings.HasSuffix(name, "Stats") {
			return false
		}
	}
	return len(m) > 0
}

// stats compares rows by their type, in any order; their values differ by nature.
func (c *comparison) stats(path string, theirs, ours map[string]any) {
	byType := func(m map[string]any) map[string][]any {
		out := map[string][]any{}
		for _, k := range keys(m) {
			name := text(m[k].(map[string]any)["__type__"])
			out[name] = append(out[name], m[k])
		}
		return out
	}
	a, b := byType(theirs), byType(ours)
	for name := range b {
		if a[name] == nil {
			a[name] = []any{}
		}
	}
	for name, rows := range a {
		at := member(path, name)
		if len(rows) != len(b[name]) {
			c.add(Field, at, fmt.Sprint(len(rows), " rows"), fmt.Sprint(len(b[name]), " rows"))
		}
		for i := range min(len(rows), len(b[name])) {
			c.values(at, rows[i], b[name][i])
		}
	}
}

// unordered are lists whose order the original makes up.
func (c *comparison) unordered(path string) bool {
	if name := path[strings.LastIndexByte(path, '.')+1:]; name == "factories" || name == "modules" {
		return true
	}
	return path == "result.value" && (strings.Contains(c.op, "getChildren") || strings.Contains(c.op, "getPipelines") || strings.Contains(c.op, "getSessions"))
}

func (c *comparison) lists(path string, theirs, ours []any) {
	if c.unordered(path) {
		order := func(list []any, ids bool) []any {
			list = slices.Clone(list)
			key := func(v any) string {
				if m, ok := v.(map[string]any); ok {
					return text(m["name"])
				}
				if ids {
					return c.ids.incoming(text(v))
				}
				return text(v)
			}
			sort.SliceStable(list, func(i, j int) bool { return key(list[i]) < key(list[j]) })
			return list
		}
		theirs, ours = order(theirs, true), order(ours, false)
	}
	if len(theirs) != len(ours) {
		kind := Type
		if c.unordered(path) {
			kind = Value
		}
		c.add(kind, path, short(text(theirs)), short(text(ours)))
		return
	}
	for i := range theirs {
		c.values(fmt.Sprintf("%s[%d]", path, i), theirs[i], ours[i])
	}
}

// timely are numbers and texts that no two runs have alike, by member.
var timely = map[string]bool{
	"timestampMillis": true, "generationTime": true, "binName": true,
	"duration": true, "seekableEnd": true,
}

// measured are operations whose value is of the moment.
var measured = []string{"getCreationTime", "getUsedCpu", "getUsedMemory", "getCpuCount", "getPosition"}

func (c *comparison) differsByNature(path string) bool {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if timely[name] {
		return true
	}
	if path == "result.value" {
		for _, op := range measured {
			if strings.Contains(c.op, " "+op+" ") {
				return true
			}
		}
	}
	// Rows of statistics: everything but the names of types.
	return strings.Contains(path, "Stats.") && name != "__type__" && name != "__module__" && name != "type"
}

// sameNumber compares as numbers: the original writes single precision with the
// digits of double precision.
func (c *comparison) sameNumber(path string, theirs, ours json.Number) bool {
	if theirs == ours || c.differsByNature(path) {
		return true
	}
	a, err1 := theirs.Float64()
	b, err2 := ours.Float64()
	return err1 == nil && err2 == nil && math.Abs(a-b) <= 1e-6*math.Abs(a)
}

func (c *comparison) strings(path, theirs, ours string) {
	switch {
	case c.differsByNature(path):
		return
	case strings.HasPrefix(theirs, "v=0") && strings.HasPrefix(ours, "v=0"):
		c.bind(theirs, ours)
		for _, d := range diffSDP(theirs, ours) {
			c.add(SDP, member(path, d.section), d.theirs, d.ours)
		}
		return
	case strings.HasPrefix(theirs, "candidate:") && strings.HasPrefix(ours, "candidate:"):
		if a, b := candidateForm(theirs), candidateForm(ours); a != b {
			c.add(Value, path, a, b)
			return
		}
		c.bind(theirs, ours)
		return
	case strings.HasPrefix(theirs, "digraph ") && strings.HasPrefix(ours, "digraph "):
		return // each server draws its own elements
	}
	// Ids: those known must be ours, new ones are learnt.
	known := c.ids.incoming(theirs)
	a, b := uuid.FindAllString(known, -1), uuid.FindAllString(ours, -1)
	if len(a) != len(b) || uuid.ReplaceAllString(known, "U") != uuid.ReplaceAllString(ours, "U") {
		c.add(Value, path, known, ours)
		return
	}
	for i, id := range uuid.FindAllString(theirs, -1) {
		_, bound := c.ids.ids[id]
		switch before, seen := c.fresh[id]; {
		case bound && a[i] != b[i], seen && before != b[i]:
			c.add(Value, path, known, ours)
			return
		case !bound:
			c.bind(id, b[i])
		}
	}
}
