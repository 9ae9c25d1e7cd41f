package sync

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/govidu/govidu/internal/codec"
)

// Case is a publisher and its network.
type Case struct {
	Name                   string
	Codec                  codec.Name
	AudioDelay, VideoDelay time.Duration // of what is sent, against what was captured
	Loss                   float64       // of datagrams
	Jitter                 time.Duration
	Outage                 time.Duration // of the network, once
	Reports                string
	Composite              bool // is recorded beside the tracks
	Length                 time.Duration
	Seed                   uint64
}

const late = 180 * time.Millisecond

// strict tells whether times are judged.
var strict = os.Getenv("GOVIDU_STRICT_TIMES") != ""

func cases() []Case {
	if !strict {
		return []Case{{Name: "short", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Reports: Chromium, Composite: true, Length: 6 * time.Second}}
	}
	list := []Case{
		{Name: "picture late", Codec: codec.VP8, VideoDelay: late, Reports: Chromium, Composite: true},
		{Name: "sound late", Codec: codec.VP8, AudioDelay: late, Reports: Chromium, Composite: true},
		{Name: "picture late, deaf", Codec: codec.VP8, VideoDelay: late, Reports: Deaf, Composite: true},
		{Name: "picture late, stamped", Codec: codec.VP8, VideoDelay: late, Reports: Stamped, Composite: true},
		{Name: "picture late, 2 lost of 100", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Reports: Chromium, Composite: true},
		{Name: "sound late, 2 lost of 100", Codec: codec.VP8, AudioDelay: late, Loss: 0.02, Reports: Chromium, Composite: true},
		{Name: "2 lost of 100, 60 ms jitter", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Jitter: 60 * time.Millisecond, Reports: Chromium, Composite: true},
		{Name: "H264, 2 lost of 100", Codec: codec.H264, VideoDelay: late, Loss: 0.02, Reports: Chromium, Composite: true},
		{Name: "5 s outage", Codec: codec.VP8, VideoDelay: late, Loss: 0.02, Outage: 5 * time.Second, Reports: Chromium, Composite: true},
	}
	for i := range list {
		list[i].Length = 40 * time.Second
		if s := os.Getenv("GOVIDU_SYNC_SECONDS"); s != "" {
			d, err := time.ParseDuration(s + "s")
			if err == nil {
				list[i].Length = d
			}
		}
	}
	return list
}

// bars are what is allowed, of magnitudes.
func (c Case) bars() (median, p95 time.Duration) {
	if c.Loss > 0 {
		return 60 * time.Millisecond, 100 * time.Millisecond
	}
	return 40 * time.Millisecond, 40 * time.Millisecond
}

func TestSync(t *testing.T) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tfile\tpairs\tmedian\tp5\tp95\t|p95|\tby samples\tcadence p99\tmax\t>60\tback\tlength")
	var drawn []series
	for i, c := range cases() {
		c.Seed = uint64(i) + 1
		t.Run(c.Name, func(t *testing.T) {
			files := startNode(t).record(c)
			for _, what := range []string{"track", "composite"} {
				file := files[what]
				if file == "" {
					continue
				}
				if keep := os.Getenv("GOVIDU_SYNC_PLOTS"); keep != "" {
					if b, err := os.ReadFile(file); err == nil {
						_ = os.WriteFile(filepath.Join(keep, fmt.Sprintf("%d-%s%s", i, what, filepath.Ext(file))), b, 0o600)
					}
				}
				r := measure(t, file)
				r.expected = int((c.Length - eventAt + eventEvery - 1) / eventEvery)
				ms := func(d time.Duration) string { return fmt.Sprintf("%+.0f", float64(d)/1e6) }
				long := 0
				for _, s := range r.steps {
					if s > 60*time.Millisecond {
						long++
					}
				}
				fmt.Fprintf(w, "%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\t%s..%s\t%s\t%s\t%d\t%d\t%.2f/%.2f of %.2f s\n", c.Name, what, len(r.off), r.expected, ms(quantile(r.off, 0.5)), ms(quantile(r.off, 0.05)), ms(quantile(r.off, 0.95)),
					ms(quantile(magnitudes(r.off), 0.95)), ms(quantile(r.loose, 0)), ms(quantile(r.loose, 1)),
					ms(quantile(r.steps, 0.99)), ms(quantile(r.steps, 1)), long, r.back, r.length.Seconds(), r.sound.Seconds(), c.Length.Seconds())
				t.Logf("%s %s: %v", c.Name, what, r.off)
				drawn = append(drawn, series{c.Name + ", " + what, r})
				c.judge(t, what, r)
			}
		})
	}
	_ = w.Flush()
	t.Logf("picture minus sound in ms\n%s", text.String())
	if dir := os.Getenv("GOVIDU_SYNC_PLOTS"); dir != "" {
		must(t, os.WriteFile(filepath.Join(dir, "sync.svg"), plot(drawn), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "sync.txt"), []byte(text.String()), 0o600))
	}
}

// judge compares with the bars, or, when times are not judged, asks only that
// there is something to pair and that pictures go forward.
func (c Case) judge(t *testing.T, what string, r *result) {
	t.Helper()
	if r.back > 0 {
		t.Errorf("%s: %d pictures go back in time", what, r.back)
	}
	missing := int(c.Outage/eventEvery) + r.expected/10 + 2
	if len(r.off) < r.expected-missing {
		t.Errorf("%s: %d of %d flashes have a beep", what, len(r.off), r.expected)
	}
	if !strict {
		return
	}
	median, p95 := c.bars()
	if m := quantile(r.off, 0.5).Abs(); m > median {
		t.Errorf("%s: the median of picture minus sound is %v, want within %v", what, m, median)
	}
	if c.Reports == Deaf {
		p95 = time.Second // who says nothing for seconds cannot be known sooner
	}
	if m := quantile(magnitudes(r.off), 0.95); m > p95 {
		t.Errorf("%s: picture minus sound is %v at the 95th percentile, want within %v", what, m, p95)
	}
	const truth = 200 * time.Millisecond
	if n := len(r.at); n > 1 { // flashes are whole seconds apart, also across an outage
		if d := (r.at[n-1] - r.at[0]).Round(eventEvery) - (r.at[n-1] - r.at[0]); d.Abs() > truth {
			t.Errorf("%s: from the first flash to the last %v, which is %v wrong", what, r.at[n-1]-r.at[0], d)
		}
	}
	if what == "composite" {
		return // it begins before the publisher does
	}
	if d := (r.length - c.Length).Abs(); d > truth {
		t.Errorf("%s: pictures last %v, want %v", what, r.length, c.Length)
	}
}
