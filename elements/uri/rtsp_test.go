package uri_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

// camera is an RTSP server with one H264 and one PCMU track.
type camera struct {
	server   *gortsplib.Server
	stream   *gortsplib.ServerStream
	video    *description.Media
	audio    *description.Media
	redirect string

	mu       sync.Mutex
	wishes   int
	played   chan struct{}
	sessions []*gortsplib.ServerSession
}

func newCamera(t *testing.T, udp bool) *camera {
	t.Helper()
	c := &camera{
		played: make(chan struct{}, 10),
		video:  &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{&format.H264{PayloadTyp: 96, PacketizationMode: 1}}},
		audio:  &description.Media{Type: description.MediaTypeAudio, Formats: []format.Format{&format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1}}},
	}
	c.server = &gortsplib.Server{Handler: c, RTSPAddress: "127.0.0.1:0"}
	// The library wants a port it knows.
	for port := 38554; ; port += 2 {
		c.server.RTSPAddress = fmt.Sprintf("127.0.0.1:%d", port)
		if udp {
			c.server.UDPRTPAddress, c.server.UDPRTCPAddress = fmt.Sprintf("127.0.0.1:%d", port+100), fmt.Sprintf("127.0.0.1:%d", port+101)
		}
		if err := c.server.Start(); err == nil {
			break
		} else if port > 38700 {
			t.Fatal(err)
		}
	}
	c.stream = gortsplib.NewServerStream(c.server, &description.Session{Medias: []*description.Media{c.video, c.audio}})
	t.Cleanup(func() { c.stream.Close(); c.server.Close() })
	return c
}

func (c *camera) url() string { return "rtsp://ann:s3cret@" + c.server.RTSPAddress + "/cam?channel=1" }

// OnDescribe implements gortsplib's handler.
func (c *camera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if c.redirect != "" {
		return &base.Response{StatusCode: base.StatusMovedPermanently, Header: base.Header{"Location": base.HeaderValue{c.redirect}}}, nil, nil
	}
	if ctx.Path != "/cam" {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

// OnSetup implements gortsplib's handler.
func (c *camera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

// OnPlay implements gortsplib's handler.
func (c *camera) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	c.mu.Lock()
	c.sessions = append(c.sessions, ctx.Session)
	c.mu.Unlock()
	ctx.Session.OnPacketRTCPAny(func(_ *description.Media, p rtcp.Packet) {
		if _, ok := p.(*rtcp.PictureLossIndication); ok {
			c.mu.Lock()
			c.wishes++
			c.mu.Unlock()
		}
	})
	c.played <- struct{}{}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// film sends pictures and sound until stop is closed.
func (c *camera) film(stop chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := uint16(0); ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		payload := []byte{0x65, 0x88, 0x84, byte(i)}
		if i%25 != 0 {
			payload[0] = 0x41
		}
		c.stream.WritePacketRTP(c.video, &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: i, Timestamp: uint32(i) * 1800, SSRC: 7, Marker: true}, Payload: payload})
		c.stream.WritePacketRTP(c.audio, &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 0, SequenceNumber: i, Timestamp: uint32(i) * 160, SSRC: 8}, Payload: make([]byte, 160)})
	}
}

func rtspWorld(t *testing.T, target string) (*elementtest.World, elements.Element) {
	w := elementtest.NewWith(t, []pipeline.Converter{pipeline.NewDepacketizer()}, uri.Types(uri.Deps{Fetch: &fetch.Policy{AllowPrivate: true}})...)
	p := w.Element("PlayerEndpoint", map[string]any{"uri": target})
	t.Cleanup(func() { w.Release(p) })
	return w, p
}

