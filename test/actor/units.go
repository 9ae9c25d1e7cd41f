package actor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"

	"github.com/govidu/govidu/internal/codec"
)

// VP8 cuts an IVF file into pictures.
func VP8(file []byte) (units [][]byte, err error) {
	r, _, err := ivfreader.NewWith(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("read IVF: %w", err)
	}
	for {
		unit, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			return units, nil
		} else if err != nil {
			return nil, fmt.Errorf("read IVF: %w", err)
		}
		units = append(units, slices.Clone(unit))
	}
}

// H264 cuts an Annex B stream into pictures; each begins with an access unit
// delimiter (NAL unit type 9), which is left out.
func H264(stream []byte) (units [][]byte) {
	for nal := range codec.NALUnits(stream) {
		if nal[0]&0x1f == 9 {
			units = append(units, nil)
			continue
		}
		if last := len(units) - 1; last >= 0 {
			units[last] = append(append(units[last], 0, 0, 0, 1), nal...)
		}
	}
	return units
}

// Opus cuts an Ogg file with one packet a page.
func Opus(file []byte) (units [][]byte, err error) {
	r, _, err := oggreader.NewWith(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("read Ogg: %w", err)
	}
	for {
		page, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return units, nil
		} else if err != nil {
			return nil, fmt.Errorf("read Ogg: %w", err)
		}
		if !bytes.HasPrefix(page, []byte("OpusTags")) {
			units = append(units, slices.Clone(page))
		}
	}
}
