package filters

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// TestCommands: what programs and manuals use, and its canonical form.
func TestCommands(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"videoflip method=4", "videoflip method=horizontal-flip"},
		{"videoflip method=horizontal-flip", "videoflip method=horizontal-flip"},
		{"  videoflip\tmethod = clockwise\n", "videoflip method=clockwise"},
		{"videoflip name=flip method=none", "videoflip method=none"},
		{"videoflip method=none method=rotate-180", "videoflip method=rotate-180"},
		{"videobalance saturation=0.0", "videobalance saturation=0"},
		{"videobalance saturation=.5 hue=-1e-1 contrast=+1.", "videobalance saturation=0.5 hue=-0.1 contrast=1"},
		{"capsfilter caps=video/x-raw,framerate=15/1", `capsfilter caps="video/x-raw,framerate=15/1"`},
		{`capsfilter caps="video/x-raw, framerate=(fraction)15, width=(int)320"`, `capsfilter caps="video/x-raw,width=320,framerate=15/1"`},
		{`capsfilter caps='video/x-raw,format=(string)"GRAY8"'`, `capsfilter caps="video/x-raw,format=GRAY8"`},
		{"capsfilter caps=audio/x-raw,rate=8000,channels=1", `capsfilter caps="audio/x-raw,rate=8000,channels=1"`},
		{"videorate max-rate=15 average-period=200000000", "videorate max-rate=15 average-period=200000000"},
		{`textoverlay text="Embedded text" valignment=top halignment=right font-desc="Cantarell 25" draw-shadow=false`,
			`textoverlay text="Embedded text" valignment=top halignment=right font-desc="Cantarell 25" draw-shadow=false`},
		{`textoverlay text=Hello\ world`, `textoverlay text="Hello world"`},
		{`textoverlay text='say "hi"' color=0xffff0000`, `textoverlay text="say \"hi\"" color=4294901760`},
		{`timeoverlay valignment=bottom font-desc="Sans, 20"`, `timeoverlay valignment=bottom font-desc="Sans, 20"`},
		{"videobox fill=black top=20 bottom=-30", "videobox fill=black top=20 bottom=-30"},
		{"audioecho delay=50000000 intensity=0.6 feedback=0.4", "audioecho delay=50000000 intensity=0.6 feedback=0.4"},
		{"volume volume=0.5 mute=YES", "volume volume=0.5 mute=true"},
		{"aspectratiocrop aspect-ratio=16/9", "aspectratiocrop aspect-ratio=16/9"},
		{"chromahold target-r=0 target-g=0 target-b=255 tolerance=90", "chromahold target-r=0 target-g=0 target-b=255 tolerance=90"},
		{"edgetv", "edgetv"},
	} {
		got, err := Parse(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got.String() != c.want {
			t.Errorf("%s gives %s, want %s", c.in, got, c.want)
		}
	}
}

