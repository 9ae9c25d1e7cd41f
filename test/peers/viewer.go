//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// viewer is one connection that receives.
type viewer struct {
	pc     *webrtc.PeerConnection
	socket *socket
	mux    ice.UDPMux
	on     *atomic.Bool // whether latencies count

	mu        sync.Mutex
	latencies []time.Duration
}

// newViewer makes one; sampled is whether it decrypts what comes.
func newViewer(o options, address string, sampled bool, cert *webrtc.Certificate, on *atomic.Bool) (*viewer, error) {
	c, err := newSocket(address, sampled)
	if err != nil {
		return nil, err
	}
	s := settings(o.srtp)
	v := &viewer{socket: c, on: on, mux: ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: c, Logger: s.LoggerFactory.NewLogger("ice")})}
	s.SetICEUDPMux(v.mux)
	if v.pc, err = newPeer(s, o.feedback, cert); err != nil {
		return nil, errors.Join(err, v.mux.Close(), c.Close())
	}
	v.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { v.read(t) })
	return v, nil
}

// read takes the times out of decrypted packets; at a viewer that is not sampled
// none come.
func (v *viewer) read(t *webrtc.TrackRemote) {
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		came, ok := v.socket.takeArrival(uint32(t.SSRC()), p.SequenceNumber)
		if !ok || !v.on.Load() {
			continue
		}
		if left, ok := leftAt(p.Payload); ok {
			v.mu.Lock()
			v.latencies = append(v.latencies, time.Duration(came-left))
			v.mu.Unlock()
		}
	}
}

// leftAt finds the time of sending in a payload.
func leftAt(payload []byte) (ns int64, ok bool) {
	head := payload[:min(len(payload), 48)]
	i := bytes.Index(head, magic)
	if i < 0 || len(payload) < i+stamped {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(payload[i+len(magic):])), true
}

func (v *viewer) close() error {
	return errors.Join(v.pc.Close(), v.mux.Close(), v.socket.Close())
}
