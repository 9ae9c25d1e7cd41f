package replay

import (
	"fmt"
	"strings"
	"testing"
)

func diffs(t *testing.T, op, theirs, ours string) []string {
	t.Helper()
	ids := newBindings("/tmp/m")
	ids.learn(map[string]string{
		"aaaaaaaa-0000-0000-0000-000000000001": "bbbbbbbb-0000-0000-0000-000000000001",
	})
	c := comparison{ids: &ids, op: op}
	a, b := parse(theirs), parse(ours)
	if a == nil || b == nil {
		t.Fatalf("no JSON: %s, %s", theirs, ours)
	}
	c.values("", a, b)
	var out []string
	for _, d := range c.found {
		out = append(out, d.Kind+" "+d.Path)
	}
	return out
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ op, theirs, ours, want string }{
		{"", `{"a":1,"b":"x"}`, `{"b":"x","a":1}`, ""},
		{"", `{"a":1}`, `{"a":1,"b":2}`, "field b"},
		{"", `{"a":1,"b":2}`, `{"a":1}`, "field b"},
		{"", `{"a":1}`, `{"a":"1"}`, "type a"},
		{"", `{"a":null}`, `{"a":{}}`, "type a"},
		{"", `{"a":[1,2]}`, `{"a":[1]}`, "type a"},
		{"", `{"a":0.039999999105930328}`, `{"a":0.04}`, ""},
		{"", `{"a":5}`, `{"a":6}`, "value a"},
		{"", `{"jsonrpc":"2.0","error":{"code":40101}}`, `{"jsonrpc":"2.0","error":{"code":40108}}`, "code error.code"},
		{"", `{"jsonrpc":"2.0","error":{"code":40101}}`, `{"jsonrpc":"2.0","result":{}}`, "code "},
		{"", `{"jsonrpc":"2.0","error":{"code":-32603,"message":"x"}}`, `{"jsonrpc":"2.0","error":{"code":40001,"data":{},"message":"y"}}`, "code error.code"},
		{"", `{"timestampMillis":"12"}`, `{"timestampMillis":"9"}`, ""},
		{"", `{"timestampMillis":"12"}`, `{"timestampMillis":9}`, "type timestampMillis"},
		// Ids: those known must be ours, new ones must stay the same.
		{"", `{"o":"aaaaaaaa-0000-0000-0000-000000000001_kurento.X"}`, `{"o":"bbbbbbbb-0000-0000-0000-000000000001_kurento.X"}`, ""},
		{"", `{"o":"aaaaaaaa-0000-0000-0000-000000000001_kurento.X"}`, `{"o":"bbbbbbbb-0000-0000-0000-000000000002_kurento.X"}`, "value o"},
		{"", `["aaaaaaaa-0000-0000-0000-000000000009","aaaaaaaa-0000-0000-0000-000000000009"]`, `["bbbbbbbb-0000-0000-0000-000000000003","bbbbbbbb-0000-0000-0000-000000000004"]`, "value [1]"},
		{"", `{"u":"file:///media/a.webm"}`, `{"u":"file:///tmp/m/a.webm"}`, ""},
		{"", `{"u":"file:///media/a.webm"}`, `{"u":"file:///tmp/m/b.webm"}`, "value u"},
		{"request 1 invoke getUsedMemory of manager_ServerManager", `{"result":{"value":1}}`, `{"result":{"value":2}}`, ""},
		{"request 1 invoke getChildren of X", `{"result":{"value":["a","b"]}}`, `{"result":{"value":["b","a"]}}`, ""},
		{"", `{"factories":["B","A"]}`, `{"factories":["A","B"]}`, ""},
		{"", `{"factories":["A"]}`, `{"factories":["A","B"]}`, "value factories"},
		{"", `{"value":"candidate:1 1 UDP 99 127.0.0.1 5 typ host"}`, `{"value":"candidate:77 1 udp 1 10.0.0.1 6 typ host"}`, ""},
		{"", `{"value":"candidate:1 1 UDP 99 127.0.0.1 5 typ host"}`, `{"value":"candidate:1 1 UDP 99 127.0.0.1 5 typ srflx raddr 1.1.1.1 rport 1"}`, "value value"},
		// Rows of statistics pair by type.
		{"", `{"k1":{"__type__":"ElementStats","n":1}}`, `{"k2":{"__type__":"ElementStats","n":5}}`, ""},
		{"", `{"k1":{"__type__":"ElementStats","n":1}}`, `{"k2":{"__type__":"ElementStats"}}`, "field ElementStats.n"},
		{"", `{"k1":{"__type__":"ElementStats","n":1}}`, `{"k2":{"__type__":"EndpointStats","n":1}}`, "field"},
	} {
		got := strings.Join(diffs(t, c.op, c.theirs, c.ours), ", ")
		if got != c.want && (c.want != "field" || !strings.Contains(got, "field")) {
			t.Errorf("%s and %s: %q, want %q", c.theirs, c.ours, got, c.want)
		}
	}
}

