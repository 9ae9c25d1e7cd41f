package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Bounds of a layout document.
const (
	// MaxDocument is the longest JSON text that Parse reads, in bytes.
	MaxDocument = 8 << 20
	// MaxTiles is how many places a custom layout may have.
	MaxTiles = 64
	// maxText bounds ids and names, maxURL addresses, maxData data: URLs, in bytes.
	maxText = 256
	maxURL  = 4096
	maxData = 3 << 20
	// maxAudio bounds the list of who is heard.
	maxAudio = 256
	maxIndex = 10_000
	maxZ     = 1000
	// rim is what sums of fractions may go over by rounding.
	rim = 1e-6
)

var (
	layouts = []string{BestFit, PictureInPicture, VerticalPresentation, HorizontalPresentation, Custom, Speaker, Portrait}
	fits    = []string{"contain", "cover"}
	videos  = []string{"CAMERA", "SCREEN", "CUSTOM", "IPCAM"}
)

// Parse reads a layout and validates it. Unknown fields are refused: a misspelt
// one would be a layout that silently differs from what was meant. null and an
// empty text are the zero Spec.
func Parse(text []byte) (Spec, error) {
	var s Spec
	if len(text) > MaxDocument {
		return s, fmt.Errorf("layout of %d bytes: at most %d are read", len(text), MaxDocument)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return s, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Spec{}, fmt.Errorf("layout cannot be read: %s", plain(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Spec{}, errors.New("layout cannot be read: text follows after the JSON object")
	}
	if err := s.Validate(); err != nil {
		return Spec{}, err
	}
	return s, nil
}

// plain is a decoder's error in words for who wrote the layout.
func plain(err error) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := wrong.Field
		if field == "" {
			field = "the layout"
		}
		return fmt.Sprintf("%s cannot be a %s", clip(field), wrong.Value)
	}
	return clip(strings.TrimPrefix(err.Error(), "json: "))
}

// clip bounds what of an input is repeated in an error.
func clip(s string) string {
	if len(s) > 120 {
		return strings.ToValidUTF8(s[:120], "") + "…"
	}
	return s
}

// Validate checks all names, fractions and bounds. What it takes can be arranged.
func (s Spec) Validate() error {
	if err := oneOf("layout", s.Layout, layouts); err != nil {
		return err
	}
	if err := oneOf("fit", s.Fit, fits); err != nil {
		return err
	}
	if err := text("focus", s.Focus); err != nil {
		return err
	}
	if len(s.Audio) > maxAudio {
		return fmt.Errorf("audio: at most %d ids", maxAudio)
	}
	for i, id := range s.Audio {
		if err := text(fmt.Sprintf("audio[%d]", i), id); err != nil {
			return err
		}
	}
	if b := s.Background; b != nil {
		if b.Color != "" && !isColor(b.Color) {
			return fmt.Errorf("background.color %q: a colour is #rrggbb", clip(b.Color))
		}
		if err := address("background.image", b.Image); err != nil {
			return err
		}
	}
	if l := s.Logo; l != nil {
		if l.Image == "" {
			return errors.New("logo.image is missing")
		}
		if err := address("logo.image", l.Image); err != nil {
			return err
		}
		if err := place("logo", l.X, l.Y, l.Width, rim); err != nil {
			return err
		}
	}
	return s.validatePlaces()
}

func (s *Spec) validatePlaces() error {
	switch {
	case s.Layout != Custom && (len(s.Tiles) > 0 || s.Rest != nil):
		return errors.New("tiles and rest belong to layout CUSTOM")
	case s.Layout == Custom && len(s.Tiles) == 0 && s.Rest == nil:
		return errors.New("layout CUSTOM needs tiles or rest")
	case len(s.Tiles) > MaxTiles:
		return fmt.Errorf("%d tiles: at most %d", len(s.Tiles), MaxTiles)
	}
	for i, t := range s.Tiles {
		name := fmt.Sprintf("tiles[%d]", i)
		if err := place(name, t.X, t.Y, t.Width, t.Height); err != nil {
			return err
		}
		if err := depth(name, t.Z); err != nil {
			return err
		}
		if err := oneOf(name+".fit", t.Fit, fits); err != nil {
			return err
		}
		m := t.Match
		if err := oneOf(name+".match.typeOfVideo", m.TypeOfVideo, videos); err != nil {
			return err
		}
		for field, v := range map[string]string{"streamId": m.StreamID, "connectionId": m.ConnectionID, "name": m.Name} {
			if err := text(name+".match."+field, v); err != nil {
				return err
			}
		}
		if m.Index < 0 || m.Index > maxIndex {
			return fmt.Errorf("%s.match.index %d: it counts from 1", name, m.Index)
		}
	}
	if r := s.Rest; r != nil {
		if err := oneOf("rest.layout", r.Layout, slices.DeleteFunc(slices.Clone(layouts), func(l string) bool { return l == Custom })); err != nil {
			return err
		}
		if err := place("rest", r.X, r.Y, r.Width, r.Height); err != nil {
			return err
		}
		return depth("rest", r.Z)
	}
	return nil
}

func oneOf(field, v string, list []string) error {
	if v == "" || slices.Contains(list, v) {
		return nil
	}
	return fmt.Errorf("%s %q is none of %s", field, clip(v), strings.Join(list, ", "))
}

func text(field, v string) error {
	if len(v) > maxText {
		return fmt.Errorf("%s is longer than %d bytes", field, maxText)
	}
	return nil
}

func address(field, v string) error {
	most := maxURL
	if strings.HasPrefix(v, "data:") {
		most = maxData
	}
	if len(v) > most {
		return fmt.Errorf("%s is longer than %d bytes", field, most)
	}
	return nil
}

// place checks a rectangle in fractions of the canvas.
func place(field string, x, y, width, height float64) error {
	for _, v := range []float64{x, y, width, height} {
		if math.IsNaN(v) || v < 0 || v > 1 {
			return fmt.Errorf("%s: x, y, width and height are fractions of the canvas, 0 to 1, not %g", field, v)
		}
	}
	switch {
	case width == 0 || height == 0:
		return fmt.Errorf("%s: width and height must be above 0", field)
	case x+width > 1+rim || y+height > 1+rim:
		return fmt.Errorf("%s leads out of the canvas: x+width is %g, y+height %g", field, x+width, y+height)
	}
	return nil
}

func depth(field string, z int) error {
	if z < -maxZ || z > maxZ {
		return fmt.Errorf("%s.z %d: %d to %d", field, z, -maxZ, maxZ)
	}
	return nil
}

func isColor(c string) bool {
	return len(c) == 7 && c[0] == '#' && strings.Trim(c[1:], "0123456789abcdefABCDEF") == ""
}
