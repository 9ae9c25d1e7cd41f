package sync

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/govidu/govidu/internal/codec"
)

// What a case is recorded as.
const (
	individual = "one file"              // of the publisher, as sent
	apart      = "two files"             // one for each of its tracks, lined up by their manifests
	composite  = "composite"             // H264 and AAC, of a director's view
	listed     = "by the list"           // of the zip: picture of one participant, sound of the other
	aligned    = "aligned"               // by ovctl recording align
	crossed    = "aligned, of the other" // the same, picture of one participant, sound of the other
)

// Case is a publisher and its network.
type Case struct {
	Name                   string
	Codec                  codec.Name
	AudioDelay, VideoDelay time.Duration // of what is sent, against what was captured
	Loss                   float64       // of datagrams
	Jitter                 time.Duration
	Outage                 time.Duration // of the network, once
	Mute                   bool          // the picture, and later the sound, for a while
	Replace                bool          // of both tracks, by others with numbers of their own
	Fast                   float64       // the publisher's clock, ppm
	FastSound              float64       // its microphone's against that
	Reports                string
	Composite              bool // is recorded beside the tracks
	Length                 time.Duration
	Seed                   uint64
}

const late = 180 * time.Millisecond

// strict tells whether times are judged.
var strict = os.Getenv("GOVIDU_STRICT_TIMES") != ""

// beside lets tests run at the same time when no times are judged.
func beside(t *testing.T) {
	if !strict {
		t.Parallel()
	}
}

func cases() []Case {
	if !strict {
		return []Case{{Name: "short", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Reports: Chromium, Composite: true, Length: 5 * time.Second}}
	}
	list := []Case{
		{Name: "picture late", Codec: codec.VP8, VideoDelay: late},
		{Name: "sound late", Codec: codec.VP8, AudioDelay: late},
		{Name: "picture late, H264", Codec: codec.H264, VideoDelay: late},
		{Name: "picture late, 2 lost of 100", Codec: codec.VP8, VideoDelay: late, Loss: 0.02},
		{Name: "sound late, 2 lost of 100", Codec: codec.VP8, AudioDelay: late, Loss: 0.02},
		{Name: "picture late, H264, 2 lost of 100", Codec: codec.H264, VideoDelay: late, Loss: 0.02},
		{Name: "2 lost of 100, 60 ms jitter", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Jitter: 60 * time.Millisecond},
		{Name: "5 s outage", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Outage: 5 * time.Second},
		{Name: "mutes", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Mute: true},
		{Name: "tracks replaced", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Replace: true},
		{Name: "clock 100 ppm fast", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Fast: 100, FastSound: 100},
		{Name: "clock 500 ppm slow, sound 1000 ppm", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Fast: -500, FastSound: 1000},
		{Name: "stamped", Codec: codec.VP8, VideoDelay: late, Reports: Stamped},
		{Name: "deaf", Codec: codec.VP8, VideoDelay: late, Reports: Deaf},
	}
	for i := range list {
		c := &list[i]
		c.Length, c.Composite = 40*time.Second, true
		if c.Reports == "" {
			c.Reports = Chromium
		}
		if d, err := time.ParseDuration(os.Getenv("GOVIDU_SYNC_SECONDS") + "s"); err == nil {
			c.Length = d
		}
	}
	return list
}

// muted is when the picture, or the sound, is.
func (c Case) muted(video bool) (begin, end time.Duration) {
	begin = c.Length / 4
	if !video {
		begin = c.Length * 5 / 8
	}
	return begin, begin + c.Length/8
}

// silent tells whether a track sends nothing then.
func (c Case) silent(video bool, at time.Duration) bool {
	begin, end := c.muted(video)
	return c.Mute && at >= begin && at < end
}

func (c Case) replaceAt(video bool) time.Duration {
	if video {
		return c.Length / 3
	}
	return c.Length * 2 / 3
}

// missing is how many flashes, at most, need no beep or the other way round.
func (c Case) missing() int {
	n := 2 + int(c.Length/eventEvery)/10 + int(c.Outage/eventEvery)
	if c.Mute {
		n += 2*int(c.Length/8/eventEvery) + 2
	}
	if c.Replace {
		n += 2
	}
	return n
}

// bars are what is allowed, of magnitudes.
func (c Case) bars() (median, p95 time.Duration) {
	if c.Loss > 0 {
		return 60 * time.Millisecond, 100 * time.Millisecond
	}
	return 40 * time.Millisecond, 40 * time.Millisecond
}

// outcome is what a case gave of one kind, as it is kept for the plot.
type outcome struct {
	Case Case
	What string
	result
}

func TestSync(t *testing.T) {
	beside(t)
	var all []outcome
	for i, c := range cases() {
		c.Seed = seedOf(i)
		t.Run(c.Name, func(t *testing.T) {
			files := startNode(t).record(c)
			for what, f := range files {
				r := measure(t, f.pictures, f.sound, f.later)
				r.Expected = int((c.Length - eventAt + eventEvery - 1) / eventEvery)
				// What the microphone's clock does to the beeps is not for us to mend.
				for k := range r.Off {
					r.Off[k] -= time.Duration(float64(r.At[k]) * c.FastSound / 1e6)
				}
				t.Logf("%s: %v", what, r.Off)
				all = append(all, outcome{c, what, *r})
				keep(t, all[len(all)-1], len(all))
				c.judge(t, what, r)
			}
		})
	}
	report(t, all)
}

