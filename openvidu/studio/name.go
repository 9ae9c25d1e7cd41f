package studio

import (
	"encoding/json"
	"strings"
	"unicode"
)

// maxName is how many characters of a name are shown.
const maxName = 40

// nameKeys are where applications put the name of a participant in the data it
// joined with, the likeliest first.
var nameKeys = []string{"clientData", "clientName", "nickname", "name", "userName", "username", "displayName", "nick", "user"}

// Name is what is shown for a participant: the name in its client data, which is
// JSON with one of the usual keys or plain text, else its connection id.
func Name(clientData, connectionID string) string {
	if n := clean(nameOf(clientData, 3)); n != "" {
		return n
	}
	return connectionID
}

// nameOf looks at most deep levels down: browsers wrap what applications have
// wrapped already.
func nameOf(text string, deep int) string {
	text = strings.TrimSpace(text)
	if deep == 0 || len(text) == 0 || text[0] != '{' && text[0] != '[' && text[0] != '"' {
		return text
	}
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	switch v := v.(type) {
	case string:
		return nameOf(v, deep-1)
	case map[string]any:
		return nameIn(v, deep-1)
	}
	return ""
}

func nameIn(m map[string]any, deep int) string {
	for _, k := range nameKeys {
		switch v := m[k].(type) {
		case string:
			if n := nameOf(v, deep); n != "" {
				return n
			}
		case map[string]any:
			if deep == 0 {
				return ""
			}
			if n := nameIn(v, deep-1); n != "" {
				return n
			}
		}
	}
	return ""
}

// clean makes one line of at most maxName characters that can be drawn.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) > maxName {
		r = append(r[:maxName-1], '…')
	}
	return string(r)
}
