package uri

import (
	"bytes"
	"context"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/rtmp"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

// rtmpKeyEvery is the longest stretch without a keyframe: viewers begin at one.
const rtmpKeyEvery = 2 * time.Second

// rtmpStream sends units over one connection, from a keyframe on, in time since it.
type rtmpStream struct {
	conn   *rtmp.Conn
	zero   time.Duration
	last   [2]uint32 // ms of the latest unit: sound, picture
	config [2][]byte // that was sent
}

// send goes on until ctx or the connection ends; the error is the connection's.
func (s *rtmpStream) send(ctx context.Context, q *liveQueue, sound, picture *liveInput) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.conn.Context(), cancel)()
	q.Open()
	defer q.Shut()
	ask := keyAsker{in: picture, every: rtmpKeyEvery}
	ask.need()
	start := newLiveStart(sound, picture)
	for {
		p, ok := q.Pop(ctx)
		if !ok {
			return s.conn.Err()
		}
		ask.seen(p)
		if start == nil {
			if err := s.write(mended(p)); err != nil {
				return err
			}
			continue
		}
		units := start.add(p)
		if units == nil {
			continue
		}
		if err := s.begin(start, units); err != nil {
			return err
		}
		start = nil
	}
}

func (s *rtmpStream) begin(start *liveStart, units []*pipeline.Packet) error {
	s.zero = units[0].PTS
	for _, p := range units {
		s.zero = min(s.zero, p.PTS)
	}
	if err := s.conn.Metadata(rtmpMetadata(start.formats[0], start.formats[1])...); err != nil {
		return err
	}
	for _, p := range units {
		if err := s.write(p); err != nil {
			return err
		}
	}
	return nil
}

// rtmpMetadata is onMetaData (Flash Video File Format 10.1 §E.5).
func rtmpMetadata(sound, picture *pipeline.Format) []any {
	fields := []any{"encoder", "Govidu"}
	if picture != nil {
		fields = append(fields, "width", float64(picture.Width), "height", float64(picture.Height), "videocodecid", 7.0)
	}
	if sound != nil {
		fields = append(fields, "audiocodecid", 10.0, "audiosamplerate", float64(sound.ClockRate), "audiosamplesize", 16.0, "stereo", sound.Channels > 1)
	}
	return fields
}

// write sends a unit, and its configuration before it when that is new.
func (s *rtmpStream) write(p *pipeline.Packet) error {
	i := liveIndex(p.Format.Kind)
	at := p.PTS - s.zero
	if at < 0 {
		if s.config[i] == nil {
			return nil // older than the beginning
		}
		at = 0
	}
	ms := max(uint32(at.Milliseconds()), s.last[i])
	if p.Format.Codec == codec.AAC && s.config[i] == nil || p.Format.Kind == pipeline.Video && p.Key {
		if f, ok := recorder.Describe(p); ok && !bytes.Equal(f.Config, s.config[i]) {
			kind := byte(8)
			if i == 1 {
				kind = 9
			}
			if err := s.conn.Write(kind, ms, recorder.FLVConfig(&f)); err != nil {
				return err
			}
			s.config[i] = f.Config
		}
	}
	if s.config[i] == nil {
		return nil // no decoder could begin here
	}
	s.last[i] = ms
	kind, body := recorder.FLVBody(p)
	return s.conn.Write(kind, ms, body)
}
