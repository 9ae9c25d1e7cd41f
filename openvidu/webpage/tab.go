package webpage

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/obs"
)

//go:embed capture.js
var captureScript string

const (
	// world is the name of the script's own world in the page.
	world = "govidu"
	// settleTime is how long a page may take to finish loading once its text is there.
	settleTime = 5 * time.Second
	// resizeTries and resizeTime bound how a window is brought to a size.
	resizeTries = 4
	resizeTime  = 600 * time.Millisecond
)

// loadError is a page that cannot be shown, in words that may be told.
type loadError struct{ text string }

func (e *loadError) Error() string { return e.text }

// tab is one load of a page in one browser.
type tab struct {
	*chromium
	log *slog.Logger

	// open sets these before anything else uses them.
	session string // of the protocol
	target  string
	context int // the script's world

	// layouts and authorization: requests below the one carry the other.
	layouts, authorization string

	lost chan error // the first reason why it shows the page no more

	mu     sync.Mutex // leaf
	loader string     // of the document that was asked for
}

func newTab(log *slog.Logger) *tab {
	return &tab{log: log, lost: make(chan error, 1)}
}

func (t *tab) lose(text string) {
	select {
	case t.lost <- &loadError{text}:
	default:
	}
}

// heard takes the browser's events; it must not wait.
func (t *tab) heard(session, method string, params json.RawMessage) {
	switch method {
	case "Fetch.requestPaused":
		t.pass(session, params)
	case "Page.javascriptDialogOpening": // it would hold the page up
		t.tools.send(session, "Page.handleJavaScriptDialog", map[string]any{"accept": true})
	case "Inspector.targetCrashed", "Target.targetCrashed":
		t.lose("the page crashed")
	case "Target.detachedFromTarget":
		t.lose("the page closed itself")
	case "Page.frameNavigated":
		var p struct {
			Frame struct{ ParentID, LoaderID string }
		}
		if json.Unmarshal(params, &p) != nil || p.Frame.ParentID != "" {
			return
		}
		t.mu.Lock()
		elsewhere := t.loader != "" && p.Frame.LoaderID != t.loader
		t.mu.Unlock()
		if elsewhere {
			t.lose("the page was reloaded or left")
		}
	}
}

// pass lets a request for a layout's file go on, with what our door asks for. The
// page's scripts never see it, and no other request has it.
func (t *tab) pass(session string, params json.RawMessage) {
	var p struct {
		RequestID string
		Request   struct {
			URL     string
			Headers map[string]string
		}
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return
	}
	args := map[string]any{"requestId": p.RequestID}
	if t.layouts != "" && strings.HasPrefix(p.Request.URL, t.layouts) {
		type header struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		}
		list := []header{{"Authorization", t.authorization}}
		for name, value := range p.Request.Headers {
			if !strings.EqualFold(name, "Authorization") {
				list = append(list, header{name, value})
			}
		}
		args["headers"] = list
	}
	t.tools.send(session, "Fetch.continueRequest", args)
}

func (t *tab) call(ctx context.Context, method string, params, result any) error {
	return t.tools.call(ctx, t.session, method, params, result)
}

// open shows the page. Errors that are *loadError are the page's own fault.
func (t *tab) open(ctx context.Context, address string, width, height int) error {
	var target struct{ TargetID string }
	if err := t.chromium.call(ctx, "Target.createTarget", map[string]any{"url": "about:blank", "newWindow": true, "width": width, "height": height}, &target); err != nil {
		return err
	}
	t.target = target.TargetID
	var attached struct{ SessionID string }
	if err := t.chromium.call(ctx, "Target.attachToTarget", map[string]any{"targetId": t.target, "flatten": true}, &attached); err != nil {
		return err
	}
	t.session = attached.SessionID
	for _, domain := range []string{"Page.enable", "Inspector.enable"} {
		if err := t.call(ctx, domain, nil, nil); err != nil {
			return err
		}
	}
	if t.layouts != "" {
		if err := t.call(ctx, "Fetch.enable", map[string]any{"patterns": []map[string]any{{"urlPattern": t.layouts + "*"}}}, nil); err != nil {
			return err
		}
	}
	t.resize(ctx, width, height)
	var went struct{ FrameID, LoaderID, ErrorText string }
	if err := t.call(ctx, "Page.navigate", map[string]any{"url": address}, &went); err != nil {
		return err
	}
	switch went.ErrorText {
	case "":
	case "net::ERR_HTTP_RESPONSE_CODE_FAILURE": // and no body, as our proxy says that a server is not there
		return &loadError{"the page is answered with an error status, or its server cannot be reached"}
	default:
		return &loadError{"the page cannot be loaded (" + strings.TrimPrefix(went.ErrorText, "net::") + ")"}
	}
	t.mu.Lock()
	t.loader = went.LoaderID
	t.mu.Unlock()
	if err := t.settle(ctx); err != nil {
		return err
	}
	var made struct{ ExecutionContextID int }
	if err := t.call(ctx, "Page.createIsolatedWorld", map[string]any{"frameId": went.FrameID, "worldName": world}, &made); err != nil {
		return err
	}
	t.context = made.ExecutionContextID
	var status int
	if err := t.eval(ctx, `performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0`, &status); err != nil {
		return err
	}
	if status >= 400 {
		return &loadError{fmt.Sprintf("the page is answered with status %d", status)}
	}
	return t.eval(ctx, captureScript, nil)
}

