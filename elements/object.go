package elements

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Object is anything that can be addressed by id. Close is idempotent and waits
// for the object's goroutines.
type Object interface {
	ID() string
	Close() error
}

// Node is an Object that embeds MediaObject.
type Node interface {
	Object
	// Media is the embedded base.
	Media() *MediaObject
}

// MediaObject is the base of every type: id, name, tags, parent, children.
// Embed it (or MediaElement) and call Init first.
type MediaObject struct {
	env      Env
	root     *MediaPipeline // above this object, or itself; nil outside a pipeline
	created  time.Time
	identity atomic.Pointer[identity]

	mu       sync.Mutex // leaf: name, tags, children
	name     string
	sendTags bool
	tags     map[string]string
	children []Object
}

// identity is what an object is: known once its constructor has returned.
type identity struct {
	class *Class
	self  Object
}

// Class is the object's class, nil until its constructor has returned.
func (o *MediaObject) Class() *Class {
	if id := o.identity.Load(); id != nil {
		return id.class
	}
	return nil
}

// Self is the whole object that embeds this base, nil until its constructor has
// returned.
func (o *MediaObject) Self() Object {
	if id := o.identity.Load(); id != nil {
		return id.self
	}
	return nil
}

// Tag is one key and value of an object's tags.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Init binds the base to its environment. Call it once, before anything else.
func (o *MediaObject) Init(env Env) {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Emit == nil {
		env.Emit = func(string, any) {}
	}
	o.env, o.name, o.created = env, env.ID, time.Now()
	o.tags = map[string]string{}
	switch parent := env.Parent.(type) {
	case *MediaPipeline:
		o.root = parent
	case Node:
		o.root = parent.Media().root
	}
}

// Media implements Node.
func (o *MediaObject) Media() *MediaObject { return o }

// ID is the object's id.
func (o *MediaObject) ID() string { return o.env.ID }

// Log is the object's logger, with its ids bound.
func (o *MediaObject) Log() *slog.Logger { return o.env.Log }

// Graph is the pipeline the object belongs to.
func (o *MediaObject) Graph() *pipeline.Pipeline { return o.env.Pipeline }

// Emit raises an event of this object; see Env.Emit.
func (o *MediaObject) Emit(event string, fields any) { o.env.Emit(event, fields) }

// EmitError raises the event Error: description for people, code a kerr.Code or
// another number, typ such as RESOURCE_ERROR_OPEN or STREAM_ERROR_FAILED
// (kurento-elements §4).
func (o *MediaObject) EmitError(typ string, code int, description string) {
	o.Emit("Error", ErrorFields{Description: description, ErrorCode: code, Type: typ})
}

// ErrorFields are the fields of the event Error.
type ErrorFields struct {
	Description string `json:"description"`
	ErrorCode   int    `json:"errorCode"`
	Type        string `json:"type"`
}

// Parent is the object above, nil for a MediaPipeline.
func (o *MediaObject) Parent() Object { return o.env.Parent }

// PipelineObject is the MediaPipeline above (or the object itself); nil when
// the object was made outside one.
func (o *MediaObject) PipelineObject() *MediaPipeline { return o.root }

// Children lists the living objects below, oldest first.
func (o *MediaObject) Children() []Object {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.children)
}

func (o *MediaObject) addChild(c Object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.children = append(o.children, c)
}

// RemoveChild forgets a released object.
func (o *MediaObject) RemoveChild(c Object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.children = slices.DeleteFunc(o.children, func(x Object) bool { return x == c })
}

// Name is what the user calls the object; at first its id.
func (o *MediaObject) Name() string { o.mu.Lock(); defer o.mu.Unlock(); return o.name }

// SetName renames the object.
func (o *MediaObject) SetName(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.name = name
	return nil
}

// SendTagsInEvents tells whether events carry the object's tags.
func (o *MediaObject) SendTagsInEvents() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.sendTags }

// SetSendTagsInEvents turns tags in events on or off.
func (o *MediaObject) SetSendTagsInEvents(on bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sendTags = on
	return nil
}

// CreationTime is in seconds since the epoch.
func (o *MediaObject) CreationTime() int { return int(o.created.Unix()) }

// Tags lists the tags sorted by key.
func (o *MediaObject) Tags() []Tag {
	o.mu.Lock()
	defer o.mu.Unlock()
	tags := make([]Tag, 0, len(o.tags))
	for k, v := range o.tags {
		tags = append(tags, Tag{k, v})
	}
	slices.SortFunc(tags, func(a, b Tag) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return tags
}

type tagParams struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type tagKeyParams struct {
	Key string `json:"key"`
}

func (o *MediaObject) addTag(_ context.Context, p tagParams) (None, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tags[p.Key] = p.Value
	return None{}, nil
}

func (o *MediaObject) removeTag(_ context.Context, p tagKeyParams) (None, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.tags, p.Key)
	return None{}, nil
}

func (o *MediaObject) getTag(_ context.Context, p tagKeyParams) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v, ok := o.tags[p.Key]
	if !ok {
		return "", kerr.New(kerr.MediaObjectTagKeyNotFound, "Tag key not found")
	}
	return v, nil
}
