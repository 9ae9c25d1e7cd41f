package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// page is one browser page, in a context of its own.
type page struct {
	t    testing.TB
	b    *browser
	id   string
	name string
}

// callDeadline bounds one call into a page. The client library gives up on an
// unanswered request after 10 s by itself.
const callDeadline = 60 * time.Second

// openPage opens the participant's fixture page.
func openPage(t testing.TB, name string) *page {
	t.Helper()
	return openPageOn(t, theBrowser(t), name)
}

func openPageOn(t testing.TB, b *browser, name string) *page {
	t.Helper()
	return openURLOn(t, b, name, map[string]any{"url": b.fixtures.URL + "/"})
}

// openURL opens any page; params are url, width, height, mobile.
func openURL(t testing.TB, name string, params map[string]any) *page {
	t.Helper()
	return openURLOn(t, theBrowser(t), name, params)
}

func openURLOn(t testing.TB, b *browser, name string, params map[string]any) *page {
	t.Helper()
	b.mu.Lock()
	b.pages++
	p := &page{t: t, b: b, id: fmt.Sprintf("%s-%d", name, b.pages), name: name}
	b.mu.Unlock()
	params["page"] = p.id
	if err := b.do(callDeadline, "open", params, nil); err != nil {
		t.Fatalf("open page %s: %v", name, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console of page %s:\n%s", name, b.consoleOf(p.id))
		}
		p.close()
	})
	return p
}

// close ends the page without telling it first.
func (p *page) close() {
	if err := p.b.do(callDeadline, "close", map[string]any{"page": p.id}, nil); err != nil {
		p.t.Logf("close page %s: %v", p.name, err)
	}
}

// crash kills the page's renderer process: its sockets die without a word.
func (p *page) crash() {
	p.t.Helper()
	p.must("crash", nil)
}

// try calls one function of window.e2e in the page.
func (p *page) try(fn string, arg, result any) error {
	return p.b.do(callDeadline, "call", map[string]any{"page": p.id, "fn": fn, "arg": arg}, result)
}

// call is try that fails the test.
func (p *page) call(fn string, arg, result any) {
	p.t.Helper()
	if err := p.try(fn, arg, result); err != nil {
		p.t.Fatalf("page %s: %s(%v): %v", p.name, fn, arg, err)
	}
}

// must runs an operation of the driver on this page.
func (p *page) must(op string, params map[string]any) {
	p.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	params["page"] = p.id
	if err := p.b.do(callDeadline, op, params, nil); err != nil {
		p.t.Fatalf("page %s: %s %v: %v", p.name, op, params, err)
	}
}

// refused calls fn and demands the client library's error.
func (p *page) refused(fn string, arg any) *clientError {
	p.t.Helper()
	err := p.try(fn, arg, nil)
	var refusal *clientError
	if err == nil {
		p.t.Fatalf("page %s: %s(%v) was allowed", p.name, fn, arg)
	}
	if !errors.As(err, &refusal) {
		p.t.Fatalf("page %s: %s(%v): %v", p.name, fn, arg, err)
	}
	return refusal
}

// joined is what the library knows after connect.
type joined struct {
	ConnectionID string `json:"connectionId"`
	SessionID    string `json:"sessionId"`
	Role         string
	Data         string
	Capabilities map[string]bool
}

func (p *page) join(token, data string) joined {
	p.t.Helper()
	var j joined
	p.call("join", map[string]any{"token": token, "data": data}, &j)
	return j
}

// publication is a publish as the page saw it, in ms since 1970: media began to
// leave between Before and First and ceased to between Last and After. Frames is
// how many frames of video left.
type publication struct {
	StreamID string `json:"streamId"`
	Before   float64
	First    float64
	Last     float64
	After    float64
	Frames   float64
}

func (p *page) publish(options map[string]any) publication {
	p.t.Helper()
	var pub publication
	p.call("publish", options, &pub)
	return pub
}

