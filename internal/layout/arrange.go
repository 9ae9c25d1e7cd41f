package layout

import (
	"math"
	"slices"
)

// bigPart is the share of the canvas for what is shown large (OpenVidu's pages:
// 80 %).
const bigPart = 0.8

// smallest is the least side of a tile in pixels; what has no room for it is
// left out.
const smallest = 2

// Arrange places the sources, which come in order of publishing, on a canvas of
// that many pixels. It depends on nothing but its arguments; the same call gives
// the same tiles. Sources that find no place (CUSTOM without rest, canvases of a
// few pixels) are left out. The tiles come in order of z, lower ones first.
func (s *Spec) Arrange(width, height int, sources []Source) []Tile {
	canvas := box{w: width, h: height}
	var tiles []Tile
	if s.Layout == Custom {
		tiles = s.custom(canvas, sources)
	} else {
		tiles = s.arrange(s.Layout, canvas, sources)
		for i := range tiles {
			tiles[i].Cover, tiles[i].Name = s.Fit == "cover", s.names()
		}
	}
	tiles = slices.DeleteFunc(tiles, func(t Tile) bool { return t.Width < smallest || t.Height < smallest })
	slices.SortStableFunc(tiles, func(a, b Tile) int { return a.Z - b.Z })
	return tiles
}

func (s *Spec) names() bool { return s.Names == nil || *s.Names }

// box is a part of the canvas in pixels; its corner is even.
type box struct{ x, y, w, h int }

func (b box) tile(id string) Tile {
	return Tile{ID: id, X: b.x, Y: b.y, Width: b.w &^ 1, Height: b.h &^ 1}
}

// left cuts b in two upright parts, the first that share of the width; top
// likewise with the height.
func (b box) left(share float64) (box, box) {
	w := int(float64(b.w)*share) &^ 1
	return box{b.x, b.y, w, b.h}, box{b.x + w, b.y, b.w - w, b.h}
}

func (b box) top(share float64) (box, box) {
	h := int(float64(b.h)*share) &^ 1
	return box{b.x, b.y, b.w, h}, box{b.x, b.y + h, b.w, b.h - h}
}

// arrange places sources in b by a layout that has a name alone.
func (s *Spec) arrange(layout string, b box, sources []Source) []Tile {
	if len(sources) == 0 || b.w < smallest || b.h < smallest {
		return nil
	}
	switch layout {
	case PictureInPicture:
		first, others := split(sources, s.focus(sources)[:1])
		return append([]Tile{b.tile(first[0].ID)}, inPicture(b, others)...)
	case VerticalPresentation, HorizontalPresentation:
		return s.present(b, sources, s.focus(sources), layout == VerticalPresentation)
	case Speaker:
		large := s.focus(sources)[:1]
		if i := slices.IndexFunc(sources, func(x Source) bool { return x.Speaking }); i >= 0 && s.Focus == "" && len(bigOnes(sources)) == 0 {
			large = []int{i}
		}
		return s.present(b, sources, large, false)
	case Portrait:
		return stack(b, sources)
	}
	large := bigOnes(sources)
	if len(large) == 0 || len(large) == len(sources) {
		return grid(b, sources)
	}
	return s.present(b, sources, large, b.w >= b.h)
}

// present shows large ones in most of b and the others beside or below them.
func (s *Spec) present(b box, sources []Source, large []int, beside bool) []Tile {
	first, others := split(sources, large)
	if len(others) == 0 {
		return grid(b, first)
	}
	most, rest := b.top(bigPart)
	if beside {
		most, rest = b.left(bigPart)
	}
	fill := grid
	if len(first) == 1 { // alone it needs no proportions: its picture is centred anyway
		fill = func(b box, one []Source) []Tile { return []Tile{b.tile(one[0].ID)} }
	}
	return append(fill(most, first), grid(rest, others)...)
}

// focus are the sources to be shown large, by index; at least one.
func (s *Spec) focus(sources []Source) []int {
	if s.Focus != "" {
		for i, x := range sources {
			if x.ID == s.Focus || x.ConnectionID == s.Focus {
				return []int{i}
			}
		}
	}
	if big := bigOnes(sources); len(big) > 0 {
		return big
	}
	return []int{max(0, slices.IndexFunc(sources, func(x Source) bool { return x.TypeOfVideo == "SCREEN" }))}
}

func bigOnes(sources []Source) (list []int) {
	for i, x := range sources {
		if x.Big {
			list = append(list, i)
		}
	}
	return list
}

