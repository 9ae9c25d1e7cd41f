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

// record runs a case: the files of its publisher, by what they are.
func (n *node) record(c Case) map[string]string {
	t := n.t
	t.Helper()
	p := newPublisher(t, c)
	graph := n.create("MediaPipeline", nil)
	from := n.create("WebRtcEndpoint", map[string]any{"mediaPipeline": graph})
	files := map[string]string{}
	var recorders []client.ID
	record := func(what, profile, ending string, source client.ID) {
		file := filepath.Join(n.files, what+ending)
		r := n.create("RecorderEndpoint", map[string]any{"mediaPipeline": graph, "uri": "file://" + file, "mediaProfile": profile})
		n.connect(source, r)
		n.invoke(r, "record", nil, nil)
		recorders, files[what] = append(recorders, r), file
	}
	if c.Composite {
		director := n.create("Director", map[string]any{"mediaPipeline": graph})
		in := n.create("HubPort", map[string]any{"hub": director})
		n.connect(from, in)
		n.invoke(director, "describePort", map[string]any{"port": in, "source": map[string]any{
			"streamId": "s", "connectionId": "c", "typeOfVideo": "CAMERA", "name": "Tester", "videoActive": true, "audioActive": true,
		}}, nil)
		record("composite", "MP4", ".mp4", n.create("View", map[string]any{"director": director, "width": 640, "height": 360}))
	}
	if c.Codec == "H264" {
		record("track", "MKV", ".mkv", from)
	} else {
		record("track", "WEBM", ".webm", from)
	}
	n.join(p, from)
	if !p.going() {
		t.Fatal("the publisher does not connect")
	}
	if c.Outage > 0 {
		time.AfterFunc(c.Length/3, func() { p.cut(c.Outage) })
	}
	p.wait(c.Length + max(c.AudioDelay, c.VideoDelay) + time.Second)
	for _, r := range recorders {
		n.invoke(r, "stopAndWait", nil, nil)
	}
	p.path.mu.Lock()
	t.Logf("%s: %d of %d datagrams lost", c.Name, p.path.lost, p.path.sent)
	p.path.mu.Unlock()
	must(t, n.session.Release(t.Context(), graph))
	return files
}
