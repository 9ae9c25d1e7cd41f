package sync

import (
	"archive/zip"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
)

// server is the binary in developer mode.
type server struct {
	t     testing.TB
	home  string
	ports struct{ HTTPS, KMS, Media int }
	http  *http.Client
}

// program is the path of a built program; all are beside the server.
func program(t testing.TB, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("../../bin", name))
	if s := os.Getenv("GOVIDU_BIN"); s != "" {
		file = filepath.Join(filepath.Dir(s), name)
	}
	must(t, err)
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	return file
}

func startServer(t testing.TB) *server {
	t.Helper()
	home := t.TempDir()
	s := &server{t: t, home: home, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}} // self-signed
	ready, log := filepath.Join(home, "ready.json"), &bytes.Buffer{}
	cmd := exec.Command(program(t, "openvidu-server"), "--dev", "--https-port=0", "--cpu-limit=0", "--kms-listen=127.0.0.1:0", "--media-port=0",
		"--recording-path="+filepath.Join(home, "recordings"), "--file-roots="+home, "--state-dir="+filepath.Join(home, "state"), "--ready-file="+ready)
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, log, log
	if w := os.Getenv("GOVIDU_WORKER"); w != "" {
		cmd.Args = append(cmd.Args, "--mediaworker="+w)
	}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		killed := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		killed.Stop()
		s.http.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the server's log:\n%s", log)
		}
	})
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if b, err := os.ReadFile(ready); err == nil && json.Unmarshal(b, &s.ports) == nil && s.ports.HTTPS != 0 {
			return s
		}
		if time.Now().After(limit) {
			t.Fatal("the server does not start")
		}
	}
}

// rest calls the API and reads its answer.
func (s *server) rest(method, path string, body, into any) {
	s.t.Helper()
	b, err := json.Marshal(body)
	must(s.t, err)
	req, err := http.NewRequestWithContext(s.t.Context(), method, fmt.Sprintf("https://localhost:%d/openvidu/api%s", s.ports.HTTPS, path), bytes.NewReader(b))
	must(s.t, err)
	req.SetBasicAuth("OPENVIDUAPP", "MY_SECRET")
	req.Header.Set("Content-Type", "application/json")
	r, err := s.http.Do(req)
	must(s.t, err)
	defer r.Body.Close()
	b, err = io.ReadAll(r.Body)
	must(s.t, err)
	if r.StatusCode != 200 {
		s.t.Fatalf("%s %s: %s %s", method, path, r.Status, b)
	}
	if into != nil {
		must(s.t, json.Unmarshal(b, into))
	}
}

// publish has a participant join a session and publish; it gives the connection.
func (s *server) publish(session string, p *publisher) (connection string) {
	t := s.t
	t.Helper()
	var made struct{ ID, Token string }
	s.rest("POST", "/sessions/"+session+"/connection", map[string]any{"role": "PUBLISHER"}, &made)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: 10 * time.Second}
	conn, _, err := dialer.Dial(fmt.Sprintf("wss://localhost:%d/openvidu", s.ports.HTTPS), nil)
	must(t, err)
	type message struct {
		ID     *int
		Method string
		Params webrtc.ICECandidateInit
		Result map[string]any
		Error  map[string]any
	}
	replies, over := make(chan message, 64), make(chan struct{})
	go func() {
		defer close(over)
		for {
			var m message
			if conn.ReadJSON(&m) != nil {
				return
			}
			switch {
			case m.Method == "iceCandidate":
				_ = p.pc.AddICECandidate(m.Params)
			case m.ID != nil:
				replies <- m
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-over
	})
	next := 0
	call := func(method string, params any) map[string]any {
		t.Helper()
		id := next
		next++
		must(t, conn.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
		select {
		case m := <-replies:
			if m.Error != nil || *m.ID != id {
				t.Fatalf("%s: %+v", method, m)
			}
			return m.Result
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no answer", method)
			return nil
		}
	}
	call("ping", map[string]any{"interval": 300_000}) // so long nobody expects another
	call("joinRoom", map[string]any{"token": made.Token, "session": session, "platform": "test", "sdkVersion": "2.32.2", "metadata": "", "secret": "", "recorder": false})
	answer := call("publishVideo", map[string]any{
		"sdpOffer": p.offer(), "doLoopback": false, "hasAudio": true, "hasVideo": true, "audioActive": true, "videoActive": true,
		"typeOfVideo": "CAMERA", "frameRate": 25, "videoDimensions": `{"width":640,"height":360}`,
	})
	sdp, _ := answer["sdpAnswer"].(string)
	must(t, p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}))
	return made.ID
}

// finish ends a recording and gives its folder.
func (s *server) finish(id string) string {
	s.t.Helper()
	s.rest("POST", "/recordings/stop/"+id, nil, nil)
	for limit := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var r struct{ Status string }
		s.rest("GET", "/recordings/"+id, nil, &r)
		if r.Status == "ready" {
			return filepath.Join(s.home, "recordings", id)
		}
		if r.Status == "failed" || time.Now().After(limit) {
			s.t.Fatalf("recording %s is %s", id, r.Status)
		}
	}
}

