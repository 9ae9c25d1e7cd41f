// Package events carries what happened in sessions, in order per session: the
// source of the CDR file, webhooks and the log. Fields are those of the OpenVidu
// webhook contract (REST contract §11.2).
package events

import (
	"context"
	"encoding/json"
)

// Event is one thing that happened in a session. Name is the webhook's name
// (sessionCreated, participantJoined, …); Fields marshals to the JSON object of
// the contract without the "event" key: sessionId, uniqueSessionId, timestamp
// and the event's own.
type Event struct {
	Name      string
	SessionID string
	Fields    any
}

// MarshalJSON gives the fields plus "event", the body of a webhook.
func (e Event) MarshalJSON() ([]byte, error) {
	fields, err := json.Marshal(e.Fields)
	if err != nil {
		return nil, err
	}
	if len(fields) < 2 || fields[0] != '{' || string(fields) == "{}" {
		return json.Marshal(map[string]string{"event": e.Name})
	}
	name, err := json.Marshal(e.Name)
	if err != nil {
		return nil, err
	}
	out := append(fields[:len(fields)-1], `,"event":`...)
	return append(append(out, name...), '}'), nil
}

// Sink takes events in order, per session. Emit is called from the session's own
// goroutine: it must not block; a sink that writes to a disk or a network queues
// for itself.
type Sink interface {
	Emit(ctx context.Context, e Event) error
}
