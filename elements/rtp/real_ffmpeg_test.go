package rtp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec/codectest"
)

// realDeadline bounds one run of ffmpeg, start included.
const realDeadline = 60 * time.Second

// tool is a running ffmpeg.
type tool struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

func ffmpeg(t testing.TB, args ...string) *tool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), realDeadline)
	x := &tool{t: t, cmd: exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-v", "error", "-threads", "1"}, args...)...)}
	x.cmd.Stdout, x.cmd.Stderr = &x.stdout, &x.stderr
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		x.cmd.Wait()
	})
	return x
}

// output waits for the end.
func (x *tool) output() []byte {
	x.t.Helper()
	if err := x.cmd.Wait(); err != nil {
		x.t.Fatalf("%v: %v\n%s", x.cmd.Args, err, x.stderr.String())
	}
	return x.stdout.Bytes()
}

// Real media of another program goes in at one endpoint and out at another to
// it again, is decoded, and is what was sent.
func TestRealMedia(t *testing.T) {
	codectest.NeedFFmpeg(t)
	const suite = "AES_CM_128_HMAC_SHA1_80"
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-bf", "0"}
	for _, c := range []struct {
		name, media, rtpmap string
		encode              []string
		secure              bool
	}{
		{"H264", "video", "H264/90000", x264, false},
		{"VP8", "video", "VP8/90000", []string{"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"}, false},
		{"opus", "audio", "opus/48000/2", []string{"-c:a", "libopus", "-ac", "2"}, false},
		{"PCMU", "audio", "PCMU/8000", []string{"-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"}, false},
		{"H264 by SRTP", "video", "H264/90000", x264, true},
		{"opus by SRTP", "audio", "opus/48000/2", []string{"-c:a", "libopus", "-ac", "2"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world(t)
			theirKey := base64.StdEncoding.EncodeToString([]byte("abcdefghijklmnopqrstuvwxyz0123"))
			ourKey := base64.StdEncoding.EncodeToString([]byte("012345678901234567890123456789"))
			profile, crypto := "RTP/AVP", func(string) string { return "" }
			var params map[string]any
			if c.secure {
				profile = "RTP/SAVP"
				crypto = func(key string) string { return "a=crypto:1 " + suite + " inline:" + key + "\r\n" }
				params = map[string]any{"crypto": map[string]any{"crypto": "AES_128_CM_HMAC_SHA1_80", "keyBase64": ourKey}}
			}
			in, out := endpoint(w, params), endpoint(w, params)
			w.Call(in, "connect", map[string]any{"sink": out})
			free, err := bindPorts(loopback, 0, 0) // where ffmpeg will listen
			if err != nil {
				t.Fatal(err)
			}
			free.close()
			describe := func(port int, direction, key string) string {
				return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=%s %d %s 96\r\na=rtpmap:96 %s\r\n%sa=%s\r\n",
					c.media, port, profile, c.rtpmap, crypto(key), direction)
			}
			w.Call(in, "processOffer", map[string]any{"offer": describe(9, "sendonly", theirKey)})
			w.Call(out, "processOffer", map[string]any{"offer": describe(free.rtpPort, "recvonly", theirKey)})
			file := filepath.Join(t.TempDir(), "in.sdp")
			if err := os.WriteFile(file, []byte(describe(free.rtpPort, "recvonly", ourKey)), 0o600); err != nil {
				t.Fatal(err)
			}

			listen := []string{"-protocol_whitelist", "file,udp,rtp,srtp", "-i", file}
			generate := []string{"-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=50"}
			if c.media == "video" {
				listen = append(listen, "-frames:v", "30", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
				generate = []string{"-re", "-f", "lavfi", "-i", "color=c=red:size=160x120:rate=25:duration=50"}
				c.encode = append(c.encode, "-g", "10", "-pix_fmt", "yuv420p")
			} else {
				listen = append(listen, "-t", "2", "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
			}
			receiver := ffmpeg(t, listen...)
			url := fmt.Sprintf("rtp://127.0.0.1:%d", in.usedLegs()[0].ports.rtpPort)
			args := append(append(generate, c.encode...), "-payload_type", "96", "-f", "rtp")
			if c.secure {
				args = append(args, "-srtp_out_suite", suite, "-srtp_out_params", theirKey)
				url = "s" + url
			}
			ffmpeg(t, append(args, url)...)

			raw := receiver.output()
			if c.media == "video" {
				checkRed(t, raw)
			} else {
				checkTone(t, raw)
			}
			for _, e := range []*Endpoint{in, out} {
				if n := e.counters.malformed.Load() + e.counters.refused.Load() + e.counters.forged.Load(); n != 0 {
					t.Errorf("%d datagrams were not taken", n)
				}
			}
		})
	}
}

// checkRed: at least 30 pictures of 160×120, all red.
func checkRed(t *testing.T, rgb []byte) {
	t.Helper()
	const picture = 160 * 120 * 3
	if n := len(rgb) / picture; n < 30 {
		t.Fatalf("%d pictures decoded", n)
	}
	for i := 0; i+picture <= len(rgb); i += picture {
		var sum [3]int
		for j := i; j < i+picture; j++ {
			sum[(j-i)%3] += int(rgb[j])
		}
		r, g, b := sum[0]*3/picture, sum[1]*3/picture, sum[2]*3/picture
		if r < 220 || g > 35 || b > 35 {
			t.Fatalf("picture %d has colour %d, %d, %d", i/picture, r, g, b)
		}
	}
}

// checkTone: more than a second and a half of sound, of 440 Hz.
func checkTone(t *testing.T, pcm []byte) {
	t.Helper()
	n := len(pcm) / 2
	if n < 72000 {
		t.Fatalf("%d samples decoded", n)
	}
	crossings, energy, before := 0, 0.0, int16(0)
	skip := n / 4 // the decoder settles
	for i := skip; i < n; i++ {
		s := int16(binary.LittleEndian.Uint16(pcm[2*i:]))
		if before < 0 && s >= 0 {
			crossings++
		}
		before = s
		energy += float64(s) * float64(s)
	}
	hz := float64(crossings) * 48000 / float64(n-skip)
	if rms := math.Sqrt(energy / float64(n-skip)); rms < 500 || math.Abs(hz-440) > 15 {
		t.Errorf("a tone of %.0f Hz, loudness %.0f", hz, rms)
	}
}

// A peer that describes itself with nothing but the program's own text.
func TestRealDescription(t *testing.T) {
	codectest.NeedFFmpeg(t)
	file := filepath.Join(t.TempDir(), "out.sdp")
	ffmpeg(t, "-f", "lavfi", "-i", "color=c=red:size=160x120:rate=25:duration=1", "-c:v", "libx264", "-preset", "ultrafast",
		"-f", "rtp", "-sdp_file", file, "rtp://127.0.0.1:9").output()
	sdp, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := world(t)
	text := strings.TrimPrefix(string(sdp), "SDP:\n")
	answer := w.Call(endpoint(w, nil), "processOffer", map[string]any{"offer": text}).(string)
	if !strings.Contains(answer, " RTP/AVP 96\r\n") || !strings.Contains(answer, "a=rtpmap:96 H264/90000\r\n") {
		t.Errorf("answer to\n%s\nis\n%s", text, answer)
	}
}
