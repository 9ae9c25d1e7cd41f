package elements

import (
	"strconv"
	"time"
)

// EventData builds the data object of an event raised by obj: the event's own
// fields, source, tags (when the object sends them), timestampMillis as text,
// and type, unless the fields have their own (Error) or the event has none.
func (c *Class) EventData(obj Object, event string, fields any, at time.Time) map[string]any {
	data := EncodeFields(fields)
	data["source"] = obj.ID()
	data["timestampMillis"] = strconv.FormatInt(at.UnixMilli(), 10)
	tags := []Tag{}
	if n, ok := obj.(Node); ok && n.Media().SendTagsInEvents() {
		tags = n.Media().Tags()
	}
	data["tags"] = Encode(tags)
	if _, own := data["type"]; !own {
		if m, ok := c.events[event]; !ok || !m.plain {
			data["type"] = event
		}
	}
	return data
}
