package mediaworker

import "math"

// scene is what a job shall show and play, the whole of it at each call.
type scene struct {
	// Grid are the video inputs to show, in order.
	Grid []string `json:"grid"`
	// Master is the video input whose size is the canvas; Layers are the inputs
	// to show, itself included, the lowest first.
	Master string  `json:"master"`
	Layers []layer `json:"layers"`
	// Minus are audio ports that hear every audio input but the one of the same name.
	Minus []string `json:"minus"`
	// Mix are audio ports and the inputs they hear.
	Mix map[string][]string `json:"mix"`
}

// layer is a picture's place in fractions of the canvas.
type layer struct {
	Input  string  `json:"input"`
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// rect is a place in pixels.
type rect struct{ x, y, width, height int }

// place gives a rectangle to each of the scene's inputs that are shown, on a
// canvas of that size. A grid has ceil(sqrt n) columns and as many rows as it
// takes; its cells are equal and pictures fill them. Sides and corners are even,
// as 4:2:0 has them.
func (s *scene) place(width, height int, shown func(input string) bool) map[string]rect {
	out := map[string]rect{}
	var names []string
	for _, name := range s.Grid {
		if shown(name) {
			names = append(names, name)
		}
	}
	if n := len(names); n > 0 {
		columns := int(math.Ceil(math.Sqrt(float64(n))))
		rows := (n + columns - 1) / columns
		w, h := max(width/columns&^1, 2), max(height/rows&^1, 2)
		for i, name := range names {
			out[name] = rect{i % columns * w, i / columns * h, w, h}
		}
	}
	for _, l := range s.Layers {
		r := rect{
			int(l.X*float64(width)) &^ 1, int(l.Y*float64(height)) &^ 1,
			int(math.Round(l.Width*float64(width))) &^ 1, int(math.Round(l.Height*float64(height))) &^ 1,
		}
		if shown(l.Input) && r.width > 0 && r.height > 0 {
			out[l.Input] = r
		}
	}
	return out
}
