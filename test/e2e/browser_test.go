package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/test/netem"
)

// browser is one Chromium and the Node driver that speaks to it. All tests of a
// run share one; each page has a browser context, and so a renderer process,
// of its own.
type browser struct {
	chromium *process
	driver   *process
	in       io.WriteCloser
	profile  string           // Chromium's user data folder
	fixtures *httptest.Server // serves page.html and the client library

	mu      sync.Mutex
	nextID  int
	calls   map[int]chan answer
	console map[string]*tail // by page id
	pages   int
	gone    error // why the driver answers no more
}

type answer struct {
	Result json.RawMessage
	Error  *clientError
}

// clientError is an error of a client library as JavaScript threw it.
type clientError struct {
	Name    string
	Message string
	Code    any
}

func (e *clientError) Error() string {
	if e.Code != nil {
		return fmt.Sprintf("%s (code %v): %s", e.Name, e.Code, e.Message)
	}
	return e.Name + ": " + e.Message
}

var shared struct {
	sync.Mutex
	b *browser
}

// theBrowser starts the shared Chromium at its first use.
func theBrowser(t testing.TB) *browser {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.b != nil && !shared.b.chromium.exited() && !shared.b.driver.exited() {
		return shared.b
	}
	if shared.b != nil {
		t.Logf("chromium or its driver ended; starting anew\n%s\n%s", shared.b.chromium.log, shared.b.driver.log)
		shared.b.stop()
		shared.b = nil
	}
	b, err := startBrowser(exec.Command, "127.0.0.1")
	if err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	shared.b = b
	return b
}

func stopSharedBrowser() {
	shared.Lock()
	defer shared.Unlock()
	if shared.b != nil {
		shared.b.stop()
		shared.b = nil
	}
}

var chromiumFlags = []string{
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync",
	"--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--ignore-certificate-errors",
	"--auto-select-desktop-capture-source=Entire screen",
	// Pages in the background must behave like the one in front, and sound
	// must play without a click.
	"--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
	"--disable-renderer-backgrounding", "--autoplay-policy=no-user-gesture-required",
	"--mute-audio", "--disable-dev-shm-usage", "--remote-debugging-port=0",
}

// farBrowser starts a Chromium at the far end of a cable, for one test, with flags of
// its own.
func farBrowser(t testing.TB, link *netem.Link, flags ...string) *browser {
	t.Helper()
	b, err := startBrowser(link.Command, link.Here.String(), flags...)
	if err != nil {
		t.Fatalf("start a browser at the far end: %v", err)
	}
	t.Cleanup(b.stop)
	return b
}

// startBrowser starts Chromium and its driver by command; host is the address that
// their pages come from.
func startBrowser(command func(name string, args ...string) *exec.Cmd, host string, flags ...string) (_ *browser, err error) {
	profile, err := os.MkdirTemp("", "govidu-e2e-chromium-")
	if err != nil {
		return nil, err
	}
	b := &browser{profile: profile, calls: map[int]chan answer{}, console: map[string]*tail{}}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	if err := b.serve(host); err != nil {
		return nil, err
	}
	args := append([]string{"--user-data-dir=" + profile, "--unsafely-treat-insecure-origin-as-secure=" + b.fixtures.URL}, chromiumFlags...)
	args = append(args, flags...)
	b.chromium, err = startProcess(command(chromiumPath(), append(args, "about:blank")...), &tail{})
	if err != nil {
		return nil, err
	}
	endpoint, err := debuggingEndpoint(b.chromium, filepath.Join(profile, "DevToolsActivePort"))
	if err != nil {
		return nil, err
	}

	if err := b.drive(command, "connect", endpoint); err != nil {
		return nil, err
	}
	return b, nil
}

// serve opens the pages of the fixtures.
func (b *browser) serve(host string) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return err
	}
	b.fixtures = httptest.NewUnstartedServer(fixtures())
	_ = b.fixtures.Listener.Close()
	b.fixtures.Listener = listener
	b.fixtures.Start()
	return nil
}

