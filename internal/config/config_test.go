package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

func load(t *testing.T, args []string, env ...string) (*Config, error) {
	t.Helper()
	if !slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, "DOTENV_PATH=") }) {
		env = append(env, "DOTENV_PATH="+t.TempDir())
	}
	return Load(Input{Args: args, Environ: env, Home: "/home/u", Version: "v1", Out: &bytes.Buffer{}})
}

func must(t *testing.T, args []string, env ...string) *Config {
	t.Helper()
	c, err := load(t, args, env...)
	if err != nil {
		t.Fatalf("Load(%q, %q): %v", args, env, err)
	}
	return c
}

func TestNoDomainIsDevMode(t *testing.T) {
	c := must(t, nil)
	if !c.Dev || c.HTTPSPort != 4443 || c.BindHost() != "127.0.0.1" || !c.Secret.Equal("MY_SECRET") ||
		!c.RecordingEnabled || c.RecordingPath != "./recordings" || !c.AllowSecretJoin || !c.Demo ||
		c.MediaPort != 40000 || c.KMSListen != "127.0.0.1:8888" || c.DrainTimeout != 0 || c.StateDir != "/home/u/.govidu" {
		t.Errorf("developer mode defaults are wrong: %+v", c)
	}
	if len(c.Warnings()) != 1 || !strings.Contains(c.Warnings()[0], "well-known secret") {
		t.Errorf("warnings = %q, want one about the secret", c.Warnings())
	}
}

func TestPublicDefaults(t *testing.T) {
	c := must(t, nil, "DOMAIN_OR_PUBLIC_IP=203.0.113.5", "OPENVIDU_SECRET=0123456789abcdef")
	if c.Dev || c.HTTPSPort != 443 || c.BindHost() != "" || c.RecordingEnabled || c.Demo || c.AllowSecretJoin ||
		c.DrainTimeout != time.Minute || c.MaxRecvBandwidth != 1000 || c.MinSendBandwidth != 300 ||
		c.GarbageInterval != 900 || c.RecordingNotification != "publisher_moderator" || !c.SupportDeprecatedAPI {
		t.Errorf("public defaults are wrong: %+v", c)
	}
	if !slices.Equal(c.AnnouncedIP, []string{"203.0.113.5"}) || len(c.Warnings()) != 0 {
		t.Errorf("announced %q, warnings %q", c.AnnouncedIP, c.Warnings())
	}
}

func TestContainerDevListensEverywhere(t *testing.T) {
	c, err := Load(Input{Environ: []string{"DOTENV_PATH=" + t.TempDir()}, Container: true, Out: &bytes.Buffer{}})
	if err != nil || c.Listen != "*" {
		t.Fatalf("listen = %v, %v", c, err)
	}
}

func TestSecretRules(t *testing.T) {
	for _, c := range []struct {
		name, domain, secret string
		args                 []string
		err, warn            string
	}{
		{name: "public empty", domain: "v.example.com", err: "OPENVIDU_SECRET is empty"},
		{name: "public well-known", domain: "v.example.com", secret: "MY_SECRET", err: "well-known"},
		{name: "public well-known, dev asked for", domain: "v.example.com", secret: "my_secret", args: []string{"--dev"}, err: "well-known"},
		{name: "public short", domain: "v.example.com", secret: "abc123", warn: "shorter than 16"},
		{name: "public long", domain: "v.example.com", secret: "0123456789abcdef"},
		{name: "LAN quick start", domain: "192.168.1.5", secret: "MY_SECRET", warn: "well-known"},
		{name: "mapped public address", domain: "::ffff:203.0.113.5", secret: "MY_SECRET", err: "well-known"},
		{name: "dev with own secret", secret: "0123456789abcdef"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := load(t, c.args, "DOMAIN_OR_PUBLIC_IP="+c.domain, "OPENVIDU_SECRET="+c.secret)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error = %v, want one with %q", err, c.err)
				}
				if c.secret != "" && strings.Contains(err.Error(), c.secret) {
					t.Fatalf("the error shows the secret: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(cfg.Warnings(), "; "); (c.warn == "") != (got == "") || !strings.Contains(got, c.warn) {
				t.Errorf("warnings = %q, want %q", got, c.warn)
			}
		})
	}
}

