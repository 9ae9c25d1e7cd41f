package dot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// SVG draws a graph. Colours and dashes are those of the graph's attributes.
func SVG(g *Graph) []byte {
	root, byID := layout(g)
	back := 0
	for _, e := range g.Edges {
		if goesBack(byID[e.From], byID[e.To]) {
			back++
		}
	}
	lanes := root.y + root.h
	root.h += float64(back) * laneHeight
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" font-family="Helvetica, Arial, sans-serif" font-size="11">`+"\n",
		root.w+2*pad, root.h+2*pad, root.w+2*pad, root.h+2*pad)
	b.WriteString(`<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#445"/></marker></defs>` + "\n")
	b.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	root.draw(&b, 0)
	for _, e := range g.Edges {
		if goesBack(byID[e.From], byID[e.To]) {
			lanes += laneHeight
		}
		drawEdge(&b, e, byID, lanes)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// shades of clusters by depth.
var shades = []string{"#ffffff", "#f3f6fb", "#e7edf7", "#dbe5f3", "#cfdcef"}

func (c *box) draw(b *bytes.Buffer, depth int) {
	if c.node != nil {
		fill, dashed := c.node.Attrs["fillcolor"], ""
		if !colour(fill) {
			fill = "#ffffff"
		}
		if strings.Contains(c.node.Attrs["style"], "dashed") {
			dashed = ` stroke-dasharray="4 3"`
		}
		if strings.Contains(c.node.Attrs["style"], "invis") {
			return
		}
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="4" fill="%s" stroke="#667"%s/>`+"\n", c.x, c.y, c.w, c.h, fill, dashed)
		c.text(b, c.x+c.w/2, c.y+pad/2, "middle", "#223", "normal")
		return
	}
	if c.cluster.Attrs["style"] != "invis" {
		fill := c.cluster.Attrs["fillcolor"]
		if !colour(fill) {
			fill = shades[min(depth, len(shades)-1)]
		}
		stroke := "#8a96ad"
		if depth == 0 {
			stroke = "none"
		}
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="7" fill="%s" stroke="%s"/>`+"\n", c.x, c.y, c.w, c.h, fill, stroke)
		c.text(b, c.x+pad, c.y+pad/2, "start", "#123", "bold")
	}
	for _, x := range c.inner {
		x.draw(b, depth+1)
	}
}

// colour tells whether a value may stand in an attribute: #rrggbb or a name.
func colour(s string) bool {
	if s == "" {
		return false
	}
	for _, r := range strings.TrimPrefix(s, "#") {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}

func (c *box) text(b *bytes.Buffer, x, y float64, anchor, fill, weight string) {
	for i, l := range c.label {
		if i > 0 {
			weight = "normal"
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s" font-weight="%s">%s</text>`+"\n", x, y+float64(i+1)*lineHeight-3, anchor, fill, weight, escape(l))
	}
}

func escape(s string) string {
	var b strings.Builder
	if xml.EscapeText(&b, []byte(s)) != nil {
		return ""
	}
	return b.String()
}

// laneHeight is the room of one edge that leads back, below all boxes.
const laneHeight = 11.0

// goesBack tells whether an edge leads to the left.
func goesBack(from, to *box) bool { return from != nil && to != nil && to.x < from.x+from.w }

// drawEdge draws a curve from the right side of one node to the left of another;
// one that leads back goes around in a lane of its own, below the boxes.
func drawEdge(b *bytes.Buffer, e *Edge, byID map[string]*box, lane float64) {
	from, to := byID[e.From], byID[e.To]
	if from == nil || to == nil || strings.Contains(e.Attrs["style"], "invis") {
		return
	}
	dashed := ""
	if e.Attrs["style"] == "dashed" {
		dashed = ` stroke-dasharray="5 4"`
	}
	x1, y1, x2, y2 := from.x+from.w, from.y+from.h/2, to.x, to.y+to.h/2
	bend := max(gapX/2, (x2-x1)/2)
	if goesBack(from, to) {
		const r = 14.0
		fmt.Fprintf(b, `<path d="M%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f L%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f" fill="none" stroke="#445"%s marker-end="url(#tip)"/>`+"\n",
			x1, y1, x1+2*r, y1, x1+2*r, lane, x1, lane, x2, lane, x2-2*r, lane, x2-2*r, y2, x2, y2, dashed)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#445" font-size="9">%s</text>`+"\n", (x1+x2)/2, lane-2, escape(strings.Join(lines(e.Attrs["label"]), " ")))
		return
	}
	fmt.Fprintf(b, `<path d="M%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f" fill="none" stroke="#445"%s marker-end="url(#tip)"/>`+"\n",
		x1, y1, x1+bend, y1, x2-bend, y2, x2, y2, dashed)
	for i, l := range lines(e.Attrs["label"]) {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#445" font-size="9">%s</text>`+"\n", (x1+x2)/2, (y1+y2)/2-4+float64(i)*10, escape(l))
	}
}
