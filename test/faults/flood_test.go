package faults

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/kms/client"
)

// flooded is a kms with a pipeline, in which participants come and go while it is
// flooded.
type flooded struct {
	*call
	node *process
}

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	f := &flooded{node: startProcess(t, t.TempDir())}
	s, err := client.Dial(context.Background(), f.node.url(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f.call = &call{t: t, session: s, control: &control{Client: s}}
	t.Cleanup(f.call.end)
	f.pipeline = f.control.create("MediaPipeline", nil)
	return f
}

// endpoint makes one for b, which must have tracks or channels, and connects them.
func (f *flooded) endpoint(b *webrtctest.Browser, more map[string]any) client.ID {
	f.t.Helper()
	params := map[string]any{"mediaPipeline": f.pipeline}
	for k, v := range more {
		params[k] = v
	}
	id := f.control.create("WebRtcEndpoint", params)
	f.negotiate(id, b)
	return id
}

// subscriber is a peer that gets what source sends.
func (f *flooded) subscriber(source client.ID, o webrtctest.Options) (*webrtctest.Browser, client.ID) {
	f.t.Helper()
	b := webrtctest.New(f.t, o)
	b.Receive()
	id := f.endpoint(b, nil)
	f.control.connect(source, id)
	return b, id
}

// stream is a publisher's video, about 3.5 Mbit/s: 400 packets of 1100 bytes in a second.
func (f *flooded) stream() (*webrtctest.Browser, client.ID) {
	f.t.Helper()
	b := webrtctest.New(f.t, webrtctest.Options{})
	b.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
	id := f.endpoint(b, nil)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for seq := uint16(0); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for i := range 4 {
				payload := make([]byte, 1100)
				copy(payload, []byte{0x00, 1})
				if i == 0 {
					payload[0] = 0x10
					if seq%400 == 0 {
						copy(payload[1:], []byte{0, 0, 0, 0x9d, 1, 0x2a, 0x40, 0x01, 0xf0, 0})
					}
				}
				seq++
				h := rtp.Header{Version: 2, Marker: i == 3, SequenceNumber: seq, Timestamp: uint32(seq/4) * 900}
				_ = b.Video.WriteRTP(&rtp.Packet{Header: h, Payload: payload})
			}
		}
	})
	f.t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return b, id
}

// repeat runs do again and again until the test's end or the function that it gives.
func repeat(t testing.TB, do func()) (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			do()
		}
	})
	end = func() {
		stop()
		wg.Wait()
	}
	t.Cleanup(end)
	return end
}

// hello is a record with the first flight of a DTLS client that no server should want
// (RFC 6347 §4.2.2).
func hello(kind string, r *rand.Rand) []byte {
	body := []byte{0xfe, 0xfd}
	for range 32 {
		body = append(body, byte(r.Uint32()))
	}
	body = append(body, 0, 0, 0, 2, 0, 0, 1, 0) // no session, no cookie, TLS_NULL_WITH_NULL_NULL, no compression
	length, offset, fragment := len(body), 0, len(body)
	switch kind {
	case "empty": // fragments
		body, fragment = nil, 0
	case "vast":
		length = 1<<24 - 1
	case "beyond": // its message
		offset = 1 << 20
	case "cut":
		body = body[:r.IntN(len(body))]
	case "noise":
		for i := range body {
			body[i] = byte(r.Uint32())
		}
	}
	u24 := func(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }
	message := append([]byte{1}, u24(length)...)
	message = append(message, 0, 0)
	message = append(append(message, u24(offset)...), u24(fragment)...)
	message = append(message, body...)
	record := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, byte(r.IntN(4))}
	return append(binary.BigEndian.AppendUint16(record, uint16(len(message))), message...)
}

var helloKinds = []string{"null", "empty", "vast", "beyond", "cut", "noise"}

// malformed is a datagram of each protocol that shares the port, and wrong.
func malformed(r *rand.Rand) []byte {
	b := make([]byte, 1+r.IntN(200))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	switch r.IntN(4) {
	case 0: // STUN, whose cookie is right
		b[0] &= 3
		if len(b) > 8 {
			copy(b[4:], []byte{0x21, 0x12, 0xa4, 0x42})
		}
	case 1: // DTLS
		b[0] = byte(20 + r.IntN(6))
	case 2: // RTP and RTCP
		b[0] = 0x80 | b[0]&0x3f
	}
	return b
}

// spoofer sends datagrams from ports that are not its own.
type spoofer struct {
	fd int
	to uint16
}