func split(sources []Source, chosen []int) (first, others []Source) {
	for i, x := range sources {
		if slices.Contains(chosen, i) {
			first = append(first, x)
		} else {
			others = append(others, x)
		}
	}
	return first, others
}

// grid places sources in rows of equal tiles, as large as possible for pictures
// of 16:9 and of 4:3. Tiles have proportions between these two; rows, the last
// one too, are centred.
func grid(b box, sources []Source) []Tile {
	n := len(sources)
	if n == 0 {
		return nil
	}
	var cols, w, h int
	best := 0.0
	for c := 1; c <= n; c++ {
		rows := (n + c - 1) / c
		tw, th := proportioned(b.w/c, b.h/rows)
		score := shown(tw, th, 16, 9) + shown(tw, th, 4, 3)
		if score > best*(1+1e-9) {
			best, cols, w, h = score, c, tw&^1, th&^1
		}
	}
	if cols == 0 {
		return nil
	}
	return rowsOf(b, sources, cols, w, h)
}

// proportioned brings a size to proportions of 4:3 to 16:9 by making it smaller.
func proportioned(w, h int) (int, int) {
	switch {
	case w*9 > h*16:
		w = h * 16 / 9
	case w*3 < h*4:
		h = w * 3 / 4
	}
	return w, h
}

// shown is the area of the largest picture of proportions a:b in w×h.
func shown(w, h, a, b int) float64 {
	f := math.Min(float64(w)/float64(a), float64(h)/float64(b))
	return f * f * float64(a*b)
}

// rowsOf places tiles of one size, c in a row, in the middle of b.
func rowsOf(b box, sources []Source, c, w, h int) []Tile {
	rows := (len(sources) + c - 1) / c
	y := b.y + (b.h-rows*h)/2&^1
	var tiles []Tile
	for row := range slices.Chunk(sources, c) {
		x := b.x + (b.w-len(row)*w)/2&^1
		for _, s := range row {
			tiles = append(tiles, box{x, y, w, h}.tile(s.ID))
			x += w
		}
		y += h
	}
	return tiles
}

// stack fills b with rows of equal height, as few in a row as pictures gain by:
// a tall canvas gets one below the other.
func stack(b box, sources []Source) []Tile {
	n, cols, best := len(sources), 0, 0.0
	for c := 1; c <= n; c++ {
		rows := (n + c - 1) / c
		if score := shown(b.w/c, b.h/rows, 16, 9); score > best*(1+1e-9) {
			best, cols = score, c
		}
	}
	if cols == 0 {
		return nil
	}
	rows := (n + cols - 1) / cols
	var tiles []Tile
	y, left := b.y, b.h
	for row := range slices.Chunk(sources, cols) {
		h := left / rows &^ 1
		x, room := b.x, b.w
		for i, s := range row {
			w := room / (len(row) - i) &^ 1
			tiles = append(tiles, box{x, y, w, h}.tile(s.ID))
			x, room = x+w, room-w
		}
		y, left, rows = y+h, left-h, rows-1
	}
	return tiles
}

// inPicture places small tiles over the bottom right of b, a fifth of its width
// each, smaller and in several rows when they are many.
func inPicture(b box, sources []Source) []Tile {
	n := len(sources)
	if n == 0 {
		return nil
	}
	gap := min(b.w, b.h) / 40 &^ 1
	var cols, w, h int
	for rows := 1; rows <= n; rows++ {
		cols = (n + rows - 1) / rows
		w = min(b.w/5, (b.w-gap)/cols-gap)
		h = min(w*9/16, (b.h-gap)/rows-gap)
		if w >= b.w/10 || (rows+1)*(b.w/10*9/16+gap) > b.h/2 {
			break
		}
	}
	w, h = w&^1, h&^1
	if w < smallest || h < smallest { // no room for gaps
		return over(grid(b, sources))
	}
	var tiles []Tile
	bottom := (b.y + b.h) &^ 1
	for row := range slices.Chunk(sources, cols) {
		bottom -= gap + h
		x := (b.x+b.w)&^1 - len(row)*(w+gap)
		for _, s := range row {
			tiles = append(tiles, box{x, bottom, w, h}.tile(s.ID))
			x += w + gap
		}
	}
	return over(tiles)
}

func over(tiles []Tile) []Tile {
	for i := range tiles {
		tiles[i].Z = 1
	}
	return tiles
}
