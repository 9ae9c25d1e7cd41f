package congestion

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// told is what feedback says: arrival by number, since the peer's beginning.
type told map[uint16]time.Duration

// understand reads feedback with another implementation, packet by packet.
func understand(t *testing.T, b []byte) []told {
	t.Helper()
	var all []told
	for len(b) > 0 {
		n := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if n > len(b) || n > 1200 || !IsFeedback(b) {
			t.Fatalf("a packet of %d of %d bytes", n, len(b))
		}
		var p rtcp.TransportLayerCC
		if err := p.Unmarshal(b[:n]); err != nil {
			t.Fatalf("%v: %x", err, b[:n])
		}
		if p.SenderSSRC != 1 || p.MediaSSRC != 2 {
			t.Fatalf("of %d about %d", p.SenderSSRC, p.MediaSSRC)
		}
		all = append(all, read(&p))
		b = b[n:]
	}
	return all
}

// read lists what came; those missing are there with a negative time.
func read(p *rtcp.TransportLayerCC) told {
	out := told{}
	seq, left := p.BaseSequenceNumber, int(p.PacketStatusCount)
	at := time.Duration(p.ReferenceTime) * 64 * ms
	deltas := p.RecvDeltas
	one := func(symbol uint16) {
		if left--; left < 0 {
			return
		}
		out[seq] = -1
		if symbol != 0 {
			at += time.Duration(deltas[0].Delta) * time.Microsecond
			out[seq] = at
			deltas = deltas[1:]
		}
		seq++
	}
	for _, c := range p.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				one(c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			for _, symbol := range c.SymbolList {
				one(symbol)
			}
		}
	}
	return out
}

// TestRecorder wants feedback that another implementation understands to say when
// packets came, for all kinds of gaps in numbers and time.
func TestRecorder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var r Recorder
		now := dawn
		seq := uint16(random.Uint32())
		loss := random.Float64() * random.Float64()
		pause := []time.Duration{0, 300 * time.Microsecond, 5 * ms, 63 * ms, 300 * ms}[round%5]
		for range 5 {
			want := map[uint16]time.Time{}
			first, last := uint16(0), uint16(0)
			for range 1 + random.IntN(200) {
				if random.Float64() >= loss {
					if len(want) == 0 {
						first = seq
					}
					r.Record(seq, now)
					want[seq], last = now, seq
				}
				seq++
				now = now.Add(time.Duration(random.Float64() * 2 * float64(pause)))
			}
			got := told{}
			for _, p := range understand(t, r.Build(nil, 1, 2, now)) {
				for seq, at := range p {
					if _, twice := got[seq]; twice {
						t.Fatalf("%d twice", seq)
					}
					got[seq] = at
				}
			}
			for seq, at := range want {
				off := got[seq] - got[first] - at.Sub(want[first])
				if got[seq] < 0 || off > 250*time.Microsecond || off < -250*time.Microsecond {
					t.Fatalf("round %d: packet %d: %v off", round, seq, off)
				}
			}
			for seq, at := range got {
				if _, ok := want[seq]; at >= 0 && !ok || int16(seq-last) > 0 {
					t.Fatalf("round %d: packet %d is told of", round, seq)
				}
			}
		}
	}
}

func TestRecorderLate(t *testing.T) {
	var r Recorder
	at := func(n int) time.Time { return dawn.Add(time.Duration(n) * ms) }
	r.Record(65534, at(0))
	r.Record(1, at(3))
	first := understand(t, r.Build(nil, 1, 2, at(3)))
	if len(first) != 1 || len(first[0]) != 4 || first[0][65535] != -1 || first[0][0] != -1 || first[0][1]-first[0][65534] != 3*ms {
		t.Fatalf("%v", first)
	}
	if b := r.Build(nil, 1, 2, at(4)); len(b) != 0 {
		t.Fatalf("nothing came, but %x", b)
	}
	r.Record(1, at(5)) // twice
	if b := r.Build(nil, 1, 2, at(5)); len(b) != 0 {
		t.Fatalf("a duplicate gives %x", b)
	}
	r.Record(65535, at(7))
	second := understand(t, r.Build(nil, 1, 2, at(8)))
	if len(second) != 1 || len(second[0]) != 3 || second[0][65535]-second[0][1] != 4*ms || second[0][0] != -1 {
		t.Errorf("late: %v", second)
	}
	r.Record(2, at(9))
	if third := understand(t, r.Build(nil, 1, 2, at(9))); len(third) != 1 || len(third[0]) != 1 {
		t.Errorf("after it: %v", third)
	}
}

func TestRecorderBounds(t *testing.T) {
	var r Recorder
	now := dawn
	r.Record(10, now)
	r.Record(20_000, now) // a leap
	if got := understand(t, r.Build(nil, 1, 2, now)); len(got) != 1 || len(got[0]) > recorderSlots {
		t.Errorf("a leap gives %d packets", len(got))
	}
	// Deltas of two bytes for all: the largest that there is.
	for i := range 2000 {
		now = now.Add(100 * ms)
		r.Record(uint16(20_001+i), now)
	}
	sum := 0
	for _, p := range understand(t, r.Build(nil, 1, 2, now)) {
		sum += len(p)
	}
	if sum != recorderSlots {
		t.Errorf("%d packets told of", sum)
	}
	// A gap that no delta can express.
	r.Record(22_001, now.Add(ms))
	r.Record(22_002, now.Add(9*s))
	if got := understand(t, r.Build(nil, 1, 2, now)); len(got) != 2 || got[1][22_002]-got[0][22_001] < 8900*ms {
		t.Errorf("a long gap: %v", got)
	}
	// The sender begins anew, below.
	for i := range strays + 3 {
		r.Record(uint16(100+i), now.Add(10*s))
	}
	if got := understand(t, r.Build(nil, 1, 2, now)); len(got) != 1 || len(got[0]) != 4 {
		t.Errorf("a new beginning: %v", got)
	}
}

func TestRecorderDue(t *testing.T) {
	var r Recorder
	if r.Due(dawn) || len(r.Build(nil, 1, 2, dawn)) > 0 {
		t.Error("due before anything came")
	}
	r.Record(1, dawn)
	if r.Due(dawn.Add(99*ms)) || !r.Due(dawn.Add(100*ms)) {
		t.Error("not after 100 ms")
	}
	r.Build(nil, 1, 2, dawn.Add(100*ms))
	if r.Due(dawn.Add(time.Hour)) {
		t.Error("due though nothing came")
	}
	for i := range recorderEnough {
		r.Record(uint16(2+i), dawn.Add(time.Hour))
	}
	r.Build(nil, 1, 2, dawn.Add(time.Hour))
	for i := range recorderEnough {
		r.Record(uint16(2+recorderEnough+i), dawn.Add(time.Hour))
	}
	if r.Due(dawn.Add(time.Hour+39*ms)) || !r.Due(dawn.Add(time.Hour+40*ms)) {
		t.Error("not after 40 ms when much came")
	}
}
