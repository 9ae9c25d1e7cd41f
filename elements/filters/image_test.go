package filters

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/kerr"
)

// files is an Opener of what a test made.
type files map[string][]byte

func (f files) Open(_ context.Context, uri string, limit int64) (io.ReadCloser, error) {
	b, ok := f[uri]
	if !ok {
		return nil, errors.New("no such file")
	}
	return io.NopCloser(io.LimitReader(bytes.NewReader(b), limit)), nil
}

// drawing is an opaque picture, left red and right blue.
func drawing(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBA{255, 0, 0, 255}
			if x >= w/2 {
				c = color.NRGBA{0, 0, 255, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

func encoded(t *testing.T, f func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t *testing.T, m image.Image) []byte {
	return encoded(t, func(w io.Writer) error { return png.Encode(w, m) })
}

// bomb is a PNG of a few bytes that claims a size.
func bomb(w, h uint32) []byte {
	chunk := func(name string, data []byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
		b = append(append(b, name...), data...)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return append([]byte("\x89PNG\r\n\x1a\n"), append(chunk("IHDR", append(head, 8, 6, 0, 0, 0)), chunk("IEND", nil)...)...)
}

func TestLoadImage(t *testing.T) {
	m := drawing(20, 10)
	noise := image.NewNRGBA(image.Rect(0, 0, 1200, 1200))
	for i := range noise.Pix {
		noise.Pix[i] = byte(rand.Uint32())
	}
	o := files{
		"png": pngOf(t, m), "jpeg": encoded(t, func(w io.Writer) error { return jpeg.Encode(w, m, nil) }),
		"gif":   encoded(t, func(w io.Writer) error { return gif.Encode(w, m, nil) }),
		"large": pngOf(t, drawing(4000, 100)), "noise": pngOf(t, noise),
	}
	for name, size := range map[string]image.Point{"png": {20, 10}, "jpeg": {20, 10}, "gif": {20, 10}, "large": {2048, 51}, "noise": {}} {
		text, err := loadImage(t.Context(), o, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) > maxSent {
			t.Errorf("%s: %d bytes, %v", name, len(raw), err)
		}
		got, _, err := image.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if size != (image.Point{}) && got.Bounds().Size() != size {
			t.Errorf("%s has %v, want %v", name, got.Bounds().Size(), size)
		}
		if name == "noise" {
			continue
		}
		w, h := got.Bounds().Dx(), got.Bounds().Dy()
		if r, _, b, _ := got.At(w/8, h/2).RGBA(); r < 0xe000 || b > 0x2000 {
			t.Errorf("%s: the left is not red", name)
		}
		if r, _, b, _ := got.At(w*7/8, h/2).RGBA(); b < 0xe000 || r > 0x2000 {
			t.Errorf("%s: the right is not blue", name)
		}
	}
}

func TestLoadImageRefusals(t *testing.T) {
	whole := pngOf(t, drawing(64, 64))
	o := files{
		"text": []byte("<svg/>"), "cut": whole[:len(whole)-20], "empty": nil,
		"wide": bomb(5000, 10), "bomb": bomb(math.MaxInt32, math.MaxInt32), "hollow": bomb(4096, 4096), "big": bytes.Repeat([]byte{1}, maxImageBytes+1),
	}
	for name, want := range map[string]string{
		"text": "neither PNG nor JPEG nor GIF", "cut": "png is damaged", "empty": "neither", "wide": "at most 4096 x 4096", "bomb": "Image cannot be used",
		"hollow": "png is damaged", "big": "neither",
	} {
		_, err := loadImage(t.Context(), o, name)
		if code, _ := kerr.Of(err); code != kerr.MarshallError || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want 40001 %q", name, err, want)
		}
	}
	for _, opener := range []Opener{o, nil} {
		_, err := loadImage(t.Context(), opener, "missing")
		if code, _ := kerr.Of(err); code != kerr.URIPathFileNotFound {
			t.Errorf("missing: %v, want 40600", err)
		}
	}
	for _, b := range [][4]float64{{0, 0, 0, 1}, {0, 0, 1, -1}, {0, 0, 11, 1}, {math.NaN(), 0, 1, 1}, {0, -20, 1, 1}, {0, 0, math.Inf(1), 1}} {
		if code, _ := kerr.Of(box(b[0], b[1], b[2], b[3], 10)); code != kerr.MarshallError {
			t.Errorf("box %v: %v", b, box(b[0], b[1], b[2], b[3], 10))
		}
	}
	if err := box(-10, 10, 10, 0.001, 10); err != nil {
		t.Error(err)
	}
}