func TestOrderFlagEnvironmentFileDefault(t *testing.T) {
	dir := t.TempDir()
	file := "HTTPS_PORT=1001\nOPENVIDU_RECORDING_AUTOSTOP_TIMEOUT=11\nOPENVIDU_SESSIONS_GARBAGE_INTERVAL=12\n"
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	c := must(t, []string{"--https-port=3003"}, "DOTENV_PATH="+dir, "HTTPS_PORT=2002", "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT=22")
	if c.HTTPSPort != 3003 || c.RecordingAutostop != 22 || c.GarbageInterval != 12 || c.GarbageThreshold != 3600 {
		t.Errorf("got %d %d %d %d, want 3003 22 12 3600", c.HTTPSPort, c.RecordingAutostop, c.GarbageInterval, c.GarbageThreshold)
	}
	origin := map[string]string{}
	for _, s := range c.Settings() {
		origin[s.Var] = s.Origin
	}
	for name, want := range map[string]string{"HTTPS_PORT": "flag", "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT": "environment",
		"OPENVIDU_SESSIONS_GARBAGE_INTERVAL": "file", "OPENVIDU_SESSIONS_GARBAGE_THRESHOLD": "default"} {
		if origin[name] != want {
			t.Errorf("origin of %s = %q, want %q", name, origin[name], want)
		}
	}
}

func TestBadValuesNameTheSetting(t *testing.T) {
	pub := []string{"DOMAIN_OR_PUBLIC_IP=v.example.com", "OPENVIDU_SECRET=0123456789abcdef"}
	for _, c := range []struct{ env, want string }{
		{"HTTPS_PORT=many", "HTTPS_PORT from the environment"},
		{"HTTPS_PORT=70000", "HTTPS_PORT 70000"},
		{"CERTIFICATE_TYPE=letsencrypt", "--certificate-type"},
		{"OPENVIDU_RECORDING_NOTIFICATION=some", "--recording-notification"},
		{"OPENVIDU_RECORDING=perhaps", "OPENVIDU_RECORDING"},
		{"OPENVIDU_WEBRTC_ICE_SERVERS=[1]", "OPENVIDU_WEBRTC_ICE_SERVERS"},
		{"OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH=2000", "above the maximum"},
		{"GOVIDU_KMS_LISTEN=0.0.0.0:8888", "GOVIDU_KMS_TOKEN"},
		{"GOVIDU_KMS_LISTEN=8888", "ADDRESS:PORT"},
		{"GOVIDU_ALLOWED_ORIGINS=app.example.com", "GOVIDU_ALLOWED_ORIGINS"},
		{"GOVIDU_TRUSTED_PROXIES=10.0.0.0/99", "GOVIDU_TRUSTED_PROXIES"},
		{"GOVIDU_ANNOUNCED_IP=here", "GOVIDU_ANNOUNCED_IP"},
		{"GOVIDU_CPU_LIMIT=1.5", "GOVIDU_CPU_LIMIT"}, {"GOVIDU_CPU_LIMIT=NaN", "GOVIDU_CPU_LIMIT"}, {"GOVIDU_CPU_LIMIT=-1", "GOVIDU_CPU_LIMIT"},
		{"DOMAIN_OR_PUBLIC_IP=https://v.example.com/", "bare name"},
		{"DOTENV_PATH=/does/not/exist", "settings file"},
	} {
		if _, err := load(t, nil, append(slices.Clone(pub), c.env)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %v, want one with %q", c.env, err, c.want)
		}
	}
	if _, err := load(t, []string{"--no-such"}); err == nil {
		t.Error("an unknown flag was accepted")
	}
}

func TestSettingsWithoutEffectAreTold(t *testing.T) {
	c := must(t, nil, "OPENVIDU_SECRET=0123456789abcdef", "OPENVIDU_WEBHOOK=true", "OPENVIDU_RECORDNIG=true", "OPENVIDU_CDR=false", "OPENVIDU_RECORDING_IMAGE=x", "PATH=/bin")
	got := strings.Join(c.Warnings(), "\n")
	if len(c.Warnings()) != 2 || !strings.Contains(got, "OPENVIDU_WEBHOOK has no effect") || !strings.Contains(got, "OPENVIDU_RECORDNIG is not a setting") {
		t.Errorf("warnings:\n%s", got)
	}
}

