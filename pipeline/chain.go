package pipeline

// Stages lists what a link's packets go through, for drawings: the element's own
// Output and then, in order, the results of the conversions before the receiver.
// Outputs that appear in the stages of several links are shared by them.
func (l *Link) Stages() []*Output {
	var out []*Output
	for o := l.at.Load(); o != nil; o = o.parent {
		out = append([]*Output{o}, out...)
	}
	if len(out) == 0 {
		return []*Output{l.from}
	}
	return out
}
