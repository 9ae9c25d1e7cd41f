package layout

import "math"

// custom fills the places in their order, and the rest by its own layout.
func (s *Spec) custom(canvas box, sources []Source) []Tile {
	used := make([]bool, len(sources))
	var tiles []Tile
	for _, p := range s.Tiles {
		for i, x := range sources {
			if used[i] || !p.Match.takes(x, i+1) {
				continue
			}
			used[i] = true
			t := canvas.part(p.X, p.Y, p.Width, p.Height).tile(x.ID)
			t.Z, t.Cover, t.Name = p.Z, s.Fit == "cover", s.names()
			if p.Fit != "" {
				t.Cover = p.Fit == "cover"
			}
			if p.Name != nil {
				t.Name = *p.Name
			}
			tiles = append(tiles, t)
			break
		}
	}
	r := s.Rest
	if r == nil {
		return tiles
	}
	var left []Source
	for i, x := range sources {
		if !used[i] {
			left = append(left, x)
		}
	}
	for _, t := range s.arrange(r.Layout, canvas.part(r.X, r.Y, r.Width, r.Height), left) {
		t.Z += r.Z
		t.Cover, t.Name = s.Fit == "cover", s.names()
		tiles = append(tiles, t)
	}
	return tiles
}

// takes tells whether m is for x, the n-th by time of publishing.
func (m *Match) takes(x Source, n int) bool {
	return (m.StreamID == "" || m.StreamID == x.ID) &&
		(m.ConnectionID == "" || m.ConnectionID == x.ConnectionID) &&
		(m.TypeOfVideo == "" || m.TypeOfVideo == x.TypeOfVideo) &&
		(m.Name == "" || m.Name == x.Name) &&
		(m.Index == 0 || m.Index == n)
}

// part is a rectangle in fractions of b. Neighbours share their edges: they are
// rounded, not the sizes.
func (b box) part(x, y, w, h float64) box {
	edge := func(at, of int, f float64) int {
		return at + min(int(math.Round(f*float64(of))), of)&^1
	}
	left, top := edge(b.x, b.w, x), edge(b.y, b.h, y)
	return box{left, top, edge(b.x, b.w, x+w) - left, edge(b.y, b.h, y+h) - top}
}