func TestRTSP(t *testing.T) {
	for _, udp := range []bool{false, true} {
		t.Run(fmt.Sprintf("udp %v", udp), func(t *testing.T) {
			c := newCamera(t, udp)
			w, p := rtspWorld(t, c.url())
			sinks := map[pipeline.Kind]*pipelinetest.Sink{}
			for _, k := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
				sinks[k] = pipelinetest.NewSink()
				out, _ := p.Output(k, "")
				l, err := out.Connect(sinks[k])
				if err != nil {
					t.Fatal(err)
				}
				defer out.Disconnect(l)
			}
			w.Call(p, "play", nil)
			select {
			case <-c.played:
			case <-time.After(elementtest.Deadline):
				t.Fatalf("the camera is not asked to play: %v", w.Events(p, "Error"))
			}
			stop := make(chan struct{})
			var filming sync.WaitGroup
			filming.Go(func() { c.film(stop) })
			defer func() { close(stop); filming.Wait() }()
			elementtest.Eventually(t, "media", func() bool {
				return len(sinks[pipeline.Video].Packets()) > 30 && len(sinks[pipeline.Audio].Packets()) > 30
			})
			v, a := sinks[pipeline.Video].Packets(), sinks[pipeline.Audio].Packets()
			if f := v[0].Format; f.Codec != codec.H264 || f.Framing != pipeline.RTP || !strings.Contains(f.Fmtp, "packetization-mode=1") {
				t.Errorf("video format %+v", f)
			}
			if f := a[0].Format; f.Codec != codec.PCMU || f.ClockRate != 8000 {
				t.Errorf("audio format %+v", f)
			}
			if d := v[20].PTS - v[0].PTS; (d - 400*time.Millisecond).Abs() > 100*time.Millisecond {
				t.Errorf("20 pictures span %v, want 400 ms", d)
			}
			if !slices.ContainsFunc(v, func(p *pipeline.Packet) bool { return p.Key }) {
				t.Error("no keyframe is marked")
			}
			elementtest.Eventually(t, "a keyframe wish reaches the camera", func() bool {
				sinks[pipeline.Video].Link().Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.wishes > 0
			})
			info := w.Call(p, "getVideoInfo", nil).(map[string]any)
			if info["isSeekable"] != false || info["duration"].(int64) != -1 {
				t.Errorf("videoInfo %v", info)
			}
			_, err := w.Invoke(p, "setPosition", map[string]any{"position": 0})
			elementtest.Code(t, err, 40700, "Seek fails")
			if got := w.Call(p, "getPosition", nil).(int64); got <= 0 {
				t.Errorf("position %d", got)
			}
			w.Call(p, "pause", nil)
			n := len(sinks[pipeline.Video].Packets())
			last, since := n, time.Now()
			elementtest.Eventually(t, "quiet", func() bool { // one packet may be on its way
				if now := len(sinks[pipeline.Video].Packets()); now != last {
					last, since = now, time.Now()
				}
				return time.Since(since) > 200*time.Millisecond
			})
			w.Call(p, "play", nil)
			elementtest.Eventually(t, "media again", func() bool { return len(sinks[pipeline.Video].Packets()) > n+10 })
			// The camera goes: an error, and no reconnection.
			c.mu.Lock()
			for _, s := range c.sessions {
				s.Close()
			}
			c.mu.Unlock()
			e := w.WaitEvents(p, "Error", 1)[0]
			if e.Data["type"] != "INVALID_URI" || strings.Contains(e.Data["description"].(string), "s3cret") || strings.Contains(e.Data["description"].(string), "channel") {
				t.Errorf("error %v", e.Data)
			}
			elementtest.Eventually(t, "it stops", func() bool { return w.Call(p, "getState", nil) == "STOP" })
		})
	}
}

func TestRTSPErrors(t *testing.T) {
	c := newCamera(t, false)
	other := newCamera(t, false)
	for _, target := range []string{
		"rtsp://" + c.server.RTSPAddress + "/none", "rtsp://127.0.0.1:1/cam", "rtsp://169.254.169.254/cam", "rtsp://nohost.invalid/cam", "rtsp:///cam", "rtsps://" + c.server.RTSPAddress + "/cam",
	} {
		w, p := rtspWorld(t, target)
		w.Call(p, "play", nil)
		if e := w.WaitEvents(p, "Error", 1)[0]; e.Data["type"] != "INVALID_URI" {
			t.Errorf("%s: %v", target, e.Data)
		}
	}
	c.redirect = other.url() // another host text: credentials do not go there
	c.redirect = strings.Replace(c.redirect, "127.0.0.1", "localhost", 1)
	w, p := rtspWorld(t, c.url())
	w.Call(p, "play", nil)
	if e := w.WaitEvents(p, "Error", 1)[0]; !strings.Contains(e.Data["description"].(string), "credentials") {
		t.Errorf("redirect: %v", e.Data)
	}
	c.redirect = "rtsp://" + c.server.RTSPAddress + "/cam" // to itself, for ever
	w, p = rtspWorld(t, "rtsp://"+c.server.RTSPAddress+"/cam")
	w.Call(p, "play", nil)
	if e := w.WaitEvents(p, "Error", 1)[0]; !strings.Contains(e.Data["description"].(string), "redirects") {
		t.Errorf("loop: %v", e.Data)
	}
	c.redirect = "rtsp://169.254.169.254/cam"
	w, p = rtspWorld(t, "rtsp://"+c.server.RTSPAddress+"/cam")
	w.Call(p, "play", nil)
	if e := w.WaitEvents(p, "Error", 1)[0]; !strings.Contains(e.Data["description"].(string), "refused") {
		t.Errorf("redirect to metadata: %v", e.Data)
	}
}

// Stopping while a server does not answer returns at once.
func TestRTSPStopWhileConnecting(t *testing.T) {
	l := silent(t)
	w, p := rtspWorld(t, "rtsp://"+l+"/cam")
	w.Call(p, "play", nil)
	elementtest.Within(t, "stop", func() { w.Call(p, "stop", nil) })
	if n := len(w.Events(p, "Error")); n != 0 {
		t.Errorf("%d errors after stop", n)
	}
}