// event is one event of the library, with the fields that its type has.
type event struct {
	Type         string
	At           float64
	StreamID     string `json:"streamId"`
	ConnectionID string `json:"connectionId"`
	Reason       string
	Property     string
	Value        any
	SignalType   string `json:"signalType"`
	Data         string
	From         string
	ID           string
	Name         string
}

func (p *page) events() []event {
	p.t.Helper()
	var all []event
	p.call("events", nil, &all)
	return all
}

// sees waits for an event that match accepts and returns it.
func (p *page) sees(deadline time.Duration, what string, match func(event) bool) event {
	p.t.Helper()
	var found event
	eventually(p.t, deadline, fmt.Sprintf("page %s sees %s", p.name, what), func() error {
		all := p.events()
		for _, e := range all {
			if match(e) {
				found = e
				return nil
			}
		}
		return fmt.Errorf("its %d events are %v", len(all), all)
	})
	return found
}

// media is one received stream, as the probes measure it.
type media struct {
	StreamID        string `json:"streamId"`
	ConnectionID    string `json:"connectionId"`
	ConnectionState string `json:"connectionState"`
	At              float64
	FramesDecoded   float64
	VideoCodec      string
	VideoPackets    float64
	VideoLost       float64
	VideoBytes      float64
	FramesReceived  float64
	FramesDropped   float64
	Repaired        float64 // packets that came by retransmission
	FECPackets      float64
	Waited, Emitted float64 // in s, of so many pictures
	Freezes         float64 // their sum in s
	FreezeCount     float64
	KeyFrames       float64
	FrameHeight     float64
	NACKs, PLIs     float64
	AudioEnergy     float64
	AudioPackets    float64
	AudioSamples    float64
	AudioConcealed  float64 // of them, but not in silence
	AudioCodec      string
	Picture         struct {
		Width, Height   float64
		Mean, Deviation float64
		Checksum        float64
	}
}

func (p *page) inbound() map[string]media {
	p.t.Helper()
	var list []media
	p.call("inbound", nil, &list)
	all := map[string]media{}
	for _, m := range list {
		all[m.StreamID] = m
	}
	return all
}

// The figures of a living stream: 20 frames decoded in 2 s, a picture that is
// not one colour, sound with energy.
const (
	aliveFrames    = 20
	aliveWindow    = 2 * time.Second
	aliveDeviation = 8.0 // of luma 0–255 over the raster; one colour gives < 1
)

// hears waits until every given stream shows moving pictures and sound: within
// some 2 s window its decoded frames grow by 20, its picture is not uniform and
// changes, and the energy of its sound grows.
func (p *page) hears(streamIDs ...string) {
	p.t.Helper()
	first := p.inbound()
	since := time.Now()
	lastReason := errors.New("no window has passed")
	eventually(p.t, 2*eventDeadline, "page "+p.name+" decodes living media", func() error {
		now := p.inbound()
		ok := true
		for _, id := range streamIDs {
			if err := alive(first[id], now[id]); err != nil {
				ok, lastReason = false, fmt.Errorf("stream %s: %w", id, err)
			}
		}
		if ok {
			return nil
		}
		if time.Since(since) >= aliveWindow { // the next window begins
			first, since = now, time.Now()
		}
		return lastReason
	})
}

func alive(before, after media) error {
	switch {
	case after.StreamID == "":
		return errors.New("not received")
	case after.FramesDecoded-before.FramesDecoded < aliveFrames:
		return fmt.Errorf("%v frames decoded in %.1f s (%v in all, connection %s)",
			after.FramesDecoded-before.FramesDecoded, (after.At-before.At)/1000, after.FramesDecoded, after.ConnectionState)
	case after.Picture.Deviation < aliveDeviation:
		return fmt.Errorf("uniform picture: deviation %.1f of %vx%v", after.Picture.Deviation, after.Picture.Width, after.Picture.Height)
	case after.Picture.Checksum == before.Picture.Checksum:
		return errors.New("still picture")
	case after.AudioEnergy <= before.AudioEnergy:
		return fmt.Errorf("silent: energy %g", after.AudioEnergy)
	}
	return nil
}
