package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// ErrDone says that the command line asked for text only (--help, --version),
// which was printed: the program should end well.
var ErrDone = errors.New("nothing to run")

// Input is where settings come from, so that tests need no real environment.
type Input struct {
	Args      []string // without the program's name
	Environ   []string // NAME=value
	Container bool     // running in a container
	Home      string   // the user's home folder
	Version   string   // for --version
	Out       io.Writer
}

// Process is the Input of the running process.
func Process(version string) Input {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return Input{
		Args: os.Args[1:], Environ: os.Environ(), Container: inContainer(),
		Home: home, Version: version, Out: os.Stdout,
	}
}

func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return false
}

const serverHelp = `Govidu: one process that serves OpenVidu 2 and Kurento applications unchanged.

Examples:

  Try it on this machine, then open the URL it prints:
    openvidu-server --dev

  A public server (the secret comes from the environment or the .env file):
    OPENVIDU_SECRET=... openvidu-server --domain-or-public-ip video.example.com --recording

  Behind a proxy that ends TLS:
    openvidu-server --domain-or-public-ip video.example.com --force-plain-http --listen 127.0.0.1 --https-port 5443

  With the .env file of an OpenVidu deployment:
    openvidu-server --dotenv-path /opt/openvidu

Each setting may be given as a flag, in the environment, in the .env file or not at all, in this order of authority. Its name in the environment and in the file stands in brackets.`

// Load reads and checks the settings of openvidu-server. Errors name the setting
// and say what to do; ErrDone means that help was printed.
func Load(in Input) (*Config, error) {
	vars, err := readVars(in)
	if err != nil {
		return nil, err
	}
	// The mode decides defaults, so a first pass learns it. Its mistakes are
	// reported by the second.
	var probe Config
	quiet := in
	quiet.Out = io.Discard
	_ = parse(quiet, "openvidu-server", serverHelp, &probe, &probe.report, vars, modeDefaults(false, in.Container, in.Home))
	dev := probe.Dev || probe.Domain == ""

	c := &Config{}
	if err := parse(in, "openvidu-server", serverHelp, c, &c.report, vars, modeDefaults(dev, in.Container, in.Home)); err != nil {
		return nil, err
	}
	c.Dev = dev
	c.warn(vars.unknown()...)
	return c, c.check()
}

const kmsHelp = `Govidu's media node alone: Kurento's control protocol on a WebSocket, and the media port.

Examples:

  For Kurento applications on this machine (ws://127.0.0.1:8888/kurento):
    kms

  For another host, with a token:
    GOVIDU_KMS_TOKEN=... kms --kms-listen 0.0.0.0:8888 --announced-ip 203.0.113.7
    (clients then use ws://203.0.113.7:8888/kurento?access_token=...)

  Encrypted, for clients that a CA of yours has certified (wss on port 8433):
    kms --kms-listen none --kms-tls-listen 0.0.0.0:8433 --kms-certificate server.pem --kms-client-ca clients.pem

The variables of Kurento's container image (KMS_MIN_PORT, KMS_STUN_IP, ...) and a kurento.conf.json (--kms-config) are read, too.`

// LoadKMS reads and checks the settings of kms: flags, environment, defaults.
func LoadKMS(in Input) (*KMS, error) {
	c := &KMS{}
	vars := variables{env: environment(in.Environ)}
	if path := setting(in, vars, "kms-config", "GOVIDU_KMS_CONFIG"); path != "" {
		var err error
		if vars.file, err = readConf(path); err != nil {
			return nil, err
		}
	}
	if err := parse(in, "kms", kmsHelp, c, &c.report, vars, kmsDefaults()); err != nil {
		return nil, err
	}
	c.warn(vars.unknown()...)
	warning, err := c.Kurento.check()
	c.warn(warning...)
	warning, endpointErr := c.Endpoints.check(&c.AnnouncedIP)
	c.warn(warning...)
	return c, errors.Join(err, endpointErr, checkPort("--media-port", c.MediaPort), checkShare("GOVIDU_CPU_LIMIT", c.CPULimit), checkAnnounced(c.AnnouncedIP))
}

