package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/govidu/govidu/kms/client"
)

// patience bounds one request to a media node.
const patience = time.Minute

// control drives a media node. What fails is kept, and ends all later requests:
// read it with failure.
type control struct {
	client.Client
	err error
}

// failure is what went wrong first.
func (c *control) failure() error { return c.err }

func (c *control) create(typ string, params map[string]any) client.ID {
	if c.err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := c.Create(ctx, typ, params)
	if err != nil {
		c.err = fmt.Errorf("create %s: %w", typ, err)
	}
	return id
}

func (c *control) invoke(id client.ID, op string, params map[string]any, result any) {
	if c.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Invoke(ctx, id, op, params, result); err != nil {
		c.err = fmt.Errorf("%s of %s: %w", op, id, err)
	}
}

func (c *control) connect(from, to client.ID) {
	c.invoke(from, "connect", map[string]any{"sink": to}, nil)
}

// text invokes what answers a text.
func (c *control) text(id client.ID, op string, params map[string]any) (s string) {
	c.invoke(id, op, params, &s)
	return s
}

func (c *control) subscribe(id client.ID, event string, fn func(json.RawMessage)) {
	if c.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.Subscribe(ctx, id, event, fn); err != nil {
		c.err = fmt.Errorf("subscribe to %s of %s: %w", event, id, err)
	}
}

// release frees an object, also after a failure.
func (c *control) release(id client.ID) {
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Release(ctx, id); err != nil {
		c.err = errors.Join(c.err, fmt.Errorf("release %s: %w", id, err))
	}
}
