package dot

import (
	"fmt"
	"strings"
)

// Bounds of a text.
const (
	MaxText  = 16 << 20
	maxDepth = 64
	maxItems = 100_000
)

type tokenKind uint8

const (
	word   tokenKind = iota + 1 // an identifier or number
	quoted                      // a text in quotes, raw with them
	html                        // <...>
	mark                        // { } [ ] = ; , : -> --
)

type token struct {
	kind tokenKind
	text string
	// from and to are where it stands in the source.
	from, to int
}

func (t token) is(text string) bool { return t.kind == mark && t.text == text }

// value is a token as a plain text.
func (t token) value() string {
	if t.kind != quoted {
		return t.text
	}
	return strings.ReplaceAll(strings.ReplaceAll(t.text[1:len(t.text)-1], "\\\n", ""), `\"`, `"`)
}

func isWord(c byte) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// scan cuts a text into tokens; comments go.
func scan(text string) ([]token, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("graph of %d bytes is too large", len(text))
	}
	var out []token
	for i := 0; i < len(text); {
		c, from := text[i], i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '#' || strings.HasPrefix(text[i:], "//"):
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case strings.HasPrefix(text[i:], "/*"):
			end := strings.Index(text[i:], "*/")
			if end < 0 {
				return nil, fmt.Errorf("byte %d: the comment does not end", from)
			}
			i += end + 2
			continue
		case c == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if i >= len(text) {
				return nil, fmt.Errorf("byte %d: the text does not end", from)
			}
			i++
			out = append(out, token{quoted, text[from:i], from, i})
		case c == '<':
			depth := 0
			for ; i < len(text); i++ {
				if text[i] == '<' {
					depth++
				} else if text[i] == '>' {
					if depth--; depth == 0 {
						break
					}
				}
			}
			if i >= len(text) {
				return nil, fmt.Errorf("byte %d: the markup does not end", from)
			}
			i++
			out = append(out, token{html, text[from:i], from, i})
		case strings.HasPrefix(text[i:], "->"), strings.HasPrefix(text[i:], "--"):
			i += 2
			out = append(out, token{mark, text[from:i], from, i})
		case strings.IndexByte("{}[]=;,:", c) >= 0:
			i++
			out = append(out, token{mark, text[from:i], from, i})
		case isWord(c) || c == '-':
			for i++; i < len(text) && isWord(text[i]); i++ {
			}
			out = append(out, token{word, text[from:i], from, i})
		default:
			return nil, fmt.Errorf("byte %d: %q is no part of a graph", from, c)
		}
	}
	return out, nil
}