func newSpoofer(t testing.TB, to int) *spoofer {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		t.Skipf("needs a raw socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &spoofer{fd, uint16(to)}
}

// send sends b on the loopback, from a port.
func (s *spoofer) send(from uint16, b []byte) error {
	size := 28 + len(b)
	p := make([]byte, 28, size)
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(size))
	copy(p[12:], []byte{127, 0, 0, 1, 127, 0, 0, 1})
	binary.BigEndian.PutUint16(p[20:], from)
	binary.BigEndian.PutUint16(p[22:], s.to)
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(b)))
	return unix.Sendto(s.fd, append(p, b...), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

// portsOf are the UDP ports that an offer names.
func portsOf(sdp string) (ports []uint16) {
	for line := range strings.Lines(sdp) {
		f := strings.Fields(line)
		if len(f) > 5 && strings.HasPrefix(f[0], "a=candidate:") && strings.EqualFold(f[2], "udp") {
			if n, err := strconv.ParseUint(f[5], 10, 16); err == nil {
				ports = append(ports, uint16(n))
			}
		}
	}
	return ports
}

// TestFloodHandshakes (scoreboard S7): ten thousand ClientHellos that nobody can want
// and malformed datagrams, from other ports and from those of the participants who
// come meanwhile, before and during their handshakes. All hundred of them come in.
func TestFloodHandshakes(t *testing.T) {
	f := newFlooded(t)
	s := newSpoofer(t, f.node.ports.Media)
	var victim atomic.Uint32 // the port of whoever comes now
	var hellos, spoofed atomic.Int64
	r := rand.New(rand.NewPCG(1, 2))
	one := func() {
		b := hello(helloKinds[r.IntN(len(helloKinds))], r)
		if r.IntN(3) == 0 {
			b = malformed(r)
		}
		from := uint16(20000 + r.IntN(40000))
		if port := victim.Load(); port != 0 && r.IntN(2) == 0 {
			from = uint16(port)
			spoofed.Add(1)
		}
		if err := s.send(from, b); err == nil {
			hellos.Add(1)
		}
	}
	for range 10_000 {
		one()
	}
	before := 0
	repeat(t, func() {
		for range 10 {
			one()
		}
		during(2 * time.Millisecond) // about 5000 in a second
	})
	slowest := time.Duration(0)
	for n := range 100 {
		if n == 10 {
			before = resident(t, f.node.pid())
		}
		b := webrtctest.New(t, webrtctest.Options{})
		b.Receive()
		ports := portsOf(b.Offer())
		if len(ports) == 0 {
			t.Fatal("a browser without candidates")
		}
		victim.Store(uint32(ports[0]))
		id := f.control.create("WebRtcEndpoint", map[string]any{"mediaPipeline": f.pipeline})
		begin := time.Now()
		f.answer(id, b)
		slowest = max(slowest, time.Since(begin))
		b.Close()
		f.control.release(id)
	}
	grown := resident(t, f.node.pid()) - before
	t.Logf("100 joins, the slowest in %v, among %d datagrams, %d of them in the name of who joined; memory grew by %d kB",
		slowest.Round(time.Millisecond), hellos.Load(), spoofed.Load(), grown>>10)
	if hellos.Load() < 10_000 || spoofed.Load() < 1000 {
		t.Errorf("%d datagrams, %d spoofed: the test proves nothing", hellos.Load(), spoofed.Load())
	}
	if grown > 48<<20 {
		t.Errorf("memory grew by %d kB", grown>>10)
	}
}

// media tells RTP of other datagrams (RFC 5761 §4).
func media(b []byte) bool {
	return len(b) > 12 && b[0] >= 128 && b[0] <= 191 && (b[1] < 192 || b[1] > 223)
}

// inOrder fails when a subscriber misses packets of video.
func inOrder(t testing.TB, list []*rtp.Packet) {
	t.Helper()
	seen, last := map[uint16]bool{}, 0
	for i, p := range list {
		seen[p.SequenceNumber] = true
		if i == 0 || int16(p.SequenceNumber-uint16(last)) > 0 {
			last = int(p.SequenceNumber)
		}
	}
	if len(list) == 0 {
		t.Error("no packet of video")
		return
	}
	missing := 0
	for seq := list[0].SequenceNumber; seq != uint16(last); seq++ {
		if !seen[seq] {
			missing++
		}
	}
	most := len(list) / 1000
	if !strict() {
		most = len(list) / 20 // whoever receives here may be late as well
	}
	if missing > most {
		t.Errorf("%d packets of %d are missing", missing, len(list))
	}
}

func mustDo(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// bindable is a socket that is bound, so that nobody else gets its port.
func bindable(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	mustDo(t, "bind", err)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestFloodDatagrams: malformed datagrams from one port as fast as they go. Whoever is
// there gets all media, who comes does come.
func TestFloodDatagrams(t *testing.T) {
	f := newFlooded(t)
	_, source := f.stream()
	sub, _ := f.subscriber(source, webrtctest.Options{})
	eventually(t, patience, "media flows", func() error {
		if n := len(sub.Packets(video)); n < 100 {
			return fmt.Errorf("%d packets", n)
		}
		return nil
	})
	c := bindable(t)
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: f.node.ports.Media}
	r := rand.New(rand.NewPCG(3, 4))
	var sent atomic.Int64
	end := repeat(t, func() {
		for range 40 {
			if _, err := c.WriteToUDP(malformed(r), to); err == nil {
				sent.Add(1)
			}
		}
		during(2 * time.Millisecond) // about 20,000 in a second
	})
	from := len(sub.Packets(video))
	for range 20 {
		b, id := f.subscriber(source, webrtctest.Options{})
		eventually(t, patience, "a newcomer gets media", func() error {
			if len(b.Packets(video)) == 0 {
				return fmt.Errorf("no packet")
			}
			return nil
		})
		b.Close()
		f.control.release(id)
	}
	end()
	inOrder(t, sub.Packets(video)[from:])
	t.Logf("20 joins among %d malformed datagrams", sent.Load())
}
