package faults

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/workers"
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

// mill builds, runs and releases graphs on a media node of its own.
type mill struct {
	t     testing.TB
	node  *process
	lanes []client.Client
	film  *film
	files string
	began time.Time
	done  int
}

// newMill starts a node and warms it up; start is what it holds at rest.
func newMill(t testing.TB, lanes int) (m *mill, start sample) {
	t.Helper()
	m = &mill{t: t, files: t.TempDir(), film: newFilm(t)}
	m.node = startProcess(t, m.files)
	for range lanes {
		s, err := client.Dial(context.Background(), m.node.url(), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		m.lanes = append(m.lanes, s)
	}
	m.run(lanes) // what a first use leaves (a warm worker, pools) is no leak
	eventually(t, patience, "the first graphs are gone", func() error {
		if n := len(children(t, m.node.pid())); n != 1 {
			return fmt.Errorf("%d workers", n)
		}
		return nil
	})
	during(2 * time.Second) // the goroutines of closed sockets end by themselves
	start = m.look()
	m.done, m.began = 0, time.Now()
	return m, start
}

func (m *mill) look() sample {
	pid := m.node.pid()
	return sample{m.done, time.Since(m.began), resident(m.t, pid), m.node.metric(m.t, "go_memstats_heap_inuse_bytes"),
		m.node.metric(m.t, "go_goroutines"), descriptors(m.t, pid), len(children(m.t, pid))}
}

// run does n cycles in all lanes.
func (m *mill) run(n int) {
	m.t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	left, failed := n, error(nil)
	for lane, node := range m.lanes {
		wg.Go(func() {
			for i := 0; ; i++ {
				mu.Lock()
				if left == 0 || failed != nil {
					mu.Unlock()
					return
				}
				left--
				mu.Unlock()
				file := filepath.Join(m.files, fmt.Sprintf("%d-%d-%d.webm", lane, m.done, i))
				err := cycle(m.t, node, m.film, file)
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
		m.t.Fatal(failed)
	}
	m.done += n
}

// rests waits until the node holds no more than it held.
func (m *mill) rests(before sample) (now sample) {
	m.t.Helper()
	eventually(m.t, patience, "the node holds what it held", func() error {
		now = m.look()
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

// TestCycles builds, runs and releases graphs: after warming up, the node's memory
// does not grow, and its goroutines, descriptors and processes return to what
// they were.
func TestCycles(t *testing.T) {
	cycles, lanes := number("GOVIDU_CYCLES", 6), 2
	if cycles > 100 {
		lanes = 4
	}
	folder := os.Getenv("GOVIDU_REPORT")
	if folder == "" {
		folder = t.TempDir()
	}
	m, start := newMill(t, number("GOVIDU_LANES", lanes))
	var samples []sample
	long := cycles >= 200 // memory has settled after a hundred
	live := 0
	if long {
		live = m.node.live(t, filepath.Join(folder, "heap-first.pprof"))
	}
	for step := max(cycles/50, 1); m.done < cycles; {
		m.run(min(step, cycles-m.done))
		samples = append(samples, m.rests(start))
	}
	table, plot := filepath.Join(folder, "cycles.csv"), filepath.Join(folder, "cycles.svg")
	write(t, table, plot, samples)
	last := samples[len(samples)-1]
	t.Logf("at first %+v", start)
	t.Logf("%d cycles in %v, at last %+v; %s, %s", cycles, last.at.Round(time.Second), last, table, plot)
	if !long {
		return
	}
	warm := slices.IndexFunc(samples, func(s sample) bool { return s.cycles >= 100 })
	before, after := mean(samples[warm:warm+several]), mean(samples[len(samples)-several:])
	grown := after/before - 1
	t.Logf("resident memory after 100 cycles %.1f MiB, growth since %.2f %%", before/(1<<20), 100*grown)
	if grown >= 0.05 {
		t.Errorf("resident memory has grown by %.2f %%, less than 5 %% is right", 100*grown)
	}
	kept := m.node.live(t, filepath.Join(folder, "heap-last.pprof")) - live
	t.Logf("of Go's heap %d bytes lived at first, %d more at last", live, kept)
	if kept > leak {
		t.Errorf("%d cycles have left %d bytes, at most %d are right", cycles, kept, leak)
	}
}

const (
	// several samples make a figure of memory: a single one depends on where the
	// garbage collector stands.
	several = 5
	// leak is the growth of the living heap, in bytes, that is none: maps that
	// have grown (the reply cache's empties only when a connection is silent) and
	// what the runtime keeps, of which the reading differs by 2.5 MB from run to
	// run. One endpoint left per cycle would be thirty times as much.
	leak = 4 << 20
)

// mean is the mean resident memory, in bytes.
func mean(samples []sample) float64 {
	sum := 0
	for _, s := range samples {
		sum += s.resident
	}
	return float64(sum) / float64(len(samples))
}

// TestKillAtAnyTime kills workers, warm ones too, at random moments of graphs'
// lives: while they are built, negotiated, running and released. Each graph does
// its work nevertheless, and nothing stays behind.
func TestKillAtAnyTime(t *testing.T) {
	// Fewer than the crashes in a minute at which supervision gives a job up: on
	// a busy machine they may all be of one.
	cycles, kills := 6, 8
	if strict() {
		cycles, kills = 100, math.MaxInt
	}
	m, start := newMill(t, 2)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	stop, stopped := make(chan struct{}), make(chan int, 1)
	go func() {
		killed := 0
		defer func() { stopped <- killed }()
		for killed < kills {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(100+random.IntN(900)) * time.Millisecond):
			}
			kids := children(t, m.node.pid())
			if len(kids) == 0 {
				continue
			}
			how := []syscall.Signal{syscall.SIGSEGV, syscall.SIGKILL, syscall.SIGABRT}[random.IntN(3)]
			if c := kids[random.IntN(len(kids))]; c.name == workers.BinaryName && syscall.Kill(c.pid, how) == nil {
				killed++
			}
		}
	}()
	m.run(cycles)
	close(stop)
	killed := <-stopped
	t.Logf("%d cycles with %d killed workers in %v, seed %d", m.done, killed, time.Since(m.began).Round(time.Second), seed)
	if killed == 0 {
		t.Error("no worker was killed")
	}
	m.run(1) // a warm worker that was killed is replaced at the next use
	m.rests(start)
	noZombies(t, m.node.pid())
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
