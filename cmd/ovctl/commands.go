package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// env is what a command gets to work with.
type env struct {
	ctx     context.Context
	client  *client
	out     io.Writer
	json    bool
	version string
}

// get fetches a path. With --json the answer is printed and done is true.
func (e *env) call(method, path string, body, result any) (done bool, err error) {
	var raw json.RawMessage
	if err := e.client.api(e.ctx, method, path, body, &raw); err != nil {
		return false, err
	}
	if e.json {
		if len(raw) == 0 {
			raw = json.RawMessage("{}")
		}
		_, err := fmt.Fprintln(e.out, string(raw))
		return true, err
	}
	if result == nil || len(raw) == 0 {
		return false, nil
	}
	return false, json.Unmarshal(raw, result)
}

func (e *env) say(format string, args ...any) { fmt.Fprintf(e.out, format+"\n", args...) }

// table prints rows under a head, aligned.
func (e *env) table(head string, rows []string) {
	w := tabwriter.NewWriter(e.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, r := range rows {
		fmt.Fprintln(w, r)
	}
	_ = w.Flush()
}

func when(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04:05") }

type versionCmd struct{}

func (versionCmd) Run(e *env) error {
	var config struct{ VERSION string }
	err := e.client.api(e.ctx, http.MethodGet, "/config", nil, &config)
	if e.json {
		return json.NewEncoder(e.out).Encode(map[string]string{"ovctl": e.version, "server": config.VERSION})
	}
	e.say("ovctl   %s", e.version)
	if err != nil {
		e.say("server  unknown: %v", err)
		return nil
	}
	e.say("server  speaks OpenVidu %s", config.VERSION)
	return nil
}

type healthCmd struct{}

func (healthCmd) Run(e *env) error {
	ctx, cancel := context.WithTimeout(e.ctx, 5*time.Second)
	defer cancel()
	resp, err := e.client.request(ctx, http.MethodGet, "/health", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not well (HTTP %d)", resp.StatusCode)
	}
	e.say("UP")
	return nil
}

type sessionCmd struct {
	List   sessionList   `cmd:"" help:"List all sessions."`
	Create sessionCreate `cmd:"" help:"Make a session."`
	Close  sessionClose  `cmd:"" help:"Close a session and send everybody away."`
}

type session struct {
	ID          string `json:"id"`
	CreatedAt   int64  `json:"createdAt"`
	Recording   bool   `json:"recording"`
	Connections struct {
		NumberOfElements int `json:"numberOfElements"`
	} `json:"connections"`
}

type sessionList struct{}

func (sessionList) Run(e *env) error {
	var list struct{ Content []session }
	if done, err := e.call(http.MethodGet, "/sessions", nil, &list); done || err != nil {
		return err
	}
	var rows []string
	for _, s := range list.Content {
		recorded := "no"
		if s.Recording {
			recorded = "yes"
		}
		rows = append(rows, fmt.Sprintf("%s\t%d\t%s\t%s", s.ID, s.Connections.NumberOfElements, recorded, when(s.CreatedAt)))
	}
	e.table("SESSION\tPEOPLE\tRECORDING\tSINCE", rows)
	return nil
}

type sessionCreate struct {
	LastN         int    `name:"last-n" placeholder:"N" help:"Send each participant the video of the N cameras whose owners spoke last; 0 is all."`
	ID            string `name:"id" placeholder:"NAME" help:"Name of the session: letters, digits, - and _. Random without it."`
	RecordingMode string `enum:"MANUAL,ALWAYS" default:"MANUAL" help:"ALWAYS records from the first publisher on."`
}

func (c sessionCreate) Run(e *env) error {
	body := map[string]any{"customSessionId": c.ID, "recordingMode": c.RecordingMode}
	if c.LastN != 0 {
		body["lastN"] = c.LastN
	}
	if c.RecordingMode == "ALWAYS" {
		body["defaultRecordingProperties"] = map[string]any{"outputMode": "INDIVIDUAL"}
	}
	var s session
	if done, err := e.call(http.MethodPost, "/sessions", body, &s); done || err != nil {
		return err
	}
	e.say("%s", s.ID)
	return nil
}

type sessionClose struct {
	ID string `arg:"" help:"The session."`
}

func (c sessionClose) Run(e *env) error {
	done, err := e.call(http.MethodDelete, "/sessions/"+url.PathEscape(c.ID), nil, nil)
	if err == nil && !done {
		e.say("closed %s", c.ID)
	}
	return err
}

type tokenCmd struct {
	Create tokenCreate `cmd:"" help:"Make a one-time token for a session; prints what a client passes to session.connect."`
}

type tokenCreate struct {
	Session string `arg:"" help:"The session; made if it does not exist."`
	Role    string `enum:"SUBSCRIBER,PUBLISHER,MODERATOR" default:"PUBLISHER" help:"SUBSCRIBER, PUBLISHER or MODERATOR."`
	Data    string `help:"Text that others see as the connection's server data."`
}

func (c tokenCreate) Run(e *env) error {
	var conflict *apiError
	err := e.client.api(e.ctx, http.MethodPost, "/sessions", map[string]any{"customSessionId": c.Session}, nil)
	if err != nil && (!errors.As(err, &conflict) || conflict.Status != http.StatusConflict) {
		return err
	}
	var made struct{ Token string }
	body := map[string]any{"role": c.Role, "data": c.Data}
	if done, err := e.call(http.MethodPost, "/sessions/"+url.PathEscape(c.Session)+"/connection", body, &made); done || err != nil {
		return err
	}
	e.say("%s", made.Token)
	return nil
}

type recordingCmd struct {
	List     recordingList     `cmd:"" help:"List all recordings."`
	Get      recordingGet      `cmd:"" help:"Show one recording."`
	Start    recordingStart    `cmd:"" help:"Record a session, one file per stream."`
	Stop     recordingStop     `cmd:"" help:"Stop a recording."`
	Delete   recordingDelete   `cmd:"" help:"Delete a recording and its files."`
	Download recordingDownload `cmd:"" help:"Fetch a recording's file."`
	Verify   recordingVerify   `cmd:"" help:"Say that a recording is true, or name the files and seconds that are not."`
	Align    recordingAlign    `cmd:"" help:"Put all takes of each participant into one file, in step, without transcoding."`
	Key      recordingKey      `cmd:"" help:"Print the public keys that recordings are signed with."`
}

type recording struct {
	ID        string  `json:"id"`
	SessionID string  `json:"sessionId"`
	Name      string  `json:"name"`
	Mode      string  `json:"outputMode"`
	Status    string  `json:"status"`
	CreatedAt int64   `json:"createdAt"`
	Duration  float64 `json:"duration"`
	Size      int64   `json:"size"`
	URL       *string `json:"url"`
}

func (e *env) show(list ...recording) {
	var rows []string
	for _, r := range list {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%.1f s\t%d KB\t%s", r.ID, r.SessionID, r.Status, r.Duration, (r.Size+1023)/1024, when(r.CreatedAt)))
	}
	e.table("RECORDING\tSESSION\tSTATUS\tLENGTH\tSIZE\tSTARTED", rows)
}

// recorded does a call whose answer is one recording, and shows it.
func (e *env) recorded(method, path string, body any) error {
	var r recording
	if done, err := e.call(method, path, body, &r); done || err != nil {
		return err
	}
	e.show(r)
	return nil
}

type recordingList struct{}

func (recordingList) Run(e *env) error {
	var list struct{ Items []recording }
	if done, err := e.call(http.MethodGet, "/recordings", nil, &list); done || err != nil {
		return err
	}
	e.show(list.Items...)
	return nil
}

type recordingGet struct {
	ID string `arg:"" help:"The recording."`
}

func (c recordingGet) Run(e *env) error {
	return e.recorded(http.MethodGet, "/recordings/"+url.PathEscape(c.ID), nil)
}

type recordingStart struct {
	Session string `arg:"" help:"The session; somebody must be in it."`
	Name    string `help:"Name of the file; the recording's id without it."`
	Mode    string `enum:"INDIVIDUAL,COMPOSED" default:"INDIVIDUAL" help:"INDIVIDUAL writes one file per stream. COMPOSED needs a server that can compose."`
	NoAudio bool   `help:"Leave sound out."`
	NoVideo bool   `help:"Leave pictures out."`
}

func (c recordingStart) Run(e *env) error {
	body := map[string]any{"session": c.Session, "outputMode": c.Mode, "hasAudio": !c.NoAudio, "hasVideo": !c.NoVideo}
	if c.Name != "" {
		body["name"] = c.Name
	}
	return e.recorded(http.MethodPost, "/recordings/start", body)
}

type recordingStop struct {
	ID string `arg:"" help:"The recording."`
}

func (c recordingStop) Run(e *env) error {
	return e.recorded(http.MethodPost, "/recordings/stop/"+url.PathEscape(c.ID), nil)
}

type recordingDelete struct {
	ID string `arg:"" help:"The recording."`
}

func (c recordingDelete) Run(e *env) error {
	done, err := e.call(http.MethodDelete, "/recordings/"+url.PathEscape(c.ID), nil, nil)
	if err == nil && !done {
		e.say("deleted %s", c.ID)
	}
	return err
}

type recordingDownload struct {
	ID     string `arg:"" help:"The recording."`
	Output string `short:"o" placeholder:"PATH" help:"File to write; the server's name for it in this folder without it."`
}

func (c recordingDownload) Run(e *env) error {
	var r recording
	if err := e.client.api(e.ctx, http.MethodGet, "/recordings/"+url.PathEscape(c.ID), nil, &r); err != nil {
		return err
	}
	if r.URL == nil {
		return fmt.Errorf("recording %s is %s: there is no file to fetch yet", r.ID, r.Status)
	}
	// Only the path counts: the server may name itself differently than we reach it.
	u, err := url.Parse(*r.URL)
	if err != nil {
		return fmt.Errorf("read the recording's URL: %w", err)
	}
	resp, err := e.client.request(e.ctx, http.MethodGet, u.EscapedPath(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &apiError{resp.StatusCode, explain(resp.StatusCode, nil)}
	}
	path := cmp.Or(c.Output, fileName(resp.Header.Get("Content-Disposition"), u.Path))
	n, err := save(path, resp.Body, resp.ContentLength)
	if err != nil {
		return err
	}
	if e.json {
		return json.NewEncoder(e.out).Encode(map[string]any{"path": path, "size": n})
	}
	e.say("%s (%d KB)", path, (n+1023)/1024)
	return nil
}

// fileName takes the last part of the name that the server gives, never a folder.
func fileName(disposition, path string) string {
	if _, params, err := mime.ParseMediaType(disposition); err == nil {
		if name := filepath.Base(params["filename"]); name != "." && name != "/" {
			return name
		}
	}
	return filepath.Base(path)
}

// save writes a download under another name first, so that a file with the right
// name is a whole one. want is its size in bytes, -1 if unknown.
func save(path string, from io.Reader, want int64) (int64, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".ovctl-*")
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	n, err := io.Copy(f, from)
	if err == nil && want >= 0 && n != want {
		err = fmt.Errorf("the connection ended after %d of %d bytes", n, want)
	}
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	return n, nil
}
