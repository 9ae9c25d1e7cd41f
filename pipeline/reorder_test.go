package pipeline

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
)

type given struct {
	seq uint16
	gap bool
}

func TestReorder(t *testing.T) {
	type in struct {
		seq uint16
		ms  int
	}
	for _, row := range []struct {
		what string
		in   []in
		want []given
	}{
		{"in order", []in{{1, 0}, {2, 20}, {3, 40}}, []given{{1, false}, {2, false}, {3, false}}},
		{"wrap at 2^16", []in{{65534, 0}, {65535, 20}, {0, 40}, {1, 60}}, []given{{65534, false}, {65535, false}, {0, false}, {1, false}}},
		{"swapped over the wrap", []in{{65534, 0}, {0, 20}, {65535, 40}, {1, 60}}, []given{{65534, false}, {65535, false}, {0, false}, {1, false}}},
		{"doubled", []in{{7, 0}, {7, 1}, {8, 2}, {7, 3}, {8, 4}}, []given{{7, false}, {8, false}}},
		{"retransmitted in time", []in{{1, 0}, {3, 20}, {4, 200}, {2, 290}}, []given{{1, false}, {2, false}, {3, false}, {4, false}}},
		{"lost for good", []in{{1, 0}, {3, 20}, {4, 319}, {5, 321}, {2, 330}}, []given{{1, false}, {3, true}, {4, false}, {5, false}}},
		{"lost at the wrap", []in{{65535, 0}, {1, 20}, {2, 330}}, []given{{65535, false}, {1, true}, {2, false}}},
		{"two holes", []in{{1, 0}, {3, 20}, {5, 40}, {6, 330}, {7, 345}}, []given{{1, false}, {3, true}, {5, true}, {6, false}, {7, false}}},
		{"a stray packet", []in{{100, 0}, {40000, 10}, {101, 20}}, []given{{100, false}, {101, false}}},
		{"the sender restarts", []in{{100, 0}, {40000, 10}, {40001, 20}, {40002, 30}}, []given{{100, false}, {40001, true}, {40002, false}}},
	} {
		t.Run(row.what, func(t *testing.T) {
			var r reorder
			var got []given
			start := time.Now()
			for _, p := range row.in {
				r.push(&Packet{Header: rtp.Header{SequenceNumber: p.seq}, Arrival: start.Add(time.Duration(p.ms) * time.Millisecond)},
					func(p *Packet, gap bool) { got = append(got, given{p.Header.SequenceNumber, gap}) })
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestReorderFull(t *testing.T) {
	var r reorder
	var got []given
	give := func(p *Packet, gap bool) { got = append(got, given{p.Header.SequenceNumber, gap}) }
	now := time.Now()
	first := uint16(65500)
	r.push(&Packet{Header: rtp.Header{SequenceNumber: first}, Arrival: now}, give)
	for i := range ReorderPackets { // one is missing, then a burst at one instant
		r.push(&Packet{Header: rtp.Header{SequenceNumber: first + 2 + uint16(i)}, Arrival: now}, give)
	}
	if len(got) != ReorderPackets+1 || !got[1].gap || got[1].seq != first+2 {
		t.Fatalf("a full buffer gave %d packets, want all %d with a gap after the first", len(got), ReorderPackets+1)
	}
}

func TestReorderNewSSRCAndFlush(t *testing.T) {
	var r reorder
	var got []given
	give := func(p *Packet, gap bool) { got = append(got, given{p.Header.SequenceNumber, gap}) }
	now := time.Now()
	for _, p := range []rtp.Header{{SSRC: 1, SequenceNumber: 10}, {SSRC: 1, SequenceNumber: 12}, {SSRC: 2, SequenceNumber: 5000}} {
		r.push(&Packet{Header: p, Arrival: now}, give)
	}
	r.push(&Packet{Header: rtp.Header{SSRC: 2, SequenceNumber: 5002}, Arrival: now}, give)
	r.flush(give)
	want := []given{{10, false}, {12, true}, {5000, true}, {5002, true}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A shuffled window loses nothing and keeps order, wherever it wraps.
func TestReorderShuffled(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, first := range []uint16{0, 65000, 65535} {
		var r reorder
		var got []uint16
		give := func(p *Packet, gap bool) {
			if gap {
				t.Error("gap without loss")
			}
			got = append(got, p.Header.SequenceNumber)
		}
		now := time.Now()
		r.push(&Packet{Header: rtp.Header{SequenceNumber: first}, Arrival: now}, give)
		for block := range 30 {
			for _, i := range rnd.Perm(40) {
				r.push(&Packet{Header: rtp.Header{SequenceNumber: first + 1 + uint16(block*40+i)}, Arrival: now.Add(time.Duration(block) * 100 * time.Millisecond)}, give)
			}
		}
		if len(got) != 1201 {
			t.Fatalf("from %d: %d packets came out, want 1201", first, len(got))
		}
		for i, seq := range got {
			if seq != first+uint16(i) {
				t.Fatalf("from %d: packet %d has number %d", first, i, seq)
			}
		}
	}
}