func TestSettingsMaskSecrets(t *testing.T) {
	c := must(t, nil, "OPENVIDU_SECRET=hunter2hunter2hunter2", "GOVIDU_KMS_TOKEN=tok3ntok3n",
		`OPENVIDU_WEBRTC_ICE_SERVERS=["url=turn:t:3478,username=u,credential=cr3d","url=turn:t:3478,staticAuthSecret=st4tic"]`)
	shown := fmt.Sprintf("%v %+v %#v", c.Settings(), c, c)
	for _, s := range []string{"hunter2", "tok3n", "cr3d", "st4tic"} {
		if strings.Contains(shown, s) {
			t.Errorf("%q is shown", s)
		}
	}
	if c.ICEServers[0].Credential.Reveal() != "cr3d" || c.ICEServers[1].StaticAuthSecret.Reveal() != "st4tic" {
		t.Error("ICE servers were not read")
	}
}

func TestHelpTeaches(t *testing.T) {
	var out bytes.Buffer
	for _, f := range []func(Input) error{
		func(in Input) error { _, err := Load(in); return err },
		func(in Input) error { _, err := LoadKMS(in); return err },
	} {
		out.Reset()
		if err := f(Input{Args: []string{"--help"}, Out: &out}); !errors.Is(err, ErrDone) {
			t.Fatalf("error = %v, want ErrDone", err)
		}
		for _, want := range []string{"Examples:", "GOVIDU_MEDIA_PORT", "Kurento protocol", "--kms-token"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("--help lacks %q:\n%s", want, out.String())
			}
		}
	}
	out.Reset()
	if _, err := Load(Input{Args: []string{"--version"}, Version: "v9.9", Out: &out}); !errors.Is(err, ErrDone) || !strings.Contains(out.String(), "v9.9") {
		t.Errorf("--version: %v, %q", err, out.String())
	}
}

func TestKMS(t *testing.T) {
	c, err := LoadKMS(Input{Args: []string{"--media-port=0"}, Environ: []string{"GOVIDU_KMS_LISTEN=127.0.0.1:0"}})
	if err != nil || c.MediaPort != 0 || c.KMSListen != "127.0.0.1:0" {
		t.Fatalf("%+v, %v", c, err)
	}
	c, err = LoadKMS(Input{Args: []string{"--kms-open", "--kms-listen=:8888"}})
	if err != nil || len(c.Warnings()) != 1 {
		t.Fatalf("--kms-open: %v, warnings %v", err, c.Warnings())
	}
}

