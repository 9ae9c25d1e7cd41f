package hubs

import (
	"context"

	"github.com/govidu/govidu/elements"
)

// cannotConnect is the original's text for ports that do not belong together.
const cannotConnect = "Can not connect ports"

type dispatcherParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
}

// Dispatcher routes any port to any other; a sink port has one source at a time.
type Dispatcher struct{ hub }

func newDispatcher(_ context.Context, env elements.Env, _ dispatcherParams) (*Dispatcher, error) {
	d := &Dispatcher{}
	d.init(env, d)
	return d, nil
}

type dispatcherConnectParams struct {
	Source *HubPort `json:"source"`
	Sink   *HubPort `json:"sink"`
}

// Connect sends what enters the source port out of the sink port, all kinds.
// Ports of another hub: 40004.
func (d *Dispatcher) Connect(_ context.Context, p dispatcherConnectParams) (elements.None, error) {
	d.change.Lock()
	defer d.change.Unlock()
	if err := d.own(cannotConnect, p.Source, p.Sink); err != nil {
		return elements.None{}, err
	}
	for _, kind := range everyKind {
		if err := route(p.Source, p.Sink, kind); err != nil {
			return elements.None{}, err
		}
	}
	return elements.None{}, nil
}

func (d *Dispatcher) attach(p *HubPort) error { addLanes(p); return nil }
func (d *Dispatcher) detach(p *HubPort)       { dropLanes(p, d.list()) }
func (d *Dispatcher) shut()                   {}

func (d *Dispatcher) dot(context.Context) (string, error) { return d.portDot(), nil }
