package actor

import (
	"testing"
	"time"

	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
)

// ridURI is the header extension that names an encoding (RFC 8852).
const ridURI = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"

// rids are the names of a simulcast's encodings, from the smallest.
var rids = []string{"q", "h", "f"}

// layer is one encoding of a simulcast.
type layer struct {
	track *webrtc.TrackLocalStaticRTP
	clip  *Clip
}

// Layers makes clips of one number for a simulcast, in VP8: the same pictures 160,
// 320 and 640 pixels wide, with about 80, 150 and 600 kbit/s.
func Layers(t testing.TB, number int) []*Clip {
	t.Helper()
	var clips []*Clip
	for i, kbps := range []int{80, 150, 600} {
		c, err := MakeOf(t.Context(), number, codec.VP8, 160<<i, 90<<i, kbps)
		if err != nil {
			t.Fatal(err)
		}
		clips = append(clips, c)
	}
	return clips
}

// NewSimulcast makes a sender of up to three encodings of one video (RFC 8853), from
// the smallest, and of the first one's sound.
func NewSimulcast(t testing.TB, clips []*Clip, begin time.Time) *Sender {
	t.Helper()
	s := newSender(t, clips[0], begin, func(m *webrtc.MediaEngine) {
		if err := m.RegisterDefaultCodecs(); err != nil {
			t.Fatal(err)
		}
		if err := webrtc.ConfigureSimulcastExtensionHeaders(m); err != nil {
			t.Fatal(err)
		}
	})
	audio, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "a", "s")
	if err != nil {
		t.Fatal(err)
	}
	s.Audio = audio
	direction := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
	if _, err := s.PC.AddTransceiverFromTrack(audio, direction); err != nil {
		t.Fatal(err)
	}
	for i, c := range clips {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "v", "s", webrtc.WithRTPStreamID(rids[i]))
		if err != nil {
			t.Fatal(err)
		}
		s.extra = append(s.extra, &layer{track, c})
	}
	video, err := s.PC.AddTransceiverFromTrack(s.extra[0].track, direction)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range s.extra[1:] {
		if err := video.Sender().AddEncoding(x.track); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Close)
	return s
}

// startLayers begins to send all encodings.
func (s *Sender) startLayers(sender *webrtc.RTPSender) {
	parameters := sender.GetParameters()
	id := uint8(0)
	for _, x := range parameters.HeaderExtensions {
		if x.URI == ridURI {
			id = uint8(x.ID)
		}
	}
	for i, x := range s.extra {
		l := &lane{Sender: s, track: x.track, ssrc: uint32(parameters.Encodings[i].SSRC), rate: 90000, each: PictureTime,
			base: uint32(1_000_000_000 * (i + 1)), cut: &codecs.VP8Payloader{EnablePictureID: true}, rid: x.track.RID(), ridID: id}
		s.wg.Go(func() {
			l.send(func() *Clip { return x.clip }, func(c *Clip) [][]byte { return c.Video }, keyEvery)
		})
	}
}
