package elements_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// TestFlow: FLOWING within one poll of the first packet, NOT_FLOWING once a
// window has passed without one, and again.
func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, source, sink := pair(t, nil, nil)
		w.Call(source, "connect", map[string]any{"sink": sink})
		time.Sleep(5 * time.Second)
		if got := w.Events(nil, "MediaFlowOutStateChanged"); len(got) != 0 {
			t.Fatalf("events before any packet: %v", got)
		}
		source.Send(pipeline.Video, 1)
		time.Sleep(elements.FlowInterval)
		synctest.Wait()
		expect := func(obj elements.Object, event string, states ...string) {
			t.Helper()
			got := w.Events(obj, event)
			if len(got) != len(states) {
				t.Fatalf("%s %v, want %v", event, got, states)
			}
			for i, s := range states {
				d := got[i].Data
				if d["state"] != s || d["padName"] != "default" || d["mediaType"] != "VIDEO" || d["type"] != event {
					t.Errorf("%s %v, want %s", event, d, s)
				}
			}
		}
		expect(source, "MediaFlowOutStateChanged", "FLOWING")
		expect(sink, "MediaFlowInStateChanged", "FLOWING")
		for range 10 { // one packet a second keeps it flowing
			time.Sleep(time.Second)
			source.Send(pipeline.Video, 1)
		}
		synctest.Wait()
		expect(source, "MediaFlowOutStateChanged", "FLOWING")
		time.Sleep(elements.FlowWindow + 2*elements.FlowInterval)
		synctest.Wait()
		expect(source, "MediaFlowOutStateChanged", "FLOWING", "NOT_FLOWING")
		expect(sink, "MediaFlowInStateChanged", "FLOWING", "NOT_FLOWING")
		source.Send(pipeline.Video, 1)
		time.Sleep(elements.FlowInterval)
		synctest.Wait()
		expect(sink, "MediaFlowInStateChanged", "FLOWING", "NOT_FLOWING", "FLOWING")
		expect6x := w.Events(sink, "MediaFlowInStateChange")
		if len(expect6x) != 3 || expect6x[0].Data["type"] != "MediaFlowInStateChange" {
			t.Errorf("events by their 6.x name: %v", expect6x)
		}
		if n := len(w.Events(source, "MediaTranscodingStateChanged")); n != 1 {
			t.Errorf("%d transcoding events, want 1", n)
		}
		w.Release(source)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		expect(source, "MediaFlowOutStateChanged", "FLOWING", "NOT_FLOWING", "FLOWING")
		if err := w.Pipeline.Close(); err != nil {
			t.Error(err)
		}
	})
}