// drive starts the driver and has it connect to the browser.
func (b *browser) drive(command func(name string, args ...string) *exec.Cmd, op, endpoint string) (err error) {
	cmd := command("node", "driver.mjs")
	cmd.Dir = "js"
	// The dev server's certificate is its own; openvidu-node-client runs here.
	cmd.Env = append(os.Environ(), "NODE_TLS_REJECT_UNAUTHORIZED=0", "NODE_NO_WARNINGS=1")
	if b.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout = write
	b.driver, err = startProcess(cmd, &tail{})
	_ = write.Close()
	if err != nil {
		_ = read.Close()
		return err
	}
	go b.read(read)
	if err := b.do(callDeadline, op, map[string]any{"endpoint": endpoint}, nil); err != nil {
		return fmt.Errorf("%w\n%s", err, b.driver.log)
	}
	return nil
}

// debuggingEndpoint waits for the file in which Chromium tells its port.
func debuggingEndpoint(p *process, file string) (string, error) {
	var endpoint string
	err := poll(60*time.Second, func() error {
		if p.exited() {
			return fmt.Errorf("chromium ended: %v\n%s", p.err, p.log)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		lines := strings.Fields(string(data))
		if len(lines) < 2 {
			return errors.New("half a DevToolsActivePort file")
		}
		endpoint = "http://127.0.0.1:" + lines[0]
		return nil
	})
	return endpoint, err
}

func (b *browser) stop() {
	if b.in != nil {
		_ = b.in.Close()
	}
	if b.driver != nil {
		b.driver.kill()
	}
	if b.chromium != nil {
		b.chromium.kill()
	}
	if b.fixtures != nil {
		b.fixtures.Close()
	}
	// Chromium's children may write a moment longer than it lives.
	if err := poll(10*time.Second, func() error { return os.RemoveAll(b.profile) }); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: the browser's profile is left:", err)
	}
}

// read takes the driver's lines until its end.
func (b *browser) read(r io.ReadCloser) {
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			b.fail(fmt.Errorf("driver ended: %w", err))
			return
		}
		var message struct {
			ID int
			answer
			Log *struct{ Page, Level, Text string }
		}
		if err := json.Unmarshal(line, &message); err != nil {
			b.fail(fmt.Errorf("driver wrote %.200q: %w", line, err))
			return
		}
		if l := message.Log; l != nil {
			fmt.Fprintf(b.consoleOf(l.Page), "%s %s: %s\n", time.Now().Format("15:04:05.000"), l.Level, l.Text)
			continue
		}
		b.mu.Lock()
		call := b.calls[message.ID]
		delete(b.calls, message.ID)
		b.mu.Unlock()
		if call != nil {
			call <- message.answer
		}
	}
}

func (b *browser) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = err
	for id, call := range b.calls {
		delete(b.calls, id)
		call <- answer{Error: &clientError{Name: "DriverGone", Message: err.Error()}}
	}
}

func (b *browser) consoleOf(page string) *tail {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := b.console[page]
	if log == nil {
		log = &tail{}
		b.console[page] = log
	}
	return log
}

// do runs one operation of the driver.
func (b *browser) do(deadline time.Duration, op string, params, result any) error {
	call := make(chan answer, 1)
	b.mu.Lock()
	if b.gone != nil {
		b.mu.Unlock()
		return b.gone
	}
	b.nextID++
	id := b.nextID
	b.calls[id] = call
	line, err := json.Marshal(map[string]any{"id": id, "op": op, "params": params})
	if err == nil {
		_, err = b.in.Write(append(line, '\n'))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("tell the driver %s: %w", op, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	select {
	case a := <-call:
		if a.Error != nil {
			return a.Error
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-ctx.Done():
		b.mu.Lock()
		delete(b.calls, id)
		b.mu.Unlock()
		return fmt.Errorf("%s: no answer within %v", op, deadline)
	}
}

// fixtures serves the participant's page with the client library exactly as
// npm installed it.
func fixtures() http.Handler {
	mux := http.NewServeMux()
	file := func(pattern, path string) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })
	}
	file("/{$}", "js/page.html")
	file("/page.js", "js/page.js")
	file("/openvidu-browser.js", "js/node_modules/openvidu-browser/static/js/openvidu-browser-2.32.2.min.js")
	file("/hls.js", "js/node_modules/hls.js/dist/hls.min.js")
	return mux
}
