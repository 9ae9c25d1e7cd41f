package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/govidu/govidu/test/netem"
)

// packetsOf are a file's packets of one kind in its order: when each is shown, in
// seconds, and what is in it.
func packetsOf(t testing.TB, path, kind string) (at []float64, sums []string) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", kind, "-show_data_hash", "md5", "-show_entries", "packet=pts_time,data_hash", "-of", "json", path).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	var said struct {
		Packets []struct {
			PTS string `json:"pts_time"`
			Sum string `json:"data_hash"`
		}
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("ffprobe said: %s", out)
	}
	for _, p := range said.Packets {
		x, err := strconv.ParseFloat(p.PTS, 64)
		if err != nil {
			t.Fatalf("a packet is due at %q", p.PTS)
		}
		at, sums = append(at, x), append(sums, p.Sum)
	}
	return at, sums
}

// TestNetworkRecording (scoreboard N2): a participant in Chromium whose packets are
// doubled, reordered and delayed unevenly is recorded. Nothing is twice in the file, or
// missing.
func TestNetworkRecording(t *testing.T) {
	if os.Getenv("GOVIDU_NETWORK") == "" {
		t.Skip("needs a namespace: GOVIDU_NETWORK=1")
	}
	s, link := farServer(t)
	far := farBrowser(t, link)
	link.Set(netem.Profile{Delay: 40 * time.Millisecond})
	id := s.session(nil)
	page := openPageOn(t, far, "publisher")
	token, _ := s.connection(id, "PUBLISHER", nil)
	page.join(through(t, token, s, link), "")
	page.publish(small())
	link.Set(netem.Profile{Reorder: 0.05, Duplicate: 0.05, Delay: 40 * time.Millisecond, Jitter: 60 * time.Millisecond})
	var rec recording
	s.rest(200, "POST", "/recordings/start", map[string]any{"session": id, "outputMode": "INDIVIDUAL"}, &rec)
	span := min(lasting(), 20*time.Second)
	during(span)
	s.rest(200, "POST", "/recordings/stop/"+rec.ID, nil, nil)
	_, in := link.Counters()
	c, files := s.download(s.recordingIs(rec.ID, "ready"))
	if len(c.Files) != 1 || in.Duplicated < 50 {
		t.Fatalf("%d files, %d datagrams came twice", len(c.Files), in.Duplicated)
	}
	path := files[c.Files[0].Name]
	for kind, perSecond := range map[string]float64{"v": 20, "a": 50} {
		at, sums := packetsOf(t, path, kind)
		twice, back := 0, 0
		for i := range at[1:] {
			if sums[i] == sums[i+1] && kind == "v" { // silence is alike
				twice++
			}
			if at[i+1] <= at[i] {
				back++
			}
		}
		length := at[len(at)-1] - at[0]
		rate := float64(len(at)-1) / length
		t.Logf("%s: %d packets in %.1f s, %.2f in a second, %d twice, %d not after the one before; %d datagrams came twice", kind, len(at), length, rate, twice, back, in.Duplicated)
		if twice > 0 || back > 0 || length < span.Seconds()-2 {
			t.Errorf("%s: %d twice, %d not after the one before, %.1f s long", kind, twice, back, length)
		}
		// Where the first packet took longer than most, PTS is moved by 5 ms in a second
		// until they fit; one that is over 100 ms late would move it faster, and fail here.
		if kind == "a" && (rate > 1.005*perSecond || rate < 0.995*perSecond) || rate > 1.02*perSecond {
			t.Errorf("%s: %.2f in a second, want %v", kind, rate, perSecond)
		}
	}
	plays(t, path)
}
