package elements

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Resolver finds a living object by id; a missing one is
// kerr.MediaObjectNotFound with the text "Object 'ID' not found".
type Resolver func(id string) (Object, error)

// Registry is the set of classes of a build. It does not change after it was
// made; safe for concurrent use.
type Registry struct {
	types   []Type
	classes map[string]*Class // by bare name
	order   []*Class
}

// Class is a Type in its place: with its ancestors and all inherited members.
type Class struct {
	typ       Type
	ancestors []*Class // nearest first
	ops       map[string]operation
	events    map[string]*Member
	params    *record // of the constructor; nil when it cannot be created
}

// operation is what a name in invoke leads to.
type operation struct {
	member *Member
	setter bool
	params *record // nil: none are read
	value  *field  // setters: the one parameter
}

// NewRegistry checks the types against each other and builds their classes.
func NewRegistry(types ...Type) (*Registry, error) {
	r := &Registry{types: types, classes: map[string]*Class{}}
	for i := range types {
		if _, ok := r.classes[types[i].Name]; ok {
			return nil, fmt.Errorf("register %s: registered twice", types[i].Name)
		}
		c := &Class{typ: types[i], ops: map[string]operation{}, events: map[string]*Member{}}
		r.classes[c.typ.Name] = c
		r.order = append(r.order, c)
	}
	for _, c := range r.order {
		if err := r.resolve(c); err != nil {
			return nil, fmt.Errorf("register %s: %w", c.typ.Name, err)
		}
	}
	return r, nil
}

// With makes a registry of these types and more.
func (r *Registry) With(types ...Type) (*Registry, error) {
	return NewRegistry(append(slices.Clone(r.types), types...)...)
}

// Lookup finds a class by its bare or qualified name.
func (r *Registry) Lookup(name string) (*Class, bool) {
	c, ok := r.classes[strings.TrimPrefix(name, "kurento.")]
	return c, ok
}

// Classes lists all classes in the order they were given.
func (r *Registry) Classes() []*Class { return slices.Clone(r.order) }

func (r *Registry) resolve(c *Class) error {
	for at := c; at.typ.Extends != ""; {
		parent, ok := r.classes[at.typ.Extends]
		if !ok {
			return fmt.Errorf("%s extends unknown %s", at.typ.Name, at.typ.Extends)
		}
		if parent == c || slices.Contains(c.ancestors, parent) {
			return fmt.Errorf("%s extends itself", c.typ.Name)
		}
		c.ancestors = append(c.ancestors, parent)
		at = parent
	}
	if build := c.typ.New; build.build != nil {
		if c.typ.Abstract {
			return fmt.Errorf("abstract type with a constructor")
		}
		rec, err := recordOf(build.params)
		if err != nil {
			return fmt.Errorf("constructor: %w", err)
		}
		c.params = rec
	}
	for _, from := range append([]*Class{c}, c.ancestors...) {
		for i := range from.typ.Members {
			if err := c.adopt(&from.typ.Members[i]); err != nil {
				return fmt.Errorf("%s.%s: %w", from.typ.Name, from.typ.Members[i].Name, err)
			}
		}
	}
	return nil
}

// adopt makes m callable on objects of c, unless a nearer member has its name.
func (c *Class) adopt(m *Member) error {
	if m.kind == eventMember {
		if _, ok := c.events[m.Name]; !ok {
			c.events[m.Name] = m
		}
		return encodable(m.result)
	}
	names := []string{m.Name}
	if m.kind == propertyMember {
		names = []string{"get" + raise(m.Name)}
		if m.set != nil {
			names = append(names, "set"+raise(m.Name))
		}
	}
	for i, name := range names {
		if _, ok := c.ops[name]; ok {
			continue
		}
		if obj := c.typ.New.object; obj != nil && !obj.AssignableTo(m.owner) {
			return fmt.Errorf("needs %v, but the type makes %v", m.owner, obj)
		}
		op := operation{member: m, setter: i == 1}
		var err error
		switch {
		case op.setter:
			op.value, err = fieldOf(m.Name, m.result, "")
		case m.kind == methodMember:
			op.params, err = recordOf(m.params)
		}
		if err != nil {
			return err
		}
		c.ops[name] = op
	}
	return encodable(m.result)
}

