package hubs

import (
	"maps"
	"slices"

	"github.com/govidu/govidu/internal/workers/wire"
)

// Who speaks is decided on reports of levels that come some five times a second, in
// decibels below full scale (smaller is louder).
const (
	// speakLevel is what counts as speech; room noise and comfort noise are quieter.
	speakLevel = 50
	// speakMargin is by how much somebody must be louder than who speaks, and
	// speakReports how often in a row (0.6 s), to be shown instead.
	speakMargin  = 6
	speakReports = 3
	// speakHold is how many reports a new speaker stays at least (1.6 s).
	speakHold = 8
	// speakMemory is the weight of the level so far against a new one.
	speakMemory = 0.5
)

// podium finds who speaks. Guarded by Director.mu.
type podium struct {
	levels  map[string]float64 // by stream, smoothed
	speaker string             // "" while nobody has spoken
	held    int                // reports since it is
	rival   string
	louder  int // reports in a row that rival was louder
}

// hear takes a report and says whether somebody else speaks now. A speaker who falls
// silent stays until another speaks.
func (p *podium) hear(report map[string]int) (changed bool) {
	if p.levels == nil {
		p.levels = map[string]float64{}
	}
	for _, id := range slices.Collect(maps.Keys(p.levels)) {
		if _, ok := report[id]; !ok {
			report[id] = wire.Silence
		}
	}
	for id, level := range report {
		old, known := p.levels[id]
		if !known {
			old = wire.Silence
		}
		// A rise is believed at once, a pause between two words is not a silence.
		now := min(float64(level), speakMemory*old+(1-speakMemory)*float64(level))
		if p.levels[id] = now; now > wire.Silence-1 {
			delete(p.levels, id)
		}
	}
	p.held++
	loudest := ""
	for _, id := range slices.Sorted(maps.Keys(p.levels)) {
		if p.levels[id] < speakLevel && (loudest == "" || p.levels[id] < p.levels[loudest]) {
			loudest = id
		}
	}
	now, here := p.levels[p.speaker]
	silent := !here || now >= speakLevel
	if loudest == "" || loudest == p.speaker || !silent && p.levels[loudest] > now-speakMargin {
		p.rival, p.louder = "", 0
		return false
	}
	if loudest != p.rival {
		p.rival, p.louder = loudest, 0
	}
	if p.louder++; p.louder < speakReports || p.speaker != "" && p.held < speakHold {
		return false
	}
	p.speaker, p.held, p.rival, p.louder = loudest, 0, "", 0
	return true
}

// listen takes the worker's report. What is not to be heard does not speak.
func (d *Director) listen(levels map[string]int) {
	d.mu.Lock()
	report := map[string]int{}
	for _, s := range d.seats {
		if level, ok := levels[s.audio.name]; ok && s.about.AudioActive {
			report[s.about.StreamID] = level
		}
	}
	changed := d.podium.hear(report)
	d.mu.Unlock()
	if changed {
		d.stage.changed()
	}
}
