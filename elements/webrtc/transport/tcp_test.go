package transport

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// TestSlowReader sends to a TCP peer that does not read: what waits is bounded,
// pictures are dropped before sound, and what arrives in the end is whole.
func TestSlowReader(t *testing.T) {
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	peer, err := net.Dial("tcp", at.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := at.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{engine: newEngine(t, nil), open: map[*tcpConn]struct{}{}}
	l.engine.addrs = append([]netip.Addr(nil), l.engine.addrs...)
	l.add(conn)
	defer l.close()
	var c *tcpConn
	l.mu.Lock()
	for c = range l.open {
	}
	l.mu.Unlock()
	if c == nil {
		t.Fatal("the connection was not taken")
	}
	waiting := func() int { c.mu.Lock(); defer c.mu.Unlock(); return len(c.queue) }
	room := func() int { c.mu.Lock(); defer c.mu.Unlock(); return cap(c.queue) }
	picture := bytes.Repeat([]byte{0x80}, 1200)
	for range 20_000 {
		c.send(picture, netip.AddrPort{})
	}
	// The system may take some more meanwhile; in the end nothing moves.
	eventually(t, "the queue is full of pictures", func() bool { c.send(picture, netip.AddrPort{}); return waiting() > tcpQueue/2-1300 })
	for range 100 {
		c.send(picture, netip.AddrPort{})
	}
	if n := waiting(); n > tcpQueue/2 {
		t.Errorf("%d bytes of pictures wait", n)
	}
	sound := append([]byte{0x80, 111}, make([]byte, 78)...)
	for range 100 {
		c.send(sound, netip.AddrPort{})
	}
	for range 10_000 {
		c.send(sound, netip.AddrPort{})
	}
	if n, of := waiting(), room(); n > tcpQueue || of > 2*tcpQueue {
		t.Errorf("%d bytes wait in %d", n, of)
	}
	sounds := 0
	_ = peer.SetReadDeadline(time.Now().Add(webrtctest.Patience))
	for sounds < 100 {
		var size [2]byte
		if _, err := io.ReadFull(peer, size[:]); err != nil {
			t.Fatalf("after %d packets of sound: %v", sounds, err)
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(peer, b); err != nil {
			t.Fatal(err)
		}
		switch {
		case bytes.Equal(b, sound):
			sounds++
		case !bytes.Equal(b, picture):
			t.Fatalf("a packet of %d bytes that was not sent", len(b))
		}
	}
}

// TestVanished has a viewer vanish without a word: it is sent nothing but checks
// from when it counts as disconnected, and media again when it is back.
func TestVanished(t *testing.T) {
	e := newEngine(t, nil)
	pub, sub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8), newClient(t, e, webrtctest.Options{})
	sub.Receive()
	gone := &gate{}
	wall := newNAT(t, e.Port(), gone.drop)
	sub.negotiateBehind(wall)
	sub.connected()
	link(t, graph(pub.peer), sub.peer, true)
	key := func() bool { return true }
	stream(t, "media", pub, key, func() bool { return len(sub.Packets(videoKind)) > 20 })
	gone.shut.Store(true)
	last := func() ICEState { return read(sub.heard, func(h *heard) ICEState { return h.ice[len(h.ice)-1] }) }
	stream(t, "disconnected", pub, key, func() bool { return last() == ICEDisconnected })
	before, checks := gone.media.Load(), gone.checks.Load()
	frames := 0
	stream(t, "checks go on", pub, key, func() bool { frames++; return gone.checks.Load() > checks+2 && frames > 200 })
	if n := gone.media.Load() - before; n > 4 { // on their way
		t.Errorf("%d packets of media to a peer that is gone", n)
	}
	if sub.peer.Connected() {
		t.Error("it counts as connected")
	}
	gone.shut.Store(false)
	at := len(sub.Packets(videoKind))
	stream(t, "media again", pub, key, func() bool { return len(sub.Packets(videoKind)) > at+20 && last() == ICEConnected })
}
