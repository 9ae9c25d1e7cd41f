//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pion/webrtc/v4"
)

// janus is Janus with its videoroom, over its WebSocket.
type janus struct {
	*process
	o     options
	loops int // event loops; 0 is its default, a thread per handle
	api   *janusSession

	mu    sync.Mutex
	feeds []any
}

const janusRoom = 1

// plugins and transports that the videoroom does without.
const (
	janusPlugins    = "audiobridge echotest nosip recordplay sip streaming textroom videocall voicemail lua duktape"
	janusTransports = "http mqtt nanomsg pfunix rabbitmq"
)

func (j *janus) start(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	root, err := filepath.Abs(j.o.janus)
	if err != nil {
		return err
	}
	plugins, err := filepath.Glob(filepath.Join(root, "usr/lib/*/janus/plugins")) // by architecture
	if err != nil || len(plugins) != 1 {
		return fmt.Errorf("no Janus in %s", root)
	}
	lib := filepath.Dir(filepath.Dir(plugins[0]))
	dir := filepath.Join(j.o.dir, "janus")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	loops := ""
	if j.loops > 0 {
		loops = fmt.Sprintf(" event_loops = %d\n", j.loops)
	}
	for name, text := range map[string]string{
		"janus.jcfg": "general: {\n configs_folder = \"" + dir + "\"\n plugins_folder = \"" + plugins[0] +
			"\"\n transports_folder = \"" + filepath.Join(lib, "janus/transports") + "\"\n debug_level = 3\n" + loops + "}\n" +
			"media: {\n ipv6 = false\n rtp_port_range = \"20000-30000\"\n}\nnat: {\n full_trickle = false\n ice_enforce_list = \"" + isolated + "\"\n}\n" +
			"plugins: { disable = \"" + libraries(janusPlugins) + "\" }\ntransports: { disable = \"" + libraries(janusTransports) + "\" }\nevents: { broadcast = false }\n",
		"janus.transport.websockets.jcfg": fmt.Sprintf("general: {\n ws = true\n ws_ip = \"%s\"\n ws_port = %d\n wss = false\n}\nadmin: { admin_ws = false }\n", loopback, port),
		"janus.plugin.videoroom.jcfg":     "general: { }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	j.process, err = startProcess(j.o.dir, "janus", []string{"LD_LIBRARY_PATH=" + lib}, filepath.Join(root, "usr/bin/janus"), "-F", dir)
	if err != nil {
		return err
	}
	address := fmt.Sprintf("%s:%d", loopback, port)
	if err := j.listening(ctx, address); err != nil {
		return err
	}
	if j.api, err = dialJanus(ctx, address); err != nil {
		return err
	}
	h, err := j.api.attach(ctx)
	if err != nil {
		return err
	}
	_, err = j.api.message(ctx, h, map[string]any{"request": "create", "room": janusRoom, "publishers": 1000, "bitrate": 0, "fir_freq": 0,
		"audiocodec": "opus", "videocodec": "vp8", "is_private": false, "notify_joining": false}, nil, false)
	return err
}

// libraries makes Janus' list of plugins of their names.
func libraries(names string) string {
	var out []string
	for n := range strings.FieldsSeq(names) {
		out = append(out, "libjanus_"+n+".so")
	}
	return strings.Join(out, ",")
}

func (j *janus) stop() error {
	if j.api != nil {
		j.api.close()
	}
	return j.process.stop()
}

func (j *janus) publish(ctx context.Context, pc *webrtc.PeerConnection) error {
	h, err := j.api.attach(ctx)
	if err != nil {
		return err
	}
	r, err := j.api.message(ctx, h, map[string]any{"request": "join", "ptype": "publisher", "room": janusRoom}, nil, true)
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.feeds = append(j.feeds, r.Plugin.Data.ID)
	j.mu.Unlock()
	if err := localOffer(ctx, pc); err != nil {
		return err
	}
	r, err = j.api.message(ctx, h, map[string]any{"request": "publish"}, &jsep{"offer", pc.LocalDescription().SDP}, true)
	if err != nil {
		return err
	}
	return pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.JSEP.SDP})
}

func (j *janus) subscribe(ctx context.Context, pc *webrtc.PeerConnection, _ int) error {
	h, err := j.api.attach(ctx)
	if err != nil {
		return err
	}
	var streams []any
	j.mu.Lock()
	for _, f := range j.feeds {
		streams = append(streams, map[string]any{"feed": f})
	}
	j.mu.Unlock()
	r, err := j.api.message(ctx, h, map[string]any{"request": "join", "ptype": "subscriber", "room": janusRoom, "streams": streams}, nil, true)
	if err != nil {
		return err
	}
	if r.JSEP.SDP == "" {
		return errors.New("janus: no offer")
	}
	// Candidates of a whole description end it; this line makes Pion refuse it.
	if err := localAnswer(ctx, pc, strings.ReplaceAll(r.JSEP.SDP, "a=end-of-candidates\r\n", "")); err != nil {
		return err
	}
	_, err = j.api.message(ctx, h, map[string]any{"request": "start"}, &jsep{"answer", pc.LocalDescription().SDP}, false)
	return err
}

// jsep is a description as Janus writes it.
type jsep struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// janusReply is what of an answer is looked at.
type janusReply struct {
	Janus       string          `json:"janus"`
	Transaction string          `json:"transaction"`
	Error       json.RawMessage `json:"error"`
	Data        struct {
		ID int64 `json:"id"`
	} `json:"data"`
	Plugin struct {
		Data struct {
			ID    any `json:"id"`
			Error any `json:"error"`
		} `json:"data"`
	} `json:"plugindata"`
	JSEP jsep `json:"jsep"`
}
