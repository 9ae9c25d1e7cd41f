//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is the naive server, too, which the instrument starts as itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		fmt.Fprintln(os.Stderr, serveNaive(os.Args[2:]))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func TestParseStat(t *testing.T) {
	line := "42 (a ) b) S 1 42 42 0 -1 4194304 9 8 7 6 150 50 30 20 20 0 5 0 100 1 2"
	if user, system, err := parseStat([]byte(line)); err != nil || user != 1500*time.Millisecond || system != 500*time.Millisecond {
		t.Error(user, system, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", strings.Replace(line, "150", "x", 1)} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestParseStatus(t *testing.T) {
	s := parseStatus([]byte("Name:\tkms\nVmRSS:\t  1234 kB\nThreads:\t7\nvoluntary_ctxt_switches:\t5\n"))
	if s["VmRSS"] != 1234 || s["Threads"] != 7 || s["voluntary_ctxt_switches"] != 5 {
		t.Error(s)
	}
}

func TestKindOfPacket(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want int
	}{
		"media":            {[]byte{0x90, 0x80 | videoType, 11: 0}, media},
		"sender report":    {[]byte{0x80, 200, 11: 0}, control},
		"feedback":         {[]byte{0x81, 205, 11: 0}, control},
		"STUN":             {[]byte{0, 1, 19: 0}, other},
		"DTLS":             {[]byte{22, 254, 253, 12: 0}, other},
		"cut short":        {[]byte{0x80, videoType}, other},
		"nothing":          {nil, other},
		"above RTP's bits": {[]byte{0xc0, videoType, 11: 0}, other},
	} {
		if got := kindOfPacket(c.b); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// Packets say when they left, wherever a server has moved it to; frames begin and
// end as a depacketiser expects, and keyframes come by the clock and when asked.
func TestVideo(t *testing.T) {
	l := load{burst: 2, fps: 30, size: 200}
	v := newVideo(l)
	var keys []int
	for n := range 70 {
		for i := range l.burst {
			p := v.next(i, n == 10, time.Duration(n)*time.Second/30)
			if begins := p.Payload[0]&0x10 != 0; begins != (i == 0) || p.Marker != (i == 1) {
				t.Fatalf("frame %d, packet %d: begins %t, ends %t", n, i, begins, p.Marker)
			}
			if i == 0 && p.Payload[4]&1 == 0 {
				keys = append(keys, n)
			}
			if at, ok := leftAt(append([]byte{0, 0, 0}, p.Payload...)); !ok || time.Since(time.Unix(0, at)) > time.Minute {
				t.Fatal("no time in the payload")
			}
		}
	}
	if !slices.Equal(keys, []int{0, 10}) {
		t.Errorf("keyframes at %v", keys)
	}
	if _, ok := leftAt(newSound().next(0).Payload); !ok {
		t.Error("no time in the sound")
	}
	for _, bad := range [][]byte{nil, make([]byte, 100), magic} {
		if _, ok := leftAt(bad); ok {
			t.Errorf("%x has a time", bad)
		}
	}
}

func TestFields(t *testing.T) {
	b := fieldsOf(1, "answer", 2, "v=0", 3, uint64(1<<40), 8, 2)
	f := readFields(b)
	if f.text[1] != "answer" || f.text[2] != "v=0" || f.number[3] != 1<<40 || f.number[8] != 2 {
		t.Errorf("%+v", f)
	}
	b = append(append([]byte{9<<3 | 1}, make([]byte, 8)...), append([]byte{10<<3 | 5, 0, 0, 0, 0}, b...)...) // fixed widths are stepped over
	if readFields(b).text[2] != "v=0" {
		t.Error("fixed widths are not stepped over")
	}
	for n := range b { // cut anywhere
		readFields(b[:n])
	}
	readFields([]byte{1<<3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	readFields([]byte{1<<3 | 4})
}

func TestPrograms(t *testing.T) {
	var o options
	if err := o.programs.Set("x=/bin/x a b"); err != nil {
		t.Fatal(err)
	}
	if _, err := newServer("x", o, load{}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "x", "x=", "=a"} {
		if o.programs.Set(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
	for _, bad := range []options{{loads: "nothing"}, {loads: "room", servers: "nothing"}} {
		if _, err := bad.chosen(); err == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}

func TestResultsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	want := []result{{Load: "room", Server: us, CPU: 4.5}, {Load: "many", Server: "janus", Delivered: .5}}
	for _, r := range want {
		if err := addResult(path, r); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readResults(path); err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestPercentile(t *testing.T) {
	if got := percentile(nil, .5); got != 0 {
		t.Error(got)
	}
	if got := percentile([]time.Duration{1, 2, 3, 4}, .99); got != 4 {
		t.Error(got)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Error(got)
	}
}
