package kms_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/govidu/govidu/internal/jsonrpc"
)

// TestGolden replays conversations recorded from the original server (testdata,
// ids as placeholders) over memory and over a WebSocket: each reply must be the
// same, member for member.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("conversations in testdata: %v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name+"/memory", func(t *testing.T) {
			s := newServer(t, nil)
			replay(t, file, s.Pipe)
		})
		t.Run(name+"/websocket", func(t *testing.T) {
			url := overSocket(t, newServer(t, nil))
			replay(t, file, func() jsonrpc.Conn { return dialRaw(t, url, nil) })
		})
	}
}

// script is one replay: the peers by socket number, and what is bound.
type script struct {
	t     *testing.T
	peers map[string]*peer
	bound map[string]string
}

func replay(t *testing.T, file string, dial func() jsonrpc.Conn) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t, map[string]*peer{}, map[string]string{}}
	expected := map[string][]map[string]any{}
	var last string
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		head, raw, _ := strings.Cut(line, " ")
		socket := head[1:]
		p := s.peers[socket]
		if p == nil {
			p = newPeer(t, dial())
			s.peers[socket] = p
		}
		switch head[0] {
		case 'C':
			last = s.fill(raw)
			p.send(last)
		case 'S':
			got, want := p.reply(), decode(t, raw)
			if err := s.match(want, got, "reply"); err != nil {
				t.Fatalf("line %d: after %s\n got %v\nwant %s\n%v", i+1, last, got, raw, err)
			}
		case 'E':
			expected[socket] = append(expected[socket], decode(t, raw))
		}
	}
	for socket, want := range expected {
		var got []map[string]any
		for range want {
			got = append(got, s.peers[socket].event())
		}
		s.sameEvents(want, got)
	}
	for socket, p := range s.peers {
		select {
		case e := <-p.events:
			t.Errorf("socket %s: unexpected event %v", socket, e)
		default:
		}
	}
}

// sameEvents compares without order, which the original does not keep either.
func (s *script) sameEvents(want, got []map[string]any) {
	s.t.Helper()
outer:
	for _, w := range want {
		for i, g := range got {
			if s.match(w, g, "event") == nil {
				got = append(got[:i:i], got[i+1:]...)
				continue outer
			}
		}
		s.t.Errorf("missing event %v\namong %v", w, got)
	}
}

var placeholder = regexp.MustCompile(`\$(\w+)\$`)

// fill puts bound ids into a message to send; unbound ones are made up.
func (s *script) fill(raw string) string {
	return placeholder.ReplaceAllStringFunc(raw, func(p string) string {
		if s.bound[p] == "" {
			s.bound[p] = uuid.NewString()
		}
		return s.bound[p]
	})
}

// match compares a pattern with a value and binds placeholders.
func (s *script) match(want, got any, path string) error {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %v is no object", path, got)
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return fmt.Errorf("%s: unexpected member %q", path, k)
			}
		}
		for k, v := range w {
			if _, ok := g[k]; !ok {
				return fmt.Errorf("%s: member %q is missing", path, k)
			}
			if err := s.match(v, g[k], path+"."+k); err != nil {
				return err
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Errorf("%s: got %v, want %v", path, got, want)
		}
		for i := range w {
			if err := s.match(w[i], g[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case string:
		return s.matchText(w, got, path)
	}
	if want != got {
		return fmt.Errorf("%s: got %v, want %v", path, got, want)
	}
	return nil
}

func (s *script) matchText(want string, got any, path string) error {
	if want == "$ANY$" {
		return nil
	}
	text, ok := got.(string)
	if !ok {
		return fmt.Errorf("%s: got %v, want %q", path, got, want)
	}
	var names []string
	pattern := "^" + regexp.QuoteMeta(strings.ReplaceAll(want, "$", "\x00"))
	pattern = regexp.MustCompile("\x00(\\w+)\x00").ReplaceAllStringFunc(pattern, func(p string) string {
		name := "$" + strings.Trim(p, "\x00") + "$"
		if v := s.bound[name]; v != "" {
			return regexp.QuoteMeta(v)
		}
		names = append(names, name)
		return `([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`
	}) + "$"
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("%s: got %q, want %q", path, text, want)
	}
	for i, name := range names {
		s.bound[name] = m[i+1]
	}
	return nil
}
