package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/medianode"
	"github.com/govidu/govidu/kms/client"
)

const (
	audio = webrtc.RTPCodecTypeAudio
	video = webrtc.RTPCodecTypeVideo
)

// stream is one kind of media at one receiver.
type stream struct {
	at   *receiver
	kind webrtc.RTPCodecType
}

func (s stream) String() string { return s.at.name + "'s " + s.kind.String() }

// victim is a worker's job in the call.
type victim struct {
	job    string   // its kind
	errors *hearing // the event Error of its element
	media  []stream // what it makes
	again  func()   // asks for it anew, where a user has to; may be nil
}

// hearing notes when an event came.
type hearing struct {
	mu    sync.Mutex
	times []time.Time
	texts []string
}

func (h *hearing) hear(data json.RawMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times, h.texts = append(h.times, time.Now()), append(h.texts, string(data))
}

// after gives the first event since a time.
func (h *hearing) after(t time.Time) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.times {
		if at.After(t) {
			return at, true
		}
	}
	return time.Time{}, false
}

// call is a publisher of VP8 and Opus and everybody who gets it: forwarded by
// splice and packet by packet, transcoded, composed and filtered, with a player
// beside.
type call struct {
	t         testing.TB
	node      *medianode.Node
	session   *client.Session
	control   *control
	pipeline  client.ID
	publisher *webrtctest.Browser
	receivers []*receiver
	forwarded []stream // media that no worker touches
	victims   []*victim
	show      *show
}

// newCall sets the call up; all media flows when it returns.
func newCall(t testing.TB, n *medianode.Node, f *film, files string) *call {
	t.Helper()
	c := &call{t: t, node: n, session: client.New(n.Server.Pipe())}
	c.control = &control{Client: c.session}
	t.Cleanup(c.end)
	k := c.control
	c.pipeline = k.create("MediaPipeline", nil)
	in := map[string]any{"mediaPipeline": c.pipeline}

	source := k.create("WebRtcEndpoint", in)
	c.publisher = webrtctest.New(t, webrtctest.Options{})
	c.publisher.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
	c.negotiate(source, c.publisher)
	c.show = start(t, f, c.publisher.Video.WriteRTP, func(p *rtp.Packet) error { return c.publisher.Audio.WriteRTP(p) })

	for _, name := range []string{"spliced-1", "spliced-2"} {
		r := c.receive(name, false, source)
		c.forwarded = append(c.forwarded, stream{r, audio}, stream{r, video})
	}
	through := k.create("PassThrough", in)
	k.connect(source, through)
	for _, name := range []string{"passed-1", "passed-2"} {
		r := c.receive(name, false, through)
		c.forwarded = append(c.forwarded, stream{r, audio}, stream{r, video})
	}

	h264 := c.receive("transcoded", true, source)
	c.forwarded = append(c.forwarded, stream{h264, audio})
	c.victims = append(c.victims, c.victim("decode", source, stream{h264, video}))

	hub := k.create("Composite", map[string]any{"mediaPipeline": c.pipeline, "width": 320, "height": 240})
	speaker, seat := k.create("HubPort", map[string]any{"hub": hub}), k.create("HubPort", map[string]any{"hub": hub})
	k.connect(source, speaker)
	composed := c.receive("composed", false, seat)
	c.victims = append(c.victims, c.victim("composite", hub, stream{composed, audio}, stream{composed, video}))

	flip := k.create("GStreamerFilter", map[string]any{"mediaPipeline": c.pipeline, "command": "videoflip method=horizontal-flip"})
	k.connect(source, flip)
	filtered := c.receive("filtered", false, flip)
	c.forwarded = append(c.forwarded, stream{filtered, audio})
	c.victims = append(c.victims, c.victim("filter", flip, stream{filtered, video}))

	player := k.create("PlayerEndpoint", map[string]any{"mediaPipeline": c.pipeline, "uri": "file://" + files})
	played := c.receive("played", false, player)
	v := c.victim("player", player, stream{played, audio}, stream{played, video})
	v.again = func() { k.invoke(player, "play", nil, nil) }
	c.victims = append(c.victims, v)
	v.again()
	if err := k.failure(); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.forwarded {
		c.flows(s)
	}
	for _, v := range c.victims {
		for _, s := range v.media {
			c.flows(s)
		}
	}
	return c
}

