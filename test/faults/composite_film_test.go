package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/govidu/govidu/test/actor"
)

// The composed picture.
const (
	filmWidth, filmHeight = 480, 270
	filmPicture           = 40 * time.Millisecond
)

// composed is a composed file, decoded: where its pictures and its sound are, and
// which of the players' pictures they show.
type composed struct {
	pictures []picture
	sound    []coded
	said     string // by ffmpeg: a file that plays has nothing to say
}

// coded is a unit of the file; times are since the file's zero.
type coded struct {
	at        time.Duration
	pos, size int64
}

// picture is one that was decoded. Shown are the numbers of the players' pictures
// in it, -1 where none can be read.
type picture struct {
	coded
	shown []int
}

// end is where the pictures end.
func (f *composed) end() time.Duration {
	if len(f.pictures) == 0 {
		return 0
	}
	return f.pictures[len(f.pictures)-1].at + filmPicture
}

// fresh are the places in the file of pictures that show every player.
func (f *composed) fresh() (at []time.Duration) {
	for _, p := range f.pictures {
		if len(p.shown) > 0 && !slices.Contains(p.shown, -1) {
			at = append(at, p.at)
		}
	}
	return at
}

// tile is where a player is in the picture.
type tile struct {
	StreamID            string
	X, Y, Width, Height int
	Avatar              bool
}

// picture is where a player's picture of 16:9 lies in its tile.
func (t tile) picture() image.Rectangle {
	f := math.Min(float64(t.Width)/16, float64(t.Height)/9)
	w, h := int(math.Round(16*f)), int(math.Round(9*f))
	x, y := t.X+(t.Width-w)/2, t.Y+(t.Height-h)/2
	return image.Rect(x, y, x+w, y+h)
}

// watch decodes a file as a player does.
func watch(t testing.TB, path string, tiles []tile) *composed {
	t.Helper()
	f := &composed{}
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts_time,pos,size", "-of", "json", path).Output()
	if err != nil {
		t.Errorf("ffprobe %s: %v", path, err)
		return f
	}
	var list struct {
		Packets []struct {
			CodecType string `json:"codec_type"`
			PTS       string `json:"pts_time"`
			Pos, Size string
		}
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	var units []coded
	for _, p := range list.Packets {
		at, err := strconv.ParseFloat(p.PTS, 64)
		pos, err2 := strconv.ParseInt(p.Pos, 10, 64)
		size, err3 := strconv.ParseInt(p.Size, 10, 64)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		u := coded{time.Duration(math.Round(at * 1e9)), pos, size}
		if p.CodecType == "audio" {
			f.sound = append(f.sound, u)
		} else {
			units = append(units, u)
		}
	}
	var said bytes.Buffer
	// Times as they are in the file: rounded to a rate that ffmpeg guesses, two
	// pictures could fall together, which is no fault of the file.
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "-1",
		"-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1", "-map", "0:a", "-f", "null", "-")
	cmd.Stderr = &said
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rgb := make([]byte, 3*filmWidth*filmHeight)
	pixel := func(x, y int) (r, g, b byte) {
		i := 3 * (y*filmWidth + x)
		return rgb[i], rgb[i+1], rgb[i+2]
	}
	for n := 0; ; n++ {
		if _, err := io.ReadFull(pipe, rgb); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
		if n >= len(units) {
			f.said += "more pictures than units\n"
			continue
		}
		p := picture{coded: units[n]}
		for _, x := range tiles {
			shown, ok := actor.Counter(pixel, x.picture())
			if !ok {
				shown = -1
			}
			p.shown = append(p.shown, shown)
		}
		f.pictures = append(f.pictures, p)
	}
	if err := cmd.Wait(); err != nil {
		f.said += err.Error() + "\n"
	}
	f.said += said.String()
	if len(f.pictures) != len(units) {
		f.said += fmt.Sprintf("%d pictures of %d units\n", len(f.pictures), len(units))
	}
	return f
}

// behind is how much later than their moment the players' pictures are shown, in
// pictures: the median, of a file whose zero was at a time. begin is when picture 0
// of all players was due.
func (f *composed) behind(zero, begin time.Time) (median int, spread int) {
	var all []int
	for _, p := range f.pictures {
		due := int(zero.Add(p.at).Sub(begin)/actor.PictureTime) % actor.Period
		for _, n := range p.shown {
			if n >= 0 {
				all = append(all, actor.Steps(n, due))
			}
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)-1] - all[0]
}

// hole is a stretch without something.
type hole struct{ from, to time.Duration }

func (h hole) length() time.Duration { return h.to - h.from }

func (h hole) String() string {
	return fmt.Sprintf("%.3f–%.3f s", h.from.Seconds(), h.to.Seconds())
}

// holes are the stretches between times that are longer than least, when each
// unit lasts step.
func holes(at []time.Duration, step, least time.Duration) (list []hole) {
	for i := 1; i < len(at); i++ {
		if h := (hole{at[i-1] + step, at[i]}); h.length() >= least {
			list = append(list, h)
		}
	}
	return list
}
