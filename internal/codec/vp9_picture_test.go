package codec_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
)

// layered reads pictures of a Chromium publisher, each the frames of its spatial
// layers: per frame its size (uint32), the highest bit set on the last of a picture.
func layered(t testing.TB, file string) (pictures [][][]byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for len(b) > 0 {
		head := binary.LittleEndian.Uint32(b)
		n := 4 + int(head&0x7fffffff)
		frames = append(frames, b[4:n])
		if b = b[n:]; head>>31 == 1 {
			pictures, frames = append(pictures, frames), nil
		}
	}
	return pictures
}

func ivf(t *testing.T, units [][]byte) string {
	t.Helper()
	b := append([]byte("DKIF\x00\x00\x20\x00VP90"), 0, 4, 0x40, 2)
	b = binary.LittleEndian.AppendUint32(b, 15)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(units)))
	for i, u := range units {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(u)))
		b = append(binary.LittleEndian.AppendUint64(b, uint64(i)), u...)
	}
	path := filepath.Join(t.TempDir(), "x.ivf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// decoded are the frames that a decoder of ffmpeg shows: their sizes in bytes and hashes.
func decoded(t *testing.T, decoder, path string) (frames []string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("ffmpeg", "-v", "error", "-c:v", decoder, "-i", path, "-fps_mode", "passthrough", "-f", "framemd5", "-")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v: %s", decoder, err, stderr.String())
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(line, ","); len(f) == 6 && line[0] != '#' {
			frames = append(frames, strings.TrimSpace(f[4])+" "+strings.TrimSpace(f[5]))
		}
	}
	return frames
}

// TestVP9Pictures: what Chromium publishes in spatial layers becomes a stream that
// every decoder shows as libvpx shows the original: the highest layer.
func TestVP9Pictures(t *testing.T) {
	codectest.NeedFFmpeg(t)
	for _, mode := range []string{"l3t3", "l3t3-key"} {
		t.Run(mode, func(t *testing.T) {
			pictures := layered(t, "vp9-"+mode+".bin")
			var v codec.VP9Pictures
			var before, after [][]byte
			for i, p := range pictures {
				kept := bytes.Join(p, nil)
				u := v.Join(p)
				if !bytes.Equal(kept, bytes.Join(p, nil)) {
					t.Fatalf("picture %d was changed in place", i)
				}
				if codec.KeyFrameUnit(codec.VP9, u) != codec.KeyFrameUnit(codec.VP9, p[0]) {
					t.Fatalf("picture %d: key %v", i, codec.KeyFrameUnit(codec.VP9, u))
				}
				before, after = append(before, codec.AppendVP9Superframe(p)), append(after, u)
			}
			if w, h, ok := codec.SizeOfUnit(codec.VP9, after[0]); !ok || w != 1024 || h != 576 {
				t.Errorf("size %d×%d %v", w, h, ok)
			}
			want := decoded(t, "libvpx-vp9", ivf(t, before))
			path := ivf(t, after)
			for _, decoder := range []string{"libvpx-vp9", "vp9"} {
				got := decoded(t, decoder, path)
				if len(got) != len(pictures) || strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("%s shows %d frames of %d pictures, want those that libvpx shows of the original\n%s\nwant\n%s", decoder, len(got), len(pictures), strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				for i, f := range got {
					if size := strconv.Itoa(1024 * 576 * 3 / 2); !strings.HasPrefix(f, size+" ") {
						t.Fatalf("%s: frame %d has %s bytes, want %s", decoder, i, f, size)
					}
				}
			}
		})
	}
}

// TestVP9PicturesUntouched: one frame, garbage, cut headers and a lost key frame are
// joined as they are.
func TestVP9PicturesUntouched(t *testing.T) {
	p := layered(t, "vp9-l3t3-key.bin")
	for name, frames := range map[string][][]byte{
		"one frame":    p[0][:1],
		"garbage":      {p[0][0], {1, 2, 3}, p[0][2]},
		"empty":        {p[0][0], {}},
		"cut":          {p[0][0][:6], p[0][1]},
		"no key frame": {p[1][0], {0x88}},
		"nine":         {p[0][0], p[0][0], p[0][0], p[0][0], p[0][0], p[0][0], p[0][0], p[0][0], p[0][0]},
	} {
		var v codec.VP9Pictures
		if got, want := v.Join(frames), codec.AppendVP9Superframe(frames); !bytes.Equal(got, want) {
			t.Errorf("%s: changed", name)
		}
		if _, _, ok := codec.SizeOfUnit(codec.VP9, v.Join(p[0])); !ok {
			t.Errorf("%s: the key frame after it has no size", name)
		}
	}
}

// FuzzVP9Pictures: any bytes are joined, as long as a bit per frame makes them.
func FuzzVP9Pictures(f *testing.F) {
	p := layered(f, "vp9-l3t3-key.bin")
	f.Add(p[0][0], p[0][1], p[0][2])
	f.Add(p[1][0], p[1][1], p[1][2])
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var v codec.VP9Pictures
		for _, frames := range [][][]byte{{a, b, c}, {b}, {c, a}, p[0]} {
			got, plain := v.Join(frames), codec.AppendVP9Superframe(frames)
			if len(got) < len(plain) || len(got) > len(plain)+len(frames) {
				t.Fatalf("%d bytes become %d", len(plain), len(got))
			}
			codec.SizeOfUnit(codec.VP9, got)
		}
	})
}
