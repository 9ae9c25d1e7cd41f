package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4/pkg/media/h264writer"
	"github.com/pion/webrtc/v4/pkg/media/ivfwriter"
)

const (
	// sampleLength bounds what is kept for decoding, in packets.
	sampleLength = 1500
	datagram     = 2048
)

// counts are what came out so far.
type counts struct{ frames, sounds, bytes int }

// sink receives one kind of RTP.
type sink struct {
	conn *net.UDPConn
	over chan struct{}

	mu      sync.Mutex
	packets int
	bytes   int
	frames  int    // complete: their last packet, with the marker, has come
	stamp   uint32 // of the latest frame counted
	sample  []*rtp.Packet
	codec   string // VP8, H264, opus
}

func newSink(codec string) (*sink, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(4 << 20)
	s := &sink{conn: c, over: make(chan struct{}), codec: codec}
	go s.read()
	return s, nil
}

func (s *sink) port() int { return s.conn.LocalAddr().(*net.UDPAddr).Port }

func (s *sink) read() {
	defer close(s.over)
	buf := make([]byte, datagram)
	for {
		n, _, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n >= 12 && (buf[1] < 192 || buf[1] > 223) { // no RTCP
			s.take(buf[:n])
		}
	}
}

func (s *sink) take(b []byte) {
	var p rtp.Packet
	if p.Unmarshal(b) != nil || len(p.Payload) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets++
	s.bytes += len(p.Payload)
	if p.Marker && (s.frames == 0 || p.Timestamp != s.stamp) {
		s.frames++
		s.stamp = p.Timestamp
	}
	if len(s.sample) < sampleLength && (len(s.sample) > 0 || s.begins(p.Payload)) {
		p.Payload = bytes.Clone(p.Payload)
		s.sample = append(s.sample, &p)
	}
}

// begins tells whether a decoder can start at a packet: VP8's first of a keyframe,
// parameter sets of H264.
func (s *sink) begins(payload []byte) bool {
	switch s.codec {
	case "opus":
		return false // only counted
	case "H264":
		kind := payload[0] & 0x1f
		return kind == 7 || kind == 24 && len(payload) > 3 && payload[3]&0x1f == 7
	}
	var v codecs.VP8Packet
	b, err := v.Unmarshal(payload)
	return err == nil && v.S == 1 && v.PID == 0 && len(b) > 0 && b[0]&1 == 0
}

func (s *sink) counts() (frames, packets, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames, s.packets, s.bytes
}

func (s *sink) close() {
	s.conn.Close()
	<-s.over
}

// decode writes the sample to a file, gives it to ffmpeg, and counts whole pictures that are of that
// size and no plain surface.
func (s *sink) decode(ctx context.Context, path string, width, height int) (decoded, sampled int, err error) {
	s.mu.Lock()
	sample := s.sample
	s.mu.Unlock()
	var file bytes.Buffer
	var w interface {
		WriteRTP(*rtp.Packet) error
		Close() error
	}
	if s.codec == "H264" {
		w = h264writer.NewWith(&file)
	} else if w, err = ivfwriter.NewWith(&file, ivfwriter.WithCodec("video/VP8")); err != nil {
		return 0, 0, err
	}
	for len(sample) > 0 && !sample[len(sample)-1].Marker {
		sample = sample[:len(sample)-1]
	}
	for _, p := range sample {
		if p.Marker {
			sampled++
		}
		if err := w.WriteRTP(p); err != nil {
			return 0, sampled, fmt.Errorf("a packet that came out is bad: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return 0, sampled, err
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		return 0, sampled, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// A line per picture with its size and its deviation of brightness.
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "info", "-xerror", "-err_detect", "explode", "-f", container(s.codec), "-i", path,
		"-fps_mode", "passthrough", "-vf", "showinfo", "-f", "null", "-")
	said, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(said)) {
		if strings.Contains(line, "Parsed_showinfo") && strings.Contains(line, fmt.Sprintf(" s:%dx%d ", width, height)) && varied(line) {
			decoded++
		}
	}
	if err != nil {
		return decoded, sampled, fmt.Errorf("decode the sample: %w: %.300s", err, said)
	}
	return decoded, sampled, nil
}

// varied tells whether a line of showinfo is about a picture with something in
// it: its standard deviation of brightness is above 10 of 255.
func varied(line string) bool {
	_, rest, ok := strings.Cut(line, "stdev:[")
	var y float64
	if !ok {
		return false
	}
	if _, err := fmt.Sscanf(rest, "%f", &y); err != nil {
		return false
	}
	return y > 10
}
