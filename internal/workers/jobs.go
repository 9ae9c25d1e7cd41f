package workers

import (
	"cmp"
	"slices"
	"time"
)

// Info tells of one job, for operators and tests.
type Info struct {
	Kind    string  `json:"kind"`
	Element string  `json:"element,omitempty"`
	PID     int     `json:"pid"`   // 0 between two processes
	Cores   float64 `json:"cores"` // what admission counts for it
}

// Jobs lists the present jobs, by kind and element.
func (p *Pool) Jobs() []Info {
	p.mu.Lock()
	now := time.Now()
	jobs := make([]*Job, 0, len(p.jobs))
	list := make([]Info, 0, len(p.jobs))
	for j := range p.jobs {
		jobs = append(jobs, j)
		list = append(list, Info{Kind: j.spec.Kind, Element: j.spec.Element, Cores: j.meter.charge(now, p.settle)})
	}
	p.mu.Unlock()
	for i, j := range jobs {
		list[i].PID = j.PID()
	}
	slices.SortFunc(list, func(a, b Info) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Element, b.Element)) })
	return list
}
