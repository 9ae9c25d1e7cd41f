package broadcast

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/kms/client"
)

// endpoint is the RtmpEndpoint or HlsEndpoint of one broadcast.
type endpoint struct {
	a       *active
	media   client.Client
	id      client.ID
	cancels []func()

	once  sync.Once
	first chan error // the target's first word: nil took the stream
}

// open makes the endpoint and listens to it.
func (a *active) open(ctx context.Context) (*endpoint, error) {
	e := &endpoint{a: a, media: a.studio.Media(), first: make(chan error, 1)}
	typ, params := "RtmpEndpoint", map[string]any{"mediaPipeline": a.studio.Pipeline(), "uri": a.spec.Target.Reveal()}
	if a.spec.Output == HLS {
		typ, params = "HlsEndpoint", map[string]any{"mediaPipeline": a.studio.Pipeline()}
		if a.spec.Record {
			dir := url.URL{Scheme: "file", Path: filepath.Join(a.service.opts.Dir, filepath.FromSlash(a.folder()))}
			params["directory"] = dir.String()
		}
	}
	var err error
	if e.id, err = e.media.Create(ctx, typ, params); err != nil {
		switch {
		case errors.Is(err, kerr.MediaObjectTypeNotFound), errors.Is(err, kerr.MediaObjectNotAvailable):
			return nil, &StartError{"the media node knows no output " + a.spec.Output}
		case errors.Is(err, kerr.MediaObjectIllegalParam), errors.Is(err, kerr.MarshallError), errors.Is(err, kerr.URIPathFileNotFound):
			return nil, &StartError{"the media node refuses the target: " + err.Error()}
		}
		return nil, fmt.Errorf("create %s: %w", typ, err)
	}
	listen := map[string]func(json.RawMessage){"Error": e.onError}
	if a.spec.Output == RTMP {
		listen["Connected"], listen["Disconnected"] = e.onConnected, e.onDisconnected
	}
	for name, f := range listen {
		cancel, err := e.media.Subscribe(ctx, e.id, name, func(data json.RawMessage) {
			defer obs.Guard(a.log, "broadcast.event", nil)
			f(data)
		})
		if err != nil {
			return e, fmt.Errorf("subscribe to %s of %s: %w", name, typ, err)
		}
		e.cancels = append(e.cancels, cancel)
	}
	return e, nil
}

// begin connects the view and starts; it returns when the target has taken or
// refused the stream. HLS has no target to wait for.
func (e *endpoint) begin(ctx context.Context, source client.ID, spec Spec) error {
	for kind, wanted := range map[string]bool{"AUDIO": spec.HasAudio, "VIDEO": spec.HasVideo} {
		if !wanted {
			continue
		}
		if err := e.media.Invoke(ctx, source, "connect", map[string]any{"sink": e.id, "mediaType": kind}, nil); err != nil {
			return fmt.Errorf("connect %s of the view: %w", kind, err)
		}
	}
	if err := e.media.Invoke(ctx, e.id, "start", nil, nil); err != nil {
		return fmt.Errorf("start output: %w", err)
	}
	if spec.Output == HLS {
		return nil
	}
	select {
	case err := <-e.first:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the target: %w", ctx.Err())
	}
}

// hlsForm is what the node may call a playlist: it becomes part of a public URL.
const hlsPrefix, hlsSuffix = "/hls/", "/index.m3u8"

// path asks where the playlist is served.
func (e *endpoint) path(ctx context.Context) (string, error) {
	var p string
	if err := e.media.Invoke(ctx, e.id, "getPath", nil, &p); err != nil {
		return "", fmt.Errorf("ask for the playlist: %w", err)
	}
	token, ok := strings.CutPrefix(p, hlsPrefix)
	if token, ok2 := strings.CutSuffix(token, hlsSuffix); !ok || !ok2 || !ValidName(token) {
		return "", errors.New("media node names no playlist")
	}
	return p, nil
}

func (e *endpoint) say(err error) {
	e.once.Do(func() { e.first <- err })
}

func (e *endpoint) onConnected(json.RawMessage) {
	e.say(nil)
	if e.a.moved(true) {
		e.a.log.Info("target takes the stream")
	}
}

// onDisconnected comes for each attempt that failed, too. The first word of a
// target being this one, the start has failed.
func (e *endpoint) onDisconnected(data json.RawMessage) {
	var d struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		d.Reason = "unknown"
	}
	reason := redactText(d.Reason, e.a.spec.Target)
	e.say(&StartError{"the target does not take the stream: " + reason})
	if e.a.moved(false) { // not every attempt for hours
		e.a.log.Warn("target is lost", obs.Remote("reason", reason))
	}
}

func (e *endpoint) onError(data json.RawMessage) {
	var d struct {
		Description string `json:"description"`
		ErrorCode   int    `json:"errorCode"`
		Type        string `json:"type"`
	}
	_ = json.Unmarshal(data, &d) // what is missing stays empty
	text := redactText(d.Description, e.a.spec.Target)
	e.a.log.Error("output reports an error", obs.Remote("description", text), "code", d.ErrorCode)
	e.say(&StartError{"the output failed: " + text})
}

// end stops the endpoint and frees it.
func (e *endpoint) end(ctx context.Context) {
	for _, cancel := range slices.Backward(e.cancels) {
		cancel()
	}
	if e.id == "" {
		return
	}
	select {
	case <-e.media.Lost():
		return
	default:
	}
	if err := e.media.Invoke(ctx, e.id, "stop", nil, nil); err != nil {
		e.a.log.Warn("output did not stop", obs.AttrErr, obs.Quote(redactText(err.Error(), e.a.spec.Target)))
	}
	e.a.drop("output", e.media.Release(ctx, e.id))
}
