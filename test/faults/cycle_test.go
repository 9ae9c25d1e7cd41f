package faults

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/kms/client"
)

const (
	// cycleTime is how long a graph runs before it is released.
	cycleTime = time.Second
	// leastFile is less than a second of recorded pictures and sound.
	leastFile = 4 << 10
)

// offerOf is a plain RTP sender of VP8 and Opus.
func offerOf(audio, video int) string {
	return strings.ReplaceAll(fmt.Sprintf(`v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio %d RTP/AVP 97
a=rtpmap:97 opus/48000/2
a=sendonly
m=video %d RTP/AVP 96
a=rtpmap:96 VP8/90000
a=sendonly
`, audio, video), "\n", "\r\n")
}

// portOf is where an answer wants a kind of media.
func portOf(sdp, kind string) (port int) {
	for line := range strings.Lines(sdp) {
		if n, _ := fmt.Sscanf(line, "m="+kind+" %d", &port); n == 1 {
			return port
		}
	}
	return 0
}

// sender is a UDP socket that RTP goes out of.
type sender struct {
	*net.UDPConn
	to *net.UDPAddr
}

func newSender() (*sender, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	return &sender{UDPConn: c}, err
}

func (s *sender) port() int { return s.LocalAddr().(*net.UDPAddr).Port }

func (s *sender) send(p *rtp.Packet) error {
	b, err := p.Marshal()
	if err == nil {
		_, err = s.WriteToUDP(b, s.to)
	}
	return err
}

// cycle builds a graph, runs it and releases it: media by RTP goes to two
// WebRtcEndpoints that are connected with each other; what each hears goes into a
// composite, and the composite is recorded into file.
func cycle(t testing.TB, node client.Client, f *film, file string) (err error) {
	k := &control{Client: node}
	pipe := k.create("MediaPipeline", nil)
	defer func() {
		k.release(pipe)
		if err == nil {
			err = k.failure()
		}
	}()
	in := map[string]any{"mediaPipeline": pipe}
	source := k.create("RtpEndpoint", in)
	a, b := k.create("WebRtcEndpoint", in), k.create("WebRtcEndpoint", in)
	hub := k.create("Composite", in)
	port := map[string]any{"hub": hub}
	portA, portB, seat := k.create("HubPort", port), k.create("HubPort", port), k.create("HubPort", port)
	recorder := k.create("RecorderEndpoint", map[string]any{"mediaPipeline": pipe, "uri": "file://" + file, "mediaProfile": "WEBM"})
	k.connect(source, a)
	k.connect(source, b)
	k.connect(a, portA)
	k.connect(b, portB)
	k.connect(seat, recorder)

	// The endpoints' candidates and states come as events.
	type found struct {
		to        client.ID
		candidate json.RawMessage
	}
	candidates := make(chan found, 64)
	connected := make(chan client.ID, 8)
	for _, x := range [][2]client.ID{{a, b}, {b, a}} {
		k.subscribe(x[0], "IceCandidateFound", func(data json.RawMessage) {
			var e struct{ Candidate json.RawMessage }
			if json.Unmarshal(data, &e) == nil {
				select {
				case candidates <- found{x[1], e.Candidate}:
				default:
				}
			}
		})
		k.subscribe(x[0], "ConnectionStateChanged", func(data json.RawMessage) {
			if strings.Contains(string(data), `"CONNECTED"`) {
				select {
				case connected <- x[0]:
				default:
				}
			}
		})
	}
	offer := k.text(a, "generateOffer", nil)
	answer := k.text(b, "processOffer", map[string]any{"offer": offer})
	k.invoke(a, "processAnswer", map[string]any{"answer": answer}, nil)
	k.invoke(a, "gatherCandidates", nil, nil)
	k.invoke(b, "gatherCandidates", nil, nil)
	if k.failure() != nil {
		return nil
	}
	timeout := time.After(patience)
	for up := map[client.ID]bool{}; len(up) < 2; {
		select {
		case x := <-candidates:
			k.invoke(x.to, "addIceCandidate", map[string]any{"candidate": x.candidate}, nil)
		case id := <-connected:
			up[id] = true
		case <-timeout:
			return fmt.Errorf("only %d of two endpoints are connected", len(up))
		}
		if k.failure() != nil {
			return nil
		}
	}

	audio, err := newSender()
	if err != nil {
		return err
	}
	defer audio.Close()
	video, err := newSender()
	if err != nil {
		return err
	}
	defer video.Close()
	answer = k.text(source, "processOffer", map[string]any{"offer": offerOf(audio.port(), video.port())})
	home := net.IPv4(127, 0, 0, 1)
	audio.to, video.to = &net.UDPAddr{IP: home, Port: portOf(answer, "audio")}, &net.UDPAddr{IP: home, Port: portOf(answer, "video")}
	if k.failure() != nil {
		return nil
	}
	if audio.to.Port == 0 || video.to.Port == 0 {
		return fmt.Errorf("no ports in %q", answer)
	}
	k.invoke(recorder, "record", nil, nil)
	s := start(t, f, video.send, audio.send)
	defer s.end()
	during(cycleTime)
	// Where the machine is slow, the composite may have begun late: media must
	// have come all the way before the graph goes.
	for end := time.Now().Add(patience); k.failure() == nil; time.Sleep(20 * time.Millisecond) {
		if size, err := written(file); err == nil && size >= leastFile {
			break
		} else if time.Now().After(end) {
			return fmt.Errorf("the recording has %d bytes: %v", size, err)
		}
	}
	k.invoke(recorder, "stopAndWait", nil, nil)
	return nil
}

// written is the size of a recording, finished or not.
func written(file string) (size int64, err error) {
	names, err := filepath.Glob(file + "*")
	for _, name := range names {
		if s, err := os.Stat(name); err == nil {
			size = max(size, s.Size())
		}
	}
	return size, err
}
