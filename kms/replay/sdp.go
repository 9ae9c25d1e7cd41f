package replay

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// sdpDifference is a line only one side has, or ("order") the same lines in
// another order.
type sdpDifference struct{ section, theirs, ours string }

// volatile lines of an SDP with what differs in each run replaced.
var volatile = []struct {
	line *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`^o=- \d+ \d+ IN IP(\d) \S+$`), "o=- # # IN IP$1 @"},
	{regexp.MustCompile(`^c=IN IP(\d) [1-9a-f]\S*$`), "c=IN IP$1 @"},
	{regexp.MustCompile(`^m=(\w+) [1-9]\d* `), "m=$1 # "},
	{regexp.MustCompile(`^a=rtcp:\d+`), "a=rtcp:#"},
	{regexp.MustCompile(`^a=ssrc:\d+ cname:\S+$`), "a=ssrc:# cname:@"},
	{regexp.MustCompile(`^a=ssrc:\d+`), "a=ssrc:#"},
	{regexp.MustCompile(`^a=ice-(ufrag|pwd):.*$`), "a=ice-$1:@"},
	{regexp.MustCompile(`^a=fingerprint:(\S+) .*$`), "a=fingerprint:$1 @"},
	{regexp.MustCompile(` IN IP(\d) [1-9]\S*$`), " IN IP$1 @"},
}

func normalLine(line string) string {
	if rest, ok := strings.CutPrefix(line, "a=candidate:"); ok {
		return "a=" + candidateForm("candidate:"+rest)
	}
	for _, v := range volatile {
		line = v.line.ReplaceAllString(line, v.with)
	}
	return line
}

// candidateForm is what of a candidate does not differ between runs: component,
// transport and type.
func candidateForm(s string) string {
	f := strings.Fields(s)
	if len(f) < 8 {
		return s
	}
	form := fmt.Sprintf("candidate: component %s %s %s %s", f[1], strings.ToUpper(f[2]), f[6], f[7])
	if i := slices.Index(f, "tcptype"); i > 0 && i+1 < len(f) {
		form += " tcptype " + f[i+1]
	}
	return form
}

// sections cuts an SDP at its m-lines, normalised: "session", "audio", "video"…
func sections(sdp string) (names []string, lines map[string][]string) {
	lines = map[string][]string{}
	name := "session"
	names = []string{name}
	for _, line := range strings.Split(strings.TrimSpace(strings.ReplaceAll(sdp, "\r\n", "\n")), "\n") {
		if kind, ok := strings.CutPrefix(line, "m="); ok {
			kind, _, _ = strings.Cut(kind, " ")
			for name = kind; lines[name] != nil; name += "+" {
			}
			names = append(names, name)
		}
		lines[name] = append(lines[name], normalLine(line))
	}
	return names, lines
}

// named puts codecs in the place of payload types, which are an offerer's to
// choose; an answer must repeat those of the offer, and is left as it is.
func named(sdp string) string {
	if !strings.Contains(sdp, "a=setup:actpass") {
		return sdp
	}
	codecs := map[string]string{"0": "PCMU", "8": "PCMA"}
	lines := strings.Split(sdp, "\r\n")
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "a=rtpmap:"); ok {
			number, codec, _ := strings.Cut(rest, " ")
			codecs[number], _, _ = strings.Cut(codec, "/")
		}
	}
	for i, line := range lines {
		for _, prefix := range []string{"a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"} {
			rest, ok := strings.CutPrefix(line, prefix)
			number, rest, _ := strings.Cut(rest, " ")
			if name := codecs[number]; ok && name != "" {
				lines[i] = prefix + name + " " + rest
			}
		}
		if f := strings.Fields(line); strings.HasPrefix(line, "m=") && len(f) > 3 {
			for k := range f[3:] {
				if name := codecs[f[3+k]]; name != "" {
					f[3+k] = name
				}
			}
			lines[i] = strings.Join(f, " ")
		}
	}
	return strings.Join(lines, "\r\n")
}

func diffSDP(theirs, ours string) []sdpDifference {
	theirs, ours = named(theirs), named(ours)
	var out []sdpDifference
	names1, a := sections(theirs)
	names2, b := sections(ours)
	for _, name := range names2 {
		if !slices.Contains(names1, name) {
			names1 = append(names1, name)
		}
	}
	for _, name := range names1 {
		only1, only2 := without(a[name], b[name]), without(b[name], a[name])
		for _, line := range only1 {
			out = append(out, sdpDifference{name, line, ""})
		}
		for _, line := range only2 {
			out = append(out, sdpDifference{name, "", line})
		}
		if len(only1)+len(only2) == 0 && !slices.Equal(a[name], b[name]) {
			out = append(out, sdpDifference{name, "order: " + strings.Join(a[name], " | "), "order: " + strings.Join(b[name], " | ")})
		}
	}
	return out
}

// without lists the lines of a that b has not, counting repeated ones.
func without(a, b []string) []string {
	b = slices.Clone(b)
	var out []string
	for _, line := range a {
		if i := slices.Index(b, line); i >= 0 {
			b = slices.Delete(b, i, i+1)
		} else {
			out = append(out, line)
		}
	}
	return out
}
