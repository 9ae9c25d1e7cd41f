package media

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sources makes the files that the programs play: two halves, red and blue, with
// a tone of 440 Hz; green with 1000 Hz in codecs of another family; blue with
// 700 Hz; a code; a face; and what is none.
func sources(t *testing.T, folder string) {
	t.Helper()
	make := func(name string, args ...string) {
		t.Helper()
		out, err := exec.Command("ffmpeg", append(append([]string{"-v", "error", "-nostdin", "-y"}, args...), filepath.Join(folder, name))...).CombinedOutput()
		if err != nil {
			t.Fatalf("make %s: %v: %s", name, err, out)
		}
	}
	vp8 := []string{"-pix_fmt", "yuv420p", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k", "-g", "15", "-c:a", "libopus"}
	h264 := []string{"-pix_fmt", "yuv420p", "-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-g", "15", "-c:a", "aac"}
	lavfi := func(graph, tone, seconds string) []string {
		return []string{"-f", "lavfi", "-i", graph, "-f", "lavfi", "-i", "sine=frequency=" + tone + ":sample_rate=48000", "-t", seconds}
	}
	split := "color=c=red:s=160x240:r=15,pad=320:240:0:0:blue"
	make("halves.webm", append(lavfi(split, "440", "60"), vp8...)...)
	make("short.webm", append(lavfi(split, "440", "3"), vp8...)...)
	make("blue.webm", append(lavfi("color=c=blue:s=320x240:r=15", "700", "60"), vp8...)...)
	make("green.mp4", append(lavfi("color=c=0x00ff00:s=320x240:r=15", "1000", "60"), h264...)...)
	for name, picture := range map[string]string{"face.webm": "face.png", "qr.webm": "qr.png"} {
		make(name, append([]string{"-loop", "1", "-r", "15", "-i", "../../elements/filters/testdata/" + picture, "-t", "30",
			"-vf", "pad=640:480:(ow-iw)/2:(oh-ih)/2:white"}, vp8...)...)
	}
	make("white.png", "-f", "lavfi", "-i", "color=c=white:s=64x64", "-frames:v", "1")
	make("green.png", "-f", "lavfi", "-i", "color=c=0x00ff00:s=64x64", "-frames:v", "1")
	if err := os.WriteFile(filepath.Join(folder, "garbage.webm"), []byte(strings.Repeat("this is no film. ", 4000)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestClasses: every class of a media node, by both generations of the client.
// GOVIDU_CASES names some of them, separated by commas.
func TestClasses(t *testing.T) {
	if out, err := install(); err != nil {
		t.Fatalf("install the clients: %v: %s", err, out)
	}
	files := t.TempDir()
	sources(t, files)
	for _, client := range []string{"7", "6"} {
		t.Run("client-"+client, func(t *testing.T) {
			n := startNodeIn(t, files)
			args := []string{"classes.js", n.url, n.files, client}
			if only := os.Getenv("GOVIDU_CASES"); only != "" {
				args = append(args, strings.Split(only, ",")...)
			}
			cmd := exec.CommandContext(t.Context(), "node", args...)
			cmd.Dir = "js"
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stderr = cmd.Stdout
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			last := ""
			lines := bufio.NewScanner(out)
			lines.Buffer(nil, 1<<20)
			var files []string
			for lines.Scan() {
				last = lines.Text()
				if line, ok := strings.CutPrefix(last, "media "); ok {
					files = append(files, line)
					continue
				}
				t.Log(last)
			}
			if err := cmd.Wait(); err != nil || last != "done" {
				t.Errorf("classes.js ended with %v, %q", err, last)
			}
			for _, line := range files {
				t.Run("file", func(t *testing.T) { judge(t, n.files, line) })
			}
			t.Logf("%d files judged", len(files))
		})
	}
}
