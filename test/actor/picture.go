package actor

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"slices"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Period is after how many pictures a clip begins anew: ten seconds.
const Period = 250

// Colors are what the clips are painted in, by number from 1: far apart also
// after chroma was subsampled.
var Colors = [...]color.RGBA{
	1: {200, 40, 40, 255}, 2: {40, 160, 40, 255}, 3: {50, 80, 220, 255},
	4: {210, 190, 30, 255}, 5: {190, 50, 190, 255}, 6: {30, 180, 190, 255},
	7: {230, 120, 20, 255}, 8: {120, 80, 40, 255}, 9: {150, 150, 150, 255},
}

// Tones are the frequencies of their sounds in Hz, by number from 1; none is near
// a harmonic of another.
var Tones = [...]float64{1: 400, 2: 550, 3: 730, 4: 910, 5: 1170, 6: 1370, 7: 1730, 8: 2110, 9: 2530}

// The counter, in parts of a picture: bits from left to right, the highest first,
// and under each its opposite. White is 1.
const (
	bits     = 8
	leftBit  = 0.1
	bitWidth = 0.1
	topBit   = 32. / 360
	bitHigh  = 64. / 360
)

// paint draws picture n of a clip.
func paint(number, width, height, n int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(m, m.Rect, image.NewUniform(Colors[number]), image.Point{}, draw.Src)
	w, h := float64(width), float64(height)
	for i := range bits {
		for row := range 2 {
			shade := color.Gray{}
			if (n>>(bits-1-i))&1 != row {
				shade.Y = 255
			}
			x, y := leftBit+float64(i)*bitWidth, topBit+float64(row)*bitHigh
			draw.Draw(m, image.Rect(int(x*w), int(y*h), int((x+bitWidth)*w), int((y+bitHigh)*h)), image.NewUniform(shade), image.Point{}, draw.Src)
		}
	}
	write(m, fmt.Sprintf("%d   %03d", number, n), 0.2*h, 0.3*w, 0.75*h)
	return m
}

var regular = func() *opentype.Font {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		panic(err)
	}
	return f
}()

func write(m draw.Image, text string, size, x, y float64) {
	face, err := opentype.NewFace(regular, &opentype.FaceOptions{Size: size, DPI: 72})
	if err != nil {
		panic(err)
	}
	d := font.Drawer{Dst: m, Src: image.White, Face: face, Dot: fixed.P(int(x), int(y))}
	d.DrawString(text)
}

// Picture gives the colour of a pixel, as a decoder showed it.
type Picture func(x, y int) (r, g, b byte)

// Counter reads the number of the clip's picture that is shown in a part of a
// picture; false when none is there.
func Counter(p Picture, at image.Rectangle) (n int, ok bool) {
	for i := range bits {
		x := leftBit + (float64(i)+0.5)*bitWidth
		a, b := luma(p, at, x, topBit+0.5*bitHigh), luma(p, at, x, topBit+1.5*bitHigh)
		if math.Abs(a-b) < 70 {
			return 0, false
		}
		n <<= 1
		if a > b {
			n++
		}
	}
	return n, n < Period
}

// luma is the mean brightness of a small place.
func luma(p Picture, at image.Rectangle, fx, fy float64) (sum float64) {
	cx, cy := at.Min.X+int(fx*float64(at.Dx())), at.Min.Y+int(fy*float64(at.Dy()))
	for y := cy - 1; y <= cy+1; y++ {
		for x := cx - 1; x <= cx+1; x++ {
			r, g, b := p(x, y)
			sum += (0.299*float64(r) + 0.587*float64(g) + 0.114*float64(b)) / 9
		}
	}
	return sum
}

// Number tells whose colour a pixel has; 0 when it is nobody's.
func Number(p Picture, x, y int) int {
	r, g, b := p(x, y)
	for i, c := range Colors[1:] {
		if Distance(c, color.RGBA{r, g, b, 255}) < 36 {
			return i + 1
		}
	}
	return 0
}

// Distance is how far apart two colours are, in steps of 8 bits.
func Distance(a, b color.RGBA) float64 {
	square := func(x, y uint8) float64 { d := float64(x) - float64(y); return d * d }
	return math.Sqrt(square(a.R, b.R) + square(a.G, b.G) + square(a.B, b.B))
}

// Steps is how many pictures b is after a, of clips that began together; it may
// be negative.
func Steps(a, b int) int {
	return (b-a+Period+Period/2)%Period - Period/2
}

// Spread is how many pictures the newest of some numbers is after the oldest.
func Spread(numbers []int) int {
	if len(numbers) == 0 {
		return 0
	}
	from := make([]int, len(numbers))
	for i, n := range numbers {
		from[i] = Steps(numbers[0], n)
	}
	return slices.Max(from) - slices.Min(from)
}
