package hubs

import (
	"bytes"
	"hash/fnv"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// typeface is Go Regular: Latin, Greek and Cyrillic.
var typeface = sync.OnceValue(func() *opentype.Font {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		panic(err) // compiled in
	}
	return f
})

// drawable is a text without the characters that the font lacks.
func drawable(s string) string {
	var b sfnt.Buffer
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if i, err := typeface().GlyphIndex(&b, r); err != nil || i == 0 || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
}

// face is the font at a size in pixels. A face is not for concurrent use.
func face(size int) font.Face {
	f, err := opentype.NewFace(typeface(), &opentype.FaceOptions{Size: float64(size), DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		panic(err) // options are ours
	}
	return f
}

// labelSize is the size of letters in a tile of that height; 0: too small to read.
func labelSize(height int) int {
	if height < 60 {
		return 0
	}
	return min(max(height/20, 10), 32)
}

// fitted cuts a text to a width in pixels.
func fitted(f font.Face, text string, most int) string {
	if font.MeasureString(f, text).Ceil() <= most {
		return text
	}
	r := []rune(text)
	for n := len(r) - 1; n > 0; n-- {
		if s := string(r[:n]) + "…"; font.MeasureString(f, s).Ceil() <= most {
			return s
		}
	}
	return ""
}

// paintLabel writes white on a rounded, half transparent box, at most so wide.
func paintLabel(text string, size, most int) *picture {
	f := face(size)
	defer f.Close()
	padding := size / 2
	if text = fitted(f, text, most-2*padding); text == "" {
		return nil
	}
	w := (font.MeasureString(f, text).Ceil() + 2*padding + 1) &^ 1
	h := (size*8/5 + 1) &^ 1
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	fill(m, color.NRGBA{A: 150}, func(x, y float64) float64 { return rounded(x, y, float64(w), float64(h), float64(h)/4) })
	write(m, f, text, padding, h, color.White)
	return coded(m)
}

// avatarSize is the size an avatar is painted in: that of its tile, or smaller,
// in the same proportions; the worker scales it.
func avatarSize(width, height int) (int, int) {
	const most = 640
	if side := max(width, height); side > most {
		width, height = width*most/side, height*most/side
	}
	return max(width&^1, 2), max(height&^1, 2)
}

// paintAvatar draws initials in a disc, with the name below when there is room,
// in a colour that follows from the id.
func paintAvatar(id, name string, named bool, w, h int) *picture {
	ground, disc := colors(id)
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Rect, image.NewUniform(ground), image.Point{}, draw.Src)
	r := float64(min(w, h)) * 0.24
	cx, cy := float64(w)/2, float64(h)/2
	size := labelSize(h)
	text := ""
	if named && size > 0 {
		f := face(size)
		defer f.Close()
		if text = fitted(f, name, w-size); text != "" {
			cy -= float64(size) * 0.8
			line := m.SubImage(image.Rect(0, int(cy+r), w, min(int(cy+r)+size*2, h))).(*image.NRGBA)
			write(line, f, text, (w-font.MeasureString(f, text).Ceil())/2, line.Rect.Dy(), color.White)
		}
	}
	fill(m, disc, func(x, y float64) float64 { return r - math.Hypot(x-cx, y-cy) })
	if s := initials(name); int(r) >= 6 {
		f := face(int(r * 0.85))
		defer f.Close()
		line := m.SubImage(image.Rect(0, int(cy-r), w, int(cy+r))).(*image.NRGBA)
		write(line, f, s, (w-font.MeasureString(f, s).Ceil())/2, line.Rect.Dy(), color.White)
	}
	return coded(m)
}

// initials are the first letters of a name's first and last word.
func initials(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	switch len(words) {
	case 0:
		return "?"
	case 1:
		return strings.ToUpper(string([]rune(words[0])[:1]))
	}
	return strings.ToUpper(string([]rune(words[0])[:1]) + string([]rune(words[len(words)-1])[:1]))
}

// colors are a dark ground and a lighter disc of a hue that follows from the id.
func colors(id string) (ground, disc color.NRGBA) {
	h := fnv.New32a()
	h.Write([]byte(id))
	mixed := h.Sum32() * 0x9e3779b1 // FNV's last byte stirs the low bits alone
	hue := float64(mixed>>8%360) / 60
	of := func(saturation, light float64) color.NRGBA {
		c := (1 - math.Abs(2*light-1)) * saturation
		x := c * (1 - math.Abs(math.Mod(hue, 2)-1))
		rgb := [][3]float64{{c, x, 0}, {x, c, 0}, {0, c, x}, {0, x, c}, {x, 0, c}, {c, 0, x}}[int(hue)]
		up := light - c/2
		return color.NRGBA{uint8(255 * (rgb[0] + up)), uint8(255 * (rgb[1] + up)), uint8(255 * (rgb[2] + up)), 255}
	}
	return of(0.35, 0.22), of(0.45, 0.42)
}

// fill paints where inside is above zero, softly at its edge; inside is about the
// distance from the edge in pixels.
func fill(m *image.NRGBA, c color.NRGBA, inside func(x, y float64) float64) {
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
			part := min(max(inside(float64(x)+0.5, float64(y)+0.5)+0.5, 0), 1)
			if part == 0 {
				continue
			}
			p := m.Pix[m.PixOffset(x, y):]
			if p[3] == 0 {
				p[0], p[1], p[2], p[3] = c.R, c.G, c.B, uint8(part*float64(c.A))
				continue
			}
			for i, v := range []uint8{c.R, c.G, c.B} {
				p[i] = uint8(float64(p[i])*(1-part) + float64(v)*part)
			}
		}
	}
}

// rounded is how far a point lies inside of a rectangle with round corners.
func rounded(x, y, w, h, r float64) float64 {
	dx, dy := max(r-x, x-(w-r), 0), max(r-y, y-(h-r), 0)
	if dx > 0 && dy > 0 {
		return r - math.Hypot(dx, dy)
	}
	return min(x, w-x, y, h-y)
}

// write draws a line of text from x in m, in the middle of its height.
func write(m *image.NRGBA, f font.Face, text string, x, height int, c color.Color) {
	k := f.Metrics()
	base := m.Rect.Min.Y + (height+k.CapHeight.Round())/2
	d := font.Drawer{Dst: m, Src: image.NewUniform(c), Face: f, Dot: fixed.P(m.Rect.Min.X+x, base)}
	d.DrawString(text)
}

// coded is m as PNG, fast rather than small.
func coded(m *image.NRGBA) *picture {
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := e.Encode(&b, m); err != nil {
		return nil
	}
	return &picture{image: b.Bytes(), width: m.Rect.Dx(), height: m.Rect.Dy()}
}