// TestRefusals: code 40001 and the original's words (transcript 07,
// kurento-elements §8).
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"nosuchelement a=b", `GStreamer element cannot be created: no element "nosuchelement"`},
		{"filesrc location=/etc/passwd", `GStreamer element cannot be created: no element "filesrc"`},
		{"", "GStreamer element cannot be created: empty pipeline not allowed"},
		{" \n", "GStreamer element cannot be created: empty pipeline not allowed"},
		{"videoflip ! videoflip", "Given command is not valid, only one element can be created"},
		{"videoflip videoflip", "Given command is not valid, only one element can be created"},
		{"videoflip method=none! filesrc", "Given command is not valid, only one element can be created"},
		{"( videoflip )", "Given command is not valid, only one element can be created"},
		{"bin.( videoflip )", "Given command is not valid, only one element can be created"},
		{"videoflip . x", "Given command is not valid, only one element can be created"},
		{"videoflip foo=1", `GStreamer element cannot be created: no property "foo" in element "videoflip"`},
		{"videoflip method=sideways", `GStreamer element cannot be created: could not set property "method" in element "videoflip" to "sideways"`},
		{"videoflip method=", "GStreamer element cannot be created: syntax error"},
		{"videoflip method=\"none", "GStreamer element cannot be created: syntax error"},
		{"videoflip =none", "GStreamer element cannot be created: syntax error"},
		{"videobalance hue=2", "outside -1 to 1"},
		{"videobalance hue=nan", "not a number"},
		{"videobalance hue=0x1p-2", "not a number"},
		{"videocrop left=1_0", "not an integer"},
		{"videocrop left=99999999999999999999", "not an integer"},
		{"capsfilter caps=video/x-h264", "caps must be video/x-raw or audio/x-raw"},
		{"capsfilter caps=video/x-raw(memory:NVMM)", "caps must be"},
		{"capsfilter caps=video/x-raw,width=[1,2]", "caps field"},
		{"capsfilter caps=video/x-raw,width=100000", "caps field width"},
		{"capsfilter caps=video/x-raw;audio/x-raw", "caps must be"},
		{"capsfilter caps=video/x-raw,framerate=0/1", "caps field framerate"},
		{"textoverlay font-desc=\"Sans 40000\"", "a size above"},
		{"textoverlay text=\"" + strings.Repeat("x", 1025) + "\"", "longer than 1024"},
		{"textoverlay text=" + strings.Repeat("x", 5000), "longer than 4096"},
		{"textoverlay text=\x00", "not printable"},
		{"textoverlay text=\xff", "not printable"},
		{"gdkpixbufoverlay location=/tmp/a.png", "use an ImageOverlayFilter"},
	} {
		got, err := Parse(c.in)
		if err == nil {
			t.Errorf("%q is accepted as %s", clip(c.in), got)
			continue
		}
		if code, _ := kerr.Of(err); code != kerr.MarshallError || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %d %q, want 40001 %q", clip(c.in), int(code), err, c.want)
		}
	}
}

