package hubs

import (
	"context"

	"github.com/govidu/govidu/elements"
)

// DispatcherOneToMany sends what enters one chosen port out of all others,
// present and later ones.
type DispatcherOneToMany struct {
	hub
	source *HubPort // guarded by change; nil when none is chosen
}

func newDispatcherOneToMany(_ context.Context, env elements.Env, _ dispatcherParams) (*DispatcherOneToMany, error) {
	d := &DispatcherOneToMany{}
	d.init(env, d)
	return d, nil
}

type setSourceParams struct {
	Source *HubPort `json:"source"`
}

// SetSource chooses the port whose media all others get. A port of another
// hub: 40004.
func (d *DispatcherOneToMany) SetSource(_ context.Context, p setSourceParams) (elements.None, error) {
	d.change.Lock()
	defer d.change.Unlock()
	if err := d.own(cannotConnect, p.Source); err != nil {
		return elements.None{}, err
	}
	d.source = p.Source
	for _, sink := range d.list() {
		if err := d.feed(sink); err != nil {
			return elements.None{}, err
		}
	}
	return elements.None{}, nil
}

// RemoveSource stops the media of all ports; without a source it does nothing.
func (d *DispatcherOneToMany) RemoveSource(context.Context, elements.None) (elements.None, error) {
	d.change.Lock()
	defer d.change.Unlock()
	d.clear()
	return elements.None{}, nil
}

// feed gives one port what it should have now.
func (d *DispatcherOneToMany) feed(sink *HubPort) error {
	for _, kind := range everyKind {
		if d.source == nil || sink == d.source {
			unroute(sink, kind)
			continue
		}
		if err := route(d.source, sink, kind); err != nil {
			return err
		}
	}
	return nil
}

func (d *DispatcherOneToMany) clear() {
	d.source = nil
	for _, sink := range d.list() {
		for _, kind := range everyKind {
			unroute(sink, kind)
		}
	}
}

func (d *DispatcherOneToMany) attach(p *HubPort) error {
	addLanes(p)
	return d.feed(p)
}

func (d *DispatcherOneToMany) detach(p *HubPort) {
	if d.source == p {
		d.clear()
	}
	dropLanes(p, d.list())
}

func (d *DispatcherOneToMany) shut() {}

func (d *DispatcherOneToMany) dot(context.Context) (string, error) { return d.portDot(), nil }
