package dot

import (
	"errors"
	"fmt"
	"strings"
)

// Graph is a graph or one of its clusters.
type Graph struct {
	Name  string
	Attrs map[string]string
	Nodes []*Node  // declared here, in order
	Sub   []*Graph // subgraphs, in order
	// Edges are all of the graph, those of its subgraphs included; only the
	// outermost graph has any.
	Edges []*Edge
}

// Node is one node; its attributes include the defaults that held where it stood.
type Node struct {
	ID    string
	Attrs map[string]string
}

// Edge leads from one node to another.
type Edge struct {
	From, To string
	Attrs    map[string]string
}

type parser struct {
	tokens []token
	at     int
	items  int
	nodes  map[string]*Node
	edges  []*Edge
}

// Parse reads one graph. It is an error when the text is not a whole graph.
func Parse(text string) (*Graph, error) {
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, nodes: map[string]*Node{}}
	if p.word("strict") {
		p.at++
	}
	if !p.word("digraph") && !p.word("graph") {
		return nil, errors.New("it does not begin with digraph")
	}
	p.at++
	g := &Graph{Attrs: map[string]string{}}
	if t := p.peek(); t.kind == word || t.kind == quoted {
		g.Name = t.value()
		p.at++
	}
	if err := p.body(g, map[string]string{}, map[string]string{}, 0); err != nil {
		return nil, err
	}
	if p.at != len(p.tokens) {
		return nil, p.wrong("more after the graph's end")
	}
	g.Edges = p.edges
	return g, nil
}

func (p *parser) peek() token {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return token{}
}

func (p *parser) word(text string) bool {
	t := p.peek()
	return t.kind == word && strings.EqualFold(t.text, text)
}

func (p *parser) wrong(what string) error {
	t := p.peek()
	return fmt.Errorf("byte %d: %s", t.from, what)
}

func (p *parser) body(g *Graph, nodeDefaults, edgeDefaults map[string]string, depth int) error {
	if depth > maxDepth {
		return p.wrong("nested too deeply")
	}
	if !p.peek().is("{") {
		return p.wrong("{ is missing")
	}
	p.at++
	nodeDefaults, edgeDefaults = clone(nodeDefaults), clone(edgeDefaults)
	for {
		if p.items++; p.items > maxItems {
			return p.wrong("too many statements")
		}
		t := p.peek()
		switch {
		case t.kind == 0:
			return p.wrong("} is missing")
		case t.is("}"):
			p.at++
			return nil
		case t.is(";"):
			p.at++
		case p.word("subgraph") || t.is("{"):
			if err := p.subgraph(g, nodeDefaults, edgeDefaults, depth); err != nil {
				return err
			}
		case p.word("graph"), p.word("node"), p.word("edge"):
			into := g.Attrs
			if p.word("node") {
				into = nodeDefaults
			} else if p.word("edge") {
				into = edgeDefaults
			}
			p.at++
			if err := p.attributes(into); err != nil {
				return err
			}
		case t.kind == word || t.kind == quoted:
			if err := p.statement(g, nodeDefaults, edgeDefaults); err != nil {
				return err
			}
		default:
			return p.wrong(fmt.Sprintf("%q does not begin a statement", t.text))
		}
	}
}

func (p *parser) subgraph(g *Graph, nodeDefaults, edgeDefaults map[string]string, depth int) error {
	sub := &Graph{Attrs: map[string]string{}}
	if p.word("subgraph") {
		p.at++
		if t := p.peek(); t.kind == word || t.kind == quoted {
			sub.Name = t.value()
			p.at++
		}
	}
	g.Sub = append(g.Sub, sub)
	return p.body(sub, nodeDefaults, edgeDefaults, depth+1)
}

// statement is a node, a chain of edges, or name = value.
func (p *parser) statement(g *Graph, nodeDefaults, edgeDefaults map[string]string) error {
	first := p.peek().value()
	p.at++
	if p.peek().is("=") {
		p.at++
		t := p.peek()
		if t.kind == mark || t.kind == 0 {
			return p.wrong("a value is missing")
		}
		g.Attrs[first] = t.value()
		p.at++
		return nil
	}
	ids := []string{first}
	p.port()
	for p.peek().is("->") || p.peek().is("--") {
		p.at++
		t := p.peek()
		if t.kind != word && t.kind != quoted {
			return p.wrong("an edge leads nowhere")
		}
		ids = append(ids, t.value())
		p.at++
		p.port()
	}
	attrs := map[string]string{}
	if err := p.attributes(attrs); err != nil {
		return err
	}
	if len(ids) == 1 {
		n := p.node(g, first, nodeDefaults)
		for k, v := range attrs {
			n.Attrs[k] = v
		}
		return nil
	}
	for i := 1; i < len(ids); i++ {
		p.node(g, ids[i-1], nodeDefaults)
		p.node(g, ids[i], nodeDefaults)
		e := &Edge{From: ids[i-1], To: ids[i], Attrs: clone(edgeDefaults)}
		for k, v := range attrs {
			e.Attrs[k] = v
		}
		p.edges = append(p.edges, e)
	}
	return nil
}

// port skips :port of a node.
func (p *parser) port() {
	for p.peek().is(":") {
		p.at += 2
	}
}

// node is the one with an id, declared in g when it is new.
func (p *parser) node(g *Graph, id string, defaults map[string]string) *Node {
	n, ok := p.nodes[id]
	if !ok {
		n = &Node{ID: id, Attrs: clone(defaults)}
		p.nodes[id] = n
		g.Nodes = append(g.Nodes, n)
	}
	return n
}

// attributes reads any number of [name=value, ...].
func (p *parser) attributes(into map[string]string) error {
	for p.peek().is("[") {
		p.at++
		for !p.peek().is("]") {
			name := p.peek()
			if name.is(",") || name.is(";") {
				p.at++
				continue
			}
			if name.kind != word && name.kind != quoted {
				return p.wrong("an attribute's name is missing")
			}
			p.at++
			value := "true"
			if p.peek().is("=") {
				p.at++
				t := p.peek()
				if t.kind == mark || t.kind == 0 {
					return p.wrong("an attribute's value is missing")
				}
				value = t.value()
				p.at++
			}
			into[name.value()] = value
		}
		p.at++
	}
	return nil
}

func clone(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
