package hubs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/image/draw"

	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/layout"
)

const (
	// maxImageBytes and maxImageSide bound what is read and decoded; maxSent is
	// what the worker takes.
	maxImageBytes = 8 << 20
	maxImageSide  = 4096
	maxSent       = 2 << 20
	// imageTimeout bounds opening and reading.
	imageTimeout = 15 * time.Second
)

// Opener opens what a layout names, at most limit bytes of it; fetch.Policy is one.
type Opener interface {
	Open(ctx context.Context, uri string, limit int64) (io.ReadCloser, error)
}

// decoding bounds how many images are decoded at one moment in the process.
var decoding = make(chan struct{}, 2)

// backdrop is an image that fills the canvas, in its proportions, over a colour.
func (d Deps) backdrop(ctx context.Context, name, ground string, width, height int) (*picture, error) {
	p, err := d.load(ctx, name, func(src image.Image) (*image.NRGBA, error) {
		m := image.NewNRGBA(image.Rect(0, 0, width, height))
		draw.Draw(m, m.Rect, image.NewUniform(colorOf(ground)), image.Point{}, draw.Src)
		b := src.Bounds()
		// The part of the image that has the canvas's proportions, from its middle.
		w, h := b.Dx(), b.Dx()*height/width
		if h > b.Dy() {
			w, h = b.Dy()*width/height, b.Dy()
		}
		part := image.Rect(0, 0, max(w, 1), max(h, 1)).Add(b.Min).Add(image.Pt((b.Dx()-w)/2, (b.Dy()-h)/2))
		draw.ApproxBiLinear.Scale(m, m.Rect, src, part, draw.Over, nil)
		return m, nil
	})
	return p, err
}

// logo is an image in the size it is shown in.
func (d Deps) logo(ctx context.Context, l *layout.Logo, width, height int) (*picture, error) {
	return d.load(ctx, l.Image, func(src image.Image) (*image.NRGBA, error) {
		b := src.Bounds()
		w := max(int(l.Width*float64(width))&^1, 2)
		h := max(w*b.Dy()/b.Dx()&^1, 2)
		if y := int(l.Y * float64(height)); y+h > height {
			return nil, fmt.Errorf("it is %d pixels high and leads out of the canvas below", h)
		}
		m := image.NewNRGBA(image.Rect(0, 0, w, h))
		draw.CatmullRom.Scale(m, m.Rect, src, b, draw.Src, nil)
		return m, nil
	})
}

// load reads and decodes an image, has it brought to its place's size, and codes
// it anew, so that no byte of the caller's reaches a decoder in C.
func (d Deps) load(ctx context.Context, name string, scale func(image.Image) (*image.NRGBA, error)) (*picture, error) {
	ctx, cancel := context.WithTimeout(ctx, imageTimeout)
	defer cancel()
	raw, err := d.read(ctx, name)
	if err != nil {
		return nil, err
	}
	select {
	case decoding <- struct{}{}:
		defer func() { <-decoding }()
	case <-ctx.Done():
		return nil, fmt.Errorf("no time to decode it: %w", ctx.Err())
	}
	m, err := decode(raw, scale)
	if err != nil {
		return nil, err
	}
	out, err := squeeze(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(out)
	return &picture{key: fmt.Sprintf("image %x", sum), image: out, width: m.Rect.Dx(), height: m.Rect.Dy()}, nil
}

// read gives the bytes behind a data:, http(s): or file: URL.
func (d Deps) read(ctx context.Context, name string) ([]byte, error) {
	switch scheme := fetch.Scheme(name); {
	case scheme == "data":
		return dataOf(name)
	case scheme == "":
		return nil, errors.New("it is no data:, http:, https: or file: URL")
	case d.Images == nil:
		return nil, errors.New("this server opens no URLs")
	}
	r, err := d.Images.Open(ctx, name, maxImageBytes)
	if err != nil {
		return nil, fmt.Errorf("it cannot be opened: %w", err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxImageBytes+1))
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if len(raw) > maxImageBytes {
		return nil, fmt.Errorf("it is larger than %d bytes", maxImageBytes)
	}
	return raw, nil
}

// dataOf is the content of a data: URL (RFC 2397) in base64.
func dataOf(text string) ([]byte, error) {
	head, body, ok := strings.Cut(strings.TrimPrefix(text, "data:"), ",")
	if !ok || !strings.HasSuffix(head, ";base64") {
		return nil, errors.New("a data URL here is data:image/png;base64,… or data:image/jpeg;base64,…")
	}
	raw, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return nil, errors.New("the data URL is no base64")
	}
	return raw, nil
}

func decode(raw []byte, scale func(image.Image) (*image.NRGBA, error)) (m *image.NRGBA, err error) {
	defer func() {
		if p := recover(); p != nil { // a decoder met bytes its author did not
			m, err = nil, fmt.Errorf("it cannot be decoded: %v", p)
		}
	}()
	config, format, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil || format != "png" && format != "jpeg" {
		return nil, errors.New("it is neither PNG nor JPEG")
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxImageSide || config.Height > maxImageSide {
		return nil, fmt.Errorf("it has %dx%d pixels: at most %d are used on a side", config.Width, config.Height, maxImageSide)
	}
	src, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	return scale(src)
}

// squeeze codes m as PNG, or as JPEG when that is too large and nothing of m is
// transparent.
func squeeze(m *image.NRGBA) ([]byte, error) {
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := e.Encode(&b, m); err != nil {
		return nil, err
	}
	for quality := 92; b.Len() > maxSent && quality > 50 && m.Opaque(); quality -= 20 {
		b.Reset()
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
			return nil, err
		}
	}
	if b.Len() > maxSent {
		return nil, fmt.Errorf("it needs %d bytes in this size: at most %d", b.Len(), maxSent)
	}
	return b.Bytes(), nil
}

// colorOf reads #rrggbb; anything else is black.
func colorOf(s string) color.NRGBA {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 24)
	if err != nil {
		n = 0
	}
	return color.NRGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 255}
}