// setting looks for one setting that names a file of others, before all are read.
func setting(in Input, vars variables, flag, name string) string {
	value, _, _ := vars.lookup(name)
	for i, a := range in.Args {
		if s, ok := strings.CutPrefix(a, "--"+flag+"="); ok {
			value = s
		} else if a == "--"+flag && i+1 < len(in.Args) {
			value = in.Args[i+1]
		}
	}
	return value
}

// parse fills target. kong reads flags; the resolver adds environment and file.
func parse(in Input, name, help string, target any, rep *report, vars variables, defaults kong.Vars) error {
	done := false
	v := kong.Vars{"version": in.Version}
	for k, val := range defaults {
		v[k] = val
	}
	versioned := &struct {
		Version kong.VersionFlag `help:"Print the version and exit."`
	}{}
	origins := map[string]string{}
	var text bytes.Buffer
	k, err := kong.New(target, kong.Name(name), kong.Description(help), v, kong.Embed(versioned),
		kong.Writers(&text, &text), kong.Exit(func(int) { done = true }),
		kong.ConfigureHelp(kong.HelpOptions{
			Compact: true, NoAppDescFormat: true, WrapUpperBound: 110,
		}),
		kong.ValueFormatter(helpText),
		kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
			value, origin, ok := vars.lookup(f.Tag.Get("var"))
			if !ok {
				return nil, nil
			}
			origins[f.Name] = origin
			return value, nil
		})))
	if err != nil {
		return fmt.Errorf("build the command line: %w", err)
	}
	ctx, err := k.Parse(in.Args)
	if done {
		_, err := io.Copy(in.Out, &text)
		return errors.Join(err, ErrDone)
	}
	if err != nil {
		return settingError(err, k, origins)
	}
	rep.settings = settings(ctx, origins)
	return nil
}

// settingError adds to a parse error where the bad value came from.
func settingError(err error, k *kong.Kong, origins map[string]string) error {
	for _, f := range k.Model.Flags {
		if origins[f.Name] != "" && strings.HasPrefix(err.Error(), "--"+f.Name) {
			return fmt.Errorf("read %s from the %s: %w", f.Tag.Get("var"), origins[f.Name], err)
		}
	}
	return fmt.Errorf("read the command line: %w (--help shows all settings)", err)
}

func helpText(v *kong.Value) string {
	text := v.Help
	if v.Default != "" {
		text += " Default " + v.Default + "."
	}
	if name := v.Tag.Get("var"); name != "" {
		text += " [" + name + "]"
	}
	return text
}

// Setting is one setting with its value as it may be shown: secrets are masked.
type Setting struct {
	Flag, Var, Value string
	// Origin is flag, environment, file or default.
	Origin string
}

// report is what loading tells beside the values.
type report struct {
	settings []Setting
	warnings []string
}

func (r *report) warn(text ...string) { r.warnings = append(r.warnings, text...) }

// Settings lists every setting with its masked value and origin.
func (r *report) Settings() []Setting { return r.settings }

// Warnings are sentences an operator should read at each start.
func (r *report) Warnings() []string { return r.warnings }

func settings(ctx *kong.Context, origins map[string]string) []Setting {
	typed := map[string]bool{}
	for _, p := range ctx.Path {
		if p.Flag != nil && !p.Resolved {
			typed[p.Flag.Name] = true
		}
	}
	var list []Setting
	for _, f := range ctx.Model.Flags {
		if f.Tag.Get("var") == "" {
			continue
		}
		s := Setting{Flag: f.Name, Var: f.Tag.Get("var"), Value: fmt.Sprint(f.Target.Interface()), Origin: "default"}
		switch {
		case typed[f.Name]:
			s.Origin = "flag"
		case origins[f.Name] != "":
			s.Origin = origins[f.Name]
		}
		list = append(list, s)
	}
	return list
}
