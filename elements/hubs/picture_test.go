package hubs

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/image/draw"

	"github.com/govidu/govidu/internal/layout"
)

var update = flag.Bool("update", false, "rewrite the pictures of docs/recording")

// TestLayoutPictures keeps docs/recording equal to what layouts are: each for 1,
// 2, 4 and 9 participants, drawn with the avatars and names of views.
func TestLayoutPictures(t *testing.T) {
	const dir = "../../docs/recording"
	custom := layout.Spec{Layout: layout.Custom, Background: &layout.Background{Color: "#203040"},
		Tiles: []layout.TileSpec{{X: 0.02, Y: 0.04, Width: 0.62, Height: 0.62}, {X: 0.66, Y: 0.04, Width: 0.32, Height: 0.32}},
		Rest:  &layout.Region{X: 0.02, Y: 0.7, Width: 0.96, Height: 0.28}}
	specs := map[string]layout.Spec{"custom": custom}
	for file, name := range map[string]string{
		"best-fit": layout.BestFit, "picture-in-picture": layout.PictureInPicture, "vertical-presentation": layout.VerticalPresentation,
		"horizontal-presentation": layout.HorizontalPresentation, "speaker": layout.Speaker, "portrait": layout.Portrait,
	} {
		specs[file] = layout.Spec{Layout: name}
	}
	if *update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, spec := range specs {
		if err := spec.Validate(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "layout-"+file+".png")
		b := sheet(t, spec)
		if len(b) > 30<<10 {
			t.Errorf("%s: %d bytes", path, len(b))
		}
		if *update {
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, b) {
			t.Errorf("%s is not what the layout gives (%v): run `go test ./elements/hubs -run TestLayoutPictures -update`", path, err)
		}
	}
}

// sheet draws a layout for 1, 2, 4 and 9 participants side by side, in the few
// colours it has.
func sheet(t *testing.T, spec layout.Spec) []byte {
	t.Helper()
	w, h, scale := 1280, 720, 6
	if spec.Layout == layout.Portrait {
		w, h, scale = 720, 1280, 6
	}
	const gap = 8
	out := image.NewNRGBA(image.Rect(0, 0, 4*w/scale+5*gap, h/scale+2*gap))
	draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
	for i, n := range []int{1, 2, 4, 9} {
		var people []layout.Source
		for k := range n { // the second speaks
			people = append(people, layout.Source{ID: fmt.Sprint(k + 1), TypeOfVideo: "CAMERA", Speaking: k == 1})
		}
		at := image.Pt(gap+i*(w/scale+gap), gap)
		draw.Draw(out, image.Rect(0, 0, w/scale, h/scale).Add(at), image.NewUniform(colorOf(background(spec))), image.Point{}, draw.Src)
		for _, x := range spec.Arrange(w, h, people) {
			r := image.Rect(x.X/scale, x.Y/scale, (x.X+x.Width)/scale, (x.Y+x.Height)/scale)
			p := paintAvatar(x.ID, x.ID, false, r.Dx()*2, r.Dy()*2)
			m, err := png.Decode(bytes.NewReader(p.image))
			if err != nil {
				t.Fatal(err)
			}
			draw.ApproxBiLinear.Scale(out, r.Inset(1).Add(at), m, m.Bounds(), draw.Src, nil)
		}
	}
	return flat(t, out)
}

func background(spec layout.Spec) string {
	if spec.Background == nil {
		return ""
	}
	return spec.Background.Color
}

// flat codes a picture in at most 256 colours, small.
func flat(t *testing.T, m *image.NRGBA) []byte {
	t.Helper()
	known := map[color.NRGBA]bool{}
	var palette color.Palette
	round := func(c color.NRGBA) color.NRGBA { return color.NRGBA{c.R &^ 15, c.G &^ 15, c.B &^ 15, 255} }
	for i := 0; i < len(m.Pix); i += 4 {
		c := round(color.NRGBA{m.Pix[i], m.Pix[i+1], m.Pix[i+2], 255})
		if !known[c] && len(palette) < 256 {
			known[c] = true
			palette = append(palette, c)
		}
	}
	out := image.NewPaletted(m.Rect, palette)
	draw.Draw(out, out.Rect, m, image.Point{}, draw.Src)
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	if err := e.Encode(&b, out); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
