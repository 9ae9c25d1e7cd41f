package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/dot"
	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/secret"
	kmsclient "github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/kms/replay"
)

// mediaNode is how commands reach a media node.
type mediaNode struct {
	KMS        string        `name:"kms" env:"GOVIDU_KMS_URL" default:"ws://127.0.0.1:8888/kurento" placeholder:"URL" help:"The media node."`
	KMSToken   secret.Secret `name:"kms-token" env:"GOVIDU_KMS_TOKEN" placeholder:"TOKEN" help:"Its token. Better in the environment than here."`
	ClientCert string        `placeholder:"PATH" help:"PEM file with a certificate and its key, for a node that asks for one."`
	AnyCert    bool          `help:"Accept any certificate of the node."`
}

// tls is nil when nothing special is asked.
func (m mediaNode) tls() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: m.AnyCert} //nolint:gosec // the user says so
	if m.ClientCert != "" {
		cert, err := tls.LoadX509KeyPair(m.ClientCert, m.ClientCert)
		if err != nil {
			return nil, fmt.Errorf("read --client-cert: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

const managerID = kmsclient.ID("manager_ServerManager")

type graphCmd struct {
	mediaNode
	Pipeline   string `placeholder:"ID" help:"Draw this pipeline only; the beginning of its id is enough."`
	Output     string `short:"o" default:"-" placeholder:"FILE" help:"Where to write; - is standard output. FILE.dot gets the Graphviz text."`
	NoGraphviz bool   `help:"Draw without Graphviz, even if it is installed."`
}

// Run implements the command.
func (g graphCmd) Run(e *env) error {
	text, err := g.fetch(e.ctx)
	if err != nil {
		return err
	}
	if filepath.Ext(g.Output) != ".dot" {
		if text, err = g.draw(e.ctx, text); err != nil {
			return err
		}
	}
	if g.Output == "-" {
		_, err := fmt.Fprintln(e.out, text)
		return err
	}
	if err := os.WriteFile(g.Output, []byte(text), 0o644); err != nil {
		return err
	}
	e.say("%s", g.Output)
	return nil
}

// fetch gives one graph of all pipelines that are meant.
func (g graphCmd) fetch(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conf, err := g.tls()
	if err != nil {
		return "", err
	}
	c, err := kmsclient.Dial(ctx, g.KMS, kmsclient.Options{Token: g.KMSToken.Reveal(), TLS: conf})
	if err != nil {
		return "", fmt.Errorf("reach %s: %w (--kms names another node)", g.KMS, err)
	}
	defer c.Close()
	var ids []kmsclient.ID
	if err := c.Invoke(ctx, managerID, "getPipelines", nil, &ids); err != nil {
		return "", err
	}
	ids = slices.DeleteFunc(ids, func(id kmsclient.ID) bool { return !strings.HasPrefix(string(id), g.Pipeline) })
	switch {
	case len(ids) == 0 && g.Pipeline != "":
		return "", fmt.Errorf("the node has no pipeline %s", g.Pipeline)
	case len(ids) == 0:
		return "", fmt.Errorf("the node has no pipelines")
	}
	var graphs []string
	for _, id := range ids {
		var text string
		if err := c.Invoke(ctx, id, "getGstreamerDot", nil, &text); err != nil {
			return "", err
		}
		graphs = append(graphs, text)
	}
	if len(graphs) == 1 {
		return graphs[0], nil
	}
	var b strings.Builder
	b.WriteString("digraph pipelines {\n  rankdir=LR;\n")
	for i, text := range graphs {
		cluster, err := dot.Embed(text, fmt.Sprintf("p%d", i), string(ids[i]))
		if err != nil {
			return "", fmt.Errorf("read the graph of %s: %w", ids[i], err)
		}
		b.WriteString(cluster)
	}
	b.WriteString("}\n")
	return b.String(), nil
}

// draw makes a picture: Graphviz's, where it is installed, or our own.
func (g graphCmd) draw(ctx context.Context, text string) (string, error) {
	graph, err := dot.Parse(text)
	if err != nil {
		return "", fmt.Errorf("read the graph: %w", err)
	}
	if path, err := exec.LookPath("dot"); err == nil && !g.NoGraphviz {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, "-Tsvg")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.Output(); err == nil {
			return string(out), nil
		}
	}
	return string(dot.SVG(graph)), nil
}

type replayCmd struct {
	mediaNode
	Media string   `required:"" placeholder:"DIR" help:"Folder with src.webm (12 s of VP8 and Opus) that the node may read and write: one of its --file-roots."`
	All   bool     `help:"Print the reviewed differences, too."`
	Files []string `arg:"" type:"existingfile" help:"Transcripts: kms/replay/testdata/*.json of the source tree."`
}

// Run implements the command.
func (r replayCmd) Run(e *env) error {
	conf, err := r.tls()
	if err != nil {
		return err
	}
	header := http.Header{}
	if r.KMSToken.Len() > 0 {
		header.Set("Authorization", "Bearer "+r.KMSToken.Reveal())
	}
	media, err := filepath.Abs(r.Media)
	if err != nil {
		return err
	}
	player := replay.NewPlayer(replay.Options{MediaDir: media, Dial: func(ctx context.Context) (jsonrpc.Conn, error) {
		d := websocket.Dialer{HandshakeTimeout: 10 * time.Second, TLSClientConfig: conf}
		ws, _, err := d.DialContext(ctx, r.KMS, header)
		if err != nil {
			return nil, fmt.Errorf("reach %s: %w", r.KMS, err)
		}
		return jsonrpc.NewSocket(ws, jsonrpc.SocketOptions{MaxMessage: 64 << 20, QueueBytes: 64 << 20}), nil
	}})
	open := 0
	slices.SortFunc(r.Files, cmp.Compare)
	for _, file := range r.Files {
		t, err := replay.Load(file)
		if err != nil {
			return err
		}
		found, err := player.Play(e.ctx, t)
		new, used := replay.Sort(found, replay.Reviewed)
		open += len(new)
		e.say("%s: %d frames, %d differences, %d of them reviewed", t.Name, len(t.Frames), len(found), len(found)-len(new))
		for _, d := range new {
			e.say("  %s", d)
		}
		for i, n := range used {
			if n > 0 && r.All {
				e.say("  reviewed, %d times: %s", n, replay.Reviewed[i].Reason)
			}
		}
		if err != nil {
			return err
		}
	}
	if open > 0 {
		return fmt.Errorf("%d differences that nobody has reviewed", open)
	}
	return nil
}
