package transport

import (
	"encoding/binary"
	"sync"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// asked is a browser's wire: what it asks for again, and how its video comes.
type asked struct {
	interceptor.NoOp
	mu    sync.Mutex
	nacks map[uint16]int // NACKs, by sequence number
	told  int            // packets that its transport-wide feedback calls missing
	first map[uint16]int // packets of the stream itself
	again map[uint16]int // packets of the stream of retransmissions
}

func newAsked() *asked {
	return &asked{nacks: map[uint16]int{}, first: map[uint16]int{}, again: map[uint16]int{}}
}

// options are those of a browser with the library's own helpers, on that wire.
func (a *asked) options(t *testing.T) webrtctest.Options {
	reg := &interceptor.Registry{}
	reg.Add(a) // next to the wire
	return webrtctest.Options{
		Codecs: func(m *webrtc.MediaEngine) {
			if err := m.RegisterDefaultCodecs(); err != nil {
				t.Fatal(err)
			}
			if err := webrtc.RegisterDefaultInterceptors(m, reg); err != nil {
				t.Fatal(err)
			}
		},
		Interceptors: func(r *interceptor.Registry) { *r = *reg },
	}
}

func (a *asked) NewInterceptor(string) (interceptor.Interceptor, error) { return a, nil }

func (a *asked) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	return interceptor.RTCPWriterFunc(func(list []rtcp.Packet, x interceptor.Attributes) (int, error) {
		a.mu.Lock()
		for _, p := range list {
			switch p := p.(type) {
			case *rtcp.TransportLayerNack:
				for i := range p.Nacks {
					for _, seq := range p.Nacks[i].PacketList() {
						a.nacks[seq]++
					}
				}
			case *rtcp.TransportLayerCC:
				a.told += int(p.PacketStatusCount) - len(p.RecvDeltas)
			}
		}
		a.mu.Unlock()
		return w.Write(list, x)
	})
}

func (a *asked) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	to := map[string]map[uint16]int{webrtc.MimeTypeVP8: a.first, webrtc.MimeTypeRTX: a.again}[info.MimeType]
	return interceptor.RTPReaderFunc(func(b []byte, x interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, x, err := r.Read(b, x)
		if err != nil || to == nil {
			return n, x, err
		}
		h, err := x.GetRTPHeader(b[:n])
		if err != nil {
			return n, x, err
		}
		seq := h.SequenceNumber
		if info.MimeType == webrtc.MimeTypeRTX {
			body := b[h.MarshalSize():n]
			if h.Padding || len(body) < 2 {
				return n, x, nil // a probe
			}
			seq = binary.BigEndian.Uint16(body)
		}
		a.mu.Lock()
		to[seq]++
		a.mu.Unlock()
		return n, x, nil
	})
}

// bounds are the lowest and the highest number of the stream itself so far.
func (a *asked) bounds() (from, to uint16) {
	begun := false
	for seq := range a.first {
		if !begun {
			begun, from, to = true, seq, seq
		}
		if int16(seq-from) < 0 {
			from = seq
		}
		if int16(seq-to) > 0 {
			to = seq
		}
	}
	return from, to
}

// whole tells whether all that a Peer has sent its browser has come, one way or the other.
func (a *asked) whole(p *Peer) bool {
	var sent int
	p.under(func(*turn) { sent = int(p.videoOut.stats.packets) })
	a.mu.Lock()
	defer a.mu.Unlock()
	came := len(a.first)
	for seq := range a.again {
		if a.first[seq] == 0 {
			came++
		}
	}
	return came >= sent
}

// judge wants no packet twice, but for copies that the browser has asked for, by a NACK
// or by telling that it is missing: up to two each time.
func (a *asked) judge(t *testing.T) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	unasked := 0
	from, to := a.bounds()
	for seq := from; seq != to+1; seq++ {
		if a.first[seq] > 1 {
			t.Errorf("packet %d was sent %d times in its own stream", seq, a.first[seq])
		}
		unasked += max(a.again[seq]-2*a.nacks[seq], 0)
	}
	if unasked > 2*a.told {
		t.Errorf("%d packets were sent again that nobody asked for; %d were told to be missing", unasked, a.told)
	}
	for seq := range a.again {
		if seq-from > to-from {
			t.Errorf("packet %d was sent again, none between %d and %d", seq, from, to)
		}
	}
}
