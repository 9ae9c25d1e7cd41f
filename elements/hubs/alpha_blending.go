package hubs

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
)

// blendingRate is the framerate of AlphaBlending, per second.
const blendingRate = 15

// AlphaBlending lays the pictures of its ports over the master's, whose size is
// the canvas. Before setMaster it sends no picture; a port without properties is
// not shown.
type AlphaBlending struct {
	composed

	placeMu sync.Mutex // leaf
	master  *HubPort
	places  map[*HubPort]place
}

// place is a port's rectangle in fractions of the canvas, the master's being
// the whole, and its height in the pile.
type place struct {
	x, y, width, height float64
	z                   int
}

func newAlphaBlending(d Deps) func(context.Context, elements.Env, dispatcherParams) (*AlphaBlending, error) {
	return func(ctx context.Context, env elements.Env, _ dispatcherParams) (*AlphaBlending, error) {
		a := &AlphaBlending{places: map[*HubPort]place{}}
		a.paint = a.pile
		if err := a.open(ctx, d, env, a, canvas{Framerate: blendingRate}); err != nil {
			return nil, err
		}
		return a, nil
	}
}

// notOwn is the text for a port of another hub.
const notOwn = "Port does not belong to this hub"

type setMasterParams struct {
	Source *HubPort `json:"source"`
	ZOrder int      `json:"zOrder"`
}

// SetMaster makes a port's picture the canvas, at a height in the pile. A port
// of another hub: 40004.
func (a *AlphaBlending) SetMaster(_ context.Context, p setMasterParams) (elements.None, error) {
	if err := a.own(notOwn, p.Source); err != nil {
		return elements.None{}, err
	}
	a.placeMu.Lock()
	a.master = p.Source
	a.places[p.Source] = place{width: 1, height: 1, z: p.ZOrder}
	a.placeMu.Unlock()
	a.stage.changed()
	return elements.None{}, nil
}

type setPortPropertiesParams struct {
	RelativeX      float64  `json:"relativeX"`
	RelativeY      float64  `json:"relativeY"`
	ZOrder         int      `json:"zOrder"`
	RelativeWidth  float64  `json:"relativeWidth"`
	RelativeHeight float64  `json:"relativeHeight"`
	Port           *HubPort `json:"port"`
}

// SetPortProperties places a port's picture, in fractions 0 to 1 of the
// master's. Other values: 40107. Of the master itself only the height in the
// pile changes.
func (a *AlphaBlending) SetPortProperties(_ context.Context, p setPortPropertiesParams) (elements.None, error) {
	for _, v := range []float64{p.RelativeX, p.RelativeY, p.RelativeWidth, p.RelativeHeight} {
		if !(v >= 0 && v <= 1) {
			return elements.None{}, kerr.New(kerr.MediaObjectIllegalParam, "Place %g is not a fraction of the master's picture: 0 to 1", v)
		}
	}
	if err := a.own(notOwn, p.Port); err != nil {
		return elements.None{}, err
	}
	a.placeMu.Lock()
	at := place{p.RelativeX, p.RelativeY, p.RelativeWidth, p.RelativeHeight, p.ZOrder}
	if p.Port == a.master {
		at = place{width: 1, height: 1, z: p.ZOrder}
	}
	a.places[p.Port] = at
	a.placeMu.Unlock()
	a.stage.changed()
	return elements.None{}, nil
}

// pile orders the placed pictures from the lowest up; of equal heights the
// younger port is above.
func (a *AlphaBlending) pile(sc *scene, ports []*HubPort) {
	a.placeMu.Lock()
	defer a.placeMu.Unlock()
	if a.master == nil {
		return
	}
	sc.Master = videoName(a.master)
	ports = slices.DeleteFunc(ports, func(p *HubPort) bool { _, placed := a.places[p]; return !placed })
	slices.SortStableFunc(ports, func(p, q *HubPort) int { return cmp.Compare(a.places[p].z, a.places[q].z) })
	for _, p := range ports {
		at := a.places[p]
		sc.Layers = append(sc.Layers, layer{videoName(p), at.x, at.y, at.width, at.height})
	}
}

func (a *AlphaBlending) detach(p *HubPort) {
	a.placeMu.Lock()
	delete(a.places, p)
	if a.master == p {
		a.master = nil
	}
	a.placeMu.Unlock()
	a.composed.detach(p)
}
