package dot

import (
	"strings"
)

// Split cuts a text of several graphs, one behind the other, into them.
func Split(text string) ([]string, error) {
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	var out []string
	depth, from := 0, 0
	for _, t := range tokens {
		switch {
		case t.is("{"):
			depth++
		case t.is("}"):
			if depth--; depth == 0 {
				out = append(out, text[from:t.to])
				from = t.to
			}
		}
	}
	if rest := strings.TrimSpace(text[from:]); rest != "" || len(out) == 0 {
		out = append(out, rest)
	}
	return out, nil
}

// Embed turns a whole graph into a cluster that can stand inside another: its
// nodes and clusters get prefix, so that they collide with nobody's. It is an
// error when text is no graph.
func Embed(text, prefix, label string) (string, error) {
	if _, err := Parse(text); err != nil {
		return "", err
	}
	tokens, err := scan(text)
	if err != nil {
		return "", err
	}
	start := 0
	for !tokens[start].is("{") {
		start++
	}
	var b strings.Builder
	b.WriteString("subgraph cluster_" + prefix + " {\n  label=" + Quote(label) + ";\n")
	brackets, at := 0, tokens[start].to
	for i := start + 1; i < len(tokens)-1; i++ {
		t := tokens[i]
		b.WriteString(text[at:t.from])
		at = t.to
		switch {
		case t.is("["):
			brackets++
		case t.is("]"):
			brackets--
		}
		next, before := tokens[i+1], tokens[i-1]
		if brackets == 0 && (t.kind == word || t.kind == quoted) && !keyword(t) && !next.is("=") && !before.is("=") && !before.is(":") {
			b.WriteString(rename(t.value(), prefix))
			continue
		}
		if brackets == 0 && next.is("=") && t.value() == "label" && depthAt(tokens[start:i]) == 1 {
			// The graph's own label would replace ours: it becomes a comment for people.
			b.WriteString("comment")
			continue
		}
		b.WriteString(t.text)
	}
	b.WriteString("\n}\n")
	return b.String(), nil
}

func keyword(t token) bool {
	if t.kind != word {
		return false
	}
	switch strings.ToLower(t.text) {
	case "subgraph", "node", "edge", "graph":
		return true
	}
	return false
}

func depthAt(tokens []token) int {
	depth := 0
	for _, t := range tokens {
		if t.is("{") {
			depth++
		} else if t.is("}") {
			depth--
		}
	}
	return depth
}

// rename keeps the mark of a cluster at the front.
func rename(id, prefix string) string {
	if rest, ok := strings.CutPrefix(id, "cluster"); ok {
		return Quote("cluster_" + prefix + rest)
	}
	return Quote(prefix + "_" + id)
}

// Quote writes a text as the language wants it; line breaks become \n.
func Quote(s string) string {
	return `"` + strings.NewReplacer("\\", `\\`, `"`, `\"`, "\n", `\n`, "\r", "").Replace(s) + `"`
}
