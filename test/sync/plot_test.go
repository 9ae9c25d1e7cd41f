package sync

import (
	"bytes"
	"fmt"
	"html"
	"time"
)

// series is one file's pairs.
type series struct {
	name string
	*result
}

// plot draws picture minus sound over the file's time, a row for each file.
func plot(all []series) []byte {
	const width, height, left, scale = 640, 90, 220, 0.25 // pixels; per ms
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`, left+width+20, len(all)*height+20)
	fmt.Fprintln(&b, `<rect width="100%" height="100%" fill="white"/>`)
	for i, s := range all {
		mid := float64(i*height + height/2 + 10)
		fmt.Fprintf(&b, `<text x="6" y="%.0f">%s</text>`, mid, html.EscapeString(s.name))
		fmt.Fprintf(&b, `<text x="6" y="%.0f" fill="#777">median %+d ms</text>`, mid+14, quantile(s.off, 0.5).Milliseconds())
		fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="#e6f4e6"/>`, left, mid-40*scale, width, 80*scale)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#999"/>`, left, left+width, mid, mid)
		for k, at := range s.at {
			x := left + float64(width)*float64(at)/float64(max(s.length, time.Second))
			y := mid - min(max(float64(s.off[k])/1e6*scale, -height/2+3), height/2-3)
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2.2" fill="#06c"/>`, x, y)
		}
		fmt.Fprintln(&b)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
