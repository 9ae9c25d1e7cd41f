package sync

import (
	"bytes"
	"fmt"
	"html"
	"time"
)

// plot draws picture minus sound over the recording's time, a row for each case
// with a colour for each kind of recording. The band is ±40 ms.
func plot(all []outcome) []byte {
	const width, height, left, scale = 640, 94, 250, 0.32 // pixels; per ms
	colors := map[string]string{individual: "#06c", apart: "#080", composite: "#c40", "MP4": "#80c", listed: "#888", aligned: "#000", crossed: "#a80"}
	var names []string
	of := map[string][]outcome{}
	for _, o := range all {
		if of[o.Case.Name] == nil {
			names = append(names, o.Case.Name)
		}
		of[o.Case.Name] = append(of[o.Case.Name], o)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`, left+width+20, len(names)*height+20)
	fmt.Fprintln(&b, `<rect width="100%" height="100%" fill="white"/>`)
	for i, name := range names {
		mid := float64(i*height + height/2 + 10)
		fmt.Fprintf(&b, `<text x="6" y="%.0f">%s</text>`, mid-26, html.EscapeString(name))
		fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="#e6f4e6"/>`, left, mid-40*scale, width, 80*scale)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#999"/>`, left, left+width, mid, mid)
		told := map[string][]time.Duration{}
		var kinds []string
		for _, o := range of[name] {
			if told[o.What] == nil {
				kinds = append(kinds, o.What)
			}
			told[o.What] = append(told[o.What], o.Off...)
			b.WriteString(`<path d="`)
			for k, at := range o.At {
				x := left + float64(width)*float64(at)/float64(max(o.Length, time.Second))
				y := mid - min(max(float64(o.Off[k])/1e6*scale, -height/2+3), height/2-3)
				fmt.Fprintf(&b, "M%.0f %.1fh0", x, y)
			}
			fmt.Fprintf(&b, `" stroke="%s" stroke-width="3.6" stroke-linecap="round" stroke-opacity="0.6"/>`, colors[o.What])
		}
		for k, what := range kinds {
			fmt.Fprintf(&b, `<text x="12" y="%.0f" fill="%s">%s: median %+d ms</text>`, mid-12+13*float64(k), colors[what], what, quantile(told[what], 0.5).Milliseconds())
		}
		fmt.Fprintln(&b)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
