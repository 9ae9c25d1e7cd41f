//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// magic stands before the time of sending in a payload. Servers may lengthen or
// shorten the descriptor before it.
var magic = []byte{0xde, 0xad, 0x51, 0xf0, 0x0b, 0xe7, 0xc4, 0x01}

const (
	stamped    = 16 // bytes of magic and time
	soundSize  = 100
	soundEvery = 20 * time.Millisecond
	keyEvery   = 2 * time.Second
)

// publisher sends like a camera and a microphone.
type publisher struct {
	pc           *webrtc.PeerConnection
	video, sound *webrtc.TrackLocalStaticRTP
	key, hushed  atomic.Bool
	sent         atomic.Int64
	wg           sync.WaitGroup

	mu   sync.Mutex
	lost map[uint32]uint32 // by SSRC, of the server's reports (RFC 3550 §6.4.2)
}

func newPublisher(o options, address string, n int) (*publisher, error) {
	s := settings(o.srtp)
	s.SetIPFilter(only(address))
	pc, err := newPeer(s, true, nil)
	if err != nil {
		return nil, err
	}
	p := &publisher{pc: pc, lost: map[uint32]uint32{}}
	stream := fmt.Sprint("bench", n)
	p.sound, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "audio", stream)
	if err == nil {
		p.video, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", stream)
	}
	for _, t := range []webrtc.TrackLocal{p.sound, p.video} {
		if err != nil {
			return nil, errors.Join(err, pc.Close())
		}
		var tr *webrtc.RTPTransceiver
		if tr, err = pc.AddTransceiverFromTrack(t, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err == nil {
			p.wg.Go(func() { p.listen(tr.Sender()) })
		}
	}
	return p, err
}

// listen reads what the server says of a track.
func (p *publisher) listen(s *webrtc.RTPSender) {
	for {
		packets, _, err := s.ReadRTCP()
		if err != nil {
			return
		}
		for _, x := range packets {
			switch x := x.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				p.key.Store(true)
			case *rtcp.ReceiverReport:
				p.mu.Lock()
				for _, r := range x.Reports {
					p.lost[r.SSRC] = r.TotalLost
				}
				p.mu.Unlock()
			}
		}
	}
}

// missing is how many packets the server says it did not get; false when it has
// said nothing.
func (p *publisher) missing() (n int64, told bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, lost := range p.lost {
		n += int64(lost)
	}
	return n, len(p.lost) > 0
}

// run sends until ctx ends: bursts of video and packets of sound, each with the
// time it leaves in its payload.
func (p *publisher) run(ctx context.Context, l load) {
	frame := time.Second / time.Duration(l.fps)
	begin := time.Now()
	pictures, sounds := begin, begin.Add(7*time.Millisecond)
	v, a := newVideo(l), newSound()
	for {
		next := pictures
		if sounds.Before(next) {
			next = sounds
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		if p.hushed.Load() {
			pictures, sounds = next.Add(frame), next.Add(frame+7*time.Millisecond)
			continue
		}
		if next == sounds {
			_ = p.sound.WriteRTP(a.next(sounds.Sub(begin)))
			p.sent.Add(1)
			sounds = sounds.Add(soundEvery)
			continue
		}
		key := p.key.Swap(false)
		for i := range l.burst {
			_ = p.video.WriteRTP(v.next(i, key, pictures.Sub(begin)))
			p.sent.Add(1)
		}
		pictures = pictures.Add(frame)
	}
}

func (p *publisher) close() error {
	err := p.pc.Close()
	p.wg.Wait()
	return err
}

// video makes packets that look like VP8 (RFC 7741) to who reads descriptors.
type video struct {
	load    load
	packet  rtp.Packet
	picture uint16
	lastKey time.Duration
}

func newVideo(l load) *video {
	return &video{load: l, lastKey: -keyEvery, packet: rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: videoType}, Payload: make([]byte, l.size)}}
}

// next is packet i of the frame at a time.
func (v *video) next(i int, key bool, at time.Duration) *rtp.Packet {
	b := v.packet.Payload
	if i == 0 {
		v.picture++
	}
	b[0], b[1], b[2], b[3] = 0x80, 0x80, 0x80|byte(v.picture>>8)&0x7f, byte(v.picture) // X, I, 15 bits of picture id
	b[4] = 1                                                                           // not a keyframe
	if i == 0 {
		b[0] |= 0x10 // S
		if key || at-v.lastKey >= keyEvery {
			v.lastKey = at
			copy(b[4:], []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01}) // 640x360
		}
	}
	stamp(b[20:])
	v.packet.SequenceNumber++
	v.packet.Timestamp = uint32(at * 90000 / time.Second)
	v.packet.Marker = i == v.load.burst-1
	return &v.packet
}

type sound struct{ packet rtp.Packet }

func newSound() *sound {
	s := &sound{rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: soundType}, Payload: make([]byte, soundSize)}}
	s.packet.Payload[0] = 0x78 // CELT, 20 ms
	return s
}

func (s *sound) next(at time.Duration) *rtp.Packet {
	stamp(s.packet.Payload[4:])
	s.packet.SequenceNumber++
	s.packet.Timestamp = uint32(at * 48000 / time.Second)
	return &s.packet
}

func stamp(b []byte) {
	copy(b, magic)
	binary.BigEndian.PutUint64(b[len(magic):], uint64(time.Now().UnixNano()))
}