func raise(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// Name is the bare name.
func (c *Class) Name() string { return c.typ.Name }

// QualifiedName is "kurento." + Name.
func (c *Class) QualifiedName() string { return "kurento." + c.typ.Name }

// Module is the module the class is reported in.
func (c *Class) Module() string { return c.typ.Module }

// Type is the description the class was made of.
func (c *Class) Type() Type { return c.typ }

// Creatable tells whether objects can be made by create.
func (c *Class) Creatable() bool { return c.typ.New.build != nil }

// Hierarchy lists the qualified ancestors, nearest first, without the class itself.
func (c *Class) Hierarchy() []string {
	out := make([]string, len(c.ancestors))
	for i, a := range c.ancestors {
		out[i] = a.QualifiedName()
	}
	return out
}

// Is tells whether the class is, or descends from, the one with a bare name.
func (c *Class) Is(name string) bool {
	return c.typ.Name == name || slices.ContainsFunc(c.ancestors, func(a *Class) bool { return a.typ.Name == name })
}

// HasEvent tells whether an event may be subscribed to.
func (c *Class) HasEvent(name string) bool { _, ok := c.events[name]; return ok }

// EventNames lists the events, sorted.
func (c *Class) EventNames() []string { return slices.Sorted(maps.Keys(c.events)) }

// Operations lists the names invoke understands, sorted.
func (c *Class) Operations() []string { return slices.Sorted(maps.Keys(c.ops)) }

// Args are decoded constructor parameters.
type Args struct {
	value any
	// Parent is the first object among them; nil when there is none.
	Parent Object
}

// Decode checks and converts a constructor's parameters. params is the value of
// constructorParams (decoded JSON with json.Number), nil when absent.
func (c *Class) Decode(params any, resolve Resolver) (Args, error) {
	if c.params == nil {
		return Args{}, kerr.New(kerr.MediaObjectNotAvailable, "Factory '%s' not found", c.typ.Name)
	}
	obj, isObject := params.(map[string]any)
	switch {
	case params != nil && !isObject:
		return Args{}, kerr.New(kerr.MarshallError, "'constructorParams' should be an object")
	case params == nil && c.params.required > 0:
		return Args{}, kerr.New(kerr.MarshallError, "'constructorParams' is required")
	}
	v, err := c.params.decode(obj, resolve, "parameter", false)
	if err != nil {
		return Args{}, err
	}
	return Args{value: v.Interface(), Parent: c.params.firstObject(v)}, nil
}

// Create makes an object from decoded parameters and enters it into its graph
// and its parent's children. On an error nothing is left.
func (c *Class) Create(ctx context.Context, env Env, args Args) (Object, error) {
	obj, err := c.typ.New.build(ctx, env, args.value)
	if err != nil {
		return nil, err
	}
	if n, ok := obj.(Node); ok {
		n.Media().adopt(c, obj)
	}
	if el, ok := obj.(pipeline.Element); ok && env.Pipeline != nil {
		if err := env.Pipeline.Add(el); err != nil {
			obj.Close()
			return nil, err
		}
	}
	return obj, nil
}

// adopt tells the base what it is part of.
func (o *MediaObject) adopt(c *Class, self Object) {
	o.identity.Store(&identity{c, self})
	if parent, ok := o.env.Parent.(Node); ok {
		parent.Media().addChild(self)
	}
}

// Invoke runs an operation; params is the value of operationParams, nil when
// absent. The result is ready for encoding/json. Unknown operation: 40008.
func (c *Class) Invoke(ctx context.Context, obj Object, op string, params any, resolve Resolver) (any, error) {
	o, ok := c.ops[op]
	if !ok {
		return nil, UnknownOperation(op, params)
	}
	if o.setter {
		p, err := paramsObject(params, true)
		if err != nil {
			return nil, err
		}
		v, err := o.value.decode(p, resolve, "parameter")
		if err != nil {
			return nil, err
		}
		return nil, o.member.set(obj, v.Interface())
	}
	var arg any
	if o.params != nil {
		p, err := o.params.object(params)
		if err != nil {
			return nil, err
		}
		v, err := o.params.decode(p, resolve, "parameter", true)
		if err != nil {
			return nil, err
		}
		arg = v.Interface()
	}
	result, err := o.member.call(ctx, obj, arg)
	if err != nil {
		return nil, err
	}
	return Encode(result), nil
}

// UnknownOperation is the error for an operation the class does not have, 40008;
// params is the value of operationParams.
func UnknownOperation(op string, params any) error {
	return kerr.New(kerr.MalformedTransaction, "Method '%s' with %d parameters not found", op, size(params))
}

// object takes operationParams for this record: a record without fields
// ignores whatever was sent.
func (r *record) object(params any) (map[string]any, error) {
	if len(r.fields) == 0 {
		return nil, nil
	}
	return paramsObject(params, r.required > 0)
}

func paramsObject(params any, required bool) (map[string]any, error) {
	p, ok := params.(map[string]any)
	switch {
	case params == nil && required:
		return nil, kerr.New(kerr.MarshallError, "'operationParams' is required")
	case params != nil && !ok:
		return nil, kerr.New(kerr.MarshallError, "'operationParams' should be an object")
	}
	return p, nil
}

func size(params any) int {
	switch p := params.(type) {
	case map[string]any:
		return len(p)
	case []any:
		return len(p)
	}
	return 0
}

var objectType = reflect.TypeFor[Object]()

// HasOperation tells whether invoke understands a name.
func (c *Class) HasOperation(name string) bool { _, ok := c.ops[name]; return ok }
