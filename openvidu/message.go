package openvidu

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

// SendMessage sends a signal from a browser (§5.5). message is JSON text
// {"to":[connectionId…],"data":…,"type":…}; without "to" everybody gets it, the
// sender included, before the reply.
func (c *Connection) SendMessage(ctx context.Context, message string, reply func(any)) error {
	if len(message) > c.s.m.opts.Limits.DataBytes {
		return errf(CodeSignalFormat, ErrLimit, "signal has %d bytes, at most %d are accepted", len(message), c.s.m.opts.Limits.DataBytes)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(message), &raw); err != nil || raw == nil {
		return errf(CodeSignalFormat, ErrInvalid, "signal message is no JSON object")
	}
	var to []string
	if v := raw["to"]; v != nil && json.Unmarshal(v, &to) != nil {
		return errf(CodeSignalTo, ErrInvalid, "signal target list is no array of connection ids")
	}
	data, err1 := optionalString(raw["data"])
	typ, err2 := optionalString(raw["type"])
	if err1 != nil || err2 != nil {
		return errf(CodeSignalFormat, ErrInvalid, "signal type and data must be strings")
	}
	return c.do(ctx, func() error {
		if err := c.may("sendMessage", auth.Target{}); err != nil {
			return err
		}
		eventType := typ
		if typ != nil {
			t := strings.TrimPrefix(*typ, "signal:")
			eventType = &t
		}
		from := c.id
		if err := c.s.signal(&from, to, typ, eventType, data); err != nil {
			return err
		}
		reply(Empty{})
		return nil
	})
}

func optionalString(raw json.RawMessage) (*string, error) {
	if raw == nil || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// signal sends to the named connections, or to all. from is nil for the API's.
func (s *session) signal(from *string, to []string, typ, eventType, data *string) error {
	targets := s.conns
	if len(to) > 0 {
		targets = nil
		for _, id := range to {
			c := s.byID[id]
			if c == nil || c.hidden {
				return errf(CodeSignalTo, ErrSignalTarget, "signal target %s is not a connection of session %s", short(id), s.id)
			}
			if !slices.Contains(targets, c) {
				targets = append(targets, c)
			}
		}
	}
	p := paramsMessage{Data: data, Type: typ}
	if from != nil {
		p.From = *from
	}
	e := events.SignalSent{Common: s.common(), From: from, To: []string{}, Type: eventType, Data: data}
	for _, c := range targets {
		if !c.hidden {
			e.To = append(e.To, c.id)
		}
	}
	notify(targets, notification("sendMessage", p))
	s.emit(events.NameSignalSent, e)
	return nil
}

// PropertyChange is streamPropertyChanged (§5.5). NewValue is the JSON the client
// sent.
type PropertyChange struct {
	StreamID, Property, Reason string
	NewValue                   json.RawMessage
}

// PropertyChanged takes a change of the connection's own stream, a mute for
// instance, and tells the others.
func (c *Connection) PropertyChanged(ctx context.Context, p PropertyChange, reply func(any)) error {
	return c.do(ctx, func() error {
		st, err := c.s.find(p.StreamID)
		if denied := c.may("streamPropertyChanged", auth.Target{Own: st != nil && st.owner == c}); denied != nil && st != nil {
			return denied
		}
		if err != nil {
			return err
		}
		if st.owner != c {
			return errf(CodeUnauthorized, nil, "stream %s is not of connection %s", st.id, c.id)
		}
		if len(p.Reason) > 64 || len(p.NewValue) > c.s.m.opts.Limits.DataBytes {
			return errf(CodeMissingParameter, ErrInvalid, "streamPropertyChanged is too long")
		}
		if err := st.set(p.Property, p.NewValue); err != nil {
			return err
		}
		n := notification("streamPropertyChanged", paramsStreamProperty{
			ConnectionID: c.id, StreamID: st.id, Property: p.Property, NewValue: string(p.NewValue), Reason: p.Reason,
		})
		for _, o := range slices.Clone(c.s.conns) {
			if o == c {
				reply(Empty{})
			} else {
				o.send(n)
			}
		}
		return nil
	})
}

// set changes a property that browsers may change.
func (st *stream) set(property string, value json.RawMessage) error {
	wrong := errf(CodeMissingParameter, ErrInvalid, "newValue is of the wrong type for the property")
	switch property {
	case "audioActive", "videoActive":
		var v *bool
		if json.Unmarshal(value, &v) != nil || v == nil {
			return wrong
		}
		if property == "audioActive" {
			st.audioActive = *v
		} else {
			st.videoActive = *v
		}
		st.changed()
	case "videoDimensions":
		var v *string
		if json.Unmarshal(value, &v) != nil || v == nil {
			return wrong
		}
		size, err := dimensions(*v)
		if err != nil {
			return err
		}
		st.dimensions = size
	case "videoTrack", "audioTrack":
		var v map[string]any
		if json.Unmarshal(value, &v) != nil {
			return wrong
		}
	default:
		return errf(CodeMissingParameter, ErrInvalid, "unknown stream property")
	}
	return nil
}

// VideoData is what a browser tells once after publishing and on changes (§5.5);
// sizes in pixels, 0 unknown.
type VideoData struct {
	Width, Height            int
	VideoActive, AudioActive bool
}

// VideoData keeps the size and activity of the own stream.
func (c *Connection) VideoData(ctx context.Context, v VideoData, reply func(any)) error {
	return c.do(ctx, func() error {
		if err := c.may("videoData", auth.Target{Own: true}); err != nil {
			return err
		}
		if st := c.pub; st != nil {
			audio, video := st.hasAudio && v.AudioActive, st.hasVideo && v.VideoActive
			if audio != st.audioActive || video != st.videoActive {
				st.audioActive, st.videoActive = audio, video
				st.changed()
			}
			if v.Width > 0 && v.Height > 0 {
				size, err := json.Marshal(struct {
					Width  int `json:"width"`
					Height int `json:"height"`
				}{v.Width, v.Height})
				if err == nil {
					st.dimensions = string(size)
				}
			}
		}
		reply(Empty{})
		return nil
	})
}

// SpeechToText refuses the speech-to-text calls: not in this edition.
func (c *Connection) SpeechToText(ctx context.Context, method string) error {
	return c.do(ctx, func() error {
		if err := c.may(method, auth.Target{}); err != nil {
			return err
		}
		return errf(CodeWrongEdition, ErrUnsupported, "%s is not available in this edition", method)
	})
}
