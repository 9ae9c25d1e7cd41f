// Command ovctl drives a Govidu or OpenVidu 2 server from the command line, over
// its REST API: sessions, tokens, recordings, and a doctor that says what is wrong
// and what to do about it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/govidu/govidu/internal/process"
	"github.com/govidu/govidu/internal/secret"
)

const help = `Drives a Govidu or OpenVidu 2 server over its REST API.

Examples:

  Is everything well?
    ovctl doctor

  A room, and a token to join it:
    ovctl session create --id standup
    ovctl token create standup --role PUBLISHER

  Send a viewer the smallest picture of a stream, and later all it can take:
    ovctl stream layer standup con_Viewer str_CAM_Abcd_con_Speaker --spatial 0
    ovctl stream layer standup con_Viewer str_CAM_Abcd_con_Speaker --auto

  Record it, one file per participant, and fetch the result:
    ovctl recording start standup
    ovctl recording stop standup
    ovctl recording download standup

  What is connected with what in the media node?
    ovctl graph -o graph.svg

  Another server:
    OPENVIDU_URL=https://video.example.com OPENVIDU_SECRET=... ovctl session list

Every command has its own help: ovctl recording start --help. With --json the server's answer is printed as it came.`

// cli is the command line. Kong reads it from the tags.
type cli struct {
	URL      string        `env:"OPENVIDU_URL" placeholder:"URL" help:"The server. Without it: this machine, on the port that HTTPS_PORT and DOMAIN_OR_PUBLIC_IP tell, else 4443."`
	Secret   secret.Secret `env:"OPENVIDU_SECRET" default:"MY_SECRET" placeholder:"SECRET" help:"The server's secret. Better in the environment than here, where other users of the machine see it."`
	Insecure bool          `help:"Accept any certificate. It is the rule for localhost, whose certificate is self-signed."`
	JSON     bool          `name:"json" help:"Print the server's answer as JSON."`

	Version   versionCmd   `cmd:"" help:"Print the versions of ovctl and of the server."`
	Health    healthCmd    `cmd:"" help:"End well if the server is up; for container health checks."`
	Doctor    doctorCmd    `cmd:"" help:"Check the server, the way to it and this machine; say what to do."`
	Session   sessionCmd   `cmd:"" help:"List, make and close sessions."`
	Stream    streamCmd    `cmd:"" help:"Show and choose the layers of video that a connection receives."`
	Token     tokenCmd     `cmd:"" help:"Make tokens to join with."`
	Recording recordingCmd `cmd:"" help:"Start, stop, list, fetch and delete recordings."`
	Graph     graphCmd     `cmd:"" help:"Draw what is connected with what inside a media node, as SVG."`
	Replay    replayCmd    `cmd:"" help:"Play recorded Kurento conversations to a media node and compare its answers."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ovctl:", err)
		if e, ok := errors.AsType[*exitError](err); ok {
			os.Exit(e.code)
		}
		os.Exit(1)
	}
}

// errDone ends the parsing after help was printed.
var errDone = errors.New("done")

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) (err error) {
	defer func() { // kong calls Exit from inside its parser
		if r := recover(); r == errDone {
			err = nil
		} else if r != nil {
			panic(r)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("ovctl"), kong.Description(help), kong.Writers(out, out),
		kong.Exit(func(int) { panic(errDone) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppDescFormat: true, WrapUpperBound: 100}))
	if err != nil {
		return fmt.Errorf("build the command line: %w", err)
	}
	k, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w (ovctl --help shows all commands)", err)
	}
	if c.URL == "" {
		c.URL = localURL(getenv)
	}
	client, err := newClient(c.URL, c.Secret, c.Insecure)
	if err != nil {
		return err
	}
	defer client.close()
	return k.Run(&env{ctx: ctx, client: client, out: out, json: c.JSON, version: process.Version()})
}

// localURL is the server on this machine, under the settings it would read itself.
func localURL(getenv func(string) string) string {
	scheme, port := "https", "4443"
	if getenv("FORCE_PLAIN_HTTP") == "true" {
		scheme = "http"
	}
	if getenv("DOMAIN_OR_PUBLIC_IP") != "" {
		port = "443"
	}
	if p := getenv("HTTPS_PORT"); p != "" {
		port = p
	}
	return scheme + "://localhost:" + port
}
