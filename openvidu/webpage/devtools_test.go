package webpage

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// pipes connects devtools with a test that plays the browser.
func pipes(t *testing.T, heard func(session, method string, params json.RawMessage)) (d *devtools, in, out *os.File) {
	t.Helper()
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d = newDevtools(ourIn, ourOut, slog.New(slog.NewTextHandler(t.Output(), nil)), heard)
	t.Cleanup(func() {
		d.close()
		_ = theirIn.Close()
		_ = theirOut.Close()
	})
	return d, theirIn, theirOut
}

func TestDevtools(t *testing.T) {
	events := make(chan string, 10)
	d, _, out := pipes(t, func(session, method string, params json.RawMessage) { events <- session + method + string(params) })
	say := func(text string) {
		t.Helper()
		if _, err := out.WriteString(text + "\x00"); err != nil {
			t.Fatal(err)
		}
	}
	// Answers come in any order, with events between, and unknown ones are dropped.
	say(`{"method":"M","sessionId":"s","params":{"a":1}}`)
	say(`{"id":99,"result":{}}`)
	say(`{"id":2,"error":{"message":"no"}}`)
	say(`{"id":1,"result":{"x":7}}`)
	if e := <-events; e != `sM{"a":1}` {
		t.Errorf("event %s", e)
	}
	// The answers were too early: nobody had asked. They are read when the event
	// behind them has been heard.
	say(`{"method":"N","sessionId":"s","params":{}}`)
	if e := <-events; e != `sN{}` {
		t.Errorf("event %s", e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.call(ctx, "", "A", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call without an answer: %v", err)
	}
	type r struct {
		x   int
		err error
	}
	done := make(chan r)
	for range 2 {
		go func() {
			var v struct{ X int }
			err := d.call(t.Context(), "", "B", nil, &v)
			done <- r{v.X, err}
		}()
	}
	for waiting := 0; waiting < 2; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		waiting = len(d.calls)
		d.mu.Unlock()
	}
	say(`{"id":3,"error":{"message":"no"}}`)
	if got := <-done; got.err == nil || !strings.Contains(got.err.Error(), "no") {
		t.Errorf("a refusal: %+v", got)
	}
	say(`{"id":2,"result":{"x":7}}`)
	if got := <-done; got.err != nil || got.x != 7 {
		t.Errorf("an answer: %+v", got)
	}
	if len(d.calls) != 0 {
		t.Errorf("calls left: %v", d.calls)
	}
}

// TestDevtoolsEnds: what is no message, too long, or not read ends the browser, and
// who waits hears of it.
func TestDevtoolsEnds(t *testing.T) {
	for name, f := range map[string]func(d *devtools, out *os.File){
		"no message":  func(_ *devtools, out *os.File) { _, _ = out.WriteString("{\x00") },
		"end of pipe": func(_ *devtools, out *os.File) { _ = out.Close() },
		"too long": func(_ *devtools, out *os.File) {
			go func() { _, _ = out.WriteString(strings.Repeat("x", maxMessage+1)) }()
		},
		"not read": func(d *devtools, _ *os.File) {
			for range 2 * maxUnsent {
				d.send("", strings.Repeat("x", 1<<10), nil)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, _, out := pipes(t, func(string, string, json.RawMessage) {})
			wait := make(chan error, 1)
			go func() { wait <- d.call(t.Context(), "", "A", nil, nil) }()
			f(d, out)
			select {
			case err := <-wait:
				if !errors.Is(err, errGone) {
					t.Errorf("who waits hears %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the browser has not ended")
			}
			if err := d.call(t.Context(), "", "A", nil, nil); !errors.Is(err, errGone) {
				t.Errorf("a call afterwards: %v", err)
			}
		})
	}
}
