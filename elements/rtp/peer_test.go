package rtp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/rtp"

	"github.com/govidu/govidu/elements/elementtest"
)

// peer is a remote end of one section with plain sockets.
type peer struct {
	t         testing.TB
	rtp, rtcp *net.UDPConn
	toRTP     netip.AddrPort // the endpoint's
	toCtl     netip.AddrPort
}

func newPeer(t testing.TB, address string) *peer {
	t.Helper()
	p := &peer{t: t}
	for _, c := range []**net.UDPConn{&p.rtp, &p.rtcp} {
		var err error
		if *c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address+":0"))); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*c).Close() })
	}
	return p
}

func addrPort(n int) netip.AddrPort { return netip.AddrPortFrom(loopback, uint16(n)) }

func port(c *net.UDPConn) int { return c.LocalAddr().(*net.UDPAddr).Port }

// offer is a description of the peer with one section.
func (p *peer) offer(media, formats string, lines ...string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=%s %d %s\r\na=rtcp:%d\r\n%s\r\n",
		media, port(p.rtp), formats, port(p.rtcp), strings.Join(lines, "\r\n"))
}

var vp8Lines = []string{
	"a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 ccm fir", "a=rtcp-fb:96 goog-remb",
	"a=extmap:5 " + absSendTime,
}

// join makes the endpoint answer the peer's offer.
func (p *peer) join(w *elementtest.World, e *Endpoint, offer string) {
	p.t.Helper()
	w.Call(e, "processOffer", map[string]any{"offer": offer})
	l := e.usedLegs()[0]
	p.toRTP = netip.AddrPortFrom(loopback, uint16(l.ports.rtpPort))
	p.toCtl = netip.AddrPortFrom(loopback, uint16(l.ports.rtcpPort))
}

// vp8 is an RTP packet of a whole small VP8 frame.
func vp8(seq uint16, key bool) *pion.Packet {
	frame := []byte{0x10, 0x31, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0xa0, 0x00, 0x78, 0x00, 0x00}
	if key {
		frame[1] = 0x30 // P bit clear
	}
	return &pion.Packet{
		Header: pion.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: uint32(seq) * 3000, SSRC: 77, Marker: true}, Payload: frame,
	}
}

func (p *peer) send(packets ...*pion.Packet) {
	p.t.Helper()
	for _, x := range packets {
		b, err := x.Marshal()
		if err != nil {
			p.t.Fatal(err)
		}
		p.raw(p.rtp, b, p.toRTP)
	}
}

func (p *peer) raw(c *net.UDPConn, b []byte, to netip.AddrPort) {
	p.t.Helper()
	if _, err := c.WriteToUDPAddrPort(b, to); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) report(packets ...rtcp.Packet) {
	p.t.Helper()
	b, err := rtcp.Marshal(packets)
	if err != nil {
		p.t.Fatal(err)
	}
	p.raw(p.rtcp, b, p.toCtl)
}

// recv is the next RTP packet that the peer gets.
func (p *peer) recv() *pion.Packet {
	p.t.Helper()
	buf := make([]byte, 2000)
	p.rtp.SetReadDeadline(time.Now().Add(elementtest.Deadline))
	n, _, err := p.rtp.ReadFromUDPAddrPort(buf)
	if err != nil {
		p.t.Fatalf("no packet for the peer: %v", err)
	}
	x := &pion.Packet{}
	if err := x.Unmarshal(buf[:n]); err != nil {
		p.t.Fatal(err)
	}
	return x
}

// nothing fails when something is there already.
func (p *peer) nothing() {
	p.t.Helper()
	p.rtp.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, _, err := p.rtp.ReadFromUDPAddrPort(make([]byte, 2000)); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Errorf("the peer got something (%v)", err)
	}
}

// reported waits for a report of type T that fits, and passes over others.
func reported[T rtcp.Packet](p *peer, fits func(T) bool) T {
	p.t.Helper()
	p.rtcp.SetReadDeadline(time.Now().Add(elementtest.Deadline))
	buf := make([]byte, 2000)
	for {
		n, _, err := p.rtcp.ReadFromUDPAddrPort(buf)
		if err != nil {
			p.t.Fatalf("no %T for the peer: %v", *new(T), err)
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			p.t.Fatal(err)
		}
		switch packets[0].(type) {
		case *rtcp.SenderReport, *rtcp.ReceiverReport:
		default:
			p.t.Errorf("a compound begins with %T", packets[0])
		}
		for _, x := range packets {
			if y, ok := x.(T); ok && fits(y) {
				return y
			}
		}
	}
}
