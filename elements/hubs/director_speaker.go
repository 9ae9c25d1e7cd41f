package hubs

// listen takes the worker's report. What is not to be heard does not speak.
func (d *Director) listen(levels map[string]int) {
	d.mu.Lock()
	report := map[string]int{}
	for _, s := range d.seats {
		if level, ok := levels[s.audio.name]; ok && s.about.AudioActive {
			report[s.about.StreamID] = level
		}
	}
	changed := d.podium.Hear(report)
	d.mu.Unlock()
	if changed {
		d.stage.changed()
	}
}
