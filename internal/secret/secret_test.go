package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretNeverPrints(t *testing.T) {
	const plain = "hunter2hunter2"
	s := New(plain)
	hex := fmt.Sprintf("%x", plain)
	type holder struct {
		S Secret
		P *Secret
		M map[string]Secret
		u Secret
	}
	h := holder{s, &s, map[string]Secret{"k": s}, s}
	var shown []string
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d", "%10s", "%T %v"} {
		shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, h))
	}
	j, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(map[Secret]int{s: 1})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "a", s, "b", h, slog.Group("g", "c", s))
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "a", s, "b", h)
	shown = append(shown, string(j), string(keys), out.String(), fmt.Errorf("call: %w %v", errors.New("x"), s).Error())
	for _, text := range shown {
		if strings.Contains(text, plain) || strings.Contains(strings.ToLower(text), hex) {
			t.Errorf("secret shown in %q", text)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		s    string
		with string
		want bool
	}{
		{"MY_SECRET", "MY_SECRET", true}, {"MY_SECRET", "my_secret", false}, {"MY_SECRET", "", false},
		{"", "", false}, {"", "x", false}, {"a", "ab", false},
	} {
		if got := New(c.s).Equal(c.with); got != c.want {
			t.Errorf("Secret of %d bytes Equal(%q) = %v, want %v", len(c.s), c.with, got, c.want)
		}
	}
}

func TestZeroSecret(t *testing.T) {
	var s Secret
	if s.Len() != 0 || s.Reveal() != "" || s.Equal("") || s.String() != Mask {
		t.Errorf("zero Secret: length %d, equal to empty %v", s.Len(), s.Equal(""))
	}
}

func TestUnmarshalAndReveal(t *testing.T) {
	var v struct{ S Secret }
	if err := json.Unmarshal([]byte(`{"S":"abc"}`), &v); err != nil || v.S.Reveal() != "abc" {
		t.Fatalf("got %q, %v", v.S.Reveal(), err)
	}
}
