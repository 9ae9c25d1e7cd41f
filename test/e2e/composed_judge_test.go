package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/govidu/govidu/test/actor"
)

// place is a tile of a picture and whose it is.
type place struct {
	number  int // of the clip
	picture image.Rectangle
	z       int
	cover   bool // the picture was cut to fill its tile: picture is larger than what is seen
	tile    image.Rectangle
}

// placeOf is where a picture of 16:9 lies in a tile.
func placeOf(number int, tile image.Rectangle, z int, cover bool) place {
	f := math.Min(float64(tile.Dx())/16, float64(tile.Dy())/9)
	if cover {
		f = math.Max(float64(tile.Dx())/16, float64(tile.Dy())/9)
	}
	w, h := int(math.Round(16*f)), int(math.Round(9*f))
	x, y := tile.Min.X+(tile.Dx()-w)/2, tile.Min.Y+(tile.Dy()-h)/2
	return place{number: number, picture: image.Rect(x, y, x+w, y+h), z: z, cover: cover, tile: tile}
}

// watch decodes a film and shows each picture; the callback must not keep it.
func watch(t testing.TB, path string, width, height int, each func(i int, f frame)) (n int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := frame{width, height, make([]byte, 3*width*height)}
	for ; ; n++ {
		if _, err := io.ReadFull(out, f.rgb); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
		each(n, f)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("ffmpeg: %v", err)
	}
	return n
}

// times are the timestamps of a film's pictures in seconds, in order of decoding.
func times(t testing.TB, path string) (list []float64) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.FieldsSeq(string(out)) {
		v, err := strconv.ParseFloat(strings.Trim(line, ","), 64)
		if err != nil {
			t.Fatalf("timestamp %q: %v", line, err)
		}
		list = append(list, v)
	}
	return list
}

// forward demands that time goes on with every picture, and gives the longest step.
func forward(t testing.TB, at []float64) (longest float64) {
	t.Helper()
	for i := 1; i < len(at); i++ {
		if at[i] <= at[i-1] {
			t.Errorf("picture %d is at %.3f s, the one before it at %.3f", i, at[i], at[i-1])
		}
		longest = max(longest, at[i]-at[i-1])
	}
	return longest
}

// seen is what the pictures of a film showed in its places.
type seen struct {
	counters [][]int // by picture and place; -1 where none can be read
	faults   []string
}

// look reads every picture. Where a place is read, its colour must be the right
// one, and its picture end where it should (looked at in some pictures).
func look(t testing.TB, path string, width, height int, places []place, background [3]byte) *seen {
	t.Helper()
	s := &seen{}
	watch(t, path, width, height, func(i int, f frame) {
		row := make([]int, len(places))
		for j, p := range places {
			row[j] = f.read(p)
		}
		s.counters = append(s.counters, row)
		if i%10 == 9 && !slices.Contains(row, -1) && len(s.faults) < 20 {
			for j := range places {
				if err := f.framed(places, j, background); err != nil {
					s.faults = append(s.faults, fmt.Sprintf("picture %d: %v", i, err))
				}
			}
		}
	})
	return s
}

// read gives the number that is shown in a place, -1 when it shows something else.
func (f frame) read(p place) int {
	n, ok := actor.Counter(f.at, p.picture)
	if !ok || actor.Number(f.at, p.picture.Min.X+p.picture.Dx()*65/1000, (p.tile.Min.Y+p.tile.Max.Y)/2) != p.number {
		return -1
	}
	return n
}

// framed looks just inside and just outside of the edges of what a place shows.
func (f frame) framed(places []place, of int, background [3]byte) error {
	const near = 4
	p := places[of]
	r := p.picture
	if p.cover {
		r = p.tile
	}
	for _, e := range []struct {
		name            string
		x, y, dx, dy, n int
	}{
		{name: "left", x: r.Min.X, y: r.Min.Y + r.Dy()*6/10, dx: -1},
		{name: "right", x: r.Max.X - 1, y: r.Min.Y + r.Dy()*6/10, dx: 1},
		{name: "top", x: r.Min.X + r.Dx()*8/10, y: r.Min.Y, dy: -1},
		{name: "bottom", x: r.Min.X + r.Dx()*8/10, y: r.Max.Y - 1, dy: 1},
	} {
		in := image.Pt(e.x-near*e.dx, e.y-near*e.dy)
		if !p.cover && p.above(places, in) == nil {
			if n := actor.Number(f.at, in.X, in.Y); n != p.number {
				r, g, b := f.at(in.X, in.Y)
				return fmt.Errorf("inside the %s edge of %d at %v is the colour of %d (%d %d %d)", e.name, p.number, in, n, r, g, b)
			}
		}
		out := image.Pt(e.x+near*e.dx, e.y+near*e.dy)
		if !out.In(image.Rect(0, 0, f.width, f.height)) || p.above(places, out) != nil || p.inside(places, out) {
			continue
		}
		if r, g, b := f.at(out.X, out.Y); abs(r, background[0]) > 30 || abs(g, background[1]) > 30 || abs(b, background[2]) > 30 {
			return fmt.Errorf("outside the %s edge of %d at %v is %d %d %d, not the background", e.name, p.number, out, r, g, b)
		}
	}
	return nil
}

