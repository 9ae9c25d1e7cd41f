package dot

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Measures of the picture in pixels.
const (
	lineHeight = 14.0
	charWidth  = 6.3
	pad        = 8.0
	gapX, gapY = 46.0, 14.0
)

// box is a node or a cluster, laid out from the inside out.
type box struct {
	node    *Node
	cluster *Graph
	label   []string
	inner   []*box
	parent  *box
	rank    int
	x, y    float64 // of the left upper corner, in the picture
	w, h    float64
}

// layout places the boxes of a graph from left to right, along its edges: each
// cluster is laid out by itself and is one box in the cluster around it.
func layout(g *Graph) (root *box, byID map[string]*box) {
	byID = map[string]*box{}
	root = build(g, nil, byID)
	root.arrange(g.Edges, byID)
	root.move(pad, pad)
	return root, byID
}

func build(g *Graph, parent *box, byID map[string]*box) *box {
	b := &box{cluster: g, parent: parent, label: lines(g.Attrs["label"])}
	for _, n := range g.Nodes {
		label, ok := n.Attrs["label"]
		if !ok {
			label = n.ID
		}
		c := &box{node: n, parent: b, label: lines(label)}
		b.inner = append(b.inner, c)
		byID[n.ID] = c
	}
	for _, s := range g.Sub {
		b.inner = append(b.inner, build(s, b, byID))
	}
	return b
}

// lines cuts a label at its breaks, and long ones short.
func lines(label string) []string {
	label = strings.NewReplacer(`\n`, "\n", `\l`, "\n", `\r`, "\n").Replace(label)
	var out []string
	for _, l := range strings.Split(strings.TrimRight(label, "\n"), "\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, short(l, 60))
		}
	}
	return out
}

func short(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n/2]) + "…" + string(r[len(r)-n/2:])
}

func (b *box) labelSize() (w, h float64) {
	for _, l := range b.label {
		w = max(w, float64(utf8.RuneCountInString(l))*charWidth)
	}
	return w, float64(len(b.label)) * lineHeight
}

// childOf is the child of around that holds b, nil when none does.
func (b *box) childOf(around *box) *box {
	for at := b; at != nil; at = at.parent {
		if at.parent == around {
			return at
		}
	}
	return nil
}

// arrange gives b and all inside it their sizes, and places what is inside
// relative to b's corner.
func (b *box) arrange(edges []*Edge, byID map[string]*box) {
	lw, lh := b.labelSize()
	if b.node != nil {
		b.w, b.h = lw+2*pad, lh+pad
		return
	}
	for _, c := range b.inner {
		c.arrange(edges, byID)
	}
	b.rankInner(edges, byID)
	ranks := [][]*box{}
	for _, c := range b.inner {
		for len(ranks) <= c.rank {
			ranks = append(ranks, nil)
		}
		ranks[c.rank] = append(ranks[c.rank], c)
	}
	x, tall := pad, 0.0
	for _, column := range ranks {
		if len(column) == 0 {
			continue
		}
		wide, y := 0.0, lh+2*pad
		for _, c := range column {
			c.x, c.y = x, y
			y += c.h + gapY
			wide = max(wide, c.w)
		}
		for _, c := range column {
			c.x += (wide - c.w) / 2
		}
		tall = max(tall, y-gapY)
		x += wide + gapX
	}
	b.w, b.h = max(x-gapX+pad, lw+2*pad), max(tall+pad, lh+2*pad)
}

// rankInner puts each child one column behind the last of those that feed it;
// edges that would close a circle do not count.
func (b *box) rankInner(edges []*Edge, byID map[string]*box) {
	feeds := map[*box][]*box{}
	for _, e := range edges {
		from, to := byID[e.From], byID[e.To]
		if from == nil || to == nil {
			continue
		}
		if from, to = from.childOf(b), to.childOf(b); from != nil && to != nil && from != to && !slices.Contains(feeds[from], to) {
			feeds[from] = append(feeds[from], to)
		}
	}
	// An order in which circles are cut: depth first, children in their own order.
	state := map[*box]int{}
	var order []*box
	type visit struct {
		at   *box
		next int
	}
	for _, start := range b.inner {
		stack := []visit{{start, 0}}
		if state[start] != 0 {
			continue
		}
		state[start] = 1
		for len(stack) > 0 {
			v := &stack[len(stack)-1]
			if v.next == len(feeds[v.at]) {
				state[v.at] = 2
				order = append(order, v.at)
				stack = stack[:len(stack)-1]
				continue
			}
			to := feeds[v.at][v.next]
			switch state[to] {
			case 1: // a circle
				feeds[v.at] = slices.Delete(feeds[v.at], v.next, v.next+1)
				continue
			case 0:
				state[to] = 1
				v.next++
				stack = append(stack, visit{to, 0})
				continue
			}
			v.next++
		}
	}
	for _, c := range slices.Backward(order) {
		for _, to := range feeds[c] {
			to.rank = max(to.rank, c.rank+1)
		}
	}
	slices.SortStableFunc(b.inner, func(a, c *box) int { return cmp.Compare(a.rank, c.rank) })
}

// move makes relative places absolute.
func (b *box) move(x, y float64) {
	b.x, b.y = x, y
	for _, c := range b.inner {
		c.move(x+c.x, y+c.y)
	}
}