func TestFilterTypes(t *testing.T) {
	for _, c := range []struct {
		in   string
		typ  FilterType
		want pipeline.Kind
	}{
		{"videoflip", "AUTODETECT", pipeline.Video}, {"videoflip", "VIDEO", pipeline.Video}, {"videoflip", "AUDIO", 0},
		{"volume", "AUTODETECT", pipeline.Audio}, {"volume", "AUDIO", pipeline.Audio}, {"volume", "VIDEO", 0},
		{"capsfilter caps=audio/x-raw", "AUTODETECT", pipeline.Audio}, {"capsfilter caps=audio/x-raw", "VIDEO", 0},
		{"capsfilter", "AUDIO", pipeline.Audio}, {"capsfilter", "AUTODETECT", pipeline.Video},
	} {
		cmd, err := Parse(c.in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cmd.Kind(c.typ)
		if got != c.want {
			t.Errorf("%s as %s is %v, want %v", c.in, c.typ, got, c.want)
		}
		if code, _ := kerr.Of(err); c.want == 0 && (code != kerr.MarshallError || !strings.HasSuffix(err.Error(), "pad templates don't match")) {
			t.Errorf("%s as %s: %v", c.in, c.typ, err)
		}
	}
}

func TestChange(t *testing.T) {
	for _, c := range []struct {
		element, name, value string
		want                 string
		code                 kerr.Code
	}{
		{"videoflip", "method", "clockwise", "clockwise", 0}, {"videobalance", "hue", "0.5", "0.5", 0}, {"videocrop", "left", "8", "8", 0},
		{"audioamplify", "amplification", "2", "2", 0}, {"textoverlay", "text", "a ! b", "a ! b", 0}, {"textoverlay", "color", "0xff", "255", 0},
		{"videoflip", "nosuch", "1", "", kerr.MarshallError}, {"videoflip", "location", "/x", "", kerr.MarshallError},
		{"videoflip", "method", "x", "", kerr.MarshallError}, {"videobalance", "hue", "9", "", kerr.MarshallError},
		{"volume", "mute", "true", "", kerr.NotImplemented}, {"capsfilter", "caps", "video/x-raw", "", kerr.NotImplemented},
		{"aspectratiocrop", "aspect-ratio", "1/1", "", kerr.NotImplemented}, {"audioecho", "delay", "1000", "", kerr.NotImplemented},
	} {
		got, err := table[c.element].change(c.element, c.name, c.value)
		code, _ := kerr.Of(err)
		if err == nil {
			code = 0
		}
		if got.Value != c.want || code != c.code {
			t.Errorf("%s %s=%s: %q %v, want %q %d", c.element, c.name, c.value, got.Value, err, c.want, int(c.code))
		}
	}
}

// samples gives a value that a property takes.
func (p *property) samples() []string {
	switch p.kind {
	case intKind, uintKind, uint64Kind, floatKind, doubleKind:
		return []string{number(p.min), number(p.max)}
	case booleanKind:
		return []string{"true", "false"}
	case enumKind:
		var out []string
		for _, n := range p.nicks {
			nick, _, _ := strings.Cut(n, "=")
			out = append(out, nick)
		}
		return out
	case fractionKind:
		return []string{"4/3"}
	case capsKind:
		return []string{"video/x-raw,framerate=15/1", "audio/x-raw,rate=48000"}
	}
	return []string{"Sans 12"}
}

// TestEveryProperty: each row of the table can be written, and what is written
// is canonical.
func TestEveryProperty(t *testing.T) {
	for name, e := range table {
		if !isName(name) {
			t.Errorf("name %q", name)
		}
		for _, p := range e.properties {
			for _, v := range p.samples() {
				cmd, err := Parse(name + " " + p.name + "=" + quote(v))
				if err != nil {
					t.Error(err)
					continue
				}
				checkCanonical(t, cmd)
			}
		}
	}
}

func checkCanonical(t *testing.T, cmd *Command) {
	t.Helper()
	again, err := Parse(cmd.String())
	if err != nil || again.String() != cmd.String() || !slices.Equal(again.Properties, cmd.Properties) {
		t.Errorf("%s reads as %v, %v", cmd, again, err)
	}
	row, ok := table[cmd.Element]
	if !ok {
		t.Errorf("element %s is not in the table", cmd.Element)
		return
	}
	for _, s := range cmd.Properties {
		if p := row.find(s.Name); p == nil || p.kind != s.Type {
			t.Errorf("property %s of %s is not in the table", s.Name, cmd.Element)
		}
	}
}

// hostile builds the strings of scoreboard X7: dangerous elements, chains, bins,
// references, addresses, shells, quoting tricks, in every combination with an
// innocent element.
func hostile() []string {
	dangerous := []string{
		"filesrc location=/etc/passwd", "filesink location=/tmp/x", "multifilesink location=/tmp/%d", "fdsrc fd=0", "fdsink fd=1",
		"souphttpsrc location=http://127.0.0.1/", "udpsrc port=5000", "udpsink host=127.0.0.1 port=5000", "tcpserversrc port=1", "tcpclientsink host=a",
		"rtspsrc location=rtsp://a", "rtmpsink location=rtmp://a", "playbin uri=file:///etc/passwd", "uridecodebin uri=http://a", "urisourcebin uri=http://a",
		"v4l2src device=/dev/video0", "alsasrc device=hw:0", "pulsesrc", "ximagesrc", "shmsink socket-path=/tmp/x", "appsrc", "appsink", "fakesink dump=true",
		"gdkpixbufoverlay location=/etc/passwd", "rsvgoverlay location=/etc/passwd", "faceoverlay location=/x", "splitmuxsink location=/tmp/x", "hlssink location=x",
		"ladspasrc", "webrtcbin stun-server=stun://a", "giosrc location=file:///etc/passwd", "bin", "pipeline", "decodebin", "tee", "queue", "identity sleep-time=100000000",
		"lcms input-profile=/etc/passwd", "faceblur profile=/etc/passwd", "debugspy", "proxysink", "interaudiosink", "jackaudiosink", "shout2send",
	}
	frames := []string{
		"%s", "videoflip ! %s", "%s ! videoflip", "videoflip %s", "( %s )", "bin.( %s )", "videoflip method=none! %s", "videoflip. %s",
	}
	var out []string
	for _, d := range dangerous {
		for _, f := range frames {
			out = append(out, fmt.Sprintf(f, d))
		}
	}
	out = append(out,
		"videoflip location=/etc/passwd", "videoflip uri=file:///etc/passwd", "videoflip device=/dev/null", "videoflip command=id", "videoflip parent=x",
		"videoflip method=none;filesrc", "videoflip method=$(id)", "videoflip method=`id`", "videoflip method=none\nfilesrc location=/x",
		"videoflip\x00method=none", "videoflip\u2028method=none", "videoflip\u00a0method=none", "\ufeffvideoflip", "videoflip method=\"none\" ! filesrc",
		"videoflip method=\"none\"filesrc", "videoflip method='none'\\ ! filesrc", "videoflip method=none\\", "videoflip method::x=1", "videoflip @preset", "@bin.(videoflip)",
		"file:///etc/passwd", "http://127.0.0.1/", "video/x-raw", "videoflip!filesrc", "videoflip.src!filesink", "t. ! videoflip", "videoflip name=../x", "videoflip name=\"a b\"",
		"capsfilter caps=video/x-raw(memory:DMABuf)", "capsfilter caps=ANY", "capsfilter caps=\"video/x-raw, foo=(GstStructure)x\"", "capsfilter caps=video/x-raw,format={I420,NV12}",
		"textoverlay text=a ! filesrc", "textoverlay font-desc=\"Sans 99999999\"", "videorate rate=1000000", "videobox left=-2000000000", "audioecho max-delay=18446744073709551615",
		"audiowsinclimit length=256000", "timeoverlay reference-timestamp-caps=x", "textoverlay text=\""+strings.Repeat("A", 2000)+"\"", strings.Repeat("videoflip ", 1000),
		strings.Repeat("(", 4000), strings.Repeat("\"", 3001), "videoflip "+strings.Repeat("method=none ", 300)+"! filesrc",
	)
	return out
}

// TestHostile is scoreboard X7's first half: nothing of it is accepted.
func TestHostile(t *testing.T) {
	list := hostile()
	if len(list) < 300 {
		t.Fatalf("only %d strings", len(list))
	}
	for _, s := range list {
		cmd, err := Parse(s)
		if err == nil {
			t.Errorf("%q is accepted as %s", clip(s), cmd)
			continue
		}
		if code, _ := kerr.Of(err); code != kerr.MarshallError {
			t.Errorf("%q: %v has code %d, want 40001", clip(s), err, int(code))
		}
		if len(err.Error()) > 2000 {
			t.Errorf("%q: the error text has %d bytes", clip(s), len(err.Error()))
		}
	}
}

func FuzzFilterString(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	for name, e := range table {
		text := name
		for _, p := range e.properties {
			text += " " + p.name + "=" + quote(p.samples()[0])
		}
		f.Add(text)
	}
	f.Add(`textoverlay text='a\'b\\' font-desc=Sans\ 12`)
	f.Fuzz(func(t *testing.T, s string) {
		cmd, err := Parse(s)
		if err != nil {
			if code, ok := kerr.Of(err); !ok || code != kerr.MarshallError {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		checkCanonical(t, cmd)
		for _, set := range cmd.Properties {
			switch set.Name {
			case "location", "uri", "device", "command", "profile", "parent":
				t.Errorf("%q sets %s", s, set.Name)
			}
			if len(set.Value) > maxString {
				t.Errorf("%q: value of %d bytes", s, len(set.Value))
			}
		}
	})
}
