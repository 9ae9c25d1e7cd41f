package openvidu

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/openvidu/auth"
)

func TestBroadcastingIsToldWithTheFirstAndTheLast(t *testing.T) {
	for setting, hearers := range map[string]string{NotifyNone: "", NotifyModerator: "M", NotifyPublisherModerator: "MP", NotifyAll: "MPS"} {
		w := newWorld(t, func(o *Options) { o.RecordingNotification = setting })
		w.session("S")
		w.join("S", "M", auth.Moderator)
		w.join("S", "P", auth.Publisher)
		w.join("S", "S", auth.Subscriber)
		w.took()
		lines := func(method string) (out []string) {
			for _, u := range hearers {
				out = append(out, string(u)+"<"+method)
			}
			return out
		}
		shown := func(want bool) {
			t.Helper()
			if info, err := w.m.Session(t.Context(), "S", ViewOptions{}); err != nil || info.Broadcasting != want {
				t.Errorf("%s: broadcasting %v, %v, want %v", setting, info.Broadcasting, err, want)
			}
		}
		set := func(id string, on bool) { w.must(w.m.SetBroadcasting(t.Context(), "S", BroadcastMark{id, on})) }
		shown(false)
		set("1", true)
		w.expect("first", lines("broadcastStarted")...)
		set("2", true)
		set("2", true)
		set("1", false)
		w.expect("while one goes on")
		shown(true)
		set("2", false)
		set("2", false)
		w.expect("last", lines("broadcastStopped")...)
		shown(false)
	}
}

func TestBroadcastingOfNoSession(t *testing.T) {
	w := newWorld(t)
	if err := w.m.SetBroadcasting(t.Context(), "S", BroadcastMark{"1", true}); !errors.Is(err, ErrSessionNotFound) {
		t.Errorf("unknown session: %v", err)
	}
	// A closing session takes no new mark but lets the old one go.
	w.session("S")
	w.join("S", "A", auth.Publisher)
	w.must(w.m.SetBroadcasting(t.Context(), "S", BroadcastMark{"1", true}))
	var add, drop error
	w.m.SetRecorder(&hooks{closing: func(ctx context.Context) {
		add = w.m.SetBroadcasting(ctx, "S", BroadcastMark{"2", true})
		drop = w.m.SetBroadcasting(ctx, "S", BroadcastMark{"1", false})
	}})
	w.must(w.m.CloseSession(t.Context(), "S", ReasonSessionClosed))
	if !errors.Is(add, ErrSessionClosing) || drop != nil {
		t.Errorf("while closing: new mark %v, end of the old one %v", add, drop)
	}
}

// hooks is a Recorder that notes its calls.
type hooks struct {
	name    string
	mu      *sync.Mutex
	log     *[]string
	publish func()
	closing func(ctx context.Context)
}

func (h *hooks) note(s string) {
	if h.log == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	*h.log = append(*h.log, h.name+" "+s)
}

func (h *hooks) StreamPublished(context.Context, StreamInfo, bool) {
	if h.publish != nil {
		h.publish()
	}
	h.note("published")
}
func (h *hooks) StreamUnpublished(context.Context, StreamInfo, Reason) { h.note("unpublished") }
func (h *hooks) ParticipantJoined(string)                              { h.note("joined") }
func (h *hooks) SessionEmpty(string, Reason)                           { h.note("empty") }
func (h *hooks) SessionClosing(ctx context.Context, _ string, _ Reason) {
	if h.closing != nil {
		h.closing(ctx)
	}
	h.note("closing")
}

// watcher also hears of mutes.
type watcher struct{ *hooks }

func (w watcher) StreamChanged(context.Context, StreamInfo) { w.note("changed") }

func TestRecordersHearAll(t *testing.T) {
	var mu sync.Mutex
	var log []string
	met := make(chan struct{}) // both publish hooks run at once
	a := &hooks{name: "a", mu: &mu, log: &log, publish: func() { met <- struct{}{} }}
	b := &hooks{name: "b", mu: &mu, log: &log, publish: func() { <-met }}
	r := Recorders(a, nil, watcher{b})
	r.StreamPublished(t.Context(), StreamInfo{}, true)
	r.StreamUnpublished(t.Context(), StreamInfo{}, ReasonUnpublish)
	r.(StreamWatcher).StreamChanged(t.Context(), StreamInfo{})
	slices.Sort(log)
	r.ParticipantJoined("s")
	r.SessionEmpty("s", ReasonDisconnect)
	r.SessionClosing(t.Context(), "s", ReasonDisconnect)
	want := "a published,a unpublished,b changed,b published,b unpublished,a joined,b joined,a empty,b empty,a closing,b closing"
	if got := strings.Join(log, ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A recorder that panics or uses all the time up takes nothing from the next.
func TestRecordersDoNotHarmEachOther(t *testing.T) {
	var mu sync.Mutex
	var log []string
	bad := &hooks{name: "bad", mu: &mu, log: &log, publish: func() { panic("boom") }, closing: func(ctx context.Context) { <-ctx.Done(); panic("boom") }}
	good := &hooks{name: "good", mu: &mu, log: &log, closing: func(ctx context.Context) {
		if ctx.Err() != nil {
			t.Error("the second recorder has no time left")
		}
	}}
	r := Recorders(bad, good)
	caught := func(f func()) (text string) {
		defer func() { text, _ = recover().(string) }()
		f()
		return ""
	}
	if s := caught(func() { r.StreamPublished(t.Context(), StreamInfo{}, true) }); !strings.Contains(s, "boom") {
		t.Errorf("the panic is lost: %q", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if s := caught(func() { r.SessionClosing(ctx, "s", ReasonDisconnect) }); !strings.Contains(s, "boom") {
		t.Errorf("the panic is lost: %q", s)
	}
	if got := strings.Join(log, ","); got != "good published,good closing" {
		t.Errorf("log %s", got)
	}
}
