package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
)

const (
	sourceFPS = 30
	// sourceLength is how much is encoded; it is sent over and over.
	sourceLength = 12 * time.Second
	// groupOf pictures begin with a keyframe.
	groupOf     = 60
	soundPeriod = 20 * time.Millisecond
	mtu         = 1200
)

// unit is a coded picture or piece of sound in RTP payloads.
type unit struct {
	payloads [][]byte
	key      bool
}

// media are the sources, encoded and cut once; every round of both sides gets
// the same bytes.
type media struct {
	small, large []unit // VP8 640x480 and 1280x720, moving
	sound        []unit // Opus
	image        string // a PNG with transparent parts
}

// prepare encodes the sources into dir.
func prepare(ctx context.Context, dir string) (*media, error) {
	m := &media{image: filepath.Join(dir, "image.png")}
	moving := func(width, height int) string {
		// What moves everywhere and has detail: like people, not like a test card.
		return fmt.Sprintf("testsrc2=size=%dx%d:rate=%d,rotate=a='0.15*sin(t)':fillcolor=gray,noise=alls=6:allf=t", width, height, sourceFPS)
	}
	vp8 := func(rate string) []string {
		return []string{"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "6", "-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-g", fmt.Sprint(groupOf),
			"-keyint_min", fmt.Sprint(groupOf), "-auto-alt-ref", "0", "-lag-in-frames", "0", "-error-resilient", "1", "-pix_fmt", "yuv420p"}
	}
	length := []string{"-t", fmt.Sprint(sourceLength.Seconds())}
	small, large, sound := filepath.Join(dir, "small.ivf"), filepath.Join(dir, "large.ivf"), filepath.Join(dir, "sound.ogg")
	for _, args := range [][]string{
		append(append(append([]string{"-f", "lavfi", "-i", moving(640, 480)}, length...), vp8("800k")...), small),
		append(append(append([]string{"-f", "lavfi", "-i", moving(1280, 720)}, length...), vp8("1800k")...), large),
		append(append([]string{"-f", "lavfi", "-i", "aevalsrc=0.2*sin(2*PI*(300+100*sin(3*t))*t)|0.2*sin(2*PI*440*t):s=48000"}, length...),
			"-c:a", "libopus", "-b:a", "48k", "-frame_duration", "20", "-page_duration", "20000", sound),
		{"-f", "lavfi", "-i", "testsrc=size=160x120:rate=1,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*gte(hypot(X-80,Y-60),30)*(1-0.5*gte(X,80))'", "-frames:v", "1", m.image},
	} {
		path := args[len(args)-1]
		if _, err := os.Stat(path); err == nil {
			continue
		}
		half := filepath.Join(dir, "half-"+filepath.Base(path))
		args[len(args)-1] = half
		if err := ffmpeg(ctx, args...); err != nil {
			return nil, err
		}
		if err := os.Rename(half, path); err != nil {
			return nil, err
		}
	}
	var err error
	if m.small, err = cutVideo(small, sourceFPS); err != nil {
		return nil, err
	}
	if m.large, err = cutVideo(large, sourceFPS); err != nil {
		return nil, err
	}
	m.sound, err = cutSound(sound)
	return m, err
}

func ffmpeg(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// cutVideo reads an IVF file of VP8 at that rate; it begins with a keyframe.
func cutVideo(path string, fps int) ([]unit, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, _, err := ivfreader.NewWith(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	// Picture ids of 15 bits, as browsers send, but the same in every round.
	cut := &codecs.VP8Payloader{}
	var out []unit
	for {
		frame, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if len(frame) == 0 {
			continue
		}
		out = append(out, unit{cut.Payload(mtu-12, frame), frame[0]&1 == 0})
	}
	if len(out) != int(sourceLength.Seconds())*fps || !out[0].key {
		return nil, fmt.Errorf("read %s: %d pictures, the first a keyframe: %v", path, len(out), len(out) > 0 && out[0].key)
	}
	return out, nil
}

// cutSound reads an Ogg file of Opus with a packet a page.
func cutSound(path string) ([]unit, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, _, err := oggreader.NewWith(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var out []unit
	for {
		page, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if bytes.HasPrefix(page, []byte("OpusTags")) || len(page) == 0 {
			continue
		}
		out = append(out, unit{[][]byte{page}, true})
	}
	if want := int(sourceLength / soundPeriod); len(out) < want || len(out) > want+2 {
		return nil, fmt.Errorf("read %s: %d packets of sound", path, len(out))
	}
	return out, nil
}

// Payload types of all sources and sinks.
const (
	videoType = 96
	soundType = 97
)

// stream is one row of RTP packets on its way.
type stream struct {
	units  []unit
	next   int
	header rtp.Header
	step   uint32        // of the timestamp per unit
	due    time.Duration // since the feed's start
	period time.Duration
}

func newStream(units []unit, kind uint8, ssrc uint32, step uint32, period, first time.Duration, from int) *stream {
	return &stream{units: units, next: from, step: step, period: period, due: first,
		header: rtp.Header{Version: 2, PayloadType: kind, SSRC: ssrc, SequenceNumber: uint16(ssrc), Timestamp: ssrc * 77}}
}

// packets are those of the next unit, in new memory of buf.
func (s *stream) packets(buf []byte, send func([]byte)) error {
	u := s.units[s.next%len(s.units)]
	s.next++
	for i, p := range u.payloads {
		s.header.Marker = i == len(u.payloads)-1 && s.header.PayloadType == videoType
		n, err := s.header.MarshalTo(buf)
		if err != nil {
			return err
		}
		n += copy(buf[n:], p)
		send(buf[:n])
		s.header.SequenceNumber++
	}
	s.header.Timestamp += s.step
	return nil
}
