package hubs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/workers/wire"
)

func viewName(n int) string { return fmt.Sprint("v", n) }

// tell lets the worker hear of all views that have changed.
func (d *Director) tell() {
	d.telling.Lock()
	defer d.telling.Unlock()
	guests := d.guests()
	for _, v := range d.views {
		d.show(v, guests)
	}
	d.album.sweep(d.views)
}

// tellView is tell for one view, now.
func (d *Director) tellView(v *View) {
	if d.stage.job == nil || !slices.Contains(d.views, v) {
		return
	}
	d.show(v, d.guests())
	d.album.sweep(d.views)
}

// show sends a view's state when it is another than the worker knows. The caller
// holds d.telling.
func (d *Director) show(v *View, guests []guest) {
	w, tiles, uses := v.compose(guests, &d.album)
	raw, err := json.Marshal(w)
	if err != nil { // numbers and strings alone
		return
	}
	v.mu.Lock()
	v.tiles = tiles
	v.mu.Unlock()
	v.uses = uses
	if bytes.Equal(raw, v.told) {
		return
	}
	v.told = raw
	// A key that is set anew is repeated after the pictures it needs.
	d.stage.job.Unset(v.key())
	d.stage.job.Set(v.key(), wire.MethodView, json.RawMessage(raw))
}

// compose works out what a view shows and plays. Pictures it needs are put into
// the album.
func (v *View) compose(guests []guest, a *album) (wire.View, []ViewTile, map[string]bool) {
	v.mu.Lock()
	spec, speaker, backdrop, logo := v.layout, v.speaker, v.backdrop, v.logo
	v.mu.Unlock()
	out := wire.View{Name: v.name, Sound: v.hasAudio}
	uses := map[string]bool{}
	if v.hasAudio {
		out.Hears, out.All = hears(&spec, guests)
	}
	tiles := []ViewTile{}
	if !v.hasVideo {
		return out, tiles, uses
	}
	out.Width, out.Height, out.Framerate = v.width, v.height, v.framerate
	if spec.Background != nil {
		out.Color = spec.Background.Color
	}
	need := func(p *picture) string {
		if p == nil {
			return ""
		}
		name := a.need(p)
		uses[name] = true
		return name
	}
	out.Backdrop = need(backdrop)
	sources := make([]layout.Source, len(guests))
	byID := map[string]*guest{}
	for i := range guests {
		g := &guests[i]
		byID[g.ID] = g
		sources[i] = g.Source
		if speaker != "" {
			sources[i].Speaking = g.ID == speaker
		}
	}
	placed := spec.Arrange(v.width, v.height, sources)
	for i, t := range placed {
		g := byID[t.ID]
		who := g.called()
		tile := ViewTile{StreamID: t.ID, ConnectionID: g.ConnectionID, X: t.X, Y: t.Y, Width: t.Width, Height: t.Height, Z: t.Z, Avatar: !g.shown, AbsentMs: g.absentMs}
		if t.Name {
			tile.Name = who
		}
		w := wire.Tile{X: t.X, Y: t.Y, Width: t.Width, Height: t.Height, Z: t.Z, Cover: t.Cover}
		if g.shown {
			w.Input = g.video
			if label := a.label(tile.Name, t.Width, t.Height); label != nil {
				if o, ok := corner(t, label); ok && !covered(o, placed[i+1:]) {
					o.Picture = need(label)
					out.Overlays = append(out.Overlays, o)
				}
			}
		} else {
			w.Picture, w.Cover = need(a.avatar(t.ID, who, t.Name, t.Width, t.Height)), true
		}
		out.Tiles = append(out.Tiles, w)
		tiles = append(tiles, tile)
	}
	if logo != nil {
		l := spec.Logo
		out.Overlays = append(out.Overlays, wire.Overlay{
			Picture: need(logo), X: even(l.X * float64(v.width)), Y: even(l.Y * float64(v.height)), Width: logo.width, Height: logo.height,
		})
	}
	return out, tiles, uses
}

func even(x float64) int { return int(x) &^ 1 }

// called is the name that is shown of a source.
func (g *guest) called() string {
	if s := drawable(g.Name); s != "" {
		return s
	}
	return drawable(g.ConnectionID)
}

// hears lists the inputs of a mix, or tells that it is all there are.
func hears(spec *layout.Spec, guests []guest) (list []string, all bool) {
	all = spec.Audio == nil
	for i := range guests {
		g := &guests[i]
		switch {
		case g.audio == "":
			all = all && !g.audible
		case g.audible && (spec.Audio == nil || slices.Contains(spec.Audio, g.ID) || slices.Contains(spec.Audio, g.ConnectionID)):
			list = append(list, g.audio)
		}
	}
	if all {
		return nil, true
	}
	return list, false
}

// corner is where a label goes: the tile's lower left; false when it has no room.
func corner(t layout.Tile, label *picture) (wire.Overlay, bool) {
	margin := max(t.Height/40, 2)
	o := wire.Overlay{X: even(float64(t.X + margin)), Y: even(float64(t.Y + t.Height - margin - label.height)), Width: label.width, Height: label.height}
	return o, o.X >= t.X && o.Y >= t.Y && o.X+o.Width <= t.X+t.Width
}

// covered tells whether a tile that comes later lies over the label: labels are
// above all tiles, so it would seem to be that one's.
func covered(o wire.Overlay, later []layout.Tile) bool {
	return slices.ContainsFunc(later, func(t layout.Tile) bool {
		return o.X < t.X+t.Width && t.X < o.X+o.Width && o.Y < t.Y+t.Height && t.Y < o.Y+o.Height
	})
}
