//go:build gst

package filters

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/workers"
)

// real is a property as gst-inspect describes it.
type real struct {
	flags, typ string
	min, max   float64
	nicks      map[string]string // number to nick
}

var (
	realName  = regexp.MustCompile(`^  ([a-zA-Z0-9-]+) *: `)
	realRange = regexp.MustCompile(`Range: +(\S+) - +(\S+) Default`)
	realNick  = regexp.MustCompile(`^ +\((-?\d+)\): (\S+)`)
)

func inspect(t *testing.T, element string) map[string]*real {
	t.Helper()
	cmd := exec.Command("gst-inspect-1.0", "--no-colors", element)
	cmd.Env = append(os.Environ(), "OPENCV_LOG_LEVEL=OFF", "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v", element, err)
		return nil
	}
	_, text, _ := strings.Cut(string(out), "Element Properties:")
	all := map[string]*real{}
	var p *real
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := realName.FindStringSubmatch(line); m != nil {
			p = &real{nicks: map[string]string{}}
			all[m[1]] = p
			continue
		}
		rest := strings.TrimSpace(line)
		switch {
		case p == nil:
		case strings.HasPrefix(rest, "flags: "):
			p.flags = rest
		case realNick.MatchString(line):
			m := realNick.FindStringSubmatch(line)
			p.nicks[m[1]] = m[2]
		case p.typ == "" && rest != "":
			p.typ, _, _ = strings.Cut(rest, ".")
			p.typ, _, _ = strings.Cut(p.typ, ` "`)
			if m := realRange.FindStringSubmatch(rest); m != nil {
				p.min, _ = strconv.ParseFloat(m[1], 64)
				p.max, _ = strconv.ParseFloat(m[2], 64)
			}
		}
	}
	return all
}

// TestTableIsTrue compares the table, which is written by hand, with the
// GStreamer that is installed.
func TestTableIsTrue(t *testing.T) {
	kinds := map[string]string{
		intKind: "Integer", uintKind: "Unsigned Integer", uint64Kind: "Unsigned Integer64", floatKind: "Float", doubleKind: "Double",
		booleanKind: "Boolean", enumKind: "Enum", stringKind: "String", fractionKind: "Fraction",
	}
	for name, e := range table {
		t.Run(name, func(t *testing.T) {
			have := inspect(t, name)
			for _, p := range e.properties {
				r := have[p.name]
				switch {
				case r == nil:
					t.Errorf("there is no property %s", p.name)
					continue
				case !strings.Contains(r.flags, "writable") || strings.Contains(r.flags, "deprecated"):
					t.Errorf("%s: %s", p.name, r.flags)
				case p.kind != capsKind && r.typ != kinds[p.kind]:
					t.Errorf("%s is of type %q, not %s", p.name, r.typ, p.kind)
				}
				switch p.kind {
				case intKind, uintKind, uint64Kind, floatKind, doubleKind:
					// gst-inspect writes seven digits, and 32 bit floats as they are.
					if slack := 1e-6; p.min < r.min-slack || p.max > r.max+slack {
						t.Errorf("%s from %g to %g, really %g to %g", p.name, p.min, p.max, r.min, r.max)
					}
				case enumKind:
					for i, entry := range p.nicks {
						nick, number, ok := strings.Cut(entry, "=")
						if !ok {
							number = strconv.Itoa(i)
						}
						if r.nicks[number] != nick {
							t.Errorf("%s: %s is %q, not %q", p.name, number, r.nicks[number], nick)
						}
					}
				}
			}
		})
	}
}

// TestWorkerKnowsTheTable: a worker makes the elements of the table and says
// which of them exist.
func TestWorkerKnowsTheTable(t *testing.T) {
	s := newStudio(t)
	job, err := s.pool.Start(t.Context(), workers.Spec{Kind: jobKind, Params: jobParams{Effect: "images", Kind: "video"}})
	if err != nil {
		t.Fatal(err)
	}
	defer job.Close()
	if err := job.Call(t.Context(), "check", nil, nil); err != nil {
		t.Fatal(err)
	}
	ready, _ := s.pool.Platform()
	for name := range table {
		if !slices.Contains(ready.Elements, name) {
			t.Errorf("the worker has no %s", name)
		}
	}
	for _, name := range ready.Elements {
		if table[name] == nil && name != detector && name != "zbar" {
			t.Errorf("the worker offers %s, which is not in the table", name)
		}
	}
}
