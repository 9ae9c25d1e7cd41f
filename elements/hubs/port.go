package hubs

import (
	"context"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

type portParams struct {
	Hub Hub `json:"hub"`
}

// HubPort is where media enters and leaves a hub: what is connected into the
// port enters the hub, what the port feeds is the hub's output for it. It closes
// with its hub.
type HubPort struct {
	elements.MediaElement
	hub   *hub
	order int // of birth within the hub, from 1

	lanes map[pipeline.Kind]*lane // of hubs that route; guarded by hub.change
}

func newHubPort(_ context.Context, env elements.Env, p portParams) (*HubPort, error) {
	port := &HubPort{hub: p.Hub.core(), lanes: map[pipeline.Kind]*lane{}}
	port.Init(env)
	if err := port.hub.add(port); err != nil {
		port.CloseBase()
		return nil, err
	}
	return port, nil
}

// Close takes the port out of its hub and disconnects it on both sides.
func (p *HubPort) Close() error {
	p.hub.remove(p)
	return p.CloseBase()
}
