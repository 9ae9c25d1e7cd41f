package faults

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/kms/client"
)

// sample is the state of kms after so many cycles.
type sample struct {
	cycles   int
	at       time.Duration // since the first
	resident int           // bytes
	heap     int           // bytes of Go's heap in use
	routines int
	files    int
	workers  int
}

func (s sample) row() []string {
	list := []string{strconv.Itoa(s.cycles), fmt.Sprintf("%.1f", s.at.Seconds())}
	for _, n := range []int{s.resident, s.heap, s.routines, s.files, s.workers} {
		list = append(list, strconv.Itoa(n))
	}
	return list
}

// TestCycles builds, runs and releases graphs on a media node of its own: after
// warming up, its memory does not grow, and its goroutines, descriptors and
// processes return to what they were.
func TestCycles(t *testing.T) {
	cycles, lanes := number("GOVIDU_CYCLES", 6), number("GOVIDU_LANES", 2)
	folder := os.Getenv("GOVIDU_REPORT")
	if folder == "" {
		folder = t.TempDir()
	}
	files := t.TempDir()
	film, p := newFilm(t), startProcess(t, files)
	nodes := make([]client.Client, lanes)
	for i := range nodes {
		s, err := client.Dial(context.Background(), p.url(), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		nodes[i] = s
	}
	began := time.Now()
	look := func(done int) sample {
		return sample{done, time.Since(began), resident(t, p.pid()), p.metric(t, "go_memstats_heap_inuse_bytes"),
			p.metric(t, "go_goroutines"), descriptors(t, p.pid()), len(children(t, p.pid()))}
	}
	// run does n cycles in all lanes.
	done := 0
	run := func(n int) {
		t.Helper()
		var wg sync.WaitGroup
		var mu sync.Mutex
		left, failed := n, error(nil)
		for lane, node := range nodes {
			wg.Go(func() {
				for i := 0; ; i++ {
					mu.Lock()
					if left == 0 || failed != nil {
						mu.Unlock()
						return
					}
					left--
					mu.Unlock()
					file := filepath.Join(files, fmt.Sprintf("%d-%d-%d.webm", lane, done, i))
					err := cycle(t, node, film, file)
					names, _ := filepath.Glob(file + "*")
					for _, name := range names {
						_ = os.Remove(name)
					}
					mu.Lock()
					if err != nil && failed == nil {
						failed = err
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if failed != nil {
			t.Fatal(failed)
		}
		done += n
	}
	// atRest waits until the node has nothing to do any more.
	atRest := func(before sample) sample {
		t.Helper()
		var now sample
		eventually(t, patience, "the node holds what it held", func() error {
			now = look(done)
			if now.workers != before.workers {
				return fmt.Errorf("%d workers, there were %d", now.workers, before.workers)
			}
			if err := near("descriptors", before.files, now.files); err != nil {
				return err
			}
			return near("goroutines", before.routines, now.routines)
		})
		return now
	}

	run(lanes) // what a first use leaves (a warm worker, pools) is no leak
	eventually(t, patience, "the first graphs are gone", func() error {
		if n := len(children(t, p.pid())); n != 1 {
			return fmt.Errorf("%d workers", n)
		}
		return nil
	})
	time.Sleep(2 * time.Second) // the goroutines of closed sockets end by themselves
	start := look(done)
	done = 0
	began = time.Now()
	var samples []sample
	for step := max(cycles/40, 1); done < cycles; {
		run(min(step, cycles-done))
		samples = append(samples, atRest(start))
	}
	table, plot := filepath.Join(folder, "cycles.csv"), filepath.Join(folder, "cycles.svg")
	write(t, table, plot, samples)
	last := samples[len(samples)-1]
	t.Logf("at first %+v", start)
	t.Logf("%d cycles in %v, at last %+v; %s, %s", cycles, last.at.Round(time.Second), last, table, plot)
	if cycles < 200 {
		return // memory has not settled yet
	}
	warm := around(samples, 100)
	grown := float64(around(samples, cycles))/float64(warm) - 1
	t.Logf("resident memory after 100 cycles %.1f MiB, growth since %.2f %%", float64(warm)/(1<<20), 100*grown)
	if grown >= 0.05 {
		t.Errorf("resident memory has grown by %.2f %%, less than 5 %% is right", 100*grown)
	}
}

// around is the mean resident memory of the three samples about a number of
// cycles, or before it at the end: one look depends on where the garbage
// collector stands.
func around(samples []sample, cycles int) int {
	nearest := 0
	for i, s := range samples {
		if math.Abs(float64(s.cycles-cycles)) < math.Abs(float64(samples[nearest].cycles-cycles)) {
			nearest = i
		}
	}
	from := max(min(nearest-1, len(samples)-3), 0)
	sum, n := 0, 0
	for _, s := range samples[from:min(from+3, len(samples))] {
		sum += s.resident
		n++
	}
	return sum / n
}

// write leaves the samples as a table and their memory as a plot.
func write(t testing.TB, table, plot string, samples []sample) {
	t.Helper()
	out, err := os.Create(table)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := csv.NewWriter(out)
	rows := [][]string{{"cycles", "seconds", "resident_bytes", "heap_bytes", "goroutines", "descriptors", "workers"}}
	for _, s := range samples {
		rows = append(rows, s.row())
	}
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	const width, height, left, bottom = 640.0, 240.0, 60.0, 30.0
	top, last := 1.0, float64(samples[len(samples)-1].cycles)
	for _, s := range samples {
		top = max(top, 1.2*float64(s.resident)/(1<<20))
	}
	x := func(cycles int) float64 { return left + float64(cycles)/last*(width-left-10) }
	y := func(bytes int) float64 { return height - bottom - float64(bytes)/(1<<20)/top*(height-bottom-10) }
	line := func(color string, of func(sample) int) string {
		var points []string
		for _, s := range samples {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(s.cycles), y(of(s))))
		}
		return fmt.Sprintf(`<polyline fill="none" stroke="%s" points="%s"/>`+"\n", color, strings.Join(points, " "))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<path fill="none" stroke="gray" d="M%g 10V%gH%g"/>`+"\n", left, height-bottom, width-10)
	for _, part := range []float64{0, 0.5, 1} {
		fmt.Fprintf(&b, `<text x="%g" y="%.1f" text-anchor="end">%.0f MiB</text>`+"\n", left-4, y(int(part*top*(1<<20)))+4, part*top)
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%.0f</text>`+"\n", x(int(part*last)), height-bottom+14, part*last)
	}
	b.WriteString(line("#1f6fb2", func(s sample) int { return s.resident }))
	b.WriteString(line("#c77700", func(s sample) int { return s.heap }))
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">cycles; resident memory (blue), Go's heap in use (orange)</text>`+"\n</svg>\n", width/2, height-4)
	if err := os.WriteFile(plot, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
