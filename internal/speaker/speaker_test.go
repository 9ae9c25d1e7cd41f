package speaker

import (
	"fmt"
	"strings"
	"testing"
)

// TestPodium: who is heard is told after some reports in a row, a pause between
// words changes nothing, and neither does a little more noise of another.
func TestPodium(t *testing.T) {
	const quiet = Silence
	type row struct {
		times   int
		a, b    int // levels; 0 is no sound at all
		speaker string
	}
	for name, rows := range map[string][]row{
		"nobody":                  {{10, quiet, quiet, ""}, {10, 60, 70, ""}},
		"one":                     {{2, 20, quiet, ""}, {1, 20, quiet, "a"}, {20, quiet, quiet, "a"}},
		"a click":                 {{1, 5, quiet, ""}, {10, quiet, quiet, ""}},
		"changing over":           {{12, quiet, 20, "b"}, {2, 20, quiet, "b"}, {6, 20, quiet, "a"}},
		"a pause between words":   {{12, 20, quiet, "a"}, {1, quiet, 55, "a"}, {3, 20, 55, "a"}},
		"two at once":             {{12, 20, quiet, "a"}, {20, 20, 18, "a"}, {6, 40, 18, "b"}},
		"a short word of another": {{12, 20, quiet, "a"}, {2, 20, 10, "a"}, {5, 20, quiet, "a"}},
		"the speaker leaves":      {{12, 20, quiet, "a"}, {8, 0, 30, "b"}},
		"a new one stays a while": {{3, 20, quiet, "a"}, {4, quiet, 20, "a"}, {5, quiet, 20, "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var p Podium
			for i, r := range rows {
				for range r.times {
					report := map[string]int{}
					if r.a > 0 {
						report["a"] = r.a
					}
					if r.b > 0 {
						report["b"] = r.b
					}
					before := p.Speaker()
					if changed := p.Hear(report); changed != (before != p.Speaker()) {
						t.Fatalf("row %d: told change %v, from %q to %q", i, changed, before, p.speaker)
					}
				}
				if p.speaker != r.speaker {
					t.Fatalf("after row %d %q speaks, want %q; levels %v", i, p.speaker, r.speaker, p.levels)
				}
			}
		})
	}
}

// Levels of those who come and go leave nothing behind.
func TestPodiumForgets(t *testing.T) {
	var p Podium
	for i := range 1000 {
		p.Hear(map[string]int{strings.Repeat("x", i%50+1): 20})
	}
	for range 20 {
		p.Hear(map[string]int{})
	}
	if len(p.levels)+len(p.talks) != 0 {
		t.Errorf("left: %v %v", p.levels, p.talks)
	}
}

// TestTalkers: all who talk, the main speaker first, then who began last; a click
// is no talk and a breath no end of it.
func TestTalkers(t *testing.T) {
	var p Podium
	hear := func(times int, levels ...int) {
		for range times {
			report := map[string]int{}
			for i, l := range levels {
				report[string(rune('a'+i))] = l
			}
			p.Hear(report)
		}
	}
	is := func(what, want string) {
		t.Helper()
		var got []string
		for _, x := range p.Talkers() {
			got = append(got, fmt.Sprintf("%s%d", x.ID, x.Level))
		}
		if strings.Join(got, " ") != want {
			t.Fatalf("%s: %v, want %s", what, got, want)
		}
	}
	hear(1, 20, Silence, Silence)
	is("a click", "")
	hear(9, 20, Silence, Silence)
	is("one talks", "a20")
	hear(2, 20, 30, Silence)
	hear(2, 20, 30, 30)
	is("three talk", "a20 c30 b30")
	hear(4, 20, Silence, 30)
	is("a breath", "a20 c30 b121")
	hear(10, 20, Silence, 30)
	is("b is quiet", "a20 c30")
	hear(8, Silence, Silence, 30)
	is("c leads", "c30")
	p.Forget("c")
	is("c has left", "")
	if p.Speaker() != "" {
		t.Errorf("%q speaks", p.Speaker())
	}
}