// seedOf is what a case draws its losses by: GOVIDU_SYNC_SEED, if it is set.
func seedOf(i int) (seed uint64) {
	if _, err := fmt.Sscan(os.Getenv("GOVIDU_SYNC_SEED"), &seed); err != nil {
		seed = 1
	}
	return 1000*seed + uint64(i)
}

// keep writes an outcome into the folder that GOVIDU_SYNC_PLOTS names; n tells it
// from others of that case and kind.
func keep(t *testing.T, o outcome, n int) {
	t.Helper()
	if dir := os.Getenv("GOVIDU_SYNC_PLOTS"); dir != "" {
		b, err := json.Marshal(o)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s, %s, %d-%d.json", o.Case.Name, o.What, o.Case.Seed, n)), b, 0o600))
	}
}

// report writes the table, with all that other runs left in the folder that
// GOVIDU_SYNC_PLOTS names, and there the table and the plot.
func report(t *testing.T, all []outcome) {
	t.Helper()
	if dir := os.Getenv("GOVIDU_SYNC_PLOTS"); dir != "" {
		all = nil
		names, err := filepath.Glob(filepath.Join(dir, "*.json"))
		must(t, err)
		for _, name := range names {
			b, err := os.ReadFile(name)
			must(t, err)
			var o outcome
			must(t, json.Unmarshal(b, &o))
			all = append(all, o)
		}
		defer func() {
			must(t, os.WriteFile(filepath.Join(dir, "sync.svg"), plot(all), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, "sync.md"), []byte(table(all)), 0o600))
		}()
	}
	t.Logf("picture minus sound in ms\n%s", table(all))
}

// table gives a row to each case and kind of recording, of all its runs, in ms.
// Pauses are steps of more than 60 ms between pictures.
func table(all []outcome) string {
	order := func(name string) int {
		return slices.IndexFunc(cases(), func(c Case) bool { return c.Name == name })
	}
	slices.SortStableFunc(all, func(a, b outcome) int {
		if d := order(a.Case.Name) - order(b.Case.Name); d != 0 {
			return d
		}
		return cmp.Or(strings.Compare(a.Case.Name, b.Case.Name), strings.Compare(a.What, b.What))
	})
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 1, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| case\t| recorded\t| runs\t| pairs\t| held\t| median\t| p5\t| p95\t| 95 % within\t| all within\t| pauses\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	ms := func(d time.Duration) string { return fmt.Sprintf("%+.0f", float64(d)/1e6) }
	for i := 0; i < len(all); {
		sum, runs, first := result{}, 0, all[i]
		for ; i < len(all) && all[i].Case.Name == first.Case.Name && all[i].What == first.What; i++ {
			o := all[i]
			runs++
			sum.Off, sum.Held, sum.Steps = append(sum.Off, o.Off...), append(sum.Held, o.Held...), append(sum.Steps, o.Steps...)
			sum.Expected, sum.Back = sum.Expected+o.Expected, sum.Back+o.Back
		}
		long := 0
		for _, s := range sum.Steps {
			if s > heldTime {
				long++
			}
		}
		size := magnitudes(sum.Off)
		fmt.Fprintf(w, "| %s\t| %s\t| %d\t| %d of %d\t| %d\t| %s\t| %s\t| %s\t| %.0f\t| %.0f\t| %d\t|\n", first.Case.Name, first.What, runs,
			len(sum.Off), sum.Expected, len(sum.Held), ms(quantile(sum.Off, 0.5)), ms(quantile(sum.Off, 0.05)), ms(quantile(sum.Off, 0.95)),
			float64(quantile(size, 0.95))/1e6, float64(quantile(size, 1))/1e6, long)
	}
	_ = w.Flush()
	return text.String()
}

// judge compares with the bars, or, when times are not judged, asks only that
// there is something to pair and that pictures go forward.
func (c Case) judge(t *testing.T, what string, r *result) {
	t.Helper()
	if r.Back > 0 {
		t.Errorf("%s: %d pictures go back in time", what, r.Back)
	}
	least := r.Expected - c.missing()
	if !strict && what == composite {
		least = 1 // a machine that has too much to do leaves pictures out
	}
	if len(r.Off) < least {
		t.Errorf("%s: %d of %d flashes have a beep", what, len(r.Off), r.Expected)
	}
	if !strict {
		return
	}
	median, p95 := c.bars()
	if m := quantile(r.Off, 0.5).Abs(); m > median {
		t.Errorf("%s: the median of picture minus sound is %v, want within %v", what, m, median)
	}
	if c.Reports == Deaf {
		p95 = time.Second // who says nothing for seconds cannot be known sooner
	}
	if m := quantile(magnitudes(r.Off), 0.95); m > p95 {
		t.Errorf("%s: picture minus sound is %v at the 95th percentile, want within %v", what, m, p95)
	}
	const truth = 200 * time.Millisecond
	if n := len(r.At); n > 1 { // flashes are whole seconds apart, also across an outage
		if d := (r.At[n-1] - r.At[0]).Round(eventEvery) - (r.At[n-1] - r.At[0]); d.Abs() > truth {
			t.Errorf("%s: from the first flash to the last %v, which is %v wrong", what, r.At[n-1]-r.At[0], d)
		}
	}
	if what != individual {
		return // the others begin when something else does
	}
	if d := (r.Length - c.Length).Abs(); d > truth {
		t.Errorf("%s: pictures last %v, want %v", what, r.Length, c.Length)
	}
}
