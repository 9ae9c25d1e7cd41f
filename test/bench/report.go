package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// measurement is one round of one side.
type measurement struct {
	seconds         float64
	server, workers float64 // processor seconds per second of media; gst-launch has no workers
	frames, sounds  int     // pictures and packets of sound that came out while measured
	bytes           int
	sampled         int // pictures in the sample, and how many of them decode
	decoded         int
	late            time.Duration // the latest that a packet was sent
}

func (m measurement) cpu() float64 { return m.server + m.workers }

func (m measurement) String() string {
	parts := ""
	if m.workers > 0 {
		parts = fmt.Sprintf(" (%.4f server)", m.server)
	}
	return fmt.Sprintf("%.4f%s, %.1f fps, %d of %d decode, %.0f kbit/s, sent up to %d ms late", m.cpu(), parts, float64(m.frames)/m.seconds, m.decoded, m.sampled, float64(m.bytes)*8/1000/m.seconds, m.late.Milliseconds())
}

// result are all rounds of a scene.
type result struct {
	scene        *scene
	ours, theirs []measurement
}

// enough is the part of pictures that a side must deliver.
const enough = 0.97

func median(list []measurement, f func(measurement) float64) float64 {
	values := make([]float64, 0, len(list))
	for _, m := range list {
		values = append(values, f(m))
	}
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[n/2] + values[(n-1)/2]) / 2
}

func (r result) ratio() float64 {
	return median(r.ours, measurement.cpu) / median(r.theirs, measurement.cpu)
}

// table prints medians; frames are those of all rounds.
func table(results []result, limit float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nProcessor seconds per second of media, median (least to most) of %d rounds\n\n", len(results[0].ours))
	fmt.Fprintf(&b, "%-34s %-24s %-22s %-24s %6s  %s\n", "", "node and workers", "of it the server", "gst-launch-1.0", "ratio", "pictures out: node, gst-launch, due")
	for _, r := range results {
		verdict := ""
		if r.ratio() > limit {
			verdict = fmt.Sprintf("  above %.2f", limit)
		}
		frames := func(list []measurement) (n int) {
			for _, m := range list {
				n += m.frames
			}
			return n
		}
		due := 0.0
		for _, m := range r.theirs {
			due += m.seconds * float64(r.scene.fps)
		}
		fmt.Fprintf(&b, "%-34s %-24s %-22s %-24s %6.3f  %d, %d, %.0f%s\n", r.scene.title, spread(r.ours, measurement.cpu),
			spread(r.ours, func(m measurement) float64 { return m.server }), spread(r.theirs, measurement.cpu), r.ratio(), frames(r.ours), frames(r.theirs), due, verdict)
	}
	b.WriteString("\n")
	return b.String()
}

func spread(list []measurement, f func(measurement) float64) string {
	least, most := f(list[0]), f(list[0])
	for _, m := range list {
		least, most = min(least, f(m)), max(most, f(m))
	}
	return fmt.Sprintf("%.4f (%.3f to %.3f)", median(list, f), least, most)
}

// verdict is an error for each ratio above the limit and each side that did not
// do its work.
func verdict(results []result, limit float64) error {
	var all []error
	for _, r := range results {
		if x := r.ratio(); !(x <= limit) {
			all = append(all, fmt.Errorf("%s: ratio %.3f is above %.2f", r.scene.name, x, limit))
		}
		for name, list := range map[string][]measurement{"the node": r.ours, "gst-launch-1.0": r.theirs} {
			for n, m := range list {
				due := m.seconds * float64(r.scene.fps)
				if float64(m.frames) < due*enough || float64(m.frames) > due*(2-enough) {
					all = append(all, fmt.Errorf("%s, round %d: %s sent %d pictures of %.0f", r.scene.name, n+1, name, m.frames, due))
				}
				if m.sampled == 0 || float64(m.decoded) < enough*float64(m.sampled) {
					all = append(all, fmt.Errorf("%s, round %d: of %d pictures of %s %d decode", r.scene.name, n+1, m.sampled, name, m.decoded))
				}
				if r.scene.sound && float64(m.sounds) < m.seconds*50*enough {
					all = append(all, fmt.Errorf("%s, round %d: %s sent %d packets of sound of %.0f", r.scene.name, n+1, name, m.sounds, m.seconds*50))
				}
			}
		}
	}
	return errors.Join(all...)
}

// load is the machine's, over one minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}
