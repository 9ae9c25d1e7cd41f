package mediaworker

import (
	"maps"
	"testing"
)

func TestPlace(t *testing.T) {
	all := func(string) bool { return true }
	for _, c := range []struct {
		name  string
		scene scene
		w, h  int
		shown func(string) bool
		want  map[string]rect
	}{
		{"nothing", scene{}, 800, 600, all, map[string]rect{}},
		{"one fills the canvas", scene{Grid: []string{"a"}}, 800, 600, all, map[string]rect{"a": {0, 0, 800, 600}}},
		{"two side by side", scene{Grid: []string{"a", "b"}}, 800, 600, all, map[string]rect{"a": {0, 0, 400, 600}, "b": {400, 0, 400, 600}}},
		{"three in two rows", scene{Grid: []string{"a", "b", "c"}}, 800, 600, all,
			map[string]rect{"a": {0, 0, 400, 300}, "b": {400, 0, 400, 300}, "c": {0, 300, 400, 300}}},
		{"five in three columns", scene{Grid: []string{"a", "b", "c", "d", "e"}}, 800, 600, all,
			map[string]rect{"a": {0, 0, 266, 300}, "b": {266, 0, 266, 300}, "c": {532, 0, 266, 300}, "d": {0, 300, 266, 300}, "e": {266, 300, 266, 300}}},
		{"without a picture no cell", scene{Grid: []string{"a", "b"}}, 800, 600, func(n string) bool { return n == "b" }, map[string]rect{"b": {0, 0, 800, 600}}},
		{"layers in fractions", scene{Layers: []layer{{"m", 0, 0, 1, 1}, {"l", 0.5, 0.25, 0.25, 0.5}}}, 320, 240, all,
			map[string]rect{"m": {0, 0, 320, 240}, "l": {160, 60, 80, 120}}},
		{"a layer without extent", scene{Layers: []layer{{"l", 0.5, 0.5, 0, 1}}}, 320, 240, all, map[string]rect{}},
		{"tiny canvas", scene{Grid: []string{"a", "b", "c", "d", "e"}}, 2, 2, all,
			map[string]rect{"a": {0, 0, 2, 2}, "b": {2, 0, 2, 2}, "c": {4, 0, 2, 2}, "d": {0, 2, 2, 2}, "e": {2, 2, 2, 2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.scene.place(c.w, c.h, c.shown); !maps.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
