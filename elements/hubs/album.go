package hubs

import (
	"fmt"

	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
)

// picture is an image for the worker, coded. It does not change once made.
type picture struct {
	key           string // of what it shows
	image         []byte // PNG or JPEG
	width, height int
}

// maxPainted bounds the labels and avatars that are kept painted.
const maxPainted = 256

// album holds the pictures that the worker knows, and paints labels and avatars
// once. Guarded by Director.telling.
type album struct {
	job     *workers.Job
	known   map[string]string // names by key
	painted map[string]*picture
	count   int
}

// need makes sure that the worker knows p and gives its name there.
func (a *album) need(p *picture) string {
	if name, ok := a.known[p.key]; ok {
		return name
	}
	if a.known == nil {
		a.known = map[string]string{}
	}
	a.count++
	name := fmt.Sprint("p", a.count)
	a.known[p.key] = name
	a.job.Set("picture/"+name, wire.MethodPicture, wire.Picture{Name: name, Image: p.image})
	return name
}

// sweep takes from the worker what no view uses.
func (a *album) sweep(views []*View) {
	for key, name := range a.known {
		used := false
		for _, v := range views {
			used = used || v.uses[name]
		}
		if used {
			continue
		}
		delete(a.known, key)
		a.job.Unset("picture/" + name)
		a.job.Set("picture/"+name, wire.MethodNoPicture, wire.NameParams{Name: name})
		a.job.Unset("picture/" + name)
	}
}

// once gives what is painted under a key, painting it when it is new. nil stays
// unkept.
func (a *album) once(key string, paint func() *picture) *picture {
	if p := a.painted[key]; p != nil {
		return p
	}
	p := paint()
	if p == nil {
		return nil
	}
	if a.painted == nil || len(a.painted) >= maxPainted {
		a.painted = map[string]*picture{} // rarely: many sizes, or many people in a long call
	}
	p.key = key
	a.painted[key] = p
	return p
}

// label is a name as shown in a tile; nil when the tile is too small for it.
func (a *album) label(text string, width, height int) *picture {
	size := labelSize(height)
	if text == "" || size == 0 {
		return nil
	}
	most := width - 2*max(height/40, 2)
	return a.once(fmt.Sprintf("label %d %d %s", size, most, text), func() *picture { return paintLabel(text, size, most) })
}

// avatar stands in for a source's picture.
func (a *album) avatar(id, name string, named bool, width, height int) *picture {
	w, h := avatarSize(width, height)
	return a.once(fmt.Sprintf("avatar %dx%d %t %q %s", w, h, named, name, id), func() *picture { return paintAvatar(id, name, named, w, h) })
}