// TestKurentoVariables: the names of Kurento's container image.
func TestKurentoVariables(t *testing.T) {
	c, err := LoadKMS(Input{Environ: []string{
		"KMS_MIN_PORT=50000", "KMS_MAX_PORT=50100", "KMS_MTU=1300", "KMS_EXTERNAL_IPV4=203.0.113.9", "KMS_EXTERNAL_IPV6=auto",
		"KMS_ICE_TCP=0", "KMS_NETWORK_INTERFACES=eth0,eth1", "KMS_STUN_IP=198.51.100.1", "KMS_STUN_PORT=3479",
		"KMS_TURN_URL=u:p@198.51.100.2:3478?transport=udp", "KMS_SOMETHING=1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := Endpoints{
		RTPMinPort: 50000, RTPMaxPort: 50100, RTPMTU: 1300, ExternalIPv4: "203.0.113.9", NetworkInterfaces: "eth0,eth1",
		HTTPPostListen: "127.0.0.1:9091", EndpointSTUN: "198.51.100.1", EndpointSTUNPort: 3479, EndpointTURN: c.EndpointTURN,
	}
	if !reflect.DeepEqual(c.Endpoints, want) || !c.EndpointTURN.Equal("u:p@198.51.100.2:3478?transport=udp") {
		t.Errorf("%+v", c.Endpoints)
	}
	if !slices.Equal(c.AnnouncedIP, []string{"203.0.113.9"}) {
		t.Errorf("announced %v", c.AnnouncedIP)
	}
	if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, "auto has no effect") || !strings.Contains(w, "KMS_SOMETHING is not") {
		t.Errorf("warnings: %s", w)
	}
	for listen, want := range map[string]int{"none": -1, "0.0.0.0:0": 0, "h:99999": -2, "h": -2} {
		if _, port, err := (&Endpoints{HTTPPostListen: listen}).HTTPPost(); port != max(want, -1) && want != -2 || (err != nil) != (want == -2) {
			t.Errorf("post to %s: %d, %v", listen, port, err)
		}
	}
	for _, bad := range []string{"KMS_MIN_PORT=70000", "KMS_MTU=9000", "KMS_EXTERNAL_IPV4=here", "KMS_MAX_PORT=80"} {
		if _, err := LoadKMS(Input{Environ: []string{bad}}); err == nil || !strings.Contains(err.Error(), "KMS_M") && !strings.Contains(err.Error(), "KMS_EXT") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestKurentoConf: kurento.conf.json stands behind flags and environment, and its
// port does not leave loopback without an address.
func TestKurentoConf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kurento.conf.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"mediaServer":{"resources":{
		//  "killLimit": 0.7,
		"exceptionLimit": "0.5", "garbageCollectorPeriod": 60, "disableRequestCache": true},
		"net":{"websocket":{"port":9888,"path":"media","secure":{"port":9433,"certificate":"c.pem"},"threads":10}}}}`)
	c, err := LoadKMS(Input{Args: []string{"--kms-config", file}, Environ: []string{"GOVIDU_KMS_PATH=mine"}})
	if err != nil || c.KMSListen != "127.0.0.1:9888" || c.KMSPath != "mine" || c.KMSTLSListen != "127.0.0.1:9433" || c.KMSCertificate != "c.pem" ||
		c.KMSExceptionLimit != 0.5 || c.SessionPeriod() != time.Minute || !c.KMSNoRequestCache {
		t.Fatalf("%+v, %v", c, err)
	}
	for text, want := range map[string]string{
		`{"mediaServer":{"net":{"websocket":{"port":8888,"address":"0.0.0.0"}}}}`:                           "GOVIDU_KMS_TOKEN",
		`{"mediaServer":{"net":{"websocket":{"secure":{"port":1,"certificate":"c","password":"secret"}}}}}`: "encrypted",
		`{"mediaServer":`: "GOVIDU_KMS_CONFIG",
	} {
		write(text)
		if _, err := LoadKMS(Input{Environ: []string{"GOVIDU_KMS_CONFIG=" + file}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := LoadKMS(Input{Environ: []string{"GOVIDU_KMS_CONFIG=" + file + ".none"}}); err == nil {
		t.Error("a missing file was accepted")
	}
}

// TestKurentoBeyondLoopback: each address needs its own lock.
func TestKurentoBeyondLoopback(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--kms-listen=0.0.0.0:1", "GOVIDU_KMS_LISTEN"},
		{"--kms-listen=0.0.0.0:1 --kms-certificate=c --kms-client-ca=ca", "GOVIDU_KMS_LISTEN"},
		{"--kms-listen=none --kms-certificate=c --kms-tls-listen=0.0.0.0:1", "GOVIDU_KMS_TLS_LISTEN"},
		{"--kms-client-ca=ca", "GOVIDU_KMS_CERTIFICATE"},
		{"--kms-session-period=0", "above 0"}, {"--kms-exception-limit=0", "above 0"},
		{"--kms-certificate=c --kms-tls-listen=x", "ADDRESS:PORT"},
		{"--kms-listen=none --kms-certificate=c --kms-client-ca=ca --kms-tls-listen=0.0.0.0:1", ""},
		{"--kms-listen=0.0.0.0:1 --kms-token=t --kms-certificate=c", ""},
	} {
		_, err := LoadKMS(Input{Args: strings.Fields(c.args)})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
	c, err := LoadKMS(Input{Args: []string{"--kms-certificate=c"}})
	if err != nil || c.KMSTLSListen != "127.0.0.1:8433" {
		t.Errorf("%v, %v", c.KMSTLSListen, err)
	}
}

func TestPublicURL(t *testing.T) {
	for _, c := range []struct {
		a    Address
		port int
		want string
	}{
		{Address{}, 4443, "https://localhost:4443"},
		{Address{Domain: "v.example.com"}, 443, "https://v.example.com"},
		{Address{Domain: "2001:db8::1"}, 443, "https://[2001:db8::1]"},
		{Address{Domain: "2001:db8::1"}, 4443, "https://[2001:db8::1]:4443"},
		{Address{Domain: "v.example.com", ForcePlainHTTP: true}, 80, "http://v.example.com"},
	} {
		if got := c.a.PublicURL(c.port); got != c.want {
			t.Errorf("PublicURL(%d) = %q, want %q", c.port, got, c.want)
		}
	}
}

func TestDotenv(t *testing.T) {
	got, err := parseDotenv("\ufeff# comment\r\n\r\nA=1\r\nexport B = two words # note\nC='$x \\n'\nD=\"a\\n\\\"b\\\"\" # c\nE=\nF=[\"url=stun:h:1,x=y\"]\nG=a#b\nopenvidu.recording.public-access=true\n")
	want := map[string]string{"A": "1", "B": "two words", "C": `$x \n`, "D": "a\n\"b\"", "E": "", "F": `["url=stun:h:1,x=y"]`, "G": "a#b",
		"OPENVIDU_RECORDING_PUBLIC_ACCESS": "true"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	for _, bad := range []string{"A", "=1", "1A=2", "A='x", `A="x" y`, "A B=1"} {
		if _, err := parseDotenv(bad); err == nil {
			t.Errorf("parseDotenv(%q) succeeded, want an error", bad)
		}
	}
}

// TestReferenceIsCurrent keeps docs/configuration.md equal to the struct.
func TestReferenceIsCurrent(t *testing.T) {
	const path = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(path, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != Reference() {
		t.Error("docs/configuration.md does not match internal/config: run `make docs`")
	}
	// Every flag that kong knows is on the page under kong's name.
	for _, s := range must(t, nil).Settings() {
		if !strings.Contains(string(have), "| `--"+s.Flag+"` | `"+s.Var+"` |") {
			t.Errorf("the page lacks --%s (%s)", s.Flag, s.Var)
		}
	}
}

// FuzzConfigEnv feeds a settings file and a flag: whatever they hold, loading
// ends with a valid configuration or an error, and never shows the secret.
func FuzzConfigEnv(f *testing.F) {
	for _, s := range []string{
		"", "HTTPS_PORT=0\n", "OPENVIDU_SECRET=\"q\\\"uo\"\n", "A='", "export X=1", "OPENVIDU_WEBRTC_ICE_SERVERS=[\"url=turn:h,username=u,credential=c\"]",
		"DOMAIN_OR_PUBLIC_IP=::1\nOPENVIDU_SECRET=s", "GOVIDU_DRAIN_TIMEOUT=-1s", "GOVIDU_ALLOWED_ORIGINS=a,b\n\x00=1", "GOVIDU_TRUSTED_PROXIES=::ffff:1.2.3.4",
		"HTTPS_PORT=99999999999999999999", "openvidu.secret=x\nkms.uris=[]",
	} {
		f.Add(s, "--media-port=1")
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text, arg string) {
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"--openvidu-secret=s3cr3t-s3cr3t-s3cr3t"}
		if strings.HasPrefix(arg, "-") && !strings.Contains(arg, "secret") && !strings.Contains(arg, "dotenv") {
			args = append(args, arg)
		}
		c, err := Load(Input{Args: args, Environ: []string{"DOTENV_PATH=" + dir}, Out: &bytes.Buffer{}})
		if err != nil {
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Fatalf("the error shows the secret: %v", err)
			}
			return
		}
		if c.HTTPSPort < 0 || c.HTTPSPort > 65535 || c.MediaPort < 0 || c.MediaPort > 65535 || c.DrainTimeout < 0 || c.Secret.Len() == 0 {
			t.Fatalf("accepted %+v", c)
		}
		if strings.Contains(fmt.Sprint(c.Settings(), c), "s3cr3t") {
			t.Fatal("the settings show the secret")
		}
	})
}
