package layers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/pipeline"
)

// realFrame is a coded frame of libvpx: layers 0, 2, 1, 2.
type realFrame struct {
	data []byte
	hash string // of the decoded picture, in a decoder that got everything
}

const realPeriod = 4

// encodeReal makes pictures with three temporal layers, a keyframe each 16.
func encodeReal(t *testing.T, name codec.Name, width, height, bps, frames int) []realFrame {
	t.Helper()
	codectest.NeedFFmpeg(t)
	if name == codec.H264 {
		return encodeH264(t, width, height, frames)
	}
	file := filepath.Join(t.TempDir(), "full.ivf")
	k := bps / 1000
	how := map[codec.Name][]string{
		codec.VP8: {"-c:v", "libvpx"},
		codec.VP9: {"-c:v", "libvpx-vp9"},
	}[name]
	how = append(how, "-deadline", "realtime", "-cpu-used", "8", "-b:v", fmt.Sprint(bps), "-minrate", fmt.Sprint(bps), "-maxrate", fmt.Sprint(bps),
		"-error-resilient", "1", "-lag-in-frames", "0", "-auto-alt-ref", "0", "-g", "16", "-keyint_min", "16", "-threads", "1", "-drop-threshold", "0",
		"-ts-parameters", fmt.Sprintf("ts_number_layers=3:ts_target_bitrate=%d,%d,%d:ts_rate_decimator=4,2,1:ts_periodicity=4:ts_layer_id=0,2,1,2:ts_layering_mode=3", k/4, k/2, k))
	args := []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=%dx%d:r=30", width, height), "-frames:v", fmt.Sprint(frames), "-pix_fmt", "yuv420p"}
	ffmpeg(t, append(append(args, how...), file)...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	hashes := decodeReal(t, file)
	var out []realFrame
	for b = b[32:]; len(b) > 12; {
		n := int(binary.LittleEndian.Uint32(b))
		out = append(out, realFrame{data: b[12 : 12+n]})
		b = b[12+n:]
	}
	if len(out) != frames || len(hashes) != frames {
		t.Fatalf("%d frames, %d decoded, want %d", len(out), len(hashes), frames)
	}
	for i := range out {
		out[i].hash = hashes[i]
	}
	return out
}

// encodeH264 makes pictures of one layer, a keyframe each 16.
func encodeH264(t *testing.T, width, height, frames int) []realFrame {
	t.Helper()
	var out []realFrame
	var all []byte
	for _, f := range codectest.Frames(t, codec.H264, codectest.Clip{Width: width, Height: height, FPS: 32, KeyEvery: 16, Length: time.Duration(frames) * time.Second / 32}) {
		out = append(out, realFrame{data: f.Data})
		all = append(all, f.Data...)
	}
	file := filepath.Join(t.TempDir(), "full.h264")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	hashes := decodeReal(t, file)
	if len(out) != frames || len(hashes) != frames {
		t.Fatalf("%d frames, %d decoded, want %d", len(out), len(hashes), frames)
	}
	for i := range out {
		out[i].hash = hashes[i]
	}
	return out
}

func ffmpeg(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-nostdin", "-hide_banner", "-v", "error", "-xerror", "-y"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, errs.String())
	}
	return out
}

// decodeReal gives the hash of each picture of a file; any complaint of the decoder
// fails.
func decodeReal(t *testing.T, file string) []string {
	t.Helper()
	out := ffmpeg(t, "-err_detect", "explode", "-threads", "1", "-i", file, "-autoscale", "0", "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framemd5", "-")
	var hashes []string
	for line := range strings.SplitSeq(string(out), "\n") {
		if f := strings.Split(line, ","); len(f) >= 6 && !strings.HasPrefix(line, "#") {
			hashes = append(hashes, strings.TrimSpace(f[5]))
		}
	}
	return hashes
}

// realPackets cuts a frame into RTP payloads with a full descriptor.
func realPackets(name codec.Name, data []byte, n int) [][]byte {
	if name == codec.H264 {
		return h264Packets(data)
	}
	phase := n % realPeriod
	t := []byte{0, 2, 1, 2}[phase]
	key := codec.KeyFrameUnit(name, data)
	id := uint16(n)
	var out [][]byte
	for at := 0; at < len(data); at += 1100 {
		end := min(at+1100, len(data))
		var head []byte
		if name == codec.VP8 {
			head = []byte{0x80, 0xf0, 0x80 | byte(id>>8), byte(id), byte(n / realPeriod), t<<6 | byte(n/16)&0x1f}
			if at == 0 {
				head[0] |= 0x10
			}
			if phase == 1 || phase == 2 {
				head[5] |= 0x20 // only the base is referred to
			}
		} else {
			head = []byte{0xa0, 0x80 | byte(id>>8), byte(id), t << 5, byte(n / realPeriod)}
			if !key {
				head[0] |= 0x40
			}
			if at == 0 {
				head[0] |= 0x08
			}
			if end == len(data) {
				head[0] |= 0x04
			}
			if t == 0 {
				head[3] |= 0x10
			}
		}
		out = append(out, append(head, data[at:end]...))
	}
	return out
}

