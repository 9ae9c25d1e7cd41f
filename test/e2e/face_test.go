package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// face is the product's own page, driven by its data-testid attributes.
type face struct{ *page }

func (f face) click(testid string) { f.t.Helper(); f.must("click", map[string]any{"testid": testid}) }
func (f face) fill(testid, text string) {
	f.t.Helper()
	f.must("fill", map[string]any{"testid": testid, "text": text})
}

// ask evaluates an expression in the page.
func (f face) ask(code string, result any) {
	f.t.Helper()
	if err := f.b.do(callDeadline, "evaluate", map[string]any{"page": f.id, "code": code}, result); err != nil {
		f.t.Fatalf("page %s: %s: %v", f.name, code, err)
	}
}

// visible waits until an element is there and is seen.
func (f face) visible(testid string, yes bool) {
	f.t.Helper()
	f.visibleIn("body", testid, yes)
}

// visibleIn is visible inside the element of a selector: tiles come in any order.
func (f face) visibleIn(selector, testid string, yes bool) {
	f.t.Helper()
	eventually(f.t, eventDeadline, fmt.Sprintf("%s is visible on %s: %v", testid, f.name, yes), func() error {
		var seen bool
		f.ask(fmt.Sprintf(`!!document.querySelector('%s [data-testid="%s"]')?.checkVisibility()`, selector, testid), &seen)
		return want(seen == yes, "it is %v", seen)
	})
}

// shown is one video element: what it shows and whether it moves.
type shown struct {
	Frames    float64
	Time      float64
	Width     float64
	Deviation float64
	Checksum  float64
	Muted     bool
	Ended     bool
	Duration  float64
}

func (f face) video(selector string) (s shown) {
	f.t.Helper()
	f.ask(`(() => {
		const video = document.querySelector('`+selector+`');
		if (!video || !video.videoWidth) return {};
		const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 48 });
		const context = canvas.getContext('2d');
		context.drawImage(video, 0, 0, 64, 48);
		const { data } = context.getImageData(0, 0, 64, 48);
		let sum = 0, squares = 0, checksum = 0;
		for (let i = 0; i < data.length; i += 4) {
			sum += data[i + 1];
			squares += data[i + 1] ** 2;
			checksum = (Math.imul(checksum, 31) + data[i] + data[i + 1] * 3 + data[i + 2] * 7) | 0;
		}
		const n = data.length / 4;
		return { frames: video.getVideoPlaybackQuality().totalVideoFrames, time: video.currentTime, width: video.videoWidth,
			deviation: Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2)), checksum,
			muted: video.muted, ended: video.ended, duration: video.duration };
	})()`, &s)
	return s
}

// moves waits until a video element plays something that lives.
func (f face) moves(selector string) {
	f.t.Helper()
	first := f.video(selector)
	eventually(f.t, 2*eventDeadline, f.name+" shows a moving picture in "+selector, func() error {
		now := f.video(selector)
		switch {
		case now.Width == 0:
			return errors.New("no picture")
		case now.Frames-first.Frames < aliveFrames:
			return fmt.Errorf("%v frames shown", now.Frames-first.Frames)
		case now.Deviation < aliveDeviation:
			return fmt.Errorf("uniform picture: deviation %.1f", now.Deviation)
		case now.Checksum == first.Checksum || now.Time <= first.Time:
			return errors.New("still picture")
		}
		return nil
	})
}

// shoot saves a screenshot for the documentation when asked to.
func (f face) shoot(name string) {
	f.t.Helper()
	if os.Getenv("GOVIDU_SCREENSHOTS") != "1" {
		return
	}
	folder, err := filepath.Abs("../../docs/img")
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.must("screenshot", map[string]any{"path": filepath.Join(folder, name+".png")})
}

const remoteTile = `[data-testid="tile"][data-kind="remote"]`

