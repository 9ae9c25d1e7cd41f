//go:build linux

package rtmptest

import (
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Kept is a stream that was taken, as nginx keeps it: an FLV file.
type Kept struct {
	Path     string
	Pictures int           // whole ones
	Sounds   int           // whole ones
	Keyed    bool          // the first picture is a keyframe
	Last     time.Duration // of the latest picture, since the stream's beginning
}

// Kept are the streams taken so far, oldest first, those of before a Kill included.
func (n *Nginx) Kept() (list []Kept) {
	n.t.Helper()
	paths, err := filepath.Glob(filepath.Join(n.home, "*.flv"))
	if err != nil {
		n.t.Fatal(err)
	}
	slices.Sort(paths) // NAME-SECONDS.flv
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			n.t.Fatal(err)
		}
		k := Kept{Path: path}
		k.scan(b)
		list = append(list, k)
	}
	return list
}

// scan counts what is in an FLV file that is being written (Adobe Flash Video File
// Format 10.1 §E).
func (k *Kept) scan(b []byte) {
	const header, tag, back = 9, 11, 4
	for b = b[min(header+back, len(b)):]; len(b) > tag; {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if len(b) < tag+size+back {
			return
		}
		body := b[tag : tag+size]
		switch {
		case size < 2 || body[1] != 1: // configurations, and what has neither sound nor picture
		case b[0] == 9:
			if k.Pictures == 0 {
				k.Keyed = body[0]>>4 == 1
			}
			k.Pictures++
			k.Last = time.Duration(int(b[7])<<24|int(b[4])<<16|int(b[5])<<8|int(b[6])) * time.Millisecond
		case b[0] == 8:
			k.Sounds++
		}
		b = b[tag+size+back:]
	}
}

// Await waits until stream i (from 0) has pictures and sounds, and tells when that
// was seen.
func (n *Nginx) Await(i, pictures int) (Kept, time.Time) {
	n.t.Helper()
	var k Kept
	n.until("the target has the stream", func() bool {
		list := n.Kept()
		if i < len(list) {
			k = list[i]
		}
		return k.Pictures >= pictures && k.Sounds > 0
	})
	return k, time.Now()
}
