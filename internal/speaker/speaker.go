// Package speaker decides who speaks, from reports of sound levels: one main
// speaker, who is not lost in a pause between two words, and all who talk. It
// starts no goroutines and keeps no time: reports are its clock.
package speaker

import (
	"cmp"
	"maps"
	"slices"
)

// Levels are in decibels below full scale (dBov, RFC 6464): 0 is the loudest.
const (
	// Silence is the level of no sound at all.
	Silence = 127
	// Loud is what counts as speech; room noise and comfort noise are quieter.
	Loud = 50
)

// PerSecond is how many reports a second the rules below are made for.
const PerSecond = 5

const (
	// margin is by how much somebody must be louder than who speaks, and rounds how
	// often in a row (0.6 s), to take over.
	margin = 6
	rounds = 3
	// hold is how many reports a new speaker stays at least (1.6 s).
	hold = 8
	// memory is the weight of the level so far against a new one.
	memory = 0.5
	// talkAfter reports in a row that are loud somebody talks (0.4 s), until
	// quietAfter in a row are not (1.6 s).
	talkAfter  = 2
	quietAfter = 8
)

// Podium finds who speaks. The zero value is ready; it is not safe for concurrent
// use.
type Podium struct {
	levels  map[string]float64 // by id, smoothed
	speaker string             // "" while nobody has spoken
	held    int                // reports since it is
	rival   string
	louder  int // reports in a row that rival was louder
	talks   map[string]*talk
	reports int
}

// talk is somebody who is loud, or was a moment ago.
type talk struct {
	on         bool
	loud, calm int // reports in a row
	since      int // the report that it is on since
}

// Talker is somebody who talks, and how loud.
type Talker struct {
	ID    string
	Level int // dBov, smoothed
}

// Speaker is the main speaker, "" while nobody has spoken. One who falls silent
// stays until another speaks.
func (p *Podium) Speaker() string { return p.speaker }

// Hear takes a report of levels by id and says whether somebody else is the main
// speaker now. Who is absent is silent. The report is the Podium's afterwards.
func (p *Podium) Hear(report map[string]int) (changed bool) {
	p.smooth(report)
	p.note()
	p.held++
	loudest := ""
	for _, id := range slices.Sorted(maps.Keys(p.levels)) {
		if p.levels[id] < Loud && (loudest == "" || p.levels[id] < p.levels[loudest]) {
			loudest = id
		}
	}
	now, here := p.levels[p.speaker]
	silent := !here || now >= Loud
	if loudest == "" || loudest == p.speaker || !silent && p.levels[loudest] > now-margin {
		p.rival, p.louder = "", 0
		return false
	}
	if loudest != p.rival {
		p.rival, p.louder = loudest, 0
	}
	if p.louder++; p.louder < rounds || p.speaker != "" && p.held < hold {
		return false
	}
	p.speaker, p.held, p.rival, p.louder = loudest, 0, "", 0
	return true
}

func (p *Podium) smooth(report map[string]int) {
	if p.levels == nil {
		p.levels = map[string]float64{}
	}
	for id := range p.levels {
		if _, ok := report[id]; !ok {
			report[id] = Silence
		}
	}
	for id, level := range report {
		old, known := p.levels[id]
		if !known {
			old = Silence
		}
		// A rise is believed at once, a pause between two words is not a silence.
		now := min(float64(level), memory*old+(1-memory)*float64(level))
		if p.levels[id] = now; now > Silence-1 {
			delete(p.levels, id)
		}
	}
}

// note brings up to date who talks.
func (p *Podium) note() {
	p.reports++
	if p.talks == nil {
		p.talks = map[string]*talk{}
	}
	for id, level := range p.levels {
		if level < Loud && p.talks[id] == nil {
			p.talks[id] = &talk{}
		}
	}
	for id, t := range p.talks {
		if level, ok := p.levels[id]; ok && level < Loud {
			t.loud, t.calm = t.loud+1, 0
			if !t.on && t.loud >= talkAfter {
				t.on, t.since = true, p.reports
			}
			continue
		}
		t.loud, t.calm = 0, t.calm+1
		if !t.on || t.calm >= quietAfter {
			delete(p.talks, id)
		}
	}
}

// Talkers lists who talks: the main speaker first, then who began last.
func (p *Podium) Talkers() []Talker {
	var out []Talker
	for id, t := range p.talks {
		if t.on {
			level, ok := p.levels[id]
			if !ok {
				level = Silence
			}
			out = append(out, Talker{id, int(level + 0.5)})
		}
	}
	slices.SortFunc(out, func(a, b Talker) int {
		switch {
		case a.ID == p.speaker:
			return -1
		case b.ID == p.speaker:
			return 1
		}
		return cmp.Or(cmp.Compare(p.talks[b.ID].since, p.talks[a.ID].since), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Forget takes somebody away who has left.
func (p *Podium) Forget(id string) {
	delete(p.levels, id)
	delete(p.talks, id)
	if p.speaker == id {
		p.speaker = ""
	}
	if p.rival == id {
		p.rival, p.louder = "", 0
	}
}