// settle waits for the page's text, and a while for all that belongs to it.
func (t *tab) settle(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var there time.Time // when its text was
	for {
		var state string
		if err := t.evalIn(ctx, 0, `document.readyState`, &state); err == nil && state != "loading" && there.IsZero() {
			there = time.Now()
		}
		if state == "complete" || !there.IsZero() && time.Since(there) > settleTime {
			return nil
		}
		select {
		case <-tick.C:
		case err := <-t.lost:
			return err
		case <-t.tools.done:
			return errGone
		case <-ctx.Done():
			return &loadError{"the page does not load in time"}
		}
	}
}

// resize brings what the page has of the window to a size; a window that cannot be
// so small is captured as it is, and scaled.
func (t *tab) resize(ctx context.Context, width, height int) {
	var w struct {
		WindowID int
		Bounds   struct{ Width, Height int }
	}
	for range resizeTries {
		now, err := t.size(ctx)
		if err != nil || now == [2]int{width, height} {
			return
		}
		if err := t.chromium.call(ctx, "Browser.getWindowForTarget", map[string]any{"targetId": t.target}, &w); err != nil {
			return
		}
		bounds := map[string]any{"width": w.Bounds.Width + width - now[0], "height": w.Bounds.Height + height - now[1]}
		if err := t.chromium.call(ctx, "Browser.setWindowBounds", map[string]any{"windowId": w.WindowID, "bounds": bounds}, nil); err != nil {
			return
		}
		for end := time.Now().Add(resizeTime); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
			if next, err := t.size(ctx); err != nil || next != now {
				break
			}
		}
	}
	t.log.Info("window of a page has another size than its picture", "width", width, "height", height)
}

func (t *tab) size(ctx context.Context) (size [2]int, err error) {
	err = t.evalIn(ctx, 0, `[innerWidth, innerHeight]`, &size)
	return size, err
}

// eval runs an expression in the script's world; what it gives, awaited, is read
// into result unless that is nil.
func (t *tab) eval(ctx context.Context, expression string, result any) error {
	return t.evalIn(ctx, t.context, expression, result)
}

func (t *tab) evalIn(ctx context.Context, world int, expression string, result any) error {
	params := map[string]any{"expression": expression, "awaitPromise": true, "userGesture": true, "returnByValue": true}
	if world != 0 {
		params["contextId"] = world
	}
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := t.call(ctx, "Runtime.evaluate", params, &r); err != nil {
		return err
	}
	if e := r.ExceptionDetails; e != nil {
		text, _, _ := strings.Cut(e.Exception.Description, "\n")
		return fmt.Errorf("script of the page: %s", obs.Quote(text))
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(r.Result.Value, result); err != nil {
		return fmt.Errorf("script of the page: %w", err)
	}
	return nil
}

// do calls a function of the script with one argument.
func (t *tab) do(ctx context.Context, name string, argument, result any) error {
	b, err := json.Marshal(argument)
	if err != nil {
		return err
	}
	return t.eval(ctx, "govidu."+name+"("+string(b)+")", result)
}

// alive asks whether the page still shows and sends.
func (t *tab) alive(ctx context.Context) error {
	var s struct {
		Connection string
		Ended      bool
	}
	err := t.eval(ctx, "govidu.state()", &s)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &loadError{"the page hangs"}
	case err != nil:
		return err
	case s.Ended:
		return &loadError{"the picture of the page ended"}
	case s.Connection == "failed", s.Connection == "closed":
		return &loadError{"the connection of the page " + s.Connection}
	}
	return nil
}
