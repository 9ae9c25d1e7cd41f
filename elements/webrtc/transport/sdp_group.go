package transport

import (
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/pipeline"
)

// group takes the encodings of a simulcast that the section's owner names by SSRC,
// from the smallest picture up (a=ssrc-group:SIM), as browsers did before there were
// rids. Without layers it is the first that is taken.
func (m *media) group(s *section, layers bool) {
	if m.kind != pipeline.Video || !m.recv || len(m.rids) > 0 {
		return
	}
	list := s.grouped()
	if len(list) < 2 {
		return
	}
	if !layers {
		m.declared = list[:1]
		return
	}
	m.declared, m.grouped = list, true
	for i := range list {
		m.rids = append(m.rids, strconv.Itoa(i))
	}
}

// grouped are the SSRCs of the section's SIM group; nil without.
func (s *section) grouped() []uint32 {
	var list []uint32
	for _, l := range s.lines {
		k, v, ok := cutAttr(l)
		rest, sim := strings.CutPrefix(v, "SIM ")
		if !ok || k != "ssrc-group" || !sim {
			continue
		}
		for _, f := range strings.Fields(rest) {
			n, err := strconv.ParseUint(f, 10, 32)
			if err != nil || n == 0 || slices.Contains(list, uint32(n)) {
				return nil
			}
			list = append(list, uint32(n))
		}
		break
	}
	return list[:min(len(list), maxRIDs)]
}

// named are the encodings that have names in descriptions.
func (m *media) named() []string {
	if m.grouped {
		return nil
	}
	return m.rids
}
