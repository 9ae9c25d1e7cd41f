package sync

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/medianode"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/recorder"
)

// node is a media node in this process; its workers are children of it.
type node struct {
	t       testing.TB
	session *client.Session
	files   string
}

func startNode(t testing.TB) *node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	file := os.Getenv("GOVIDU_WORKER")
	if file == "" {
		file = "../../bin/mediaworker"
	}
	binary, err := filepath.Abs(file)
	must(t, err)
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: run make worker", err)
	}
	files := t.TempDir()
	n, err := medianode.New(medianode.Config{
		Loopback: true, FileRoots: []string{files}, Log: log, STUNPort: -1,
		Workers: workers.Config{Binary: binary, Cores: 16}, // a small machine is slow here, but refuses nothing
	})
	must(t, err)
	h := httptest.NewServer(n.Server)
	t.Cleanup(func() {
		h.Close()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := client.Dial(t.Context(), "ws"+strings.TrimPrefix(h.URL, "http")+"/kurento", client.Options{})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return &node{t: t, session: s, files: files}
}

func (n *node) create(typ string, params map[string]any) client.ID {
	n.t.Helper()
	id, err := n.session.Create(n.t.Context(), typ, params)
	must(n.t, err)
	return id
}

func (n *node) invoke(id client.ID, op string, params, result any) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	must(n.t, n.session.Invoke(ctx, id, op, params, result))
}

func (n *node) connect(from, to client.ID) {
	n.t.Helper()
	n.invoke(from, "connect", map[string]any{"sink": to}, nil)
}

// join gives the publisher an endpoint and connects it.
func (n *node) join(p *publisher, endpoint client.ID) {
	n.t.Helper()
	cancel, err := n.session.Subscribe(n.t.Context(), endpoint, "IceCandidateFound", func(data json.RawMessage) {
		var e struct {
			Candidate struct {
				Candidate     string `json:"candidate"`
				SDPMid        string `json:"sdpMid"`
				SDPMLineIndex uint16 `json:"sdpMLineIndex"`
			} `json:"candidate"`
		}
		if json.Unmarshal(data, &e) == nil {
			_ = p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: e.Candidate.Candidate, SDPMid: &e.Candidate.SDPMid, SDPMLineIndex: &e.Candidate.SDPMLineIndex})
		}
	})
	must(n.t, err)
	n.t.Cleanup(cancel)
	var answer string
	n.invoke(endpoint, "processOffer", map[string]any{"offer": p.offer()}, &answer)
	must(n.t, p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	n.invoke(endpoint, "gatherCandidates", nil, nil)
}

// files are what a case recorded.
type files struct {
	pictures, sound string
	later           time.Duration // the sound's zero, after the picture's
}

// record runs a case: what was recorded of its publisher, by what it is.
func (n *node) record(c Case) map[string]files {
	t := n.t
	t.Helper()
	p := newPublisher(t, c)
	graph := n.create("MediaPipeline", nil)
	from := n.create("WebRtcEndpoint", map[string]any{"mediaPipeline": graph})
	out := map[string]files{}
	var recorders []client.ID
	record := func(what, profile, ending string, source client.ID) string {
		file := filepath.Join(n.files, what+ending)
		r := n.create("RecorderEndpoint", map[string]any{"mediaPipeline": graph, "uri": "file://" + file, "mediaProfile": profile})
		n.connect(source, r)
		n.invoke(r, "record", nil, nil)
		recorders = append(recorders, r)
		return file
	}
	one := func(what, profile, ending string, source client.ID) {
		file := record(what, profile, ending, source)
		out[what] = files{pictures: file, sound: file}
	}
	describe := func(bool) {}
	if c.Composite {
		director := n.create("Director", map[string]any{"mediaPipeline": graph})
		in := n.create("HubPort", map[string]any{"hub": director})
		n.connect(from, in)
		describe = func(active bool) {
			n.invoke(director, "describePort", map[string]any{"port": in, "source": map[string]any{
				"streamId": "s", "connectionId": "c", "typeOfVideo": "CAMERA", "name": "Tester", "videoActive": active, "audioActive": true,
			}}, nil)
		}
		describe(true)
		one(composite, "MP4", ".mp4", n.create("View", map[string]any{"director": director, "width": 640, "height": 360}))
	}
	profile, ending := "WEBM", ".webm"
	if c.Codec == "H264" {
		profile, ending = "MKV", ".mkv"
	}
	one(individual, profile, ending, from)
	if c.Codec == "H264" {
		one("MP4", "MP4", ".mp4", from)
	}
	split := files{pictures: record("picture", profile+"_VIDEO_ONLY", ending, from), sound: record("sound", profile+"_AUDIO_ONLY", ending, from)}
	n.join(p, from)
	if !p.going() {
		t.Fatal("the publisher does not connect")
	}
	if c.Outage > 0 {
		time.AfterFunc(c.Length/3, func() { p.cut(c.Outage) })
	}
	if c.Mute {
		begin, end := c.muted(true)
		p.wait(begin)
		describe(false)
		p.wait(end)
		describe(true)
	}
	p.wait(c.Length + max(c.AudioDelay, c.VideoDelay) + time.Second)
	for _, r := range recorders {
		n.invoke(r, "stopAndWait", nil, nil)
	}
	split.later = n.zero(split.sound).Sub(n.zero(split.pictures))
	out[apart] = split
	p.path.mu.Lock()
	t.Logf("%s: %d of %d datagrams lost", c.Name, p.path.lost, p.path.sent)
	p.path.mu.Unlock()
	must(t, n.session.Release(t.Context(), graph))
	return out
}

// zero is the instant of a file's zero, by its manifest.
func (n *node) zero(file string) time.Time {
	n.t.Helper()
	dir, name := filepath.Split(file)
	root, err := os.OpenRoot(dir)
	must(n.t, err)
	defer root.Close()
	m, err := recorder.ReadManifest(root, name)
	must(n.t, err)
	if m.Clock == nil {
		n.t.Fatalf("the manifest of %s has no clock", name)
	}
	return time.UnixMicro(m.Clock.ZeroUs)
}