// TestPage is a two-person call on the page at /, a desktop and a phone.
func TestPage(t *testing.T) {
	s := startServer(t)
	desk := face{openURL(t, "desktop", map[string]any{"url": s.url("/"), "width": 1280, "height": 800})}
	phone := face{openURL(t, "phone", map[string]any{"url": s.url("/?room=standup"), "width": 390, "height": 844, "mobile": true})}

	desk.visible("prejoin", true)
	desk.moves(`[data-testid="preview"]`)
	desk.fill("room", "standup")
	desk.fill("name", "Ada Lovelace")
	desk.shoot("page-entry")
	desk.click("join")
	phone.fill("name", "Grace")
	phone.shoot("page-entry-phone")
	phone.click("join")
	for _, f := range []face{desk, phone} {
		f.visible("call", true)
		f.moves(remoteTile + " video")
		var text string
		f.ask(`document.querySelector('[data-testid="people"]').textContent`, &text)
		if text != "2 people" {
			t.Errorf("%s counts %q", f.name, text)
		}
		if f.video(remoteTile + " video").Muted {
			t.Errorf("%s does not let the other be heard", f.name)
		}
	}
	desk.shoot("page-call")
	phone.shoot("page-call-phone")

	// Mute.
	audio := func(f face, selector, value string) {
		t.Helper()
		eventually(t, eventDeadline, f.name+" sees the sound is "+value, func() error {
			var got string
			f.ask(`document.querySelector('`+selector+`').dataset.audio`, &got)
			return want(got == value, "it is %q", got)
		})
	}
	audio(phone, remoteTile, "true")
	desk.click("mic")
	audio(phone, remoteTile, "false")
	phone.visibleIn(remoteTile, "tile-muted", true)
	desk.click("mic")
	audio(phone, remoteTile, "true")

	// Share the screen.
	desk.click("share")
	phone.moves(remoteTile + ".screen video")
	desk.click("share")
	eventually(t, eventDeadline, "the screen goes", func() error {
		var n float64
		phone.ask(`document.querySelectorAll('`+remoteTile+`').length`, &n)
		return want(n == 1, "%v pictures of others", n)
	})

	// Record and play back.
	desk.click("record")
	for _, f := range []face{desk, phone} {
		f.visible("rec-badge", true)
	}
	start := desk.video(remoteTile + " video").Time
	eventually(t, 40*time.Second, "four seconds are recorded", func() error {
		now := desk.video(remoteTile + " video").Time
		return want(now-start >= 4, "%.1f s", now-start)
	})
	desk.click("record")
	desk.visible("recordings-panel", true)
	phone.visible("rec-badge", false)
	eventually(t, 100*time.Second, "the recording is ready in the list", func() error {
		var status string
		desk.ask(`document.querySelector('[data-testid="recording-item"]')?.dataset.status ?? 'absent'`, &status)
		return want(status == "ready", "it is %s", status)
	})
	var streams float64
	if desk.ask(`document.querySelectorAll('[data-testid="recording-play"]').length`, &streams); streams != 2 {
		t.Errorf("%v recorded streams to play, want 2", streams)
	}
	desk.ask(`document.querySelector('[data-testid="recording-play"]').click()`, nil)
	const player = `[data-testid="recording-player"]`
	var best shown
	pictures := map[float64]bool{}
	eventually(t, 100*time.Second, "the recording plays to its end", func() error {
		now := desk.video(player)
		if now.Deviation > best.Deviation { // the fake camera's picture is almost uniform at times
			best = now
		}
		if now.Width > 0 {
			pictures[now.Checksum] = true
		}
		return want(now.Ended && best.Deviation >= aliveDeviation && now.Frames >= aliveFrames && len(pictures) > 5,
			"%d different pictures, the richest %+v, now %+v", len(pictures), best, now)
	})
	desk.shoot("page-recordings")
	if length := desk.video(player).Duration; length < 3.5 || length > 60 {
		t.Errorf("the player shows a length of %v s, 4 were recorded", length)
	}
	var zip string
	desk.ask(`fetch(document.querySelector('[data-testid="recording-zip"]').href).then(async (r) => r.status + ' ' + (await r.arrayBuffer()).byteLength)`, &zip)
	var status, size int
	if _, err := fmt.Sscan(zip, &status, &size); err != nil || status != 200 || size < 10_000 {
		t.Errorf("the download answers status and size %s", zip)
	}
	desk.click("recordings-close")

	// Leave.
	phone.click("leave")
	phone.visible("prejoin", true)
	eventually(t, eventDeadline, "the desktop is alone", func() error {
		var n float64
		desk.ask(`document.querySelectorAll('`+remoteTile+`').length`, &n)
		return want(n == 0, "%v pictures of others", n)
	})
	for _, f := range []face{desk, phone} {
		for line := range strings.Lines(f.b.consoleOf(f.id).String()) {
			if strings.Contains(line, " exception: ") {
				t.Errorf("%s threw: %s", f.name, line)
			}
		}
	}
	s.healthy()
}
