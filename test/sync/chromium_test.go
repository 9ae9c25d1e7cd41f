package sync

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

const chromiumPage = `<!doctype html><script>
(async () => {
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: true})
  const pc = new RTCPeerConnection()
  media.getTracks().forEach(t => pc.addTrack(t, media))
  await pc.setLocalDescription()
  await new Promise(done => { pc.onicegatheringstatechange = () => pc.iceGatheringState == 'complete' && done() })
  const answer = await (await fetch('/offer', {method: 'POST', body: pc.localDescription.sdp})).text()
  await pc.setRemoteDescription({type: 'answer', sdp: answer})
})().catch(e => fetch('/error', {method: 'POST', body: String(e)}))
</script>`

// firstReports lets Chromium publish to a plain peer and tells how long after a
// stream's first packet its first sender report came. ask has the peer ask for
// it as we do.
func firstReports(t *testing.T, ask bool) map[webrtc.RTPCodecType]time.Duration {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer func() { _ = pc.GracefulClose() }()
	type heard struct {
		kind  webrtc.RTPCodecType
		after time.Duration
	}
	reports := make(chan heard, 2)
	pc.OnTrack(func(track *webrtc.TrackRemote, from *webrtc.RTPReceiver) {
		begin := time.Now()
		if ask {
			_ = pc.WriteRTCP([]rtcp.Packet{&rtcp.RapidResynchronizationRequest{MediaSSRC: uint32(track.SSRC())}})
		}
		readers.Go(func() {
			for {
				if _, _, err := track.ReadRTP(); err != nil {
					return
				}
			}
		})
		readers.Go(func() {
			told := false
			for {
				packets, _, err := from.ReadRTCP()
				if err != nil {
					return
				}
				for _, p := range packets {
					if _, ok := p.(*rtcp.SenderReport); ok && !told {
						told = true
						reports <- heard{track.Kind(), time.Since(begin)}
					}
				}
			}
		})
	})
	failed := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, chromiumPage)
		case "/offer":
			if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(body)}); err != nil {
				failed <- err.Error()
				return
			}
			gathered := webrtc.GatheringCompletePromise(pc)
			answer, err := pc.CreateAnswer(nil)
			if err == nil {
				err = pc.SetLocalDescription(answer)
			}
			if err != nil {
				failed <- err.Error()
				return
			}
			<-gathered
			_, _ = io.WriteString(w, pc.LocalDescription().SDP)
		case "/error":
			failed <- string(body)
		}
	}))
	defer server.Close()
	cmd := exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
		"--user-data-dir="+t.TempDir(), server.URL+"/")
	must(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	got := map[webrtc.RTPCodecType]time.Duration{}
	limit := time.After(40 * time.Second)
	for len(got) < 2 {
		select {
		case h := <-reports:
			got[h.kind] = h.after
		case text := <-failed:
			t.Fatal(text)
		case <-limit:
			t.Fatalf("reports of %d streams after 40 s", len(got))
		}
	}
	return got
}

// TestChromiumReports: Chromium tells which instants its timestamps are when it
// is asked (RFC 6051 §3.2), not seconds later.
func TestChromiumReports(t *testing.T) {
	beside(t)
	var alone map[webrtc.RTPCodecType]time.Duration
	if strict {
		alone = firstReports(t, false)
	}
	asked := firstReports(t, true)
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		t.Logf("first report of %s: after %v when asked", k, asked[k].Round(time.Millisecond))
		if strict {
			t.Logf("and after %v by itself", alone[k].Round(time.Millisecond))
		}
		if strict && asked[k] > 500*time.Millisecond {
			t.Errorf("%s: the report comes %v after it was asked for", k, asked[k])
		}
	}
}