func TestSDP(t *testing.T) {
	theirs := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nm=audio 77 RTP/AVP 0\r\na=setup:active\r\na=ssrc:5 cname:user1@host-2\r\na=sendrecv\r\n"
	for _, c := range []struct{ from, to, want string }{
		{"77", "99", ""},
		{"ssrc:5 cname:user1@host-2", "ssrc:6 cname:x", ""},
		{"- 1 1", "- 2 3", ""},
		{"active", "passive", `[{audio a=setup:active } {audio  a=setup:passive}]`},
		{"77", "0", `[{audio m=audio # RTP/AVP 0 } {audio  m=audio 0 RTP/AVP 0}]`},
	} {
		ours := strings.Replace(theirs, c.from, c.to, 1)
		got := ""
		if d := diffSDP(theirs, ours); len(d) > 0 {
			got = fmt.Sprint(d)
		}
		if got != c.want {
			t.Errorf("%s → %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

// TestOutgoing: a frame goes out byte for byte, but for what this run made.
func TestOutgoing(t *testing.T) {
	ids := newBindings("/tmp/m")
	ids.learn(map[string]string{
		"aaaaaaaa-0000-0000-0000-000000000001": "bbbbbbbb-0000-0000-0000-000000000001",
		"v=0\r\nrecorded <\">":                 "v=0\r\nours",
	})
	raw := `{ "jsonrpc":2.0 ,"offer":"v=0\r\nrecorded <\">","o":"aaaaaaaa-0000-0000-0000-000000000001","u":"file:///media/x","other":"aaaaaaaa-0000-0000-0000-000000000002"}`
	want := `{ "jsonrpc":2.0 ,"offer":"v=0\r\nours","o":"bbbbbbbb-0000-0000-0000-000000000001","u":"file:///tmp/m/x","other":"aaaaaaaa-0000-0000-0000-000000000002"}`
	if got := ids.outgoing(raw); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for _, odd := range []string{"", "not json", "[]"} {
		if got := ids.outgoing(odd); got != odd {
			t.Errorf("%q became %q", odd, got)
		}
	}
}

// TestReviewedList: no entry is about a code, a member's name or a type, and
// entries match whole members only.
func TestReviewedList(t *testing.T) {
	for _, e := range Reviewed {
		if err := e.Allowed(); err != nil {
			t.Error(err)
		}
	}
	for _, e := range []Entry{
		{Kind: Code, Theirs: "40001", Reason: "x"}, {Kind: Field, Reason: "x"}, {Kind: Type, Reason: "x"},
		{Kind: Value}, {Reason: "x"},
	} {
		if e.Allowed() == nil {
			t.Errorf("%+v is allowed", e)
		}
	}
	open, used := Sort([]Difference{{Kind: Value, Path: "a.b"}, {Kind: Value, Path: "a.bc"}}, []Entry{{Kind: Value, Path: `a\.b`, Reason: "x"}})
	if len(open) != 1 || used[0] != 1 {
		t.Errorf("%v, %v", open, used)
	}
}

// TestReviewedCount: an entry is about as many differences as it says, each where it was
// seen: the connections that end with their pipeline are six.
func TestReviewedCount(t *testing.T) {
	end := func(media string, change func(*Difference)) Difference {
		d := Difference{
			File: "06-connect-elements", At: "event ElementDisconnected of PassThrough", Kind: Event, Theirs: "none", After: "request 48 release of MediaPipeline",
			Ours: `{"mediaType":"` + media + `","sink":"a_kurento.MediaPipeline/b_kurento.PassThrough","sinkMediaDescription":"default","sourceMediaDescription":"default"}`,
		}
		if change != nil {
			change(&d)
		}
		return d
	}
	six := []Difference{end("AUDIO", nil), end("VIDEO", nil), end("DATA", nil), end("AUDIO", nil), end("VIDEO", nil), end("DATA", nil)}
	if open, _ := Sort(six, Reviewed); len(open) > 0 {
		t.Errorf("not reviewed: %v", open)
	}
	for name, d := range map[string]Difference{
		"a third of a kind":  end("VIDEO", nil),
		"earlier":            end("VIDEO", func(d *Difference) { d.After = "request 47 release of MediaPipeline" }),
		"before any answer":  end("VIDEO", func(d *Difference) { d.After = "" }),
		"of another":         end("VIDEO", func(d *Difference) { d.At = "event ElementDisconnected of WebRtcEndpoint" }),
		"another event":      end("VIDEO", func(d *Difference) { d.At = "event ElementConnected of PassThrough" }),
		"another recording":  end("VIDEO", func(d *Difference) { d.File = "05-webrtc-pair-media-events" }),
		"one that is missed": end("VIDEO", func(d *Difference) { d.Theirs, d.Ours, d.After = d.Ours, "none", "" }),
		"to another element": end("VIDEO", func(d *Difference) { d.Ours = strings.Replace(d.Ours, "PassThrough", "HubPort", 1) }),
	} {
		if open, _ := Sort(append(six[:6:6], d), Reviewed); len(open) != 1 {
			t.Errorf("%s: %v", name, open)
		}
	}
}