// take is a file of an individual recording.
type take struct {
	Name            string
	ConnectionID    string `json:"connectionId"`
	StartTimeOffset int64  `json:"startTimeOffset"`
	file            string
}

// unzip gives the takes by connection.
func (s *server) unzip(folder string) map[string]take {
	s.t.Helper()
	id := filepath.Base(folder)
	z, err := zip.OpenReader(filepath.Join(folder, id+".zip"))
	must(s.t, err)
	defer z.Close()
	to := s.t.TempDir()
	for _, f := range z.File {
		r, err := f.Open()
		must(s.t, err)
		b, err := io.ReadAll(r)
		must(s.t, err)
		must(s.t, r.Close())
		must(s.t, os.WriteFile(filepath.Join(to, filepath.Base(f.Name)), b, 0o600))
	}
	b, err := os.ReadFile(filepath.Join(to, id+".json"))
	must(s.t, err)
	var list struct{ Files []take }
	must(s.t, json.Unmarshal(b, &list))
	takes := map[string]take{}
	for _, f := range list.Files {
		f.file = filepath.Join(to, f.Name)
		takes[f.ConnectionID] = f
	}
	return takes
}

// TestParticipants: two participants, one with a late picture and one with late
// sound, see and hear the same, in an individual recording of the server and in
// what ovctl makes of it; a third is alone in a composed one meanwhile.
func TestParticipants(t *testing.T) {
	beside(t)
	losses, length := []float64{0, 0.02}, 36*time.Second
	if !strict {
		losses, length = losses[1:], 5*time.Second
	}
	var all []outcome
	for i, loss := range losses {
		c := Case{Name: fmt.Sprintf("participants, %.0f lost of 100", 100*loss), Codec: codec.VP8, Loss: loss, Reports: Chromium, Length: length, Seed: seedOf(i) + 100}
		t.Run(c.Name, func(t *testing.T) {
			s := startServer(t)
			judge := func(what string, f files) {
				t.Helper()
				r := measure(t, f.pictures, f.sound, f.later)
				r.Expected = int((c.Length - eventAt + eventEvery - 1) / eventEvery)
				t.Logf("%s: %v", what, r.Off)
				all = append(all, outcome{c, what, *r})
				keep(t, all[len(all)-1], len(all))
				c.judge(t, what, r)
			}
			grid := time.Now()
			join := func(session string, audio, video time.Duration, seed uint64) (*publisher, string) {
				c := c
				c.AudioDelay, c.VideoDelay, c.Seed = audio, video, seed
				p := newPublisher(t, c)
				p.grid = grid
				return p, s.publish(session, p)
			}
			for _, id := range []string{"call", "film"} {
				s.rest("POST", "/sessions", map[string]any{"customSessionId": id}, nil)
			}
			_, alone := join("film", 0, late, c.Seed)
			s.rest("POST", "/recordings/start", map[string]any{"session": "film", "resolution": "640x360", "frameRate": 25}, nil)
			_, one := join("call", 0, late, c.Seed+10)
			s.rest("POST", "/recordings/start", map[string]any{"session": "call", "outputMode": "INDIVIDUAL"}, nil)
			last, two := join("call", late, 0, c.Seed+20)
			if !last.going() || alone == one {
				t.Fatal("a publisher does not connect")
			}
			last.wait(c.Length + late + time.Second)
			film, call := s.finish("film"), s.finish("call")

			file := filepath.Join(film, "film.mp4")
			judge(composite, files{pictures: file, sound: file})
			takes := s.unzip(call)
			a, b := takes[one], takes[two]
			if len(takes) != 2 || a.file == "" || b.file == "" {
				t.Fatalf("the takes are %+v", takes)
			}
			sides := 1
			if strict {
				sides = 2
			}
			for _, x := range [][2]take{{a, b}, {b, a}}[:sides] {
				judge(individual, files{pictures: x[0].file, sound: x[0].file})
				judge(listed, files{pictures: x[0].file, sound: x[1].file, later: time.Duration(x[1].StartTimeOffset-x[0].StartTimeOffset) * time.Millisecond})
			}
			to := t.TempDir()
			out, err := exec.CommandContext(t.Context(), program(t, "ovctl"), "recording", "align", "--from-start", "-o", to, call).CombinedOutput()
			if err != nil {
				t.Fatalf("ovctl: %v: %s", err, out)
			}
			at := func(id string) string { return filepath.Join(to, id+".mkv") }
			for _, x := range [][2]string{{one, two}, {two, one}}[:sides] {
				judge(aligned, files{pictures: at(x[0]), sound: at(x[0])})
				judge(crossed, files{pictures: at(x[0]), sound: at(x[1])})
			}
		})
	}
	report(t, all)
}
