package filters

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif" // a picture's first frame
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"runtime/debug"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

const (
	// maxImageSide and maxImageBytes bound what is decoded: 4096² is 64 MiB once.
	maxImageSide  = 4096
	maxImageBytes = 16 << 20
	// maxSentSide and maxSent bound what goes to a worker, which draws it smaller
	// than a frame; a line to it has room for 4 MiB of base64 and the rest.
	maxSentSide = 2048
	maxSent     = 2500 << 10
	// imageTimeout bounds opening and reading.
	imageTimeout = 15 * time.Second
)

// Opener opens what a caller's URI names, at most limit bytes of it;
// fetch.Policy is one.
type Opener interface {
	Open(ctx context.Context, uri string, limit int64) (io.ReadCloser, error)
}

// decoding bounds how many pictures are decoded at one moment in the process.
var decoding = make(chan struct{}, 2)

// loadImage gives the picture behind a URI as base64 of PNG or JPEG, decoded
// and written anew, so that no byte of the caller's reaches a decoder in C. A
// URI that cannot be opened is 40600, a picture that cannot be read 40001.
func loadImage(ctx context.Context, o Opener, uri string) (string, error) {
	if o == nil {
		return "", kerr.New(kerr.URIPathFileNotFound, "This server opens no URIs")
	}
	ctx, cancel := context.WithTimeout(ctx, imageTimeout)
	defer cancel()
	r, err := o.Open(ctx, uri, maxImageBytes)
	if err != nil {
		return "", kerr.New(kerr.URIPathFileNotFound, "Image cannot be opened: %v", err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxImageBytes+1))
	if err != nil {
		return "", kerr.New(kerr.URIPathFileNotFound, "Image cannot be read: %v", err)
	}
	if len(raw) > maxImageBytes {
		return "", kerr.New(kerr.MarshallError, "Image is larger than %d bytes", maxImageBytes)
	}
	select {
	case decoding <- struct{}{}:
		defer func() { <-decoding }()
	case <-ctx.Done():
		return "", fmt.Errorf("decode image: %w: %w", ctx.Err(), kerr.NotEnoughResources)
	}
	out, err := recode(raw)
	if err != nil {
		return "", kerr.New(kerr.MarshallError, "Image cannot be used: %v", err)
	}
	return base64.StdEncoding.EncodeToString(out), nil
}

// recode decodes an image within the limits and writes it as a worker takes it:
// PNG when that is small enough, else JPEG when nothing of it is transparent,
// else smaller.
func recode(raw []byte) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // a decoder met bytes its author did not
			out, err = nil, fmt.Errorf("decoder failed: %v\n%.200s", p, debug.Stack())
		}
	}()
	c, format, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("neither PNG nor JPEG nor GIF: %w", err)
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxImageSide || c.Height > maxImageSide {
		return nil, fmt.Errorf("%s of %d x %d pixels: at most %d x %d", format, c.Width, c.Height, maxImageSide, maxImageSide)
	}
	decoded, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", format, err)
	}
	m := image.NewNRGBA(image.Rect(0, 0, decoded.Bounds().Dx(), decoded.Bounds().Dy()))
	draw.Draw(m, m.Rect, decoded, decoded.Bounds().Min, draw.Src)
	if side := max(m.Rect.Dx(), m.Rect.Dy()); side > maxSentSide {
		m = shrink(m, float64(maxSentSide)/float64(side))
	}
	for {
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			return nil, err
		}
		if b.Len() > maxSent && m.Opaque() {
			b.Reset()
			if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 92}); err != nil {
				return nil, err
			}
		}
		if b.Len() <= maxSent {
			return b.Bytes(), nil
		}
		m = shrink(m, 0.7)
	}
}

// shrink scales an image down by averaging, with alpha as weight.
func shrink(m *image.NRGBA, by float64) *image.NRGBA {
	w, h := max(1, int(float64(m.Rect.Dx())*by)), max(1, int(float64(m.Rect.Dy())*by))
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		y0, y1 := y*m.Rect.Dy()/h, max((y+1)*m.Rect.Dy()/h, y*m.Rect.Dy()/h+1)
		for x := range w {
			x0, x1 := x*m.Rect.Dx()/w, max((x+1)*m.Rect.Dx()/w, x*m.Rect.Dx()/w+1)
			var c [3]int
			var a, n int
			for v := y0; v < y1; v++ {
				for u := x0; u < x1; u++ {
					p := m.Pix[m.PixOffset(u, v):]
					for i := range c {
						c[i] += int(p[i]) * int(p[3])
					}
					a += int(p[3])
					n++
				}
			}
			o := out.Pix[out.PixOffset(x, y):]
			if a > 0 {
				o[0], o[1], o[2] = uint8(c[0]/a), uint8(c[1]/a), uint8(c[2]/a)
			}
			o[3] = uint8(a / n)
		}
	}
	return out
}

// box checks where a picture shall go: the size above zero, nothing further away
// than most.
func box(x, y, w, h, most float64) error {
	for _, v := range []struct {
		name     string
		v        float64
		min, max float64
	}{{"offsetXPercent", x, -most, most}, {"offsetYPercent", y, -most, most}, {"widthPercent", w, 0, most}, {"heightPercent", h, 0, most}} {
		if math.IsNaN(v.v) || v.v < v.min || v.v > v.max || v.min == 0 && v.v == 0 {
			return kerr.New(kerr.MarshallError, "'%s' parameter should be a ratio %s %g", v.name, map[bool]string{true: "above 0 and at most", false: fmt.Sprintf("from %g to", v.min)}[v.min == 0], v.max)
		}
	}
	return nil
}
