//go:build !portable

package udp

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"golang.org/x/sys/unix"
)

const (
	benchPeers   = 100
	benchPackets = 5 // of a picture
	benchPayload = 1200
)

// room is a publisher's picture and everybody who shall get it.
type room struct {
	socket  *Socket
	writer  *Writer
	picture [benchPackets][]byte // payloads, shared
	paths   []*Path
	sealers []*srtp.Sealer
	peers   []*Socket
	batch   *Batch
	seq     uint16
	roc     uint32
	came    int
}

func newRoom(b *testing.B, profile srtp.Profile, ways int, uneven bool) *room {
	r := &room{socket: listen(b, "127.0.0.1:0", false), writer: NewWriter(128), batch: NewBatch(16, 2048)}
	r.socket.gso.Store(ways == 0 && r.socket.gso.Load())
	r.socket.many.Store(ways < 2)
	for i := range r.picture {
		r.picture[i] = make([]byte, benchPayload)
		if uneven && i < benchPackets/2 {
			r.picture[i] = r.picture[i][1:]
		}
	}
	key, salt := make([]byte, profile.KeyLen()), make([]byte, profile.SaltLen())
	for i := range benchPeers {
		key[0] = byte(i)
		s, err := srtp.NewSealer(profile, key, salt)
		if err != nil {
			b.Fatal(err)
		}
		peer := listen(b, "127.0.0.1:0", false)
		r.peers, r.sealers = append(r.peers, peer), append(r.sealers, s)
		r.paths = append(r.paths, NewPath(r.socket, peer.LocalAddr(), 0))
	}
	return r
}

// forward is what a shard does with a picture.
func (r *room) forward(seal, write bool) {
	for i, p := range r.paths {
		for j, payload := range r.picture {
			b := r.writer.Slot()
			seq := r.seq + uint16(j)
			b[0], b[1] = 0x80, 96
			binary.BigEndian.PutUint16(b[2:], seq)
			binary.BigEndian.PutUint32(b[8:], uint32(i))
			n := 12 + len(payload) + 16
			if seal {
				n = len(r.sealers[i].Seal(b, 12, payload, uint32(i), seq, r.roc))
			}
			if write {
				r.writer.Commit(n, p)
			}
		}
	}
	r.writer.Flush()
	if r.seq += benchPackets; r.seq < benchPackets {
		r.roc++
	}
}

// drain empties the receivers, whose reading is not measured.
func (r *room) drain() {
	for _, p := range r.peers {
		_ = p.raw.Control(func(fd uintptr) {
			for r.batch.readNow(fd); r.batch.errno == 0; r.batch.readNow(fd) {
				r.came += r.batch.got
			}
		})
	}
}

func threadCPU(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

// BenchmarkForward measures a picture of five packets for each of 100 subscribers
// in CPU time of the thread per packet. The receiving half of loopback is part of
// what writing costs here; a network card would not charge it.
func BenchmarkForward(b *testing.B) {
	for _, c := range []struct {
		name        string
		profile     srtp.Profile
		way         int
		seal, write bool
		uneven      bool // the first packets are a byte shorter, as browsers cut pictures
	}{
		{"seal/GCM128", srtp.AEADAES128GCM, 0, true, false, false},
		{"seal/GCM256", srtp.AEADAES256GCM, 0, true, false, false},
		{"seal/CM", srtp.AES128CMHMACSHA180, 0, true, false, false},
		{"write/segmented", srtp.AEADAES128GCM, 0, false, true, false},
		{"write/many", srtp.AEADAES128GCM, 1, false, true, false},
		{"write/one", srtp.AEADAES128GCM, 2, false, true, false},
		{"whole/GCM128", srtp.AEADAES128GCM, 0, true, true, false},
		{"whole/GCM256", srtp.AEADAES256GCM, 0, true, true, false},
		{"whole/CM", srtp.AES128CMHMACSHA180, 0, true, true, false},
		{"whole/GCM128/uneven", srtp.AEADAES128GCM, 0, true, true, true},
		{"whole/GCM128/many", srtp.AEADAES128GCM, 1, true, true, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			r := newRoom(b, c.profile, c.way, c.uneven)
			b.ReportAllocs()
			cpu, frames := int64(0), 0
			for b.Loop() {
				at := threadCPU(b)
				r.forward(c.seal, c.write)
				cpu += threadCPU(b) - at
				frames++
				if c.write {
					b.StopTimer()
					r.drain()
					b.StartTimer()
				}
			}
			packets := frames * benchPeers * benchPackets
			if c.write && r.came != packets {
				b.Errorf("%d of %d packets arrived: %+v", r.came, packets, r.writer.Stats())
			}
			b.ReportMetric(float64(cpu)/float64(packets), "cpu-ns/packet")
			b.ReportMetric(0, "ns/op")
		})
	}
}