// h264Packets cuts an access unit: small NAL units alone, others in fragments.
func h264Packets(data []byte) [][]byte {
	var out [][]byte
	for u := range codec.NALUnits(data) {
		if u[0]&0x1f == 9 {
			continue // the delimiter
		}
		if len(u) <= 1100 {
			out = append(out, bytes.Clone(u))
			continue
		}
		head := u[0]
		u = u[1:]
		for first := true; len(u) > 0; first = false {
			n := min(1100, len(u))
			kind := head & 0x1f
			if first {
				kind |= 0x80
			}
			if n == len(u) {
				kind |= 0x40
			}
			out = append(out, append([]byte{head&0xe0 | nalFUA, kind}, u[:n]...))
			u = u[n:]
		}
	}
	return out
}

// realJoin undoes realPackets for one payload, appending to whole.
func realJoin(name codec.Name, whole, payload []byte) []byte {
	switch {
	case name == codec.VP8:
		return append(whole, payload[6:]...)
	case name == codec.VP9:
		return append(whole, payload[5:]...)
	case payload[0]&0x1f != nalFUA:
		return append(append(whole, 0, 0, 0, 1), payload...)
	case payload[1]&0x80 != 0:
		whole = append(whole, 0, 0, 0, 1, payload[0]&0xe0|payload[1]&0x1f)
	}
	return append(whole, payload[2:]...)
}

// TestRealSwitches changes encodings and temporal layers of libvpx's streams at
// random: the decoder of what is forwarded finds no error, and each picture is, bit
// by bit, that which a decoder of the whole stream makes.
func TestRealSwitches(t *testing.T) {
	for _, name := range []codec.Name{codec.VP8, codec.VP9, codec.H264} {
		t.Run(string(name), func(t *testing.T) {
			const frames = 192
			var encs [2][]realFrame
			encs[0] = encodeReal(t, name, 160, 90, 60_000, frames)
			encs[1] = encodeReal(t, name, 320, 180, 200_000, frames)
			rnd := rand.New(rand.NewPCG(5, 6))
			source := NewSource("h", "f")
			x := NewSelector(pipeline.Video)
			x.SetSource(source)
			format := &pipeline.Format{Kind: pipeline.Video, Codec: name, Framing: pipeline.RTP, ClockRate: 90000}
			var parsers [2]Parser
			var seqs [2]uint16
			now := time.Now()
			type forwarded struct {
				enc, n int
				data   []byte
			}
			var all []forwarded
			var last Out
			switches, missing := 0, 0
			for n := range frames {
				if n%12 == 0 {
					x.Want(rnd.IntN(2), rnd.IntN(3), now)
				}
				for enc := range encs {
					payloads := realPackets(name, encs[enc][n].data, n)
					whole := []byte{}
					taken := 0
					for i, payload := range payloads {
						seqs[enc]++
						p := &pipeline.Packet{Format: format, Payload: payload, PTS: now.Sub(time.Time{}), Header: rtp.Header{
							SSRC: uint32(10 + enc), SequenceNumber: seqs[enc], Timestamp: uint32(n*3000 + enc*77), Marker: i == len(payloads)-1,
						}}
						p.PTS = time.Duration(n) * time.Second / 30
						var info Info
						parsers[enc].Read(p, nil, &info)
						source.Note(enc, p, &info, now)
						out, ok := x.Take(enc, p, &info, now)
						if !ok {
							continue
						}
						if out.Empty {
							t.Fatal("an empty packet without loss")
						}
						if len(all) > 0 || len(whole) > 0 {
							if out.Seq != last.Seq+1 {
								t.Fatalf("number %d after %d", out.Seq, last.Seq)
							}
						}
						last = out
						b := bytes.Clone(payload)
						out.Apply(b)
						if info.entry && info.Width != []uint16{160, 320}[enc] {
							t.Fatalf("width %d", info.Width)
						}
						whole = realJoin(name, whole, b)
						taken++
					}
					switch {
					case taken == len(payloads):
						if k := len(all); k > 0 && all[k-1].enc != enc {
							switches++
						}
						all = append(all, forwarded{enc, n, whole})
					case taken > 0:
						t.Fatalf("a part of frame %d", n)
					default:
						missing++
					}
				}
				now = now.Add(time.Second / 30)
			}
			file := filepath.Join(t.TempDir(), "forwarded.ivf")
			var b []byte
			if name == codec.H264 {
				file = strings.TrimSuffix(file, "ivf") + "h264"
			} else {
				b = append([]byte("DKIF\x00\x00\x20\x00"+string(name)+"0"), 0x40, 1, 180, 0, 30, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
			}
			for i, f := range all {
				if name != codec.H264 {
					b = binary.LittleEndian.AppendUint32(b, uint32(len(f.data)))
					b = binary.LittleEndian.AppendUint64(b, uint64(i))
				}
				b = append(b, f.data...)
			}
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			hashes := decodeReal(t, file)
			if len(hashes) != len(all) {
				t.Fatalf("%d pictures of %d frames", len(hashes), len(all))
			}
			wrong := 0
			for i, f := range all {
				if hashes[i] != encs[f.enc][f.n].hash {
					wrong++
				}
			}
			t.Logf("%d frames forwarded, %d not, %d switches of encodings, %d wrong pictures", len(all), missing, switches, wrong)
			// The picture of a change may come from both encodings.
			if wrong > 0 || switches < 3 || len(all) > frames+switches || len(all) < frames/4 {
				t.Errorf("%d of %d pictures are wrong, %d switches", wrong, len(all), switches)
			}
		})
	}
}