func abs(a, b byte) int { return max(int(a), int(b)) - min(int(a), int(b)) }

// above gives the place that lies over this one at a point, with a margin.
func (p place) above(places []place, at image.Point) *place {
	for i, q := range places {
		if q.z > p.z && at.In(q.tile.Inset(-4)) {
			return &places[i]
		}
	}
	return nil
}

// inside tells whether another place is at a point, with a margin.
func (p place) inside(places []place, at image.Point) bool {
	return slices.ContainsFunc(places, func(q place) bool { return q.number != p.number && at.In(q.tile.Inset(-4)) })
}

// verdict sums up the pictures from the first one in which every place can be read.
type verdict struct {
	first    int     // that picture
	pictures int     // from there on
	broken   int     // with a place that cannot be read, or of another's
	apart    []int   // pictures by how many numbers their places are apart
	distinct float64 // the least share of pictures that are not as the one before, of all places
	backward int     // places whose number went back
	skipped  int     // the most numbers that one place left out at once
}

func (v verdict) String() string {
	return fmt.Sprintf("%d pictures from %d on: %d broken, apart %v, distinct %.3f, backward %d, skipped %d", v.pictures, v.first, v.broken, v.apart, v.distinct, v.backward, v.skipped)
}

// within is the share of pictures whose places are at most so far apart.
func (v verdict) within(most int) float64 {
	sum := 0
	for i, n := range v.apart {
		if i <= most {
			sum += n
		}
	}
	return float64(sum) / math.Max(1, float64(v.pictures))
}

func judge(counters [][]int) (v verdict) {
	v.first = slices.IndexFunc(counters, func(row []int) bool { return !slices.Contains(row, -1) })
	if v.first < 0 {
		return verdict{}
	}
	counters = counters[v.first:]
	v.pictures, v.distinct, v.apart = len(counters), 1, make([]int, 4)
	same := make([]int, len(counters[0]))
	for i, row := range counters {
		if slices.Contains(row, -1) {
			v.broken++
			continue
		}
		v.apart[min(actor.Spread(row), len(v.apart)-1)]++
		if i == 0 {
			continue
		}
		for j, n := range row {
			before := counters[i-1][j]
			if before < 0 {
				continue
			}
			switch d := actor.Steps(before, n); {
			case d == 0:
				same[j]++
			case d < 0:
				v.backward++
			default:
				v.skipped = max(v.skipped, d-1)
			}
		}
	}
	for _, n := range same {
		v.distinct = math.Min(v.distinct, 1-float64(n)/math.Max(1, float64(v.pictures-1)))
	}
	return v
}

// tones measures how strong each clip's tone is in a part of a film's sound, as an
// amplitude: clips have 0.1.
func tones(t testing.TB, path string, from, length float64) (strength [len(actor.Tones)]float64) {
	t.Helper()
	const rate = 16000
	out, err := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-ss", fmt.Sprintf("%.3f", from), "-i", path, "-t", fmt.Sprintf("%.3f", length),
		"-map", "0:a", "-ac", "1", "-ar", strconv.Itoa(rate), "-f", "f32le", "-").Output()
	if err != nil || len(out) < 4*rate/2 {
		t.Fatalf("sound from %.1f s: %d bytes, %v", from, len(out), err)
	}
	for i, hz := range actor.Tones {
		var re, im float64
		n := len(out) / 4
		for k := range n {
			x := float64(math.Float32frombits(binary.LittleEndian.Uint32(out[4*k:])))
			window := 1 - math.Cos(2*math.Pi*float64(k)/float64(n)) // Hann, mean 1
			re += x * window * math.Cos(2*math.Pi*hz*float64(k)/rate)
			im += x * window * math.Sin(2*math.Pi*hz*float64(k)/rate)
		}
		strength[i] = 2 * math.Hypot(re, im) / float64(n)
	}
	return strength
}

// The judge must not take what is wrong.
func TestHarnessJudgesFilms(t *testing.T) {
	good := [][]int{{-1, 5}, {4, 5}, {5, 6}, {6, 7}, {7, 8}}
	if v := judge(good); v.first != 1 || v.pictures != 4 || v.broken != 0 || v.within(1) != 1 || v.within(0) != 0 || v.distinct != 1 || v.backward != 0 || v.skipped != 0 {
		t.Errorf("good pictures: %v", v)
	}
	bad := [][]int{{248, 249}, {249, 249}, {3, 249}, {5, -1}, {2, 8}, {2, 6}}
	if v := judge(bad); v.pictures != 6 || v.broken != 1 || v.apart[3] != 3 || v.backward != 2 || v.skipped != 3 || v.distinct > 0.61 {
		t.Errorf("bad pictures: %v", v)
	}
	if v := judge([][]int{{-1}}); v.pictures != 0 {
		t.Errorf("no pictures: %v", v)
	}
	tile := image.Rect(100, 0, 500, 400)
	if p := placeOf(1, tile, 0, false); p.picture != image.Rect(100, 87, 500, 312) {
		t.Errorf("contained: %v", p.picture)
	}
	if p := placeOf(1, tile, 0, true); p.picture.Dy() != 400 || p.picture.Dx() != 711 {
		t.Errorf("covered: %v", p.picture)
	}
}