func (c *call) victim(job string, element client.ID, media ...stream) *victim {
	v := &victim{job: job, errors: &hearing{}, media: media}
	c.control.subscribe(element, "Error", v.errors.hear)
	return v
}

// negotiate connects a browser with an endpoint of the node.
func (c *call) negotiate(id client.ID, b *webrtctest.Browser) {
	c.t.Helper()
	b.Offer()
	c.answer(id, b)
}

// answer connects a browser that has made its offer.
func (c *call) answer(id client.ID, b *webrtctest.Browser) {
	c.t.Helper()
	candidates := make(chan webrtc.ICECandidateInit, 64)
	c.control.subscribe(id, "IceCandidateFound", func(data json.RawMessage) {
		var e struct {
			Candidate struct {
				Candidate, SDPMid string
				SDPMLineIndex     uint16
			}
		}
		if json.Unmarshal(data, &e) == nil {
			select {
			case candidates <- webrtc.ICECandidateInit{Candidate: e.Candidate.Candidate, SDPMid: &e.Candidate.SDPMid, SDPMLineIndex: &e.Candidate.SDPMLineIndex}:
			default:
			}
		}
	})
	answer := c.control.text(id, "processOffer", map[string]any{"offer": b.PC.LocalDescription().SDP})
	if err := c.control.failure(); err != nil {
		c.t.Fatal(err)
	}
	b.SetAnswer(answer)
	c.control.invoke(id, "gatherCandidates", nil, nil)
	eventually(c.t, patience, "the browser is connected", func() error {
		select {
		case x := <-candidates:
			return fmt.Errorf("a candidate: %w", b.PC.AddICECandidate(x))
		default:
		}
		if !b.Connected() {
			return fmt.Errorf("it is %s", b.PC.ConnectionState())
		}
		return nil
	})
}

// receive adds a receiver of what an element sends.
func (c *call) receive(name string, h264 bool, from client.ID) *receiver {
	c.t.Helper()
	r := newReceiver(c.t, name, h264)
	c.receivers = append(c.receivers, r)
	id := c.control.create("WebRtcEndpoint", map[string]any{"mediaPipeline": c.pipeline})
	c.negotiate(id, r.Browser)
	c.control.connect(from, id)
	return r
}

// flows waits until more of a stream has come.
func (c *call) flows(s stream) {
	c.t.Helper()
	before := s.at.count(s.kind)
	eventually(c.t, patience, s.String()+" flows", func() error {
		if n := s.at.count(s.kind) - before; n < 10 {
			return fmt.Errorf("%d packets", n)
		}
		return nil
	})
}

// pid is the process that does a job, 0 between two.
func (c *call) pid(job string) int {
	for _, j := range c.node.Workers.Jobs() {
		if j.Kind == job {
			return j.PID
		}
	}
	return 0
}

// end takes all down; a second call does nothing.
func (c *call) end() {
	if c.session == nil {
		return
	}
	if c.show != nil {
		c.show.end()
	}
	c.control.release(c.pipeline)
	if c.publisher != nil {
		c.publisher.Close()
	}
	for _, r := range c.receivers {
		r.close()
	}
	if err := c.session.Close(); err != nil {
		c.t.Error(err)
	}
	c.session = nil
	if err := c.control.failure(); err != nil {
		c.t.Error(err)
	}
}

// longFilm makes a file for the player.
func longFilm(t testing.TB, folder string) string {
	t.Helper()
	path := filepath.Join(folder, "long.webm")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10", "-f", "lavfi", "-i", "sine=frequency=700:sample_rate=48000", "-t", "60",
		"-pix_fmt", "yuv420p", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "100k", "-g", "10", "-c:a", "libopus", path)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}
